/** The Kafka source, enumerator, admin, producer and sink on a real broker: the source contract, and what it leaves out. */
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { KafkaSinkWriter } from '../../src/sink/kafka-sink.ts'
import { openKafkaProducer } from '../../src/source/kafka/admin.ts'
import { asRead, type ContractRecord, contractRecords, describeSource, ReadLoop } from '../source/contract.ts'
import { testBrokers } from '../support/infra.ts'
import { KafkaAccess, kafkaModes } from '../support/kafka-modes.ts'

const bytes = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))

describe.each(kafkaModes)('Kafka (%s)', (mode) => {
  let access: KafkaAccess

  beforeAll(async () => {
    access = await KafkaAccess.open(mode, testBrokers(), `source-${mode}-${inject('runId')}`)
  })

  afterAll(() => access.close())

  const kafkajs = (): Kafka =>
    new Kafka({ brokers: [...access.brokers], logLevel: logLevel.NOTHING, retry: { retries: 10 } })

  async function append(topic: string, partition: number, records: readonly ContractRecord[]): Promise<void> {
    const messages = records.map(({ key, value, timestampMs }) => ({
      key: bytes(key),
      value: bytes(value),
      timestampMs,
      partition,
    }))
    await access.producer.send(topic, messages)
  }

  describeSource(
    `Kafka ${mode}`,
    async () => ({
      async createTopic(partitions, recordsEach) {
        const topic = await access.createTopic(partitions)
        for (let partition = 0; partition < partitions; partition++) {
          const all = contractRecords(partition, 0, recordsEach)
          for (let at = 0; at < recordsEach; at += 64) await append(topic, partition, all.slice(at, at + 64))
        }
        return {
          expected: (partition) => asRead(contractRecords(partition, 0, recordsEach), 0),
          enumerator: () => access.enumerator(topic),
          reader: () => access.reader(topic),
          append: (partition, records) => append(topic, partition, records),
          appendControlTail: (partition) => abortOne(topic, partition),
          deleteBelow: (partition, offset) => access.admin.deleteRecords(topic, partition, offset),
          addPartitions: (total) => access.admin.addPartitions(topic, total),
          recreate: async () => {
            await access.admin.deleteTopic(topic)
            await expect.poll(() => access.admin.createTopic(topic, { partitions }), { timeout: 20_000 }).toBe(true)
          },
        }
      },
      missingTopic: () => access.enumerator(access.newTopicName()),
      close: async () => {},
    }),
    ['append', 'appendControlTail', 'deleteBelow', 'addPartitions', 'recreate', 'missingTopic'],
  )

  /** A transaction of one record that is aborted: two offsets without a record for a reader. */
  async function abortOne(topic: string, partition: number): Promise<void> {
    const producer = kafkajs().producer({ transactionalId: `tx-${topic}`, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'aborted', partition }] })
    const enumerator = access.enumerator(topic)
    const stableEnd = async (): Promise<number> => (await enumerator.partitions())[partition]!.end
    const before = await stableEnd()
    await transaction.abort()
    // The coordinator answers before the marker is in the log.
    await expect.poll(stableEnd, { timeout: 10_000 }).toBe(before + 2)
    await enumerator.close()
    await producer.disconnect()
  }

  it('skips what was deleted unread when told so, and counts it', async () => {
    const topic = await access.createTopic(1)
    for (let i = 0; i < 10; i++) await append(topic, 0, contractRecords(0, i * 10, 10))
    await access.admin.deleteRecords(topic, 0, 55)
    const enumerator = access.enumerator(topic)
    const [info] = await enumerator.partitions()
    const reader = access.reader(topic, { skipLost: true })
    const reading = new ReadLoop(reader)
    reading.assign(info!, 20)
    await reading.toEnd()
    expect(reading.of(0)).toEqual(asRead(contractRecords(0, 0, 100), 0).slice(55))
    expect(reader.lostRecords).toBe(35)
    await reader.close()
    await enumerator.close()
  })

  it('waits for a topic that comes late, and gives up on one that does not', async () => {
    const topic = access.newTopicName()
    const late = access.reader(topic)
    const reading = new ReadLoop(late)
    reading.assign({ partition: 0, topicId: '', earliest: 0, end: 1 }, 0, 3)
    await expect.poll(() => late.status(0).reachable).toBe(false)
    await access.admin.createTopic(topic, { partitions: 1, config: { 'retention.ms': '-1' } })
    await append(topic, 0, contractRecords(0, 0, 3))
    await reading.toEnd()
    await late.close()
    const hopeless = access.reader(access.newTopicName(), { missingTimeoutMs: 300 })
    const waiting = new ReadLoop(hopeless)
    waiting.assign({ partition: 0, topicId: '', earliest: 0, end: 1 }, 0)
    expect(await waiting.toError()).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    await hopeless.close()
  })

  it('reads batches larger than a fetch, and many partitions under a small limit', async () => {
    const topic = await access.createTopic(6, { 'max.message.bytes': '4000000' })
    const big = 'x'.repeat(300_000)
    for (let partition = 0; partition < 6; partition++) {
      for (let i = 0; i < 3; i++) {
        await append(topic, partition, [{ key: null, value: `${partition}-${i}-${big}`, timestampMs: 1 }])
      }
    }
    const reader = access.reader(topic, { maxBytes: 10_000, maxPartitionBytes: 1000 })
    const enumerator = access.enumerator(topic)
    const reading = new ReadLoop(reader)
    for (const info of await enumerator.partitions()) reading.assign(info, 0)
    await reading.toEnd()
    for (let partition = 0; partition < 6; partition++) expect(reading.of(partition)).toHaveLength(3)
    await reader.close()
    await enumerator.close()
  })

  it('publishes positions for lag tools, and only warns when it cannot', async () => {
    const topic = await access.createTopic(2)
    const group = `lag-${topic}`
    const warnings: string[] = []
    const enumerator = access.enumerator(topic, (message) => warnings.push(message))
    await enumerator.commit(group, { 0: 5, 1: 7 })
    expect(warnings).toEqual([])
    const admin = kafkajs().admin()
    await admin.connect()
    const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    await admin.disconnect()
    const offsets = committed!.partitions.map((each) => [each.partition, each.offset]).sort()
    expect(offsets).toEqual([
      [0, '5'],
      [1, '7'],
    ])
    await enumerator.close()
    const missing = access.enumerator(access.newTopicName(), (message) => warnings.push(message))
    await missing.commit(group, { 0: 1 })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(group)
    await missing.close()
  })

  it('writes nothing twice on a topic so fresh that some leaders refuse at first', async () => {
    for (let round = 0; round < 4; round++) {
      const topic = await access.createTopic(12)
      const producer = await openKafkaProducer({ brokers: access.brokers })
      const value = Buffer.from('v')
      const records = Array.from({ length: 1200 }, (_, i) => ({ key: null, value, timestampMs: i, partition: i % 12 }))
      await producer.send(topic, records)
      const enumerator = access.enumerator(topic)
      expect((await enumerator.partitions()).map((info) => info.end)).toEqual(new Array(12).fill(100))
      await enumerator.close()
      await producer.close()
    }
  })

  it('produces to partitions that are newer than what the client knew, and to none that are not there', async () => {
    const topic = await access.createTopic(1)
    await append(topic, 0, contractRecords(0, 0, 1))
    await access.admin.addPartitions(topic, 2)
    await append(topic, 1, contractRecords(1, 0, 3))
    const enumerator = access.enumerator(topic)
    expect((await enumerator.partitions()).map((info) => info.end)).toEqual([1, 3])
    await enumerator.close()
    await expect(append(topic, 7, contractRecords(7, 0, 1))).rejects.toMatchObject({ code: 'BROKER_ERROR' })
  })

  it('creates, finds and deletes topics, and says what is wrong with the rest', async () => {
    const topic = access.newTopicName()
    expect(await access.admin.topicExists(topic)).toBe(false)
    expect(await access.admin.createTopic(topic, { partitions: 2 })).toBe(true)
    expect(await access.admin.createTopic(topic, { partitions: 2 })).toBe(false)
    expect(await access.admin.topicExists(topic)).toBe(true)
    await access.admin.deleteTopic(topic)
    await expect.poll(() => access.admin.topicExists(topic)).toBe(false)
    const record = { key: null, value: Buffer.from('v'), timestampMs: 1 }
    await expect(access.producer.send(topic, [record])).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    await expect(access.admin.createTopic('no/name', { partitions: 1 })).rejects.toMatchObject({ code: 'BROKER_ERROR' })
  })

  it('writes results through the sink: under the size limit, by key, in order', async () => {
    const topic = await access.createTopic(3, { 'max.message.bytes': '200000' })
    const producer = openKafkaProducer({ brokers: access.brokers, maxRequestBytes: 150_000 })
    const sink = new KafkaSinkWriter(producer, { topic, batchBytes: 400_000 })
    const padding = '.'.repeat(900)
    for (let i = 0; i < 2000; i++) {
      sink.write(Buffer.from(`key-${i % 10}`), Buffer.from(`${i}${padding}`), 1_700_000_000_000 + i)
    }
    await sink.flush()
    expect(sink.bufferedBytes).toBe(0)
    const enumerator = access.enumerator(topic)
    const reader = access.reader(topic)
    const reading = new ReadLoop(reader)
    for (const info of await enumerator.partitions()) reading.assign(info, 0)
    await reading.toEnd()
    const byKey = new Map<string, { partition: number; numbers: number[] }>()
    for (const partition of [0, 1, 2]) {
      for (const record of reading.of(partition)) {
        const key = Buffer.from(record.key!, 'hex').toString()
        const number = Number.parseInt(Buffer.from(record.value!, 'hex').toString(), 10)
        const seen = byKey.get(key) ?? { partition, numbers: [] }
        expect(seen.partition).toBe(partition)
        expect(record.timestampMs).toBe(1_700_000_000_000 + number)
        seen.numbers.push(number)
        byKey.set(key, seen)
      }
    }
    expect(byKey.size).toBe(10)
    for (const { numbers } of byKey.values()) {
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      expect(numbers).toHaveLength(200)
    }
    await sink.close()
    await reader.close()
    await enumerator.close()
  })
})
