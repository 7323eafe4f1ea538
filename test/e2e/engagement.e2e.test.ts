/**
 * The main job on a broker and Redis: the numbers are those of the embedded log, which are the oracle's; dead letters,
 * late events and results go to topics. Directly, and under the ceiling of what Redpanda offers.
 */
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { DeadLetter, LateEvent, MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { checkpointApplied, engineForTest, submitJob, untilRead } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences } from '../support/engine-numbers.ts'
import {
  engagementEvents,
  engagementJob,
  fillPartitions,
  makeEvent,
  type SampleEvent,
  shuffleWithin,
} from '../support/events.ts'
import { createKafkaTopic, type KafkaTopic, readKafkaTopic } from '../support/events-kafka.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess, kafkaModes } from '../support/kafka-modes.ts'

const PARTITIONS = 4
const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

/** As a producer in the field does it: gzip, keys, batches of its own. */
async function produceByKafkajs(topic: KafkaTopic, partitions: readonly (readonly SampleEvent[])[]): Promise<void> {
  const kafka = new Kafka({ brokers: [...topic.access.brokers], logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  for (const [partition, events] of partitions.entries()) {
    for (let at = 0; at < events.length; at += 700) {
      const messages = events.slice(at, at + 700).map(({ person, value, timeMs }) => ({
        key: person,
        value: value === null ? null : Buffer.from(value),
        timestamp: String(timeMs),
        partition,
      }))
      await producer.send({ topic: topic.topic, compression: CompressionTypes.GZIP, messages })
    }
  }
  await producer.disconnect()
}

describe.each(kafkaModes)('the main job on Kafka (%s) and Redis', (mode) => {
  it('gives the oracle’s numbers, and puts what it cannot use aside with its origin', async () => {
    const prefix = `engagement-${mode}-${inject('runId')}`
    const access = await KafkaAccess.open(mode, testBrokers(), prefix)
    onTestFinished(() => access.close())
    const brokers = access.brokers.join(',')
    const engine = await engineForTest({ redisUrl: testRedis(), redisPrefix: prefix, brokers })
    const { client } = engine
    const events = await createKafkaTopic(access, PARTITIONS)
    const [dead, late, results] = [
      await createKafkaTopic(access, 1),
      await createKafkaTopic(access, 3),
      await createKafkaTopic(access, 2),
    ]
    const filled = fillPartitions(engagementEvents(), PARTITIONS, 'hash').map((list, i) => shuffleWithin(list, 5000, i))
    const job = engagementJob({
      name: 'engagement',
      source: events.source({ groupId: `${prefix}-lag` }),
      deadLetters: { kafka: { topic: dead.topic } },
      late: { kafka: { topic: late.topic } },
      sinks: [{ id: 'out', kafka: { topic: results.topic } }],
      watermark: { outOfOrderness: '5s', idleness: '0s' },
    })
    await submitJob(client, job)
    if (mode === 'direct') await produceByKafkajs(events, filled)
    else await events.append(filled)
    await untilRead(client, 'engagement', ECOM_ROWS)

    // What no event can be made of.
    const broken: SampleEvent[] = [
      { person: '', timeMs: END_MS, value: Buffer.from([0x0a, 0xff]) },
      { person: '', timeMs: END_MS, value: null },
    ]
    await events.append([[], [], broken, []])
    // The end, which closes all windows, and then what comes too late for them.
    await events.append(filled.map(() => [makeEvent({ person: 'end', timeMs: END_MS, name: 'end' })]))
    await untilRead(client, 'engagement', ECOM_ROWS + 2 + PARTITIONS)
    await expect
      .poll(() => engagementDifferences(client, 'engagement', expected, END_MS - DAY_MS), { timeout: 10_000 })
      .toEqual([])
    const tooLate = engagementEvents().slice(0, 5)
    await events.append([[], tooLate, [], []])
    const { events: counts, guarantee } = await untilRead(client, 'engagement', ECOM_ROWS + 2 + PARTITIONS + 5)
    expect(counts).toEqual({
      read: ECOM_ROWS + 2 + PARTITIONS + 5,
      applied: ECOM_ROWS + PARTITIONS,
      late: 5,
      deadLettered: 2,
      filtered: 0,
      lost: 0,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
    expect(guarantee).toBe('exactly-once')
    expect(await engagementDifferences(client, 'engagement', expected, END_MS - DAY_MS)).toEqual([])

    // A checkpoint makes the outputs whole.
    await checkpointApplied(client, 'engagement')
    const letters = await messages(access, dead.topic, DeadLetter.decode)
    const brokenAt = filled[2]!.length
    expect(letters.map(({ partition, offset, reason }) => ({ partition, offset, reason }))).toEqual([
      { partition: 2, offset: brokenAt, reason: 'undecodable' },
      { partition: 2, offset: brokenAt + 1, reason: 'null_value' },
    ])
    expect(letters.map(({ topic, job: of }) => [topic, of])).toEqual([
      [events.topic, 'engagement'],
      [events.topic, 'engagement'],
    ])
    expect(letters[0]!.value).toEqual(Buffer.from([0x0a, 0xff]))
    const lateEvents = await messages(access, late.topic, LateEvent.decode)
    const firstLate = filled[1]!.length + 1
    expect(lateEvents.map(({ partition, offset }) => [partition, offset]).sort()).toEqual(
      tooLate.map((_, i) => [1, firstLate + i]),
    )
    expect(lateEvents.map(({ key }) => key.toString()).sort()).toEqual(tooLate.map(({ person }) => person).sort())
    const values = await messages(access, results.topic, MetricValue.decode)
    const finals = values.filter(({ windowStart }) => windowStart!.getTime() < END_MS - DAY_MS)
    expect(finals).toHaveLength([...expected.values()].flat().length)
    const sum = (metric: string) =>
      finals.reduce(
        (all, { metric: of, value }) => all + (of === metric && value?.$case === 'intValue' ? value.value : 0),
        0,
      )
    expect(sum('purchases')).toBe(470)
    expect(sum('page_views')).toBe(20_866)
  })
})

async function messages<T>(access: KafkaAccess, topic: string, decode: (bytes: Uint8Array) => T): Promise<T[]> {
  const all = await readKafkaTopic(access.brokers, topic)
  return [...all.values()].flat().map((bytes) => decode(bytes))
}
