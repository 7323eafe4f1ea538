/** The metrics of jobs/behaviour.yaml against DuckDB: exact where they are, within their stated error where they estimate. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { readEcom } from '../support/ecom.ts'
import { openEngine, submitJob, type TestEngine, untilJob } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, fillPartitions, type SampleEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const DAY = 'occurred_at_ms - occurred_at_ms % 86400000'
const { metrics } = parse(readFileSync(join(import.meta.dirname, '../../jobs/behaviour.yaml'), 'utf8')) as {
  metrics: readonly object[]
}

/** The rows of the sample as the oracle has them, purchases with what they bring. */
const events = readEcom().map(({ user, session, event, platform, timestampMs, revenueMinor }): SampleEvent => {
  const fields = { person: user, session, name: event, platform, occurredAt: new Date(timestampMs), revenueMinor }
  return { person: user, timeMs: timestampMs, value: Event.encode(Event.fromPartial(fields)).finish() }
})

/** Panes that are merged: two days, every day. */
const overlapping = [
  { id: 'top_of_two_days', topK: { field: 'name', k: 3 } },
  {
    id: 'p95_of_two_days',
    quantile: { field: 'revenue_minor', q: 0.95 },
    where: 'revenue_minor > 0',
    by: ['platform'],
  },
].map((metric) => ({ window: { sliding: '2d', slide: '1d' }, ...metric }))

let oracle: Oracle
let engine: TestEngine

beforeAll(async () => {
  oracle = await openOracle()
  engine = await openEngine({ threads: 2 })
})

afterAll(async () => {
  await engine?.close()
  oracle?.close()
})

const nameOf = (value: MetricValue) => [value.windowStartMs, ...value.dimensions].join('|')

/** What a query says by day and dimension: its columns are `start`, maybe `by`, and `wanted`. */
async function wanted(sql: string): Promise<Map<string, unknown>> {
  const rows = await oracle.sql(sql)
  return new Map(rows.map((row) => [[row.start, ...('by' in row ? [row.by] : [])].join('|'), row.wanted]))
}

describe.each([1, 2])('at parallelism %d', (parallelism) => {
  it('every aggregate is what DuckDB says', async () => {
    const log = createLogTopic(engine.logRoot, `aggregates-${parallelism}`, 4)
    await log.append(fillPartitions(events, 4, 'hash'))
    await log.close()
    const source = log.source({ bounded: true })
    const watermark = { outOfOrderness: '400d' }
    const job = engagementJob({
      name: `behaviour-${parallelism}`,
      source,
      watermark,
      parallelism,
      metrics: [...metrics, ...overlapping],
    })
    const name = await submitJob(engine.client, job)
    await untilJob(engine.client, name, ({ state }) => state === 'FINISHED')

    const check = async (metric: string, sql: string, same: (value: MetricValue, exact: unknown) => void) => {
      const exact = await wanted(sql)
      const values = await valuesOf(engine.client, name, metric)
      expect(values.map(nameOf).sort(), metric).toEqual([...exact.keys()].sort())
      for (const value of values) same(value, exact.get(nameOf(value)))
    }
    const near = (error: number) => (value: MetricValue, exact: unknown) =>
      expect(Math.abs(value.value - Number(exact)), nameOf(value)).toBeLessThanOrEqual(Number(exact) * error + 1e-6)
    const purchases = `FROM events WHERE revenue_minor > 0 GROUP BY ALL`

    // Five standard errors: none of a few hundred values is farther off by chance.
    await check(
      'people',
      `SELECT ${DAY} AS start, platform AS by, count(DISTINCT person) AS wanted FROM events GROUP BY ALL`,
      near(0.082),
    )
    await check(
      'sessions',
      `SELECT ${DAY} AS start, count(DISTINCT session) AS wanted FROM events GROUP BY ALL`,
      near(0.021),
    )
    for (const [metric, q] of [
      ['revenue_p50', 0.5],
      ['revenue_p95', 0.95],
    ] as const) {
      const exact = `list_sort(list(revenue_minor))[1 + floor(${q} * (count(*) - 1))::BIGINT] AS wanted`
      await check(metric, `SELECT ${DAY} AS start, platform AS by, ${exact} ${purchases}`, near(0.01))
    }
    await check(
      'revenue_spread',
      `SELECT ${DAY} AS start, stddev_pop(revenue_minor) AS wanted ${purchases}`,
      near(1e-9),
    )
    const bounds = [1000, 5000, 10_000, 20_000]
    const bucket = (low: number, high: number) =>
      `count(*) FILTER (revenue_minor >= ${low} AND revenue_minor < ${high})`
    const counts = bounds.map((bound, i) => bucket(bounds[i - 1] ?? -1e15, bound)).concat(bucket(20_000, 1e15))
    await check(
      'revenue_sizes',
      `SELECT ${DAY} AS start, concat_ws(',', ${counts.join()}) AS wanted ${purchases}`,
      (value, exact) => {
        expect(value.detail!.items.map(({ value: count }) => count).join()).toBe(exact)
        expect(value.detail!.items.map(({ label }) => label)).toEqual([
          '<1000',
          '1000..<5000',
          '5000..<10000',
          '10000..<20000',
          '>=20000',
        ])
      },
    )
    const ranked = `SELECT ${DAY} AS start, name, count(*) AS n,
      row_number() OVER (PARTITION BY start ORDER BY count(*) DESC, name) AS place FROM events GROUP BY start, name`
    await check(
      'top_events',
      `SELECT start, string_agg(name || '=' || n, ',' ORDER BY place) AS wanted FROM (${ranked}) WHERE place <= 3 GROUP BY start`,
      (value, exact) => expect(value.detail!.items.map((item) => `${item.label}=${item.value}`).join()).toBe(exact),
    )
    for (const [metric, order] of [
      ['first_event', 'ASC'],
      ['last_event', 'DESC'],
    ] as const) {
      await check(
        metric,
        `SELECT ${DAY} AS start, person AS by, first(name ORDER BY occurred_at_ms ${order}, name ${order}) AS wanted FROM events GROUP BY ALL`,
        (value, exact) => expect(value.detail!.text).toBe(exact),
      )
    }
    const twice = `(SELECT *, ${DAY} - shift * 86400000 AS start FROM events, (VALUES (0), (1)) AS shifts(shift))`
    await check(
      'top_of_two_days',
      `SELECT start, string_agg(name || '=' || n, ',' ORDER BY place) AS wanted FROM (SELECT start, name, count(*) AS n,
         row_number() OVER (PARTITION BY start ORDER BY count(*) DESC, name) AS place FROM ${twice} GROUP BY start, name)
       WHERE place <= 3 GROUP BY start`,
      (value, exact) => expect(value.detail!.items.map((item) => `${item.label}=${item.value}`).join()).toBe(exact),
    )
    await check(
      'p95_of_two_days',
      `SELECT start, platform AS by, list_sort(list(revenue_minor))[1 + floor(0.95 * (count(*) - 1))::BIGINT] AS wanted
       FROM ${twice} WHERE revenue_minor > 0 GROUP BY ALL`,
      near(0.01),
    )
    await engine.client.control.cancel(name)
  })
})
