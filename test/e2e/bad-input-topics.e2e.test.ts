/**
 * Topics that are not there, grow, are another one now, have lost records, or hold bytes that are not what was written:
 * each with a code, where it is, and what to do, and exact to the record.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { batchSize } from '../../src/event/record-batch.ts'
import { listSegments, segmentPath } from '../../src/log/segments.ts'
import { deleteTopic } from '../../src/log/topic.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { openEngine, submitJob, type TestEngine, untilJob, untilRead, untilState } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, makeEvent, type SampleEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { createLogTopic } from '../support/events-log.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'

const NOON_MS = Date.UTC(2024, 2, 10, 12)

let engine: TestEngine
let client: MillraceClient
let access: KafkaAccess
let jobs = 0

beforeAll(async () => {
  const prefix = `topics-${inject('runId')}`
  access = await KafkaAccess.open('direct', testBrokers(), prefix)
  engine = await openEngine({ redisUrl: testRedis(), redisPrefix: prefix, brokers: testBrokers() })
  client = engine.client
})

afterAll(async () => {
  await engine?.close()
  await access?.close()
})

const metrics = [{ id: 'views', count: {}, window: { tumbling: '1d' } }]

function job(source: object, name = `job-${++jobs}`): string {
  const watermark = { outOfOrderness: '5s', idleness: '0s' }
  return engagementJob({ name, source, metrics, watermark, checkpoint: { every: '100ms' } })
}

function events(count: number): SampleEvent[] {
  return Array.from({ length: count }, (_, i) => makeEvent({ person: `p${i % 7}`, timeMs: NOON_MS + i }))
}

async function views(name: string): Promise<number> {
  return (await valuesOf(client, name, 'views')).reduce((sum, { value }) => sum + value, 0)
}

/** The newest failure of a job, once there is one. */
async function failure(name: string, code: string): Promise<{ readonly message: string; readonly operator: string }> {
  let last: { code: string; message: string; operator: string } | undefined
  await expect
    .poll(
      async () => {
        last = (await client.control.describe(name)).exceptions[0]
        return last?.code
      },
      { timeout: 30_000 },
    )
    .toBe(code)
  return last!
}

describe('a topic that is not there', () => {
  it('embedded log: the job says so and waits for it', async () => {
    const path = engine.logRoot
    const name = await submitJob(client, job({ log: { path, topic: 'absent' } }))
    expect((await failure(name, 'TOPIC_NOT_FOUND')).message).toMatch(
      /no topic absent in the embedded log at .*create it/,
    )
    const waiting = await untilState(client, name, 'RESTARTING')
    expect(waiting.reason).toMatch(/TOPIC_NOT_FOUND: .*attempt \d+ follows in/)
    const log = createLogTopic(path, 'absent', 2)
    onTestFinished(() => log.close())
    await log.append([events(5), events(7)])
    await untilRead(client, name, 12)
    expect(await views(name)).toBe(12)
  })

  it('Kafka: the same', async () => {
    const topic = access.newTopicName()
    const name = await submitJob(client, job({ kafka: { topic } }))
    const { message } = await failure(name, 'TOPIC_NOT_FOUND')
    expect(message).toMatch(new RegExp(`topic ${topic} does not exist at .*create it`))
    await access.admin.createTopic(topic, { partitions: 1, config: { 'retention.ms': '-1' } })
    await access.producer.send(
      topic,
      events(9).map(({ value, timeMs }) => ({ key: null, value, timestampMs: timeMs })),
    )
    await untilRead(client, name, 9)
    expect(await views(name)).toBe(9)
  })
})

describe('a topic that gains partitions while it is read', () => {
  it('Kafka: the new ones are read from their first record', async () => {
    const topic = await createKafkaTopic(access, 1)
    const name = await submitJob(client, job(topic.source({ discovery: '200ms', start: 'latest' })))
    await untilState(client, name, 'RUNNING')
    await topic.append([events(3)])
    await untilRead(client, name, 3)
    await access.admin.addPartitions(topic.topic, 3)
    // At once, so that they are there before the job knows of the partitions.
    await topic.append([events(1), events(20), events(30)])
    const { events: counts } = await untilRead(client, name, 54)
    expect(counts).toMatchObject({ read: 54, applied: 54, late: 0, lost: 0 })
    const { partitions } = await client.control.describe(name)
    expect(partitions.map(({ partition, position }) => [partition, position])).toEqual([
      [0, 4],
      [1, 20],
      [2, 30],
    ])
    expect(await views(name)).toBe(54)
  })
})

describe('a topic that is deleted and created again', () => {
  it('embedded log: the job fails rather than read another topic’s offsets', async () => {
    const first = createLogTopic(engine.logRoot, 'again', 1)
    await first.append([events(5)])
    const name = await submitJob(client, job(first.source()))
    await untilRead(client, name, 5)
    await first.close()
    deleteTopic(engine.logRoot, 'again')
    const second = createLogTopic(engine.logRoot, 'again', 1)
    onTestFinished(() => second.close())
    await second.append([events(50)])
    const failed = await untilState(client, name, 'FAILED')
    expect(failed.reason).toMatch(/^TOPIC_RECREATED/)
    expect((await failure(name, 'TOPIC_RECREATED')).message).toMatch(/again/)
    expect(failed.events.read).toBe(5)
  })

  it('Kafka: the same, while it runs and while it is stopped', async () => {
    const recreate = async (topic: string) => {
      await access.admin.deleteTopic(topic)
      await expect
        .poll(() => access.admin.createTopic(topic, { partitions: 1 }).catch(() => false), { timeout: 20_000 })
        .toBe(true)
    }
    const [running, stopped] = [await createKafkaTopic(access, 1), await createKafkaTopic(access, 1)]
    const names = [
      await submitJob(client, job(running.source({ discovery: '200ms' }))),
      await submitJob(client, job(stopped.source())),
    ] as const
    await Promise.all([running.append([events(5)]), stopped.append([events(5)])])
    for (const name of names) await untilRead(client, name, 5)
    await client.control.stop(names[1])
    await Promise.all([recreate(running.topic), recreate(stopped.topic)])
    await submitJob(client, job(stopped.source(), names[1]))
    for (const name of names) {
      await untilState(client, name, 'FAILED')
      expect((await failure(name, 'TOPIC_RECREATED')).message).toMatch(/topic/)
    }
  })
})

describe('records that are gone before they were read', () => {
  it('embedded log: POSITION_LOST with their number', async () => {
    // A segment a batch, so that retention can take some.
    const log = createLogTopic(engine.logRoot, 'aged', 1, { segmentBytes: 1, batchBytes: 1, retention: { bytes: 1 } })
    onTestFinished(() => log.close())
    const append = async (count: number) => {
      for (const { value, timeMs } of events(count)) log.writer.append(0, null, value, timeMs)
    }
    await append(10)
    const name = await submitJob(client, job(log.source()))
    await untilRead(client, name, 10)
    await client.control.stop(name)
    await append(25)
    // All but the last segment goes: 34 records, of which 24 were unread.
    expect(log.writer.applyRetention()).toBe(34)
    await submitJob(client, job(log.source(), name))
    await untilState(client, name, 'FAILED')
    expect((await failure(name, 'POSITION_LOST')).message).toMatch(
      /aged-0: 24 records from offset 10 on are gone, the log now begins at 34/,
    )
  })

  it('Kafka: POSITION_LOST with their number, and counted as lost once the job is told to skip them', async () => {
    const topic = await createKafkaTopic(access, 2)
    await topic.append([events(10), events(10)])
    const name = await submitJob(client, job(topic.source()))
    await untilRead(client, name, 20)
    await client.control.stop(name)
    // Records go with whole batches or by an admin's hand; the latter is exact.
    for (let i = 0; i < 5; i++) await topic.append([events(10), events(10)])
    await access.admin.deleteRecords(topic.topic, 1, 33)
    await submitJob(client, job(topic.source(), name))
    await untilState(client, name, 'FAILED')
    expect((await failure(name, 'POSITION_LOST')).message).toMatch(new RegExp(`${topic.topic}-1.*23 records`))
    await submitJob(client, job(topic.source({ skipLost: true }), name))
    const { events: counts } = await untilRead(client, name, 120 - 23)
    expect(counts).toEqual({
      read: 97,
      applied: 97,
      late: 0,
      deadLettered: 0,
      filtered: 0,
      lost: 23,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
    expect(await views(name)).toBe(97)
    // As all counts, it goes on where the last attempt stopped.
    await client.control.stop(name)
    await submitJob(client, job(topic.source({ skipLost: true }), name))
    await topic.append([events(3), []])
    expect((await untilRead(client, name, 100)).events).toMatchObject({
      read: 100,
      lost: 23,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
  })
})

describe('a record batch that is not what was written', () => {
  it('embedded log: RECORD_BATCH_CORRUPT with topic, partition and offset; repaired, the job goes on', async () => {
    const log = createLogTopic(engine.logRoot, 'flipped', 2, { batchBytes: 1 })
    await log.append([events(4), []])
    await log.close()
    // A bit in the third batch of partition 0.
    const folder = join(engine.logRoot, 'flipped', '0')
    const path = segmentPath(folder, listSegments(folder)![0]!)
    const bytes = readFileSync(path)
    const third = batchSize(bytes, 0) + batchSize(bytes, batchSize(bytes, 0))
    const damaged = Buffer.from(bytes)
    damaged[third + 70]! ^= 0x10
    writeFileSync(path, damaged)
    const name = await submitJob(client, job(log.source({ bounded: true })))
    const { message, operator } = await failure(name, 'RECORD_BATCH_CORRUPT')
    expect(message).toMatch(/record batch of flipped-0 at offset 2 is corrupt: its CRC-32C is/)
    expect(operator).toBe('events')
    // Nothing of it has been counted, and nothing behind it.
    expect((await untilState(client, name, 'RESTARTING')).events.applied).toBeLessThanOrEqual(2)
    writeFileSync(path, bytes)
    await untilJob(client, name, ({ state }) => state === 'FINISHED')
    const { events: counts } = await untilRead(client, name, 4)
    expect(counts).toMatchObject({ read: 4, applied: 4 })
    expect(await views(name)).toBe(4)
  })
})
