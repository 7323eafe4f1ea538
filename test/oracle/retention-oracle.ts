/**
 * Retention and stickiness by DuckDB, from the CSV: boundaries of every period of every cohort, and who has an event between
 * them; no walk over timelines.
 *
 * Shares nothing with the engine: no window arithmetic, no time-zone data, no parser.
 */
import { sqlString } from '../support/duckdb.ts'
import { type ConversionRow, endOf, type Period, rowOf, startOf } from './conversion-oracle.ts'
import type { Oracle } from './engagement-oracle.ts'

/** A retention in SQL. */
export interface RetentionQuery extends Period {
  /** Conditions over the columns of `events`. */
  readonly start: string
  readonly returns: string
  readonly periods: number
  readonly mode: 'on' | 'onOrAfter'
  readonly cohort: 'first' | 'recurring'
  readonly clock: 'calendar' | 'elapsed'
  readonly lookbackMs: number
  /** Column of the dimension; '' for none. */
  readonly by: string
}

const lengths = { day: 86_400_000, week: 7 * 86_400_000, month: 0 } as const

/** What a retention must give: values are the cohort, those of the period before, those of the period. */
export async function retentionRows(oracle: Oracle, query: RetentionQuery): Promise<ConversionRow[]> {
  const { period, timezone, periods, mode, clock, cohort } = query
  const zone = sqlString(timezone)
  const by = query.by === '' ? "''" : query.by
  const local = (ms: string): string => `timezone(${zone}, timezone('UTC', make_timestamp((${ms}) * 1000)))`
  const later = (ms: string, k: string): string =>
    `epoch_ms(timezone(${zone}, ${local(ms)} + (${k}) * INTERVAL 1 ${period}))`
  const boundary = (k: string): string =>
    clock === 'calendar'
      ? later('start_ms', k)
      : period === 'month'
        ? later('first_ms', k)
        : `first_ms + (${k}) * ${lengths[period]}`
  const rows = await oracle.sql(`
    WITH starts AS (
      SELECT person, ${startOf(query, 'occurred_at_ms')} AS start_ms, min(occurred_at_ms) AS first_ms,
        arg_min(${by}, (occurred_at_ms, ${by})) AS grp
      FROM events WHERE ${query.start} GROUP BY person, start_ms
    ),
    judged AS (SELECT *, lag(start_ms) OVER (PARTITION BY person ORDER BY start_ms) AS before_ms FROM starts),
    cohorts AS (
      SELECT * FROM judged
      WHERE ${cohort === 'recurring' ? 'true' : `before_ms IS NULL OR before_ms < start_ms - ${query.lookbackMs}`}
    ),
    ages AS (
      SELECT *, ${boundary('k')} AS from_ms, ${boundary(mode === 'on' ? 'k + 1' : `${periods + 1}`)} AS to_ms
      FROM cohorts, generate_series(0, ${periods}) AS g(k)
    ),
    returned AS (
      SELECT a.*, k = 0 OR EXISTS (
        SELECT 1 FROM events e WHERE e.person = a.person AND (${query.returns})
          AND e.occurred_at_ms >= a.from_ms AND e.occurred_at_ms < a.to_ms) AS there
      FROM ages a
    ),
    chained AS (SELECT *, lag(there, 1, true) OVER (PARTITION BY person, start_ms ORDER BY k) AS before_there FROM returned)
    SELECT start_ms, ${endOf(query, 'start_ms')} AS end_ms, grp, k::VARCHAR AS label, count(*) AS cohort,
      count(*) FILTER (before_there) AS previous, count(*) FILTER (there) AS persons
    FROM chained GROUP BY start_ms, grp, k ORDER BY start_ms, grp, k`)
  return rows.map((row) => rowOf(row, ['cohort', 'previous', 'persons']))
}

/** What a stickiness must give: persons by the number of intervals in which they have an event. */
export async function stickinessRows(
  oracle: Oracle,
  query: {
    readonly timezone: string
    readonly interval: 'day' | 'week'
    readonly where: string
    readonly by: string
  } & ({ readonly period: Period['period'] } | { readonly days: number }),
): Promise<ConversionRow[]> {
  const { timezone, interval } = query
  const zone = sqlString(timezone)
  const by = query.by === '' ? "''" : query.by
  const local = `timezone(${zone}, occurred_at::TIMESTAMP AT TIME ZONE 'UTC')`
  const day = `date_diff('day', DATE '1970-01-01', ${local}::DATE)`
  const startDate =
    'period' in query
      ? `date_trunc('${query.period}', ${local})::DATE`
      : `DATE '1970-01-01' + (${day} - ${day} % ${query.days})::INT`
  const length = 'period' in query ? `INTERVAL 1 ${query.period}` : `INTERVAL ${query.days} DAY`
  const rows = await oracle.sql(`
    WITH active AS (
      SELECT person, ${by} AS grp, ${startDate} AS start_date,
        count(DISTINCT date_trunc('${interval}', ${local})) AS intervals
      FROM events WHERE ${query.where} GROUP BY person, grp, start_date
    )
    SELECT epoch_ms(timezone(${zone}, start_date::TIMESTAMP)) AS start_ms,
      epoch_ms(timezone(${zone}, start_date::TIMESTAMP + ${length})) AS end_ms, grp, intervals::VARCHAR AS label,
      count(*) AS persons
    FROM active GROUP BY start_date, grp, intervals ORDER BY start_ms, grp, intervals`)
  return rows.map((row) => rowOf(row, ['persons']))
}
