/**
 * The metrics of jobs/usage.yaml against DuckDB, every value exactly: in order, shuffled within the lateness, over several
 * partitions and threads. Days of 23 and 25 hours, half-hour zones, and months of every length are among them.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { accountedFor } from '../../src/control/api.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { calendarCounts, trailingUsers, type UsageRow, usageConditions } from '../oracle/usage-oracle.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { allOf } from '../support/engine-numbers.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const document = parse(readFileSync(join(import.meta.dirname, '../../jobs/usage.yaml'), 'utf8')) as {
  metrics: { id: string }[]
}

const HOUR = 3_600_000
const berlin = 'Europe/Berlin'
const { feature, page, purchase } = usageConditions

let oracle: Oracle
let expected: ReadonlyMap<string, readonly string[]>

/** Windows of a minute are compared in these days: a year has more than an answer. */
const minutesFrom = Date.UTC(2024, 4, 20)
const minutesTo = Date.UTC(2024, 5, 20)
const isOfMinutes = (id: string): boolean => id.startsWith('current')

function line(startMs: number, endMs: number, by: readonly string[], value: number, others: number): string {
  return `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()} ${JSON.stringify(by)} = ${value} (${others})`
}

function linesOf(rows: readonly UsageRow[]): string[] {
  return rows.map(({ startMs, endMs, by, value, others }) => line(startMs, endMs, by, value, others)).sort()
}

/** One by the other where both end together, and where those above the line have the group, or 0 for `all`. */
function ratioOf(of: readonly UsageRow[], to: readonly UsageRow[], scale: number, all: boolean): UsageRow[] {
  const below = new Map(to.map((row) => [JSON.stringify([row.endMs, ...row.by]), row.value]))
  const above = of.map((row) => {
    const group = below.has(JSON.stringify([row.endMs, ...row.by])) ? row.by : []
    return { ...row, value: (row.value / below.get(JSON.stringify([row.endMs, ...group]))!) * scale }
  })
  if (!all) return above
  const there = new Set(of.map(({ endMs }) => endMs))
  return [...above, ...to.filter(({ endMs }) => !there.has(endMs)).map((row) => ({ ...row, value: 0 }))]
}

beforeAll(async () => {
  oracle = await openOracle()
  const day = { timezone: berlin, period: 'day' } as const
  const everyone = { timezone: berlin, where: 'true' }
  const people = { ...everyone, of: 'persons' } as const
  const ofFeatures = { ...day, where: feature, by: 'name' } as const
  const dau = await calendarCounts(oracle, { ...people, period: 'day' })
  const mau = await trailingUsers(oracle, { ...everyone, days: 30 })
  const uses = await calendarCounts(oracle, { ...ofFeatures, of: 'events' })
  const users = await calendarCounts(oracle, { ...ofFeatures, of: 'persons' })
  const buyers = await calendarCounts(oracle, { ...day, where: purchase, of: 'persons' })
  // The day behind the first midnight that a window of 30 days ends at has its own start.
  const dayOf = new Map((await trailingUsers(oracle, { ...everyone, days: 30 })).map(({ endMs }) => [endMs, endMs]))
  const startOfDay = (endMs: number): number => {
    const before = [...dayOf.keys()].filter((end) => end < endMs)
    return before.length === 0 ? endMs - 24 * HOUR : Math.max(...before)
  }
  const minutes = (rows: readonly UsageRow[]): UsageRow[] =>
    rows.filter(({ startMs, endMs }) => startMs < minutesTo && endMs > minutesFrom)
  const all: Record<string, readonly UsageRow[]> = {
    events: await calendarCounts(oracle, { ...day, where: 'true', by: 'event', of: 'events' }),
    screens: await calendarCounts(oracle, { ...day, where: page, by: 'name', of: 'events', cap: 5 }),
    dau,
    wau: await trailingUsers(oracle, { ...everyone, days: 7 }),
    mau,
    mau_28: await trailingUsers(oracle, { ...everyone, days: 28 }),
    monthly_users: await calendarCounts(oracle, { ...people, period: 'month' }),
    weekly_users: await calendarCounts(oracle, { ...people, period: 'week' }),
    dau_india: await calendarCounts(oracle, { ...people, timezone: 'Asia/Kolkata', period: 'day' }),
    current_5: minutes(await trailingUsers(oracle, { timezone: 'UTC', minutes: 5, where: page })),
    current_30: minutes(await trailingUsers(oracle, { timezone: 'UTC', minutes: 30, where: 'true' })),
    feature_uses: uses,
    feature_users: users,
    buyers,
    uses_per_user: ratioOf(uses, users, 1, false),
    conversion_rate: ratioOf(buyers, dau, 100, true),
    stickiness: ratioOf(dau, mau, 1, true).map((row) => ({ ...row, startMs: startOfDay(row.endMs) })),
    adoption: ratioOf(users, dau, 1, false),
  }
  expected = new Map(Object.entries(all).map(([id, rows]) => [id, linesOf(rows)]))
  for (const [id, wanted] of expected) expect(wanted.length, id).toBeGreaterThan(5)
  expect([...expected.keys()].sort()).toEqual(document.metrics.map(({ id }) => id).sort())
  // What the job is to be right about is there: days of 23 hours, and a rest of screens.
  expect(dau.some(({ startMs, endMs }) => endMs - startMs === 23 * HOUR)).toBe(true)
  expect(all.screens!.some(({ others }) => others > 0)).toBe(true)
})

afterAll(() => oracle?.close())

describe('jobs/usage.yaml', () => {
  it.each([
    { partitions: 1, parallelism: 1, boundMs: 0, ofMinutes: true },
    { partitions: 4, parallelism: 2, boundMs: 6 * HOUR, ofMinutes: false },
  ])('is what DuckDB says: %o', async ({ partitions, parallelism, boundMs, ofMinutes }) => {
    const engine = await engineForTest({ threads: 2 })
    const log = createLogTopic(engine.logRoot, 'events', partitions)
    const filled = fillPartitions(engagementEvents(), partitions, 'round-robin')
    await log.append(filled.map((events, i) => shuffleWithin(events, boundMs, i + 1)))
    await log.close()
    const { client } = engine
    const ends = { sources: [{ id: 'events', ...log.source({ bounded: true }) }], sinks: [], parallelism }
    const watermark = { outOfOrderness: `${boundMs}ms`, idleness: '0s' }
    // Windows of each minute, of half a year, are ten times the rows of all others: once is enough.
    const metrics = document.metrics.filter(({ id }) => ofMinutes || !isOfMinutes(id))
    await submitJob(client, JSON.stringify({ ...document, ...ends, metrics, watermark }))
    await untilJob(client, 'usage', ({ state }) => state === 'FINISHED', 240_000)
    for (const { id } of metrics) {
      const wanted = expected.get(id)
      const range = isOfMinutes(id) ? { fromMs: minutesFrom, toMs: minutesTo } : {}
      const { values } = await client.query.query(allOf('usage', id, range))
      const told = values.map((value) =>
        line(value.windowStartMs, value.windowEndMs, value.dimensions, value.value, value.otherGroups ?? 0),
      )
      expect(told.sort(), id).toEqual(wanted)
      expect(new Set(values.map(({ status }) => status)), id).toEqual(new Set(['final']))
    }
    const { events } = await untilRead(client, 'usage', ECOM_ROWS)
    expect(events).toMatchObject({ read: ECOM_ROWS, late: 0, deadLettered: 0, lost: 0 })
    expect(accountedFor(events)).toBe(ECOM_ROWS)
  })
})
