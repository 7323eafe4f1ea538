/**
 * Sliding and cumulating windows on the sample clickstream, against plain SQL: every window by its definition, each event
 * in all of its windows. The sample has the Berlin day of 23 hours on which summer time began.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { openEngine, submitJob, type TestEngine, untilJob } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const OUT_OF_ORDER_MS = 3_600_000

interface Case {
  readonly id: string
  readonly metric: string
  /** Selects start_ms, end_ms, one column of dimension text (or ''), value. */
  readonly sql: string
}

const ms = (sql: string) => `CAST(epoch_ms(${sql}) AS BIGINT)`

/** Windows of `size` every `slide`, both in seconds of UTC, by the definition of hopping windows. */
function hops(size: number, slide: number, offset: number, by: string, value: string): string {
  return `
    WITH hopped AS (
      SELECT *, (floor((epoch(occurred_at) - ${offset}) / ${slide}) - k) * ${slide} + ${offset} AS start
      FROM events, range(0, ${Math.ceil(size / slide)}) AS hops(k))
    SELECT CAST(start * 1000 AS BIGINT) AS s, CAST((start + ${size}) * 1000 AS BIGINT) AS e, ${by} AS d, ${value} AS v
    FROM hopped WHERE start + ${size} > epoch(occurred_at) GROUP BY ALL`
}

/** Local midnight of a Berlin date, as an instant. */
const midnight = (date: string) => `timezone('Europe/Berlin', CAST(${date} AS TIMESTAMP))`
const berlinDate = "CAST(timezone('Europe/Berlin', timezone('UTC', occurred_at)) AS DATE)"

const cases: readonly Case[] = [
  {
    id: 'hourly_views',
    metric: '{ count: {}, by: [platform], window: { sliding: 6h, slide: 1h } }',
    sql: hops(6 * 3600, 3600, 0, 'platform', 'count(*)'),
  },
  {
    id: 'hourly_persons',
    metric: '{ activeUsers: {}, window: { sliding: 1d, slide: 6h, offset: 1h } }',
    sql: hops(86_400, 6 * 3600, 3600, "''", 'count(DISTINCT person)'),
  },
  {
    id: 'uneven_persons',
    metric: '{ activeUsers: {}, by: [platform], window: { sliding: 36h, slide: 1d } }',
    sql: hops(36 * 3600, 86_400, 0, 'platform', 'count(DISTINCT person)'),
  },
  {
    id: 'mornings',
    metric: '{ count: {}, by: [person], window: { sliding: 6h, slide: 1d, offset: 6h } }',
    sql: hops(6 * 3600, 86_400, 6 * 3600, 'person', 'count(*)'),
  },
  {
    id: 'weekly_persons',
    metric: '{ activeUsers: {}, window: { sliding: 7d, slide: 1d, timezone: Europe/Berlin } }',
    sql: `
      WITH days AS (SELECT *, ${berlinDate} - CAST(k AS INTEGER) AS first FROM events, range(0, 7) AS hops(k))
      SELECT ${ms(midnight('first'))} AS s, ${ms(midnight('first + 7'))} AS e, '' AS d, count(DISTINCT person) AS v
      FROM days GROUP BY first`,
  },
  {
    id: 'day_so_far',
    metric: '{ activeUsers: {}, by: [platform], window: { cumulate: 1d, step: 1h, timezone: Europe/Berlin } }',
    sql: `
      WITH local AS (
        SELECT *, ${berlinDate} AS day, ${midnight(berlinDate)} AS start, timezone('UTC', occurred_at) AS instant FROM events),
      steps AS (
        SELECT *, epoch(start) + 3600 * k AS stop
        FROM local, range(1, 26) AS hours(k)
        WHERE epoch(start) + 3600 * k > epoch(instant) AND epoch(start) + 3600 * k <= epoch(${midnight('day + 1')}))
      SELECT ${ms('start')} AS s, CAST(stop * 1000 AS BIGINT) AS e, platform AS d, count(DISTINCT person) AS v
      FROM steps GROUP BY ALL`,
  },
]

const line = (s: unknown, e: unknown, d: unknown, v: unknown) => `${s}..${e} ${d} = ${v}`

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

describe('overlapping windows', () => {
  it.each([1, 2, 3])('are those of plain SQL, at parallelism %d', { timeout: 120_000 }, async (parallelism) => {
    const log = createLogTopic(engine.logRoot, `events-${parallelism}`, 3)
    const filled = fillPartitions(engagementEvents(), 3, 'hash')
    await log.append(filled.map((events, i) => shuffleWithin(events, OUT_OF_ORDER_MS, 40 + i)))
    await log.close()
    const source = { id: 'events', ...log.source({ bounded: true }) }
    const name = await submitJob(engine.client, jobText(`windows-${parallelism}`, source, parallelism))
    const end = await untilJob(engine.client, name, ({ state }) => state === 'FINISHED' || state === 'FAILED')
    expect(end.state, end.reason).toBe('FINISHED')
    for (const { id, sql } of cases) {
      const rows = await oracle.sql(sql)
      const expected = rows.map((row) => line(row.s, row.e, row.d, row.v)).sort()
      const actual = (await valuesOf(engine.client, name, id)).map(lineOf).sort()
      expect(expected.length, id).toBeGreaterThan(50)
      expect(actual, id).toEqual(expected)
    }
    await engine.client.control.cancel(name)
  })
})

function lineOf({ windowStartMs, windowEndMs, dimensions, value }: MetricValue): string {
  return line(windowStartMs, windowEndMs, dimensions[0] ?? '', value)
}

function jobText(name: string, source: unknown, parallelism: number): string {
  const metrics = cases.map(({ id, metric }) => `  - { id: ${id}, retain: 3650d, ${metric.slice(2)}`)
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${name} }
sources: [${JSON.stringify(source)}]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
watermark: { outOfOrderness: ${OUT_OF_ORDER_MS}ms }
parallelism: ${parallelism}
metrics:
${metrics.join('\n')}
`
}
