/**
 * What a kind of metric must come to: metrics of a job, and the SQL that says every value of them.
 *
 * Owns: the form of a case, and SQL of calendar windows. Does not own running them (modes.ts), comparing (compare.ts). The
 * SQL is written from the definition of the metric, never from the engine.
 */
import type { MetricValue } from '../../src/query/metric-info.ts'
import { sqlString } from '../support/duckdb.ts'
import type { Oracle } from './engagement-oracle.ts'

/** A value that must be there: bounds in epoch ms, dimensions in the metric's order, and the value as a text. */
export interface ExpectedValue {
  readonly startMs: number
  readonly endMs: number
  readonly dimensions: readonly string[]
  readonly told: string
}

/** One metric and what it must give. */
export interface OracleMetric {
  /** The metric without `id` and `retain`, as in a job document. */
  readonly definition: Readonly<Record<string, unknown>>
  /**
   * Selects `s` and `e` (bounds in epoch ms), the dimensions in the metric's order as `d1`, `d2`, …, and `v`, from table
   * `events`; or asks the oracle itself.
   */
  readonly expected: string | ((oracle: Oracle) => Promise<readonly ExpectedValue[]>)
  /** What of a value is compared with `v`; its number unless given. */
  readonly told?: (value: MetricValue) => string
  /** Of sketches, and of sums of fractions: how far a number may be from `v`, relative to it. Exact unless given. */
  readonly tolerance?: number
}

/** A kind of metric: metrics by id. */
export interface OracleCase {
  readonly kind: string
  /** Sections of the job that its metrics need, as `currencies`. */
  readonly sections?: Readonly<Record<string, unknown>>
  readonly metrics: Readonly<Record<string, OracleMetric>>
}

/** Zone of the calendar windows here: it has a day of 23 hours in the sample. */
export const BERLIN = 'Europe/Berlin'

/** A period of the calendar. */
export type Period = 'day' | 'week' | 'month'

/** SQL: the time `utc` (a TIMESTAMP) as a clock in Berlin shows it. */
export function localSql(utc: string): string {
  return `timezone(${sqlString(BERLIN)}, timezone('UTC', ${utc}))`
}

/** SQL: the instant, in epoch ms, at which a clock in Berlin shows `local`. */
export function instantSql(local: string): string {
  return `epoch_ms(timezone(${sqlString(BERLIN)}, ${local}))`
}

/** SQL of a query over calendar windows of Berlin: `value` of the events that meet `where`, by columns. */
export function byPeriod(
  period: Period,
  value: string,
  { where = 'true', by = [] }: { where?: string; by?: readonly string[] } = {},
): string {
  return windowsSql(
    `SELECT *, date_trunc('${period}', ${localSql('occurred_at')}) AS p FROM events WHERE ${where}`,
    [instantSql('p'), instantSql(`p + INTERVAL 1 ${period}`)],
    ...[value, by],
  )
}

/** SQL of a query over windows whose bounds are expressions over the columns of `source`. */
export function windowsSql(
  source: string,
  [start, end]: readonly [string, string],
  value: string,
  by: readonly string[] = [],
): string {
  const dimensions = by.map((column, i) => `, ${column} AS d${i + 1}`).join('')
  return `SELECT ${start} AS s, ${end} AS e${dimensions}, ${value} AS v FROM (${source}) GROUP BY ALL`
}

/** The calendar window of a metric's definition. */
export function calendar(period: Period): { readonly window: object } {
  return { window: { calendar: period, timezone: BERLIN } }
}
