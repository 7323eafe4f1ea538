/**
 * The batch oracle: what a windowed metric over the sample clickstream must be, computed by DuckDB from the CSV.
 *
 * Shares nothing with the engine: no window arithmetic, no time-zone data, no parser. Windows without rows do not appear,
 * as in the engine.
 */
import { type DuckDb, openDuckDb, type SqlRow, type SqlValue, sqlString } from '../support/duckdb.ts'
import { ECOM_ROWS, ecomPath, REVENUE_SQL } from '../support/ecom.ts'

/** Dimensions by the names of the event's fields; the columns of table `events` beside row, session and revenue_minor. */
export type OracleColumn = 'person' | 'name' | 'platform' | 'session' | 'channel' | 'cohort' | 'lifecycle'

/** The windows of a metric. */
export interface OracleWindow {
  /** Length. In a zone other than UTC: whole days are calendar days, shorter windows restart at local midnight. */
  readonly sizeMs: number
  /** Shift of every boundary; in UTC only. */
  readonly offsetMs?: number
  /** IANA zone; default UTC. */
  readonly timezone?: string
}

/** What to compute. */
export interface OracleQuery {
  readonly kind: 'count' | 'distinct' | 'sum' | 'min' | 'max' | 'avg'
  /** Column or SQL expression that is aggregated; needed for all kinds but `count` and `distinct` (default: person). */
  readonly value?: string
  /** SQL condition over the columns of `events`; default all rows. */
  readonly where?: string
  readonly window: OracleWindow
  readonly by?: readonly OracleColumn[]
}

/** One expected value: `window_start_ms`, `window_end_ms`, each dimension by name, and `value`. */
export interface OracleRow {
  readonly window_start_ms: number
  readonly window_end_ms: number
  readonly value: number
  readonly [dimension: string]: SqlValue
}

/** An open oracle over the sample clickstream. */
export interface Oracle {
  /** Expected rows, ordered by window, then by dimensions in the given order. */
  rows(query: OracleQuery): Promise<OracleRow[]>
  /** Any SQL over table `events`. */
  sql(text: string): Promise<SqlRow[]>
  close(): void
}

const DAY_MS = 86_400_000

/** Loads the clickstream into DuckDB. */
export async function openOracle(): Promise<Oracle> {
  const db: DuckDb = await openDuckDb()
  await db.query(`
    CREATE TABLE events AS
    WITH raw AS (
      SELECT row_number() OVER () AS row, *
      FROM read_csv(${sqlString(ecomPath)}, header = true, parallel = false, columns = {
        user_id: 'VARCHAR', session_id: 'VARCHAR', event: 'VARCHAR', timestamp: 'TIMESTAMP', platform: 'VARCHAR',
        acquisition_channel: 'VARCHAR', user_cohort: 'VARCHAR', user_lifecycle: 'VARCHAR' })
    )
    SELECT row, user_id AS person, session_id AS session, event AS name, timestamp AS occurred_at,
      epoch_ms(timestamp) AS occurred_at_ms, platform, acquisition_channel AS channel, user_cohort AS cohort,
      user_lifecycle AS lifecycle, ${REVENUE_SQL} AS revenue_minor
    FROM raw`)
  const loaded = (await db.query('SELECT count(*) AS n FROM events'))[0]?.n
  if (loaded !== ECOM_ROWS) throw new Error(`${ecomPath}: ${loaded} rows instead of ${ECOM_ROWS}`)
  return {
    rows: async (query) => (await db.query(oracleSql(query))) as OracleRow[],
    sql: (text) => db.query(text),
    close: () => db.close(),
  }
}

/** The SQL of a query over table `events(occurred_at TIMESTAMP in UTC, occurred_at_ms BIGINT, …)`. */
export function oracleSql(query: OracleQuery): string {
  const { start, end } = windowSql(query.window)
  const by = query.by ?? []
  const dimensions = by.map((name) => `, "${name}"`).join('')
  return `
    WITH windowed AS (
      SELECT *, ${start} AS window_start_ms FROM events WHERE ${query.where ?? 'true'}
    )
    SELECT window_start_ms, ${end} AS window_end_ms${dimensions}, ${aggregateSql(query)} AS value
    FROM windowed
    GROUP BY window_start_ms${dimensions}
    ORDER BY window_start_ms${dimensions}`
}

function aggregateSql(query: OracleQuery): string {
  if (query.kind === 'count') return 'count(*)'
  const value = query.value ?? (query.kind === 'distinct' ? 'person' : undefined)
  if (value === undefined) throw new Error(`a query of kind ${query.kind} needs a value`)
  switch (query.kind) {
    case 'distinct':
      return `count(DISTINCT ${value})`
    case 'avg':
      // The exact quotient of exact integers, rounded once.
      return `sum(${value})::DOUBLE / count(${value})`
    default:
      return `${query.kind}(${value})`
  }
}

/** Window start from `occurred_at_ms`, and window end from `window_start_ms`, both in epoch milliseconds. */
function windowSql(window: OracleWindow): { start: string; end: string } {
  const { sizeMs, offsetMs = 0, timezone = 'UTC' } = window
  if (timezone === 'UTC') {
    return {
      start: `(floor((occurred_at_ms - ${offsetMs}) / ${sizeMs})::BIGINT * ${sizeMs} + ${offsetMs})`,
      end: `(window_start_ms + ${sizeMs})`,
    }
  }
  if (offsetMs !== 0) throw new Error('the oracle knows window offsets in UTC only')
  const zone = sqlString(timezone)
  const instantMs = (local: string): string => `epoch_ms(timezone(${zone}, ${local}))`
  const local = (utc: string): string => `timezone(${zone}, timezone('UTC', ${utc}))`
  const midnight = (utc: string): string => `date_trunc('day', ${local(utc)})`
  if (sizeMs % DAY_MS === 0) {
    const days = sizeMs / DAY_MS
    const firstDay = `(floor(epoch(${midnight('occurred_at')}) / 86400 / ${days})::BIGINT * ${days})`
    return {
      start: instantMs(`TIMESTAMP '1970-01-01' + to_days(${firstDay}::INTEGER)`),
      end: instantMs(`${midnight('make_timestamp(window_start_ms * 1000)')} + to_days(${days})`),
    }
  }
  const dayStart = instantMs(midnight('occurred_at'))
  const nextDay = instantMs(`${midnight('make_timestamp(window_start_ms * 1000)')} + to_days(1)`)
  return {
    start: `(${dayStart} + floor((occurred_at_ms - ${dayStart}) / ${sizeMs})::BIGINT * ${sizeMs})`,
    end: `least(window_start_ms + ${sizeMs}, ${nextDay})`,
  }
}
