/** The Kafka sink that takes every result exactly once, on a real broker, read back by the Java client. */
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { KafkaOutbox, type KafkaOutboxOptions, markerTopicOf } from '../../src/sink/kafka-outbox.ts'
import { partitionOfKey } from '../../src/sink/kafka-partitioner.ts'
import type { OutboxOwner } from '../../src/sink/outbox.ts'
import { TransactionalProducer } from '../../src/source/kafka/transactional-producer.ts'
import { testBrokers } from '../support/infra.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { KafkaAccess, type KafkaMode, kafkaModes, systemPorts } from '../support/kafka-modes.ts'
import { blocksOf, epochRecords, type OutboxRecord, streamOf } from '../support/outbox.ts'

const PARTITIONS = 3

describe.each(kafkaModes)('a Kafka outbox, %s', (mode: KafkaMode) => {
  let access: KafkaAccess
  let prefix: string

  beforeAll(async () => {
    prefix = `outbox-${mode}-${inject('runId')}`
    access = await KafkaAccess.open(mode, testBrokers(), prefix)
  })
  afterAll(() => access.close())

  let nonces = 0
  const owner = (more: Partial<OutboxOwner> = {}): OutboxOwner => ({
    job: `job-${nonces++}`,
    jobId: 'submission-1',
    sink: 'out',
    generation: 1,
    nonce: 'n',
    ...more,
  })
  const sinkFor = (topic: string, of: OutboxOwner, more: Partial<KafkaOutboxOptions> = {}): KafkaOutbox => {
    const sink = new KafkaOutbox(
      { brokers: access.brokers, topic, owner: of, transactionPrefix: prefix, ...more },
      systemPorts,
    )
    onTestFinished(() => sink.close())
    return sink
  }
  const apply = (sink: KafkaOutbox, epoch: number, records: readonly OutboxRecord[]): Promise<void> =>
    sink.apply(epoch, streamOf(blocksOf(records)))

  /** What a Java client reads that sees committed records only: key and value, by partition and offset. */
  const committed = async (topic: string): Promise<{ partition: number; key: string | null; value: string }[]> => {
    const text = (hex: string): string => Buffer.from(hex, 'hex').toString()
    return (await javaRead(access.directBrokers, topic, 'read_committed')).map((line) => {
      const [partition, , , key, value] = line.split('\t')
      return { partition: Number(partition), key: key === '-' ? null : text(key!), value: text(value!) }
    })
  }

  it('gives results of windows that end tomorrow a time that the broker takes', async () => {
    const topic = await access.createTopic(1)
    const sink = sinkFor(topic, owner())
    await sink.open()
    await apply(sink, 1, [{ key: 'k', value: 'early', timestampMs: Date.now() + 86_400_000 }])
    expect((await committed(topic)).map(({ value }) => value)).toEqual(['early'])
  })

  it('applies epochs, says so to who opens it anew, and places keys as Kafka does', async () => {
    const topic = await access.createTopic(PARTITIONS)
    const of = owner()
    const sink = sinkFor(topic, of)
    expect(await sink.open()).toBeNull()
    const first = epochRecords(1, 5000)
    const third = [...epochRecords(3, 10), { key: null, value: 'without a key', timestampMs: 5 }]
    await apply(sink, 1, first)
    await apply(sink, 3, third)
    const marker = { jobId: of.jobId, generation: 1, epoch: 3 }
    expect(await sinkFor(topic, { ...of, generation: 2 }).open()).toEqual(marker)
    const read = await committed(topic)
    expect(read.map(({ value }) => value).sort()).toEqual([...first, ...third].map(({ value }) => value).sort())
    for (const { key, partition } of read) {
      if (key !== null) expect(partitionOfKey(Buffer.from(key), 0, key.length, PARTITIONS)).toBe(partition)
    }
    // In order within a key.
    const ofKey = read.filter(({ key }) => key === 'key-7').map(({ value }) => value)
    expect(ofKey).toEqual([...first, ...third].filter(({ key }) => key === 'key-7').map(({ value }) => value))
    const sent = [...new Set(first.map(({ key }) => key!))].map((key) => ({
      key: Buffer.from(key),
      value: Buffer.from('by kafkajs'),
      timestampMs: 1,
    }))
    const beside = await access.createTopic(PARTITIONS)
    await access.producer.send(beside, sent)
    for (const { key, partition } of await committed(beside)) {
      expect(partitionOfKey(Buffer.from(key!), 0, key!.length, PARTITIONS)).toBe(partition)
    }
  })

  it('does not apply again what the marker covers, however it is called', async () => {
    const topic = await access.createTopic(1)
    const of = owner()
    const sink = sinkFor(topic, of)
    await sink.open()
    await apply(sink, 4, epochRecords(4, 3))
    await apply(sink, 4, epochRecords(4, 3))
    await apply(sink, 2, epochRecords(2, 3))
    const again = sinkFor(topic, of)
    await again.open()
    await apply(again, 4, epochRecords(4, 3))
    await apply(again, 5, epochRecords(5, 1))
    expect((await committed(topic)).map(({ value }) => value)).toEqual(
      [...epochRecords(4, 3), ...epochRecords(5, 1)].map(({ value }) => value),
    )
  })

  it('applies anew what another submission of the job had applied under the same number', async () => {
    const topic = await access.createTopic(1)
    const of = owner()
    const sink = sinkFor(topic, of)
    await sink.open()
    await apply(sink, 9, epochRecords(9, 1))
    const next = sinkFor(topic, { ...of, jobId: 'submission-2' })
    expect(await next.open()).toEqual({ jobId: 'submission-1', generation: 1, epoch: 9 })
    await apply(next, 1, epochRecords(1, 1))
    expect(await committed(topic)).toHaveLength(2)
  })

  it('keeps every batch below what the topic takes, and refuses a record that cannot be', async () => {
    const topic = await access.createTopic(2, { 'max.message.bytes': '5000' })
    const of = owner()
    const sink = sinkFor(topic, of)
    await sink.open()
    const records = epochRecords(1, 3000)
    await apply(sink, 1, records)
    // A header of 61 bytes, and 10 of the record's own.
    const largest = { key: 'k', value: 'x'.repeat(5000 - 61 - 10), timestampMs: 1 }
    await apply(sink, 2, [largest])
    const large = { key: 'k', value: `${largest.value}x`, timestampMs: 1 }
    const error = await failure(apply(sink, 3, [...epochRecords(3, 10), large]))
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    expect(error.message).toMatch(/5001 bytes .*max\.message\.bytes = 5000/)
    expect(await committed(topic)).toHaveLength(3001)
    expect(await sinkFor(topic, of).open()).toMatchObject({ epoch: 2 })
  })

  it('fences older owners, and tells an older generation that it has been replaced', async () => {
    const topic = await access.createTopic(1)
    const of = owner()
    const old = sinkFor(topic, of)
    await old.open()
    await apply(old, 1, epochRecords(1, 2))
    const next = sinkFor(topic, { ...of, generation: 2 })
    expect(await next.open()).toMatchObject({ epoch: 1 })
    expect(await failure(apply(old, 2, epochRecords(2, 2)))).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    expect(await failure(sinkFor(topic, of).open())).toMatchObject({ code: 'STORE_FENCED' })
    // The attempt of the old one has not disturbed the new one.
    await apply(next, 2, epochRecords(2, 1))
    expect(await committed(topic)).toHaveLength(3)
  })

  it('takes back what an owner had written and not committed', async () => {
    const topic = await access.createTopic(1)
    const of = owner()
    const old = sinkFor(topic, of)
    await old.open()
    await apply(old, 1, epochRecords(1, 2))
    const never = Promise.withResolvers<void>()
    const applying = failure(
      old.apply(
        2,
        (async function* () {
          // Enough for a round to be sent.
          yield* blocksOf(epochRecords(2, 60_000), 60_000)
          await never.promise
        })(),
      ),
    )
    const enumerator = access.enumerator(topic)
    onTestFinished(() => enumerator.close())
    const written = async (): Promise<number> => (await enumerator.partitions('read_uncommitted'))[0]!.end
    // More than the first epoch and its marker.
    await expect.poll(written, { timeout: 20_000 }).toBeGreaterThan(3)
    const next = sinkFor(topic, { ...of, generation: 2 })
    expect(await next.open()).toMatchObject({ epoch: 1 })
    never.resolve()
    await applying
    await apply(next, 2, epochRecords(2, 3))
    expect(await committed(topic)).toHaveLength(5)
  })

  it('names the transaction of somebody else that keeps it from its marker', async () => {
    const topic = await access.createTopic(1)
    const of = owner()
    const own = { transactionPrefix: `${prefix}-held` }
    await sinkFor(topic, of, own).open()
    const options = { brokers: access.brokers, transactionalId: `${prefix}-foreign` }
    const foreign = new TransactionalProducer(options, systemPorts)
    onTestFinished(() => foreign.close())
    await foreign.init()
    const markers = markerTopicOf(own.transactionPrefix)
    await foreign.metadata(markers)
    const writer = new RecordBatchWriter()
    writer.append(Buffer.from('not a sink'), Buffer.from('{}'), 1)
    await foreign.produce([foreign.seal(markers, 0, writer)])
    const error = await failure(sinkFor(topic, of, { ...own, waitMs: 200 }).open())
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    // What Redpanda's ceiling leaves out cannot be asked.
    expect(error.message).toContain(mode === 'direct' ? `transactional id ${prefix}-foreign, Ongoing` : 'at offset')
    await foreign.abort()
    expect(await sinkFor(topic, of, own).open()).toBeNull()
  })

  it('says what is missing: the topic, a timeout the broker takes, a topic for markers that keeps them', async () => {
    const missing = await failure(sinkFor('no-such-topic', owner()).open())
    expect(missing).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    expect(missing.message).toContain('topic no-such-topic does not exist')
    const topic = await access.createTopic(1)
    const long = await failure(sinkFor(topic, owner(), { transactionTimeoutMs: 3_600_000 }).open())
    expect(long).toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    expect(long.message).toContain('transaction.max.timeout.ms')
    const deleting = `${prefix}-deleting`
    await access.admin.createTopic(markerTopicOf(deleting), { partitions: 1 })
    const refused = await failure(sinkFor(topic, owner(), { transactionPrefix: deleting }).open())
    expect(refused).toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    expect(refused.message).toContain('cleanup.policy=delete')
  })
})

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  return promise.then(
    () => {
      throw new Error('nothing failed')
    },
    (error: unknown) => error as MillraceError,
  )
}
