/**
 * Transactions of a Kafka sink: ours (sink/kafka-outbox.ts) beside the same epochs through kafkajs' transactional producer.
 *
 *   MILLRACE_TEST_BROKERS=host:port node bench/micro/kafka-transactions.ts
 *
 * Both write the same records to the same number of partitions, a marker record last, and commit. Alternating rounds in
 * one process; prints records a second of large epochs, CPU time a million records, and the median time of a small epoch.
 */
import kafkajs from 'kafkajs'
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import { KafkaOutbox } from '../../src/sink/kafka-outbox.ts'
import { OutboxBlockCursor, OutboxBlockWriter } from '../../src/sink/outbox-block.ts'
import { openKafkaAdmin } from '../../src/source/kafka/admin.ts'

const brokers = (process.env.MILLRACE_TEST_BROKERS ?? '').split(',')
const run = `bench-${Date.now()}`
const LARGE = 200_000
const SMALL = 500
const ROUNDS = 5
const SMALL_EPOCHS = 60
const REQUEST_BYTES_MAX = 900_000

function blocks(count: number): Uint8Array[] {
  const made: Uint8Array[] = []
  const writer = new OutboxBlockWriter()
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(`{"metric":"page_views","person":"${i % 10_000}"}`)
    writer.write(key, Buffer.alloc(110, i & 0xff), 1_700_000_000_000 + i)
    if (writer.byteLength > 900_000) made.push(writer.take())
  }
  if (writer.records > 0) made.push(writer.take())
  return made
}

interface Side {
  readonly name: string
  apply(epoch: number, data: readonly Uint8Array[]): Promise<void>
  close(): Promise<void>
}

async function ours(topic: string): Promise<Side> {
  const owner = { job: 'bench', jobId: run, sink: 'ours', generation: 1, nonce: run }
  const ports = { clock: systemClock, scheduler: systemScheduler, random: systemRandom }
  const sink = new KafkaOutbox({ brokers, topic, owner, transactionPrefix: run }, ports)
  await sink.open()
  async function* stream(data: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    yield* data
  }
  return { name: 'own', apply: (epoch, data) => sink.apply(epoch, stream(data)), close: () => sink.close() }
}

async function theirs(topic: string): Promise<Side> {
  const client = new kafkajs.Kafka({ brokers, clientId: 'bench', logLevel: kafkajs.logLevel.NOTHING })
  const producer = client.producer({
    transactionalId: `${run}-kafkajs`,
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  return {
    name: 'kafkajs',
    async apply(epoch, data) {
      const transaction = await producer.transaction()
      const cursor = new OutboxBlockCursor()
      let messages: kafkajs.Message[] = []
      let bytes = 0
      for (const block of data) {
        cursor.reset(block)
        while (cursor.next()) {
          messages.push({
            key: Buffer.from(cursor.key!),
            value: Buffer.from(cursor.value),
            timestamp: String(cursor.timestampMs),
          })
          bytes += cursor.valueEnd - cursor.keyStart + 32
          if (bytes < REQUEST_BYTES_MAX) continue
          await transaction.send({ topic, messages, acks: -1 })
          messages = []
          bytes = 0
        }
      }
      if (messages.length > 0) await transaction.send({ topic, messages, acks: -1 })
      const marker = [{ key: 'bench', value: JSON.stringify({ epoch }) }]
      await transaction.send({ topic: `${run}-markers`, messages: marker, acks: -1 })
      await transaction.commit()
    },
    close: () => producer.disconnect(),
  }
}

const admin = await openKafkaAdmin({ brokers })
const sides: Side[] = []
for (const open of [ours, theirs]) {
  const topic = `${run}-${sides.length}`
  await admin.createTopic(topic, { partitions: 4, config: { 'retention.ms': '-1' } })
  sides.push(await open(topic))
}
const large = blocks(LARGE)
const small = blocks(SMALL)
const rates = new Map<string, number[]>()
const cpus = new Map<string, number[]>()
let epoch = 0
for (let round = 0; round <= ROUNDS; round++) {
  for (const side of sides) {
    const cpu = process.cpuUsage()
    const begin = performance.now()
    await side.apply(++epoch, large)
    const ms = performance.now() - begin
    const { user, system } = process.cpuUsage(cpu)
    // The first round warms up.
    if (round === 0) continue
    rates.set(side.name, [...(rates.get(side.name) ?? []), (LARGE / ms) * 1000])
    cpus.set(side.name, [...(cpus.get(side.name) ?? []), (user + system) / LARGE])
  }
}
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!
for (const side of sides) {
  const times: number[] = []
  for (let i = 0; i < SMALL_EPOCHS; i++) {
    const begin = performance.now()
    await side.apply(++epoch, small)
    times.push(performance.now() - begin)
  }
  const rate = Math.round(median(rates.get(side.name)!))
  const cpu = median(cpus.get(side.name)!).toFixed(2)
  console.log(
    `${side.name}: records/s=${rate} cpu_s_per_million=${cpu} epoch_of_${SMALL}_ms=${median(times).toFixed(1)}`,
  )
  await side.close()
}
for (const each of [`${run}-0`, `${run}-1`, `${run}-markers`]) await admin.deleteTopic(each)
await admin.close()
