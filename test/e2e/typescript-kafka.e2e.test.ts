/**
 * A job in TypeScript from topics of a real broker to topics of it, with its checkpoints in a real Redis, killed while it
 * works: every count is exact, in running results and in windows. Directly, and under the ceiling of what Redpanda offers.
 */
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { folderForTest, submitJob, untilJob, untilRead, untilState } from '../support/engine.ts'
import { engagementEvents, fillPartitions, makeEvent, shuffleWithin } from '../support/events.ts'
import { createKafkaTopic, readKafkaTopic } from '../support/events-kafka.ts'
import { createLogTopic } from '../support/events-log.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { writeModule } from '../support/job-modules.ts'
import { KafkaAccess, kafkaModes } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 4
const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

/** Counts the events of each person: one by one in state of its own, and by day in windows. */
function jobText(input: string, running: string, days: string): string {
  return `
import { count, defineJob, Event, value } from 'millrace'
const state = { n: value() }
export default defineJob({
  name: 'counts',
  source: { input: { kafka: { topic: ${JSON.stringify(input)} } }, event: Event, time: (event) => event.occurredAt },
  watermark: { outOfOrderness: '5s', idleness: '0s' },
  checkpoint: { every: '100ms' },
  parallelism: 2,
  build(events) {
    const byPerson = events.keyBy((event) => event.person)
    byPerson
      .process({
        id: 'running',
        state,
        onEvent(_event, context) {
          const n = (context.state.n.get() ?? 0) + 1
          context.state.n.set(n)
          context.emit(context.key + ' ' + n)
        },
      })
      .sinkTo({ id: 'running-out', to: { kafka: { topic: ${JSON.stringify(running)} } } })
    byPerson
      .window({ tumbling: '1d' })
      .aggregate({ id: 'days', aggregate: count() })
      .map(({ key, startMs, value, revision }) => [key, startMs, value, revision].join(' '))
      .sinkTo({ id: 'days-out', to: { kafka: { topic: ${JSON.stringify(days)} } } })
  },
})
`
}

describe.each(kafkaModes)('a job in TypeScript on Kafka (%s) and Redis', (mode) => {
  it('counts exactly, though the server is killed while it works', async () => {
    const prefix = `typescript-${mode}-${inject('runId')}`
    const access = await KafkaAccess.open(mode, testBrokers(), prefix)
    onTestFinished(() => access.close())
    const input = await createKafkaTopic(access, PARTITIONS)
    const running = await createKafkaTopic(access, 2)
    const days = await createKafkaTopic(access, 3)
    const folder = folderForTest('jobs')
    const server = await MillraceServer.start({
      brokers: access.brokers.join(','),
      redisUrl: testRedis(),
      redisPrefix: prefix,
      env: { MILLRACE_JOBS_DIR: folder },
    })
    onTestFinished(() => server.stop())
    const document = writeModule(folder, 'counts.ts', jobText(input.topic, running.topic, days.topic))
    const job = await submitJob(server.client, document)

    const events = engagementEvents()
    const filled = fillPartitions(events, PARTITIONS, 'hash').map((list, i) => shuffleWithin(list, 5000, i))
    const steps = 4
    let written = 0
    for (let step = 0; step < steps; step++) {
      const slice = filled.map((all) =>
        all.slice(Math.floor((all.length * step) / steps), Math.floor((all.length * (step + 1)) / steps)),
      )
      const before = written
      await input.append(slice)
      written += slice.reduce((sum, part) => sum + part.length, 0)
      // Killed once with everything read, once in the middle of it.
      if (step % 2 === 0) await untilRead(server.client, job, written)
      else await untilJob(server.client, job, ({ events: counts }) => counts.read > before)
      await server.kill()
      await server.restart()
      await untilState(server.client, job, 'RUNNING')
    }
    await input.append(filled.map((_, i) => [makeEvent({ person: `end-${i}`, timeMs: END_MS })]))
    const last = await untilRead(server.client, job, written + PARTITIONS)
    expect(last.events).toMatchObject({ read: written + PARTITIONS, applied: written + PARTITIONS, late: 0 })

    const total = new Map<string, number>()
    const perDay = new Map<string, number>()
    for (const { person, timeMs } of events) {
      total.set(person, (total.get(person) ?? 0) + 1)
      const day = `${person} ${Math.floor(timeMs / DAY_MS) * DAY_MS}`
      perDay.set(day, (perDay.get(day) ?? 0) + 1)
    }
    const expectedRunning = [...total].flatMap(([person, n]) =>
      Array.from({ length: n }, (_, i) => `${person} ${i + 1}`),
    )
    const expectedDays = [...perDay].map(([day, n]) => `${day} ${n} 1`)
    expect(await settled(access, running.topic, expectedRunning.length)).toEqual(expectedRunning.sort())
    expect(await settled(access, days.topic, expectedDays.length)).toEqual(expectedDays.sort())
  })
})

/** Joins the first event of a topic of the broker with the second of a topic of the embedded log, by person. */
function twoSourcesText(topic: string, logRoot: string, results: string): string {
  return `
import { defineJob, Event, value } from 'millrace'
const time = (event) => event.occurredAt
const state = { sum: value() }
const add = (by) => (_event, context) => {
  const sum = (context.state.sum.get() ?? 0) + by
  context.state.sum.set(sum)
  context.emit(context.key + ' ' + sum)
}
export default defineJob({
  name: 'two',
  sources: {
    broker: { input: { kafka: { topic: ${JSON.stringify(topic)} } }, event: Event, time },
    disk: { input: { log: { path: ${JSON.stringify(logRoot)}, topic: 'disk' } }, event: Event, time },
  },
  checkpoint: { every: '100ms' },
  parallelism: 2,
  build: ({ broker, disk }) =>
    broker
      .keyBy((event) => event.person)
      .connect(disk.keyBy((event) => event.person), { id: 'sums', state, onEvent: add(1), onOther: add(1000) })
      .sinkTo({ id: 'out', to: { kafka: { topic: ${JSON.stringify(results)} } } }),
})
`
}

describe('a job in TypeScript over a topic of a broker and one of the embedded log', () => {
  it('reads each record of both once, though the server is killed', async () => {
    const prefix = `typescript-two-${inject('runId')}`
    const access = await KafkaAccess.open('direct', testBrokers(), prefix)
    onTestFinished(() => access.close())
    const input = await createKafkaTopic(access, PARTITIONS)
    const results = await createKafkaTopic(access, 2)
    const folder = folderForTest('jobs')
    const server = await MillraceServer.start({
      brokers: access.brokers.join(','),
      redisUrl: testRedis(),
      redisPrefix: prefix,
      env: { MILLRACE_JOBS_DIR: folder },
    })
    onTestFinished(() => server.stop())
    const disk = createLogTopic(server.logRoot, 'disk', 3)
    onTestFinished(() => disk.close())
    const text = twoSourcesText(input.topic, server.logRoot, results.topic)
    const job = await submitJob(server.client, writeModule(folder, 'two.ts', text))
    const events = Array.from({ length: 6000 }, (_, i) =>
      makeEvent({ person: `p${i % 20}`, timeMs: 1_700_000_000_000 + i }),
    )
    for (let step = 0; step < 3; step++) {
      const slice = events.slice(step * 2000, (step + 1) * 2000)
      await input.append(fillPartitions(slice, PARTITIONS, 'round-robin'))
      await disk.append(fillPartitions(slice, 3, 'round-robin'))
      await untilJob(server.client, job, ({ events: counts }) => counts.read > step * 4000 + 100)
      await server.kill()
      await server.restart()
      await untilState(server.client, job, 'RUNNING')
    }
    const last = await untilRead(server.client, job, 12_000)
    expect(last.events).toMatchObject({ read: 12_000, applied: 12_000, deadLettered: 0 })
    const read = async (): Promise<number[]> => {
      const sums = new Map<string, number>()
      const values = [...(await readKafkaTopic(access.brokers, results.topic)).values()].flat()
      for (const bytes of values) {
        const [person, sum] = (JSON.parse(new TextDecoder().decode(bytes)) as string).split(' ')
        sums.set(person!, Math.max(sums.get(person!) ?? 0, Number(sum)))
      }
      return [...sums.values()]
    }
    // 300 events of each person from either side; in the topic once the checkpoint after them is applied.
    await expect.poll(read, { timeout: 20_000 }).toEqual(Array.from({ length: 20 }, () => 300 * 1001))
    const { partitions } = await server.client.control.describe(job)
    expect(partitions.map(({ partition }) => partition).toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 100_000, 100_001, 100_002,
    ])
  })
})

/** What a topic has come to hold, each record once: what was written since the last checkpoint before a kill is again. */
async function settled(access: KafkaAccess, topic: string, least: number): Promise<string[]> {
  const read = async (): Promise<string[]> => {
    const values = [...(await readKafkaTopic(access.brokers, topic)).values()].flat()
    const texts = new Set(values.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as string))
    return [...texts].filter((text) => !text.startsWith('end-')).sort()
  }
  await expect.poll(async () => (await read()).length, { timeout: 30_000, interval: 200 }).toBeGreaterThanOrEqual(least)
  return read()
}
