/**
 * A job on user messages of a schema registry, on a real broker: writers of several versions, what cannot be read, a
 * registry that goes away, and schemas that change under a job. The encoder, and so the oracle, is protobufjs.
 */
import { Kafka, logLevel } from 'kafkajs'
import protobuf from 'protobufjs'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { DeadLetter } from '../../src/gen/millrace/v1/metric.ts'
import {
  checkpointApplied,
  engineForTest,
  submitJob,
  type TestEngine,
  untilJob,
  untilRead,
  untilState,
} from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { readKafkaTopic } from '../support/events-kafka.ts'
import { testBrokers } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { framed, RegistryStub } from '../support/registry-stub.ts'

const START_MS = Date.UTC(2025, 0, 1)

const money = 'syntax = "proto3"; package shop; message Money { int64 minor = 1; string currency = 2; }'
const head = 'syntax = "proto3"; package shop.v1; import "money.proto"; import "google/protobuf/timestamp.proto";'
const refund = 'message Refund { string customer = 1; google.protobuf.Timestamp at = 2; int64 amount = 3; }'
/** By version: a narrower amount, then a wider one with more fields and another name for the region. */
const v1 = `${head} message Order { string customer = 1; google.protobuf.Timestamp at = 2; int32 amount = 3; string country = 4;
  shop.Money fee = 6; } ${refund}`
const v2 = `${head} message Order { string customer = 1; google.protobuf.Timestamp at = 2; int64 amount = 3; string region = 4;
  string channel = 5; shop.Money fee = 6; } ${refund}`
const v3 = v2.replace('string channel = 5;', 'string channel = 5; bool gift = 7;')
const wrong = v2.replace('int64 amount = 3', 'string amount = 3')
const references = [{ name: 'money.proto', subject: 'money', version: 1 }]

function encode(text: string, message: string, value: Record<string, unknown>): Uint8Array {
  const root = new protobuf.Root()
  protobuf.parse(money, root, { keepCase: true })
  protobuf.parse(text, root, { keepCase: true })
  root
    .define('google.protobuf')
    .add(
      new protobuf.Type('Timestamp')
        .add(new protobuf.Field('seconds', 1, 'int64'))
        .add(new protobuf.Field('nanos', 2, 'int32')),
    )
  const type = root.lookupType(message)
  return type.encode(type.fromObject(value)).finish()
}

function order(text: string, i: number, rest: Record<string, unknown>): Uint8Array {
  const at = { seconds: String(START_MS / 1000 + i), nanos: 0 }
  return encode(text, 'shop.v1.Order', { customer: `c${i % 3}`, at, ...rest })
}

interface Shop {
  readonly registry: RegistryStub
  readonly topic: string
  readonly dead: string
  readonly access: KafkaAccess
  readonly engine: TestEngine
  send(values: readonly Uint8Array[], headers?: Record<string, string>): Promise<void>
}

async function openShop(name: string): Promise<Shop> {
  const registry = new RegistryStub()
  await registry.start()
  onTestFinished(() => registry.stop())
  const access = await KafkaAccess.open('direct', testBrokers(), `${name}-${inject('runId')}`)
  onTestFinished(() => access.close())
  const [topic, dead] = [await access.createTopic(1), await access.createTopic(1)]
  const brokers = access.brokers.join(',')
  const engine = await engineForTest({ brokers, env: { MILLRACE_SCHEMA_REGISTRY: registry.url } })
  const producer = new Kafka({ brokers: [...access.brokers], logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return {
    registry,
    topic,
    dead,
    access,
    engine,
    send: async (values, headers) => {
      const messages = values.map((value) => ({
        value: Buffer.from(value),
        ...(headers === undefined ? {} : { headers }),
      }))
      await producer.send({ topic, messages })
    },
  }
}

function job(shop: Shop, changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    apiVersion: 'millrace.dev/v1',
    kind: 'Job',
    metadata: { name: 'orders' },
    sources: [{ kafka: { topic: shop.topic } }],
    event: {
      message: 'shop.v1.Order',
      time: 'at',
      key: 'customer',
      schema: { registry: { subject: 'orders' } },
    },
    watermark: { outOfOrderness: '1h', idleness: '0s' },
    metrics: [
      { id: 'revenue', sum: { field: 'amount' }, by: ['region'], window: { tumbling: '1d' } },
      { id: 'fees', sum: { field: 'fee.minor' }, window: { tumbling: '1d' } },
      { id: 'web', count: {}, where: "channel == 'web'", window: { tumbling: '1d' } },
    ],
    deadLetters: { kafka: { topic: shop.dead } },
    ...changes,
  })
}

async function numbers(shop: Shop, metric: string): Promise<Record<string, number>> {
  const values = await valuesOf(shop.engine.client, 'orders', metric)
  return Object.fromEntries(values.map(({ dimensions, value }) => [dimensions.join(), value]))
}

describe('a job on a schema registry', () => {
  it('reads every version by its own schema, and puts aside what it cannot read', async () => {
    const shop = await openShop('registry')
    const { registry, engine } = shop
    registry.register('money', money)
    const id1 = registry.register('orders', v1, references)
    const id2 = registry.register('orders', v2, references)
    const idWrong = registry.register('elsewhere', wrong, references)
    const idAvro = registry.register('avro', '{"type":"string"}', [], 'AVRO')
    await submitJob(engine.client, job(shop))
    const big = 2 ** 40
    await shop.send([
      framed(id1, [0], order(v1, 0, { amount: 10, country: 'de', fee: { minor: 1 } })),
      framed(id2, [0], order(v2, 1, { amount: String(big), region: 'de', channel: 'web', fee: { minor: 2 } })),
      framed(id1, [0], order(v1, 2, { amount: -7, country: 'fr' })),
      framed(id2, [1], encode(v2, 'shop.v1.Refund', { customer: 'c0', at: { seconds: '1' }, amount: '5' })),
      framed(999, [0], order(v2, 3, { amount: '1' })),
      framed(idWrong, [0], encode(wrong, 'shop.v1.Order', { customer: 'x', amount: 'much' })),
      framed(idAvro, [0], Buffer.from('x')),
      Buffer.from('no frame'),
      Buffer.from([0, 0, 0]),
      // For such a number registries have no answer of their own.
      framed(0xffff_ffff, [0], Buffer.from('x')),
    ])
    const counts = (await untilRead(engine.client, 'orders', 10)).events
    expect(counts).toMatchObject({ read: 10, applied: 3, filtered: 1, deadLettered: 6 })
    expect(await numbers(shop, 'revenue')).toEqual({ de: big + 10, fr: -7 })
    expect(await numbers(shop, 'fees')).toEqual({ '': 3 })
    expect(await numbers(shop, 'web')).toEqual({ '': 1 })
    await checkpointApplied(engine.client, 'orders')
    const letters = [...(await readKafkaTopic(shop.access.brokers, shop.dead)).values()].flat()
    expect(letters.map((bytes) => DeadLetter.decode(bytes)).map(({ offset, reason }) => [offset, reason])).toEqual([
      [4, 'schema_unknown'],
      [5, 'schema_incompatible'],
      [6, 'schema_incompatible'],
      [7, 'not_framed'],
      [8, 'not_framed'],
      [9, 'schema_unknown'],
    ])
    // Each schema has been asked for once, whatever the number of records.
    expect(registry.asked.filter((path) => path === `/schemas/ids/${id2}`)).toHaveLength(1)

    // A version that is registered while the job runs.
    const id3 = registry.register('orders', v3, references)
    await shop.send([framed(id3, [0], order(v3, 4, { amount: '1', region: 'de', gift: true }))])
    await untilRead(engine.client, 'orders', 11)
    expect(await numbers(shop, 'revenue')).toEqual({ de: big + 11, fr: -7 })
  })

  it('waits for a registry that is away, says so, and goes on without losing an event', async () => {
    const shop = await openShop('registry-away')
    const { registry, engine } = shop
    registry.register('money', money)
    const id1 = registry.register('orders', v1, references)
    const id2 = registry.register('orders', v2, references)
    await submitJob(engine.client, job(shop))
    await shop.send([framed(id1, [0], order(v1, 0, { amount: 1, country: 'de' }))])
    await untilRead(engine.client, 'orders', 1)
    await registry.stop()
    await shop.send([framed(id2, [0], order(v2, 1, { amount: '2', region: 'de' }))])
    const waiting = await untilJob(engine.client, 'orders', ({ restarts }) => restarts > 0)
    expect(waiting.reason).toContain('SCHEMA_REGISTRY_UNREACHABLE')
    await expect(engine.client.control.validate({ kind: 'text', text: job(shop) })).rejects.toMatchObject({
      code: 'SCHEMA_REGISTRY_UNREACHABLE',
    })
    await registry.start()
    await untilJob(engine.client, 'orders', async ({ state, events }) => state === 'RUNNING' && events.applied >= 2)
    expect(await numbers(shop, 'revenue')).toEqual({ de: 3 })
  })

  it('refuses to go on with a schema that moves a field which it reads', async () => {
    const shop = await openShop('registry-evolution')
    const { registry, engine } = shop
    const { control } = engine.client
    registry.register('money', money)
    const id2 = registry.register('orders', v2, references)
    await submitJob(engine.client, job(shop))
    await shop.send([framed(id2, [0], order(v2, 1, { amount: '2', region: 'de' }))])
    await untilRead(engine.client, 'orders', 1)
    await control.stop('orders')
    await untilState(engine.client, 'orders', 'SUSPENDED')
    registry.register('orders', v2.replace('int64 amount = 3', 'int64 amount = 9'), references)
    const refused = await control.submit({ kind: 'text', text: job(shop) }).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'SCHEMA_INCOMPATIBLE' })
    expect(String(refused)).toContain('shop.v1.Order: amount had number 3 and now has number 9')
    registry.register('orders', v2.replace('int64 amount = 3', 'double amount = 3'), references)
    await expect(control.submit({ kind: 'text', text: job(shop) })).rejects.toThrow('was int64 and is now double')
    const id3 = registry.register('orders', v3, references)
    await submitJob(engine.client, job(shop))
    await shop.send([framed(id3, [0], order(v3, 2, { amount: '3', region: 'de' }))])
    await untilRead(engine.client, 'orders', 2)
    expect(await numbers(shop, 'revenue')).toEqual({ de: 5 })
  })

  it('takes several types by the message that each value names', async () => {
    const shop = await openShop('registry-types')
    const { registry, engine } = shop
    registry.register('money', money)
    const id = registry.register('orders', v2, references)
    const at = { seconds: String(START_MS / 1000), nanos: 0 }
    const event = {
      time: 'at',
      key: 'customer',
      schema: { registry: { subject: 'orders' } },
      oneOf: [
        { type: 'order', message: 'shop.v1.Order' },
        { type: 'refund', message: 'shop.v1.Refund' },
      ],
    }
    const metrics = [
      { id: 'amounts', sum: { field: 'amount' }, by: ['event_type'], window: { tumbling: '1d' } },
      { id: 'web', count: {}, where: "event_type == 'refund' || channel == 'web'", window: { tumbling: '1d' } },
      { id: 'customers', activeUsers: {}, window: { tumbling: '1d' } },
    ]
    await submitJob(engine.client, job(shop, { event, metrics }))
    await shop.send([
      framed(id, [0], order(v2, 0, { amount: '10', region: 'de' })),
      framed(id, [1], encode(v2, 'shop.v1.Refund', { customer: 'c0', at, amount: '4' })),
      framed(id, [0], order(v2, 1, { amount: '20', region: 'de', channel: 'web' })),
    ])
    expect((await untilRead(engine.client, 'orders', 3)).events.applied).toBe(3)
    expect(await numbers(shop, 'amounts')).toEqual({ order: 30, refund: 4 })
    expect(await numbers(shop, 'web')).toEqual({ '': 2 })
    expect(await numbers(shop, 'customers')).toEqual({ '': 2 })
  })

  it('takes several types of several subjects, as the strategy of record names registers them', async () => {
    const shop = await openShop('registry-subjects')
    const { registry, engine } = shop
    registry.register('money', money)
    const [orderText, refundText] = [v2.replace(refund, ''), `${head} ${refund}`]
    const orderId = registry.register('shop.v1.Order', orderText, references)
    const refundId = registry.register('shop.v1.Refund', refundText, references)
    const event = {
      time: 'at',
      key: 'customer',
      schema: { registry: { subjects: ['shop.v1.Order', 'shop.v1.Refund'] } },
      oneOf: [
        { type: 'order', message: 'shop.v1.Order' },
        { type: 'refund', message: 'shop.v1.Refund' },
      ],
    }
    const metrics = [{ id: 'amounts', sum: { field: 'amount' }, by: ['event_type'], window: { tumbling: '1d' } }]
    await submitJob(engine.client, job(shop, { event, metrics }))
    const at = { seconds: String(START_MS / 1000), nanos: 0 }
    await shop.send([
      framed(orderId, [0], order(v2, 0, { amount: '10' })),
      framed(refundId, [0], encode(v2, 'shop.v1.Refund', { customer: 'c0', at, amount: '4' })),
    ])
    expect((await untilRead(engine.client, 'orders', 2)).events.applied).toBe(2)
    expect(await numbers(shop, 'amounts')).toEqual({ order: 10, refund: 4 })
  })
})
