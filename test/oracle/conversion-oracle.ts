/**
 * The metrics of jobs/conversion.yaml by DuckDB, from the CSV: joins and window functions, no walk over timelines.
 *
 * Shares nothing with the engine: no window arithmetic, no time-zone data, no parser.
 */
import type { SqlRow } from '../support/duckdb.ts'
import { sqlString } from '../support/duckdb.ts'
import type { Oracle } from './engagement-oracle.ts'

/** One row a window, group and own dimension. */
export interface ConversionRow {
  readonly startMs: number
  readonly endMs: number
  readonly by: string
  readonly label: string
  /** Of funnels: entered, previous, persons, sum of times, then by bucket; of lifecycles: persons. */
  readonly values: readonly number[]
}

/** Calendar windows of a zone. */
export interface Period {
  readonly period: 'day' | 'week' | 'month'
  readonly timezone: string
}

/** A funnel in SQL. */
export interface FunnelQuery extends Period {
  /** Conditions over the columns of `events` that never hold together. */
  readonly steps: readonly string[]
  readonly order: 'sequential' | 'strict' | 'any'
  readonly withinMs: number
  /** No event of this condition between the first and the last step. */
  readonly exclude?: string
  /** Column of the dimension; '' for none. */
  readonly by: string
  /** Whose column: the first event's, or that of the last step reached. */
  readonly attribution: 'first' | 'last'
  readonly bucketsMs: readonly number[]
}

/** When the period of an instant begins, epoch ms. */
export function startOf({ period, timezone }: Period, ms: string): string {
  const zone = sqlString(timezone)
  return `epoch_ms(timezone(${zone}, date_trunc('${period}', timezone(${zone}, timezone('UTC', make_timestamp((${ms}) * 1000))))))`
}

/** When the period that begins at an instant ends, epoch ms. */
export function endOf({ period, timezone }: Period, startMs: string): string {
  const zone = sqlString(timezone)
  const local = `timezone(${zone}, timezone('UTC', make_timestamp((${startMs}) * 1000)))`
  return `epoch_ms(timezone(${zone}, ${local} + INTERVAL 1 ${period}))`
}

/** Attempts with the time of each step, t1 … tn, NULL where it is not reached, and the dimension of each, d1 … dn. */
function attemptsSql(query: FunnelQuery): string {
  const { steps, order, withinMs } = query
  const by = query.by === '' ? "''" : query.by
  const kind = `CASE ${steps.map((step, i) => `WHEN ${step} THEN ${i + 1}`).join(' ')} ELSE 0 END`
  const typed = `typed AS (SELECT row, person, occurred_at_ms AS t, ${by} AS d, ${kind} AS kind FROM events)`
  if (order === 'any') {
    // The first time of each step in reach, from any event of a step on; then in the order of those times.
    const firsts = steps.map((_, i) => `min(e.t) FILTER (e.kind = ${i + 1}) AS f${i + 1}`).join(', ')
    const list = `list_sort(list_filter([${steps.map((_, i) => `f${i + 1}`).join(', ')}], x -> x IS NOT NULL))`
    const times = steps.map((_, i) => `${list}[${i + 1}] AS t${i + 1}`).join(', ')
    return `${typed}, firsts AS (
      SELECT s.row, s.person, any_value(s.d) AS d1, ${firsts} FROM typed s
      JOIN typed e ON e.person = s.person AND e.t >= s.t AND e.t <= s.t + ${withinMs}
      WHERE s.kind > 0 GROUP BY s.row, s.person
    ), attempts AS (SELECT row, person, d1, ${times} FROM firsts)`
  }
  const parts = [
    `times AS (SELECT person, t, count(*) AS events, lead(t) OVER (PARTITION BY person ORDER BY t) AS next_t
      FROM typed GROUP BY person, t)`,
    'a1 AS (SELECT row, person, t AS t1, d AS d1, 1 AS used FROM typed WHERE kind = 1)',
  ]
  for (let k = 2; k <= steps.length; k++) {
    const kept = Array.from({ length: k - 1 }, (_, i) => `a.t${i + 1}, a.d${i + 1}`).join(', ')
    if (order === 'strict') {
      // The next instant, unless that of the step before has events that are no steps; or that instant itself. An attempt
      // may go on in several ways: the best is taken in the end.
      parts.push(`a${k} AS (
        SELECT a.row, a.person, ${kept}, e.t AS t${k}, e.d AS d${k},
          CASE WHEN e.t = a.t${k - 1} THEN a.used + 1 ELSE 1 END AS used
        FROM a${k - 1} a LEFT JOIN times m ON m.person = a.person AND m.t = a.t${k - 1}
        LEFT JOIN typed e ON e.person = a.person AND e.kind = ${k} AND e.t <= a.t1 + ${withinMs} AND (e.t = a.t${k - 1}
          OR (e.t = m.next_t AND (a.t${k - 1} = a.t1 OR m.events = a.used))))`)
      continue
    }
    parts.push(`a${k} AS (
      SELECT a.row, a.person, ${kept}, 1 AS used, min(e.t) AS t${k}, arg_min(e.d, (e.t, e.row)) AS d${k}
      FROM a${k - 1} a LEFT JOIN typed e ON e.person = a.person AND e.kind = ${k}
        AND e.t >= a.t${k - 1} AND e.t <= a.t1 + ${withinMs}
      GROUP BY a.row, a.person, ${kept})`)
  }
  return `${typed}, ${parts.join(', ')}, attempts AS (SELECT * FROM a${steps.length})`
}

/** What a funnel must give. */
export async function funnelRows(oracle: Oracle, query: FunnelQuery): Promise<ConversionRow[]> {
  const { steps, withinMs, exclude, bucketsMs } = query
  const n = steps.length
  const depth = steps.map((_, i) => `(t${i + 1} IS NOT NULL)::INT`).join(' + ')
  const excluded =
    exclude === undefined
      ? 'false'
      : `EXISTS (SELECT 1 FROM events x WHERE x.person = attempts.person AND (${exclude}) AND x.occurred_at_ms > t1
          AND x.occurred_at_ms < coalesce(t${n}, t1 + ${withinMs} + 1))`
  const group = query.attribution === 'first' ? 'd1' : `[${steps.map((_, i) => `d${i + 1}`).join(', ')}][depth]`
  const buckets = Array.from({ length: bucketsMs.length + 1 }, (_, b) => {
    const above = b === 0 ? 'true' : `s.took >= ${bucketsMs[b - 1]}`
    const below = b === bucketsMs.length ? 'true' : `s.took < ${bucketsMs[b]}`
    return `count(*) FILTER (s.took IS NOT NULL AND ${above} AND ${below}) AS bucket${b}`
  })
  const rows = await oracle.sql(`
    WITH ${attemptsSql(query)},
    judged AS (SELECT *, ${startOf(query, 't1')} AS start_ms, ${depth} AS depth FROM attempts WHERE NOT ${excluded}),
    best AS (
      SELECT * FROM judged
      QUALIFY row_number() OVER (PARTITION BY person, start_ms ORDER BY depth DESC, t1, row, ${steps.map((_, i) => `t${i + 1}`).join(', ')}) = 1
    ),
    grouped AS (SELECT *, ${group} AS grp FROM best),
    s AS (
      ${steps.map((_, i) => `SELECT start_ms, grp, ${i + 1} AS step, depth, t${i + 1} - t1 AS took FROM grouped`).join(' UNION ALL ')}
    )
    SELECT start_ms, ${endOf(query, 'start_ms')} AS end_ms, grp, step::VARCHAR AS label, count(*) AS entered,
      count(*) FILTER (s.depth >= step - 1) AS previous, count(*) FILTER (s.depth >= step) AS persons,
      coalesce(sum(s.took), 0)::BIGINT AS took, ${buckets.join(', ')}
    FROM s GROUP BY start_ms, grp, step ORDER BY start_ms, grp, step`)
  return rows.map((row) =>
    rowOf(row, ['entered', 'previous', 'persons', 'took', ...buckets.map((_, b) => `bucket${b}`)]),
  )
}

/** What a lifecycle must give. */
export async function lifecycleRows(
  oracle: Oracle,
  query: Period & { readonly lookbackMs: number; readonly where: string; readonly by: string },
): Promise<ConversionRow[]> {
  const by = query.by === '' ? "''" : query.by
  const rows = await oracle.sql(`
    WITH periods AS (
      SELECT DISTINCT person, ${by} AS grp, ${startOf(query, 'occurred_at_ms')} AS start_ms
      FROM events WHERE ${query.where}
    ),
    neighbours AS (
      SELECT *, ${endOf(query, 'start_ms')} AS end_ms,
        lag(start_ms) OVER w AS before_ms, lead(start_ms) OVER w AS next_ms
      FROM periods WINDOW w AS (PARTITION BY person, grp ORDER BY start_ms)
    ),
    told AS (
      SELECT start_ms, grp, CASE
          WHEN before_ms IS NOT NULL AND ${endOf(query, 'before_ms')} = start_ms THEN 'returning'
          WHEN before_ms >= start_ms - ${query.lookbackMs} THEN 'resurrecting' ELSE 'new' END AS label
      FROM neighbours
      UNION ALL
      SELECT end_ms, grp, 'dormant' FROM neighbours WHERE next_ms IS NULL OR next_ms > end_ms
    )
    SELECT start_ms, ${endOf(query, 'start_ms')} AS end_ms, grp, label, count(*) AS persons
    FROM told GROUP BY start_ms, grp, label ORDER BY start_ms, grp, label`)
  return rows.map((row) => rowOf(row, ['persons']))
}

/** One row of an answer. */
export function rowOf(row: SqlRow, columns: readonly string[]): ConversionRow {
  return {
    startMs: Number(row.start_ms),
    endMs: Number(row.end_ms),
    by: String(row.grp ?? ''),
    label: String(row.label),
    values: columns.map((name) => Number(row[name])),
  }
}
