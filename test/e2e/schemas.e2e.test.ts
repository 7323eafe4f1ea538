/**
 * Jobs on user messages by descriptor set: in the server's folder, in the request, over restarts and changes; types of
 * event by header on a real broker, and by the oneof of an envelope. The encoder, and so the oracle, is protobufjs.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import protobuf from 'protobufjs'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import {
  engineForTest,
  folderForTest,
  openEngine,
  submitJob,
  type TestEngine,
  untilRead,
  untilState,
} from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { createLogTopic } from '../support/events-log.ts'
import { testBrokers } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'

const body = (amount: string) => `
  message Placed { string customer = 1; int64 at = 2; ${amount} string country = 4; }
  message Paid { int64 paid_at = 1; string payer = 2; int64 amount = 5; }
  message Envelope { oneof event { Placed placed = 1; Paid paid = 2; string note = 3; } }`
const text = (amount = 'int64 amount = 3;') => `syntax = "proto3"; package shop; ${body(amount)}`
const set = (amount?: string) => compileTexts([{ name: 'shop.proto', text: text(amount) }])
const root = protobuf.parse(text(), { keepCase: true }).root
const encode = (name: string, value: object): Buffer => {
  const type = root.lookupType(name)
  return Buffer.from(type.encode(type.fromObject(value)).finish())
}
const START = Date.UTC(2025, 0, 1)
const placed = (i: number, amount: number) => ({
  customer: `c${i % 2}`,
  at: String(START + i),
  amount: String(amount),
  country: 'de',
})

function jobOf(source: object, event: object, rest: object = {}): string {
  return JSON.stringify({
    apiVersion: 'millrace.dev/v1',
    kind: 'Job',
    metadata: { name: 'shop' },
    sources: [source],
    event,
    watermark: { outOfOrderness: '1h', idleness: '0s' },
    checkpoint: { every: '200ms' },
    metrics: [{ id: 'amounts', sum: { field: 'amount' }, by: ['country'], window: { tumbling: '1d' } }],
    ...rest,
  })
}
const plainEvent = { message: 'shop.Placed', time: 'at', key: 'customer', schema: { descriptorSet: 'shop.binpb' } }

async function numbers(engine: TestEngine, metric = 'amounts'): Promise<Record<string, number>> {
  const values = await valuesOf(engine.client, 'shop', metric)
  return Object.fromEntries(values.map(({ dimensions, value }) => [dimensions.join(), value]))
}

describe('a job on a descriptor set', () => {
  it('keeps the one that it was submitted with over restarts, and refuses one that moves its fields', async () => {
    const folder = folderForTest('schemas')
    const [dataDir, schemas] = [join(folder, 'data'), join(folder, 'schemas')]
    mkdirSync(schemas)
    writeFileSync(join(schemas, 'shop.binpb'), set())
    const options = { dataDir, env: { MILLRACE_SCHEMA_DIR: schemas } }
    const first = await openEngine(options)
    onTestFinished(() => first.close())
    const topic = createLogTopic(first.logRoot, 'orders', 1)
    onTestFinished(() => topic.close())
    const append = (...values: Buffer[]) =>
      topic.append([values.map((value) => ({ person: '', timeMs: START, value }))])
    const job = jobOf(topic.source(), plainEvent)
    await submitJob(first.client, job)
    await append(encode('shop.Placed', placed(0, 10)), encode('shop.Placed', placed(1, 5)))
    await untilRead(first.client, 'shop', 2)
    expect(await numbers(first)).toEqual({ de: 15 })
    await first.client.control.triggerCheckpoint('shop')
    await first.close()

    // The file is gone; the job has its own.
    rmSync(join(schemas, 'shop.binpb'))
    const second = await engineForTest(options)
    const { control } = second.client
    await append(encode('shop.Placed', placed(2, 1)))
    await untilRead(second.client, 'shop', 3)
    expect(await numbers(second)).toEqual({ de: 16 })
    const again = { kind: 'text', text: job } as const
    await expect(control.submit(again)).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining('no such file'),
    })
    // The same again changes nothing; another one has to wait until the job is at rest.
    expect((await control.submit({ ...again, descriptorSet: set() })).name).toBe('shop')
    const moved = set('int64 amount = 7;')
    await expect(control.submit({ ...again, descriptorSet: moved })).rejects.toMatchObject({ code: 'JOB_EXISTS' })
    await control.stop('shop')
    await untilState(second.client, 'shop', 'SUSPENDED')
    await expect(control.submit({ ...again, descriptorSet: moved })).rejects.toMatchObject({
      code: 'SCHEMA_INCOMPATIBLE',
      message: expect.stringContaining('shop.Placed: amount had number 3 and now has number 7'),
    })
    // Wider, and with a new field: old bytes and new ones mean the same.
    await control.submit({ ...again, descriptorSet: set('uint64 amount = 3; string more = 9;') })
    await append(encode('shop.Placed', placed(3, 4)))
    await untilRead(second.client, 'shop', 4)
    expect(await numbers(second)).toEqual({ de: 20 })
  })

  it('takes it from the request only as far as it makes sense', async () => {
    const { client, logRoot } = await engineForTest()
    const topic = createLogTopic(logRoot, 'orders', 1)
    onTestFinished(() => topic.close())
    const violation = async (event: object, descriptorSet?: Uint8Array) => {
      const document = { kind: 'text', text: jobOf(topic.source(), event) } as const
      const { violations } = await client.control.validate(
        descriptorSet === undefined ? document : { ...document, descriptorSet },
      )
      return violations.map(({ field, message }) => `${field}: ${message}`).join('\n')
    }
    const path = (descriptorSet: string) => ({ ...plainEvent, schema: { descriptorSet } })
    expect(await violation(plainEvent, set())).toBe('')
    expect(await violation({ ...plainEvent, schema: undefined }, set())).toBe('')
    expect(await violation(plainEvent, Buffer.from('no set'))).toContain(
      'event.schema: the bytes are not a FileDescriptorSet',
    )
    for (const out of ['../../etc/passwd', '/etc/passwd', 'a/../../b', '..'])
      expect(await violation(path(out))).toContain('must be relative and stay inside the folder')
    expect(await violation({ ...plainEvent, schema: { registry: {} } })).toContain('set MILLRACE_SCHEMA_REGISTRY')
    expect(await violation({ ...plainEvent, schema: { registry: {} } }, set())).toContain('give one')
  })

  it('tells types apart by the oneof of an envelope', async () => {
    const engine = await engineForTest()
    const topic = createLogTopic(engine.logRoot, 'orders', 1)
    onTestFinished(() => topic.close())
    const event = {
      message: 'shop.Envelope',
      time: 'at',
      key: 'customer',
      oneOf: [{ when: { field: 'placed' } }, { when: { field: 'paid' }, time: 'paid_at', key: 'payer' }],
      schema: { descriptorSet: '-' },
    }
    const metrics = [
      { id: 'amounts', sum: { field: 'amount' }, by: ['event_type'], window: { tumbling: '1d' } },
      { id: 'customers', activeUsers: {}, window: { tumbling: '1d' } },
    ]
    await engine.client.control.submit({
      kind: 'text',
      text: jobOf(topic.source(), event, { metrics }),
      descriptorSet: set(),
    })
    const values = [
      { placed: placed(0, 10) },
      { paid: { paid_at: String(START), payer: 'c1', amount: '3' } },
      { note: 'nothing' },
      { placed: placed(2, 1) },
    ].map((value) => ({ person: '', timeMs: START, value: encode('shop.Envelope', value) }))
    await topic.append([values])
    expect((await untilRead(engine.client, 'shop', 4)).events).toMatchObject({
      applied: 3,
      filtered: 1,
      deadLettered: 0,
    })
    expect(await numbers(engine)).toEqual({ placed: 11, paid: 3 })
    expect(await numbers(engine, 'customers')).toEqual({ '': 2 })
  })

  it('tells types apart by a record header, on a real broker', async () => {
    const access = await KafkaAccess.open('direct', testBrokers(), `types-${inject('runId')}`)
    onTestFinished(() => access.close())
    const engine = await engineForTest({ brokers: access.brokers.join(',') })
    const topic = await access.createTopic(1)
    const event = {
      time: 'at',
      key: 'customer',
      oneOf: [
        { type: 'placed', message: 'shop.Placed', when: { header: 'event-type' } },
        {
          type: 'paid',
          message: 'shop.Paid',
          when: { header: 'event-type', equals: 'payment' },
          time: 'paid_at',
          key: 'payer',
        },
      ],
      others: 'deadLetter',
      schema: { descriptorSet: '-' },
    }
    const metrics = [
      { id: 'amounts', sum: { field: 'amount' }, by: ['event_type'], window: { tumbling: '1d' } },
      { id: 'german', count: {}, where: "event_type == 'placed' && country == 'de'", window: { tumbling: '1d' } },
    ]
    const text = jobOf({ kafka: { topic } }, event, { metrics })
    await engine.client.control.submit({ kind: 'text', text, descriptorSet: set() })
    const producer = new Kafka({ brokers: [...access.brokers], logLevel: logLevel.NOTHING }).producer()
    await producer.connect()
    onTestFinished(() => producer.disconnect())
    const paid = encode('shop.Paid', { paid_at: String(START), payer: 'c1', amount: '3' })
    await producer.send({
      topic,
      messages: [
        { value: encode('shop.Placed', placed(0, 10)), headers: { trace: 'x', 'event-type': 'placed' } },
        { value: paid, headers: { 'event-type': 'payment' } },
        { value: paid, headers: { 'event-type': 'refund' } },
        { value: paid },
        { value: encode('shop.Placed', placed(1, 5)), headers: { 'event-type': 'placed', zzz: '' } },
      ],
    })
    expect((await untilRead(engine.client, 'shop', 5)).events).toMatchObject({ applied: 3, deadLettered: 2 })
    expect(await numbers(engine)).toEqual({ placed: 15, paid: 3 })
    expect(await numbers(engine, 'german')).toEqual({ '': 2 })
  })
})
