/**
 * What is late before a crash is late after it, to the millisecond: the same events with a `kill -9` in between and
 * without give the same values, revisions, and late counts.
 */
import { describe, expect, it } from 'vitest'
import type { EventCounts } from '../../src/control/api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { checkpointApplied, folderForTest, openEngine, submitJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic, type LogTopic } from '../support/events-log.ts'
import { MillraceServer } from '../support/server-process.ts'

const NOON_MS = Date.UTC(2024, 2, 10, 12)
const MINUTE_MS = 60_000
const metrics = [
  { id: 'strict', count: {}, window: { tumbling: '1h' }, by: ['platform'] },
  { id: 'patient', count: {}, window: { tumbling: '1h' }, by: ['platform'], allowedLateness: '20m' },
  { id: 'people', activeUsers: {}, window: { tumbling: '1d', timezone: 'Europe/Berlin' } },
]

function job(log: LogTopic): string {
  return engagementJob({
    name: 'boundary',
    source: log.source(),
    // Checkpoints only where the test asks for one.
    checkpoint: { every: '0s' },
    watermark: { outOfOrderness: '5s', idleness: '0s' },
    parallelism: 2,
    metrics,
  })
}

function at(...minutesAndMs: readonly (readonly [minutes: number, ms: number])[]): SampleEvent[] {
  return minutesAndMs.map(([minutes, ms], i) =>
    makeEvent({
      person: `p${i % 3}`,
      timeMs: NOON_MS + minutes * MINUTE_MS + ms,
      platform: i % 2 === 0 ? 'web' : 'ios',
    }),
  )
}

/** Up to a watermark of noon less `behindMs`, and all of it read; the second partition is ten minutes behind. */
async function before(client: MillraceClient, log: LogTopic, behindMs: number): Promise<number> {
  await submitJob(client, job(log))
  const newest = [0, 5000 - behindMs] as const
  const written = [at([-90, 0], [-61, 0], [-30, 0], [-10, 0], [10, 0]), at([-90, 7], [-30, 7], [-2, 0], newest)]
  await log.append(written)
  const records = written.flat().length
  await untilRead(client, 'boundary', records)
  await checkpointApplied(client, 'boundary')
  return records
}

/** On both sides of the end of the hour, of the lateness that one metric allows, and of nothing. */
function straightAfter(): SampleEvent[][] {
  return [at([0, -1], [0, 0], [-60, -1], [-60, 0], [-41, 0]), at([0, -1], [-61, 0], [-79, 0], [-780, -1])]
}

/**
 * Brings the slow partition on: where time is then depends on what is still known of the other. It comes when all others
 * have been read, as the order between partitions is nobody's promise.
 */
function last(): SampleEvent[][] {
  return [[], at([8, 0])]
}

interface Outcome {
  readonly events: EventCounts
  readonly values: Readonly<Record<string, readonly MetricValue[]>>
}

async function after(client: MillraceClient, log: LogTopic, records: number): Promise<Outcome> {
  await untilRead(client, 'boundary', records)
  await log.append(last())
  const { events } = await untilRead(client, 'boundary', records + 1)
  const watermarks = async () => (await valuesOf(client, 'boundary', 'strict')).map(({ watermarkMs }) => watermarkMs)
  await expect
    .poll(async () => new Set(await watermarks()), { timeout: 10_000 })
    .toEqual(new Set([NOON_MS + 8 * MINUTE_MS - 5001]))
  const values: Record<string, readonly MetricValue[]> = {}
  for (const { id } of metrics) {
    values[id] = (await valuesOf(client, 'boundary', id)).map((value) => ({
      ...value,
      // Which attempt made it is what differs.
      attempt: 0,
    }))
  }
  return { events, values }
}

async function withoutCrash(behindMs: number): Promise<Outcome> {
  const engine = await openEngine()
  const log = createLogTopic(engine.logRoot, 'events', 2)
  try {
    const records = await before(engine.client, log, behindMs)
    const late = straightAfter()
    await log.append(late)
    return await after(engine.client, log, records + late.flat().length)
  } finally {
    await log.close()
    await engine.close()
  }
}

async function withCrash(behindMs: number): Promise<Outcome> {
  const server = await MillraceServer.start()
  const log = createLogTopic(folderForTest('topics'), 'events', 2)
  try {
    const records = await before(server.client, log, behindMs)
    await server.kill()
    const late = straightAfter()
    await log.append(late)
    await server.restart()
    return await after(server.client, log, records + late.flat().length)
  } finally {
    await log.close()
    await server.stop()
  }
}

describe('events straight after a restart', () => {
  it.each([
    ['as the hour has closed', 0, { strict: 7, patient: 3, people: 0 }],
    ['a millisecond before it closes', 1, { strict: 3, patient: 3, people: 0 }],
  ])('%s', async (_, behindMs, late) => {
    const [calm, crashed] = await Promise.all([withoutCrash(behindMs), withCrash(behindMs)])
    expect(crashed).toEqual(calm)
    // Two runs could agree on nothing being late: the figures, by hand.
    const lateOf = (metric: string) => calm.values[metric]!.reduce((sum, { lateCount }) => sum + lateCount, 0)
    // The one event of the day before is late for all; its windows have no value that could show it.
    expect({ strict: lateOf('strict'), patient: lateOf('patient'), people: lateOf('people') }).toEqual(late)
    expect(calm.events.late).toBe(1)
  })
})
