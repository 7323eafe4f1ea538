/**
 * The oracle against numbers computed in a third way: by hand from the rows, and from facts about calendars.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ECOM_ROWS, type EcomRow, readEcom } from '../support/ecom.ts'
import { engagementMetrics, featureEvents, nameIn, viewEvents } from './engagement-metrics.ts'
import { type Oracle, type OracleRow, openOracle } from './engagement-oracle.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let oracle: Oracle
let ecom: EcomRow[]

beforeAll(async () => {
  oracle = await openOracle()
  ecom = readEcom()
})

afterAll(() => oracle.close())

/** Groups in plain TypeScript; windows in UTC only. */
function group(sizeMs: number, offsetMs: number, dimension: (row: EcomRow) => string, rows: readonly EcomRow[]) {
  const groups = new Map<string, EcomRow[]>()
  for (const row of rows) {
    const start = Math.floor((row.timestampMs - offsetMs) / sizeMs) * sizeMs + offsetMs
    const key = `${start}|${dimension(row)}`
    const members = groups.get(key)
    if (members === undefined) groups.set(key, [row])
    else members.push(row)
  }
  return groups
}

function byKey(rows: readonly OracleRow[], ...dimensions: string[]): Map<string, number> {
  return new Map(
    rows.map((row) => [[row.window_start_ms, ...dimensions.map((name) => row[name])].join('|'), row.value]),
  )
}

const sumOf = (rows: readonly OracleRow[]): number => rows.reduce((sum, row) => sum + row.value, 0)

describe('the rows', () => {
  it('are all there, by time, each with its number in the file', () => {
    expect(ecom.length).toBe(ECOM_ROWS)
    expect(new Set(ecom.map(({ row }) => row)).size).toBe(ECOM_ROWS)
    for (let i = 1; i < ecom.length; i++) {
      const [a, b] = [ecom[i - 1]!, ecom[i]!]
      expect(a.timestampMs < b.timestampMs || (a.timestampMs === b.timestampMs && a.row < b.row)).toBe(true)
    }
    expect(ecom.find(({ row }) => row === 1)).toMatchObject({
      user: 'user_0000',
      event: 'home',
      timestampMs: Date.UTC(2024, 2, 13, 10, 21, 14),
    })
  })

  it('are the same in the oracle, number by number', async () => {
    const sql =
      'SELECT row, person, name, occurred_at_ms, platform, revenue_minor FROM events ORDER BY occurred_at_ms, row'
    const expected = ecom.map((row) => ({
      row: row.row,
      person: row.user,
      name: row.event,
      occurred_at_ms: row.timestampMs,
      platform: row.platform,
      revenue_minor: row.revenueMinor,
    }))
    expect(await oracle.sql(sql)).toEqual(expected)
  })
})

describe('windows in UTC', () => {
  it.each([0, 15 * 60_000, -HOUR_MS / 2])('counts by hour and platform with offset %d ms', async (offsetMs) => {
    const rows = await oracle.rows({ kind: 'count', window: { sizeMs: HOUR_MS, offsetMs }, by: ['platform'] })
    const expected = group(HOUR_MS, offsetMs, (row) => row.platform, ecom)
    expect(byKey(rows, 'platform')).toEqual(new Map([...expected].map(([key, members]) => [key, members.length])))
    expect(rows.every((row) => row.window_end_ms - row.window_start_ms === HOUR_MS)).toBe(true)
    expect(sumOf(rows)).toBe(ECOM_ROWS)
  })

  it('counts distinct persons by day', async () => {
    const rows = await oracle.rows({ kind: 'distinct', window: { sizeMs: DAY_MS } })
    const expected = group(DAY_MS, 0, () => '', ecom)
    expect(new Map(rows.map((row) => [`${row.window_start_ms}|`, row.value]))).toEqual(
      new Map([...expected].map(([key, members]) => [key, new Set(members.map(({ user }) => user)).size])),
    )
  })

  it('takes sum, min, max and avg of the amounts of purchases', async () => {
    const purchases = ecom.filter(({ event }) => event === 'purchase')
    const expected = group(DAY_MS, 0, (row) => row.platform, purchases)
    const of = (aggregate: (amounts: number[]) => number) =>
      new Map([...expected].map(([key, rows]) => [key, aggregate(rows.map(({ revenueMinor }) => revenueMinor))]))
    const ask = async (kind: 'sum' | 'min' | 'max' | 'avg') =>
      byKey(
        await oracle.rows({
          kind,
          value: 'revenue_minor',
          where: "name = 'purchase'",
          window: { sizeMs: DAY_MS },
          by: ['platform'],
        }),
        'platform',
      )
    const sum = (amounts: number[]) => amounts.reduce((total, amount) => total + amount, 0)
    expect(await ask('sum')).toEqual(of(sum))
    expect(await ask('min')).toEqual(of((amounts) => Math.min(...amounts)))
    expect(await ask('max')).toEqual(of((amounts) => Math.max(...amounts)))
    expect(await ask('avg')).toEqual(of((amounts) => sum(amounts) / amounts.length))
  })
})

describe('windows in a time zone', () => {
  it('gives Berlin days of 24 hours, and one of 23 when summer time begins', async () => {
    const rows = await oracle.rows({ kind: 'count', window: { sizeMs: DAY_MS, timezone: 'Europe/Berlin' } })
    expect(sumOf(rows)).toBe(ECOM_ROWS)
    const hours = new Map(rows.map((row) => [row.window_start_ms, (row.window_end_ms - row.window_start_ms) / HOUR_MS]))
    const short = Date.UTC(2024, 2, 30, 23)
    expect(hours.get(short)).toBe(23)
    expect([...hours].filter(([start, length]) => start !== short && length !== 24)).toEqual([])
    expect(
      rows.every((row) => row.window_start_ms % DAY_MS === (row.window_start_ms <= short ? 23 : 22) * HOUR_MS),
    ).toBe(true)
  })

  it('restarts shorter windows at local midnight', async () => {
    const sizeMs = 5 * HOUR_MS
    const rows = await oracle.rows({ kind: 'count', window: { sizeMs, timezone: 'Europe/Berlin' } })
    expect(sumOf(rows)).toBe(ECOM_ROWS)
    const lengths = new Set(rows.map((row) => (row.window_end_ms - row.window_start_ms) / HOUR_MS))
    // A day of 24 hours ends with 4, the one of 23 with 3.
    expect([...lengths].filter((length) => ![5, 4, 3].includes(length))).toEqual([])
    expect(lengths.has(4)).toBe(true)
  })

  it('keeps several calendar days together', async () => {
    const rows = await oracle.rows({ kind: 'count', window: { sizeMs: 7 * DAY_MS, timezone: 'Europe/Berlin' } })
    expect(sumOf(rows)).toBe(ECOM_ROWS)
    for (let i = 1; i < rows.length; i++) expect(rows[i]!.window_start_ms).toBe(rows[i - 1]!.window_end_ms)
  })

  it('agrees with UTC when the zone is UTC by another name', async () => {
    const query = { kind: 'distinct', by: ['platform'] } as const
    expect(await oracle.rows({ ...query, window: { sizeMs: DAY_MS, timezone: 'Etc/UTC' } })).toEqual(
      await oracle.rows({ ...query, window: { sizeMs: DAY_MS } }),
    )
  })
})

describe('the metrics of the main job', () => {
  // Totals of the file, counted with zcat and grep.
  it.each([
    ['purchases', 470],
    ['page_views', 20_866],
    ['feature_interactions', 9_331],
  ] as const)('%s adds up to %d events', async (id, total) => {
    expect(sumOf(await oracle.rows(engagementMetrics[id]))).toBe(total)
  })

  it('counts no more active users by day than there are, and splits them by platform', async () => {
    const days = await oracle.rows(engagementMetrics.active_users)
    expect(Math.max(...days.map(({ value }) => value))).toBeLessThanOrEqual(600)
    const parts = await oracle.rows(engagementMetrics.active_users_by_platform)
    for (const day of days) {
      const own = parts.filter((part) => part.window_start_ms === day.window_start_ms)
      expect(sumOf(own)).toBeGreaterThanOrEqual(day.value)
      expect(Math.max(...own.map(({ value }) => value))).toBeLessThanOrEqual(day.value)
    }
  })

  it('takes no event for a view and a feature', async () => {
    const both = await oracle.sql(
      `SELECT count(*) AS n FROM events WHERE ${nameIn(viewEvents)} AND ${nameIn(featureEvents)}`,
    )
    expect(both).toEqual([{ n: 0 }])
  })
})
