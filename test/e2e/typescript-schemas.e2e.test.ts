/**
 * A job in TypeScript on a message of a schema registry, on a real broker: the server finds the schema, writers of several
 * versions are read, and a restart needs no registry. The encoder is protobufjs.
 */
import protobuf from 'protobufjs'
import { expect, inject, it, onTestFinished } from 'vitest'
import { checkpointApplied, folderForTest, untilRead, untilState } from '../support/engine.ts'
import { readKafkaTopic } from '../support/events-kafka.ts'
import { testBrokers } from '../support/infra.ts'
import { writeModule } from '../support/job-modules.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { framed, RegistryStub } from '../support/registry-stub.ts'
import { MillraceServer } from '../support/server-process.ts'

const START_MS = Date.UTC(2025, 0, 1)
const head = 'syntax = "proto3"; package shop.v1;'
const first = `${head} message Refund { string customer = 1; } message Order { string customer = 1; int64 at_ms = 2; int32 amount = 3; }`
const second = first.replace('int32 amount = 3;', 'int64 amount = 3; repeated string tags = 4;')

function order(text: string, fields: Record<string, unknown>): Uint8Array {
  const type = protobuf.parse(text, new protobuf.Root(), { keepCase: true }).root.lookupType('shop.v1.Order')
  return type.encode(type.fromObject(fields)).finish()
}

function jobText(topic: string, results: string, message: string): string {
  return `
import { defineJob, registeredType, value } from 'millrace'
const state = { cents: value() }
export default defineJob({
  name: 'orders',
  source: {
    input: { kafka: { topic: ${JSON.stringify(topic)} } },
    event: registeredType({ subject: 'orders', message: ${JSON.stringify(message)} }),
    time: (order) => Number(order.atMs),
  },
  checkpoint: { every: '100ms' },
  build: (orders) =>
    orders
      .keyBy((order) => order.customer)
      .process({
        id: 'totals',
        state,
        onEvent(order, context) {
          const cents = (context.state.cents.get() ?? 0n) + order.amount
          context.state.cents.set(cents)
          context.emit(context.key + ' ' + cents + ' ' + order.tags.length)
        },
      })
      .sinkTo({ id: 'out', to: { kafka: { topic: ${JSON.stringify(results)} } } }),
})
`
}

it('reads every version, and goes on without the registry', async () => {
  const registry = new RegistryStub()
  await registry.start()
  onTestFinished(() => registry.stop())
  const access = await KafkaAccess.open('direct', testBrokers(), `typescript-schemas-${inject('runId')}`)
  onTestFinished(() => access.close())
  const [topic, results] = [await access.createTopic(1), await access.createTopic(1)]
  const folder = folderForTest('jobs')
  const brokers = access.brokers.join(',')
  const env = { MILLRACE_JOBS_DIR: folder, MILLRACE_SCHEMA_REGISTRY: registry.url }
  const server = await MillraceServer.start({ brokers, env })
  onTestFinished(() => server.stop())
  const send = (values: readonly Uint8Array[]): Promise<unknown> =>
    access.producer.send(
      topic,
      values.map((value) => ({ key: null, value, timestampMs: START_MS, partition: 0 })),
    )
  const submit = (message: string) =>
    server.client.control
      .submit({ kind: 'text', text: writeModule(folder, 'orders.ts', jobText(topic, results, message)) })
      .then(
        () => 'taken',
        (error: { code?: string; message?: string }) => `${error.code}: ${error.message}`,
      )

  expect(await submit('shop.v1.Order')).toMatch(/SCHEMA_NOT_FOUND|subject "orders"/)
  const id1 = registry.register('orders', first)
  const id2 = registry.register('orders', second)
  expect(await submit('shop.v1.Order')).toBe('taken')
  await send([
    framed(id1, [1], order(first, { customer: 'ada', at_ms: START_MS, amount: 5 })),
    framed(id2, [1], order(second, { customer: 'ada', at_ms: START_MS, amount: String(2 ** 52), tags: ['a', 'b'] })),
    framed(id2, [0], order(second, { customer: 'ada', at_ms: START_MS, amount: 7 })),
    Buffer.from('no frame'),
  ])
  const counts = await untilRead(server.client, 'orders', 4)
  expect(counts.events).toMatchObject({ read: 4, applied: 2, deadLettered: 2 })
  await checkpointApplied(server.client, 'orders')

  await registry.stop()
  await server.kill()
  await server.restart()
  await untilState(server.client, 'orders', 'RUNNING')
  await send([framed(77, [1], order(second, { customer: 'ada', at_ms: START_MS, amount: 1 }))])
  await untilRead(server.client, 'orders', 5)
  await checkpointApplied(server.client, 'orders')
  const texts = [...(await readKafkaTopic(access.brokers, results)).values()].flat()
  expect(new Set(texts.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as string))).toEqual(
    new Set(['ada 5 0', `ada ${2n ** 52n + 5n} 2`, `ada ${2n ** 52n + 6n} 0`]),
  )
})
