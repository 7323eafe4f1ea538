/**
 * A server that is killed in the middle of the replay, again and again, in a process of its own: at the end the numbers
 * are the oracle's, nothing is lost or counted twice, and what was late before the crash is late after it.
 *
 * The replay is written in steps, each after a checkpoint of the one before, so that a kill finds some of a step read,
 * some sent between threads, and some of it durable. The step of a kill and how far the server gets into it are drawn
 * from a seed. While the server is down, events of the first days are appended: far behind the watermark, they must be
 * found late, every one, each time.
 */

import { beforeAll, describe, expect, inject, it } from 'vitest'
import { accountedFor } from '../../src/control/api.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { LateEvent, MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, untilJob, untilRead } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences } from '../support/engine-numbers.ts'
import {
  engagementEvents,
  engagementJob,
  fillPartitions,
  makeEvent,
  type SampleEvent,
  shuffleWithin,
} from '../support/events.ts'
import { createKafkaTopic, readKafkaTopic } from '../support/events-kafka.ts'
import { createLogTopic, readLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 4
const STEPS = 20
const LATE_EACH = 3
const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

/** `make test-full` kills more often. */
const full = process.env.MILLRACE_FULL === '1'

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

/** A server and the topics around its job. */
interface World {
  readonly server: MillraceServer
  readonly source: object
  readonly late: object
  readonly sinks: readonly object[]
  append(partitions: readonly (readonly SampleEvent[])[]): Promise<void>
  readLate(): Promise<Map<number, Uint8Array[]>>
  readResults(): Promise<Map<number, Uint8Array[]>>
  close(): Promise<void>
}

async function logWorld(): Promise<World> {
  const server = await MillraceServer.start()
  const path = server.logRoot
  const log = createLogTopic(path, 'events', PARTITIONS)
  return {
    server,
    source: log.source(),
    late: { log: { path, topic: 'late' } },
    sinks: [{ id: 'out', log: { path, topic: 'results' } }],
    append: (partitions) => log.append(partitions),
    readLate: () => readLogTopic(path, 'late'),
    readResults: () => readLogTopic(path, 'results'),
    close: async () => {
      await log.close()
      await server.stop()
    },
  }
}

async function kafkaWorld(seed: number): Promise<World> {
  const prefix = `kill-${seed}-${inject('runId')}`
  const access = await KafkaAccess.open('direct', testBrokers(), prefix)
  const server = await MillraceServer.start({
    redisUrl: testRedis(),
    redisPrefix: prefix,
    brokers: testBrokers(),
  })
  const log = await createKafkaTopic(access, PARTITIONS)
  const late = await createKafkaTopic(access, 2)
  const results = await createKafkaTopic(access, 2)
  return {
    server,
    source: log.source(),
    late: { kafka: { topic: late.topic } },
    sinks: [{ id: 'out', kafka: { topic: results.topic } }],
    append: (partitions) => log.append(partitions),
    readLate: () => readKafkaTopic(access.brokers, late.topic),
    readResults: () => readKafkaTopic(access.brokers, results.topic),
    close: async () => {
      await server.stop()
      await access.close()
    },
  }
}

/** The replay in steps, each a list of events by partition. */
function replaySteps(seed: number): SampleEvent[][][] {
  const filled = fillPartitions(engagementEvents(), PARTITIONS, 'hash').map((events, i) =>
    shuffleWithin(events, 5000, seed * 10 + i),
  )
  return Array.from({ length: STEPS }, (_, step) =>
    filled.map((events) => {
      const at = (share: number) => Math.floor((events.length * share) / STEPS)
      return events.slice(at(step), at(step + 1))
    }),
  )
}

/** Events of the first day, for every partition. */
function lateEvents(kill: number): SampleEvent[][] {
  const firstMs = engagementEvents()[0]!.timeMs
  return Array.from({ length: PARTITIONS }, (_, partition) =>
    Array.from({ length: LATE_EACH }, (_, i) =>
      makeEvent({ person: `late-${kill}-${partition}-${i}`, timeMs: firstMs + i * 60_000, name: 'purchase' }),
    ),
  )
}

async function killed(world: World, seed: number): Promise<void> {
  const { server } = world
  const random = new SeededRandom(seed)
  // Three kills at different steps, none before a fifth has been written.
  const kills = new Set<number>()
  while (kills.size < 3) kills.add(STEPS / 5 + 1 + nextBelow(random, STEPS - STEPS / 5 - 1))
  const job = engagementJob({
    name: 'engagement',
    source: world.source,
    late: world.late,
    sinks: world.sinks,
    checkpoint: { every: '40ms' },
    watermark: { outOfOrderness: '5s', idleness: '0s' },
    parallelism: 1 + (seed % 3),
  })
  await submitJob(server.client, job)
  let written = 0
  const appended = { late: new Set<string>(), offsets: Array.from({ length: PARTITIONS }, () => 0) }
  const append = async (partitions: readonly (readonly SampleEvent[])[]): Promise<void> => {
    await world.append(partitions)
    partitions.forEach((events, i) => {
      written += events.length
      appended.offsets[i]! += events.length
    })
  }
  const steps = replaySteps(seed)
  for (const [step, events] of steps.entries()) {
    if (!kills.has(step)) {
      await append(events)
      await untilJob(server.client, 'engagement', ({ state }) => state === 'RUNNING')
      await server.client.control.triggerCheckpoint('engagement')
      continue
    }
    await untilJob(server.client, 'engagement', ({ events: { read } }) => read >= ECOM_ROWS / 5)
    expect((await server.client.control.listCheckpoints('engagement')).length).toBeGreaterThan(0)
    await append(events)
    // From nothing of the step to all of it.
    for (let turns = nextBelow(random, 60); turns > 0; turns--) await server.client.control.list()
    await server.kill()
    for (const [partition, late] of lateEvents(step).entries()) {
      for (let i = 0; i < late.length; i++) appended.late.add(`${partition}-${appended.offsets[partition]! + i}`)
    }
    await append(lateEvents(step))
    await server.restart()
  }
  await append(Array.from({ length: PARTITIONS }, () => [makeEvent({ person: 'end', timeMs: END_MS, name: 'end' })]))
  const summary = await untilRead(server.client, 'engagement', written)
  expect(summary.events).toEqual({
    read: written,
    applied: ECOM_ROWS + PARTITIONS,
    late: appended.late.size,
    deadLettered: 0,
    filtered: 0,
    lost: 0,
    deduplicated: 0,
    dedupeForgotten: 0,
  })
  expect(accountedFor(summary.events)).toBe(written)
  await expect
    .poll(() => engagementDifferences(server.client, 'engagement', expected, END_MS - DAY_MS), { timeout: 10_000 })
    .toEqual([])
  // A job that has stopped owes its sinks nothing.
  await server.client.control.stop('engagement')
  await expectLateOutput(world, appended.late)
  await expectResults(world)
}

/** Every late event is in the output, with its origin; a crash may write some of them again, and invents none. */
async function expectLateOutput(world: World, late: ReadonlySet<string>): Promise<void> {
  const found = new Set<string>()
  for (const values of (await world.readLate()).values()) {
    for (const value of values) {
      const event = LateEvent.decode(value)
      found.add(`${event.partition}-${event.offset}`)
      expect(event.job).toBe('engagement')
      expect(event.eventTime!.getTime()).toBeLessThan(event.watermark!.getTime())
      expect([...event.metrics].sort()).toEqual(['active_users', 'active_users_by_platform', 'purchases'])
      expect(Buffer.from(event.key).toString()).toMatch(/^late-\d+-\d-\d$/)
    }
  }
  expect([...found].sort()).toEqual([...late].sort())
}

/** The sink holds every final value: of each window and group, the last one written is the oracle's. */
async function expectResults(world: World): Promise<void> {
  const last = new Map<string, MetricValue>()
  for (const values of (await world.readResults()).values()) {
    for (const bytes of values) {
      const value = MetricValue.decode(bytes)
      if (value.windowStart!.getTime() >= END_MS - DAY_MS) continue
      const dimensions = value.dimensions.map((dimension) => dimension.value)
      const bounds = `${value.windowStart!.toISOString()}..${value.windowEnd!.toISOString()}`
      last.set(`${value.metric} ${bounds} ${JSON.stringify(dimensions)}`, value)
    }
  }
  const lines = [...last].map(([what, { value }]) => {
    const number = value?.$case === 'intValue' ? value.value : Number.NaN
    return `${what} = ${number}`
  })
  expect(lines.sort()).toEqual([...expected.values()].flat().sort())
}

describe('kill -9 in the middle of the replay', () => {
  it.each(full ? range(20, 30) : [20, 22])('embedded log and directory, seed %d', async (seed) => {
    const world = await logWorld()
    try {
      await killed(world, seed)
    } finally {
      await world.close()
    }
  })

  it.each(full ? range(30, 36) : [34])('Kafka and Redis, seed %d', async (seed) => {
    const world = await kafkaWorld(seed)
    try {
      await killed(world, seed)
    } finally {
      await world.close()
    }
  })
})
