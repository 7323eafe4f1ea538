/**
 * The main job against the batch oracle: every number of every metric, exactly, however the events lie in the topic.
 *
 * The orders stay within the job's out-of-orderness, so no event may be late. The sample hardly has two events within
 * 5 s of each other; to have real disorder, one order delays events by up to six hours, and so does its job's bound.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JobSummary } from '../../src/control/api.ts'
import { accountedFor } from '../../src/control/api.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { openEngine, submitJob, type TestEngine, untilJob, untilRead } from '../support/engine.ts'
import {
  type EngagementMetric,
  engagementDifferences,
  engagementMetricIds,
  valuesOf,
} from '../support/engine-numbers.ts'
import {
  engagementEvents,
  engagementJob,
  fillings,
  fillPartitions,
  type JobChanges,
  makeEvent,
  shuffleWithin,
} from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'

const SECOND_MS = 1000
const HOUR_MS = 3600 * SECOND_MS

const orders = [
  { seed: 11, outOfOrdernessMs: 5 * SECOND_MS },
  { seed: 12, outOfOrdernessMs: 5 * SECOND_MS },
  { seed: 13, outOfOrdernessMs: 6 * HOUR_MS },
] as const
const parallelisms = [1, 2, 3] as const

let expected: ReadonlyMap<EngagementMetric, readonly string[]>
let engine: TestEngine
let runs = 0

beforeAll(async () => {
  expected = await expectedNumbers()
  engine = await openEngine({ threads: 2 })
})

afterAll(async () => {
  await engine?.close()
})

/** Statistics come in once a second: waits for those in which every event is accounted for. */
async function expectAllApplied(job: string, records: number): Promise<JobSummary> {
  const summary = await untilRead(engine.client, job, records)
  expect(summary.events).toMatchObject({ read: records, late: 0, deadLettered: 0, lost: 0 })
  expect(accountedFor(summary.events)).toBe(records)
  // `active_users` takes every event, so the predicates of the other metrics filter none.
  expect(summary.events.filtered).toBe(0)
  return summary
}

/** Runs the main job on a topic until it ends, and compares. */
async function expectOracle(
  what: string,
  changes: Pick<JobChanges, 'source' | 'watermark' | 'parallelism'>,
): Promise<void> {
  const name = await submitJob(engine.client, engagementJob({ ...changes, name: `run-${++runs}` }))
  await untilJob(engine.client, name, ({ state }) => state === 'FINISHED')
  expect(await engagementDifferences(engine.client, name, expected), what).toEqual([])
  await expectAllApplied(name, ECOM_ROWS)
  await engine.client.control.cancel(name)
}

describe.each([1, 4, 7])('%d partitions', (partitions) => {
  it.each(fillings)('filled by %s, in several orders, at parallelism 1, 2 and 3', async (filling) => {
    const filled = fillPartitions(engagementEvents(), partitions, filling)
    const jobs: Promise<void>[] = []
    // All at once: what takes longest is waiting for the statistics, which come once a second.
    for (const { seed, outOfOrdernessMs } of orders) {
      const log = createLogTopic(engine.logRoot, `events-${partitions}-${filling}-${seed}`, partitions)
      await log.append(filled.map((events, i) => shuffleWithin(events, outOfOrdernessMs, seed * 100 + i)))
      await log.close()
      const source = log.source({ bounded: true })
      const watermark = { outOfOrderness: `${outOfOrdernessMs}ms` }
      for (const parallelism of parallelisms) {
        const what = `parallelism ${parallelism}, order ${seed}`
        jobs.push(expectOracle(what, { source, watermark, parallelism }))
      }
    }
    await Promise.all(jobs)
  })
})

describe('partitions read at very different speeds', () => {
  it.each(parallelisms)('parallelism %d: one comes when all others have been read', async (parallelism) => {
    const partitions = 4
    const log = createLogTopic(engine.logRoot, `slow-${parallelism}`, partitions)
    const filled = fillPartitions(engagementEvents(), partitions, 'hash')
    const slow = filled[2]!
    const job = engagementJob({
      name: `slow-${parallelism}`,
      source: log.source(),
      watermark: { outOfOrderness: '5s', idleness: '0s' },
      parallelism,
    })
    const name = await submitJob(engine.client, job)
    await log.append(filled.map((events, i) => (i === 2 ? [] : events)))
    let written = ECOM_ROWS - slow.length
    const before = await untilRead(engine.client, name, written)
    expect(before.watermarkMs).toBe(Number.NEGATIVE_INFINITY)
    for (const part of [slow.slice(0, 1), slow.slice(1, 2000), slow.slice(2000)]) {
      await log.append([[], [], part, []])
      written += part.length
      await untilRead(engine.client, name, written)
    }
    // One event a partition, long after the last: it closes all windows.
    const afterAllMs = Date.UTC(2024, 11, 31)
    await log.append(filled.map((_, i) => [makeEvent({ person: `end-${i}`, timeMs: afterAllMs, name: 'end' })]))
    await expectAllApplied(name, ECOM_ROWS + partitions)
    const closedMs = afterAllMs - 24 * HOUR_MS
    await expect.poll(() => engagementDifferences(engine.client, name, expected, closedMs)).toEqual([])
    for (const id of engagementMetricIds) {
      await expect
        .poll(async () => {
          const values = await valuesOf(engine.client, name, id)
          return new Set(values.filter((value) => value.windowStartMs < closedMs).map(({ status }) => status))
        })
        .toEqual(new Set(['final']))
    }
    await engine.client.control.cancel(name)
    await log.close()
  })
})

describe('what a value says of itself', () => {
  it('is final, in its first revision, with all of its events and none late, at the end of the input', async () => {
    const log = createLogTopic(engine.logRoot, 'final', 4)
    await log.append(fillPartitions(engagementEvents(), 4, 'hash'))
    await log.close()
    const job = engagementJob({ name: 'final', source: log.source({ bounded: true }) })
    await submitJob(engine.client, job)
    await untilJob(engine.client, 'final', ({ state }) => state === 'FINISHED')
    for (const id of engagementMetricIds) {
      const values = await valuesOf(engine.client, 'final', id)
      const settled = new Set(values.map(({ status, revision, lateCount }) => `${status} ${revision} ${lateCount}`))
      expect(settled, id).toEqual(new Set(['final 1 0']))
      expect(new Set(values.map(({ watermarkMs }) => watermarkMs))).toEqual(new Set([Number.POSITIVE_INFINITY]))
      const events = values.reduce((sum, { eventCount }) => sum + eventCount, 0)
      const where = { page_views: 20_866, feature_interactions: 9_331, purchases: 470 } as Record<string, number>
      expect(events, id).toBe(where[id] ?? ECOM_ROWS)
    }
  })

  it('has the Berlin day of 23 hours on which summer time began', async () => {
    const short = (await valuesOf(engine.client, 'final', 'active_users')).filter(
      ({ windowStartMs, windowEndMs }) => windowEndMs - windowStartMs !== 24 * HOUR_MS,
    )
    expect(short.map(({ windowStartMs, windowEndMs }) => [windowStartMs, windowEndMs])).toEqual([
      [Date.UTC(2024, 2, 30, 23), Date.UTC(2024, 2, 31, 22)],
    ])
  })
})
