/**
 * The metrics of jobs/usage.yaml by DuckDB, from the CSV: dates and minutes, no windows.
 *
 * Shares nothing with the engine: no window arithmetic, no time-zone data, no parser.
 */
import { sqlString } from '../support/duckdb.ts'
import type { Oracle } from './engagement-oracle.ts'

/** One value: a window by its bounds, a group by its texts. */
export interface UsageRow {
  readonly startMs: number
  readonly endMs: number
  readonly by: readonly string[]
  readonly value: number
  /** How many groups it is the rest of; 0 for a group. */
  readonly others: number
}

/** Days, or minutes, up to an end. */
export interface Trailing {
  readonly timezone: string
  /** Of the calendar in a row, up to each day. */
  readonly days?: number
  /** Up to each minute. */
  readonly minutes?: number
  readonly where: string
}

const features = ['search', 'filter_results', 'compare', 'wishlist_add', 'add_to_cart', 'support_chat']
const errors = ['error_page', 'payment_error', 'checkout_bug']
const list = (names: readonly string[]): string => names.map(sqlString).join(', ')

/** Conditions over the names of the file. */
export const usageConditions = {
  feature: `name IN (${list(features)})`,
  page: `name NOT IN (${list([...features, ...errors, 'purchase'])})`,
  purchase: "name = 'purchase'",
}

/** What events are called once they are events. */
const eventName = `CASE WHEN ${usageConditions.feature} THEN 'feature_interaction' WHEN name IN (${list(errors)}) THEN 'error'
  WHEN ${usageConditions.purchase} THEN 'purchase' ELSE 'page_view' END`

function dateIn(timezone: string): string {
  return `CAST(timezone(${sqlString(timezone)}, timezone('UTC', occurred_at)) AS DATE)`
}

function midnight(timezone: string, date: string): string {
  return `epoch_ms(timezone(${sqlString(timezone)}, (${date})::TIMESTAMP))`
}

/** People in each of some last days or minutes. */
export async function trailingUsers(oracle: Oracle, { timezone, days, minutes, where }: Trailing): Promise<UsageRow[]> {
  const n = days ?? minutes!
  const unit = days === undefined ? '(occurred_at_ms // 60000)' : dateIn(timezone)
  const at = (time: string): string => (days === undefined ? `(${time}) * 60000` : midnight(timezone, time))
  return read(
    oracle,
    `WITH seen AS (SELECT DISTINCT person, ${unit} AS d FROM events WHERE ${where}),
    ends AS (SELECT DISTINCT d + k::INT AS e FROM (SELECT DISTINCT d FROM seen), generate_series(1, ${n}) AS g(k))
    SELECT ${at(`e - ${n}`)} AS start_ms, ${at('e')} AS end_ms, [] AS texts, count(DISTINCT person) AS value, 0 AS others
    FROM ends JOIN seen ON d < e AND d >= e - ${n} GROUP BY e`,
  )
}

/** People, or events, by day, week or month, and by an expression. */
export async function calendarCounts(
  oracle: Oracle,
  query: {
    readonly timezone: string
    readonly period: 'day' | 'week' | 'month'
    readonly where: string
    readonly by?: 'name' | 'event'
    readonly of: 'events' | 'persons'
    readonly cap?: number
  },
): Promise<UsageRow[]> {
  const { timezone, period, where, of, cap } = query
  const group = query.by === undefined ? "''" : query.by === 'event' ? eventName : 'name'
  const start = `date_trunc('${period}', ${dateIn(timezone)})`
  const value = of === 'events' ? 'count(*)' : 'count(DISTINCT person)'
  const by = query.by === undefined ? '[]' : '[grp]'
  const rank = 'row_number() OVER (PARTITION BY d ORDER BY value DESC, grp)'
  return read(
    oracle,
    `WITH groups AS (SELECT ${start} AS d, ${group} AS grp, ${value} AS value FROM events WHERE ${where} GROUP BY ALL),
    ranked AS (SELECT *, ${cap === undefined ? 'false' : `${rank} > ${cap}`} AS beyond FROM groups),
    told AS (SELECT d, CASE WHEN beyond THEN '' ELSE grp END AS grp, beyond, sum(value) AS value,
      sum(beyond::INT) AS others FROM ranked GROUP BY ALL)
    SELECT ${midnight(timezone, 'd')} AS start_ms, ${midnight(timezone, `d + INTERVAL 1 ${period}`)} AS end_ms, ${by} AS texts, value,
      others FROM told`,
  )
}

async function read(oracle: Oracle, sql: string): Promise<UsageRow[]> {
  const rows = await oracle.sql(
    `SELECT start_ms, end_ms, to_json(texts)::VARCHAR AS texts, value, others FROM (${sql})`,
  )
  return rows.map((row) => ({
    startMs: Number(row.start_ms),
    endMs: Number(row.end_ms),
    by: JSON.parse(String(row.texts)) as string[],
    value: Number(row.value),
    others: Number(row.others),
  }))
}
