/**
 * The sample clickstream (jobs/data/ecom.csv.gz) as rows, for tests that feed the engine; the oracle reads the same
 * file by DuckDB on its own.
 *
 * Revenue is not in the file. Tests of sum, min, max and avg use an amount derived from the row number, the same formula
 * here and in the oracle's SQL.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { projectRoot } from './infra-process.ts'

/** Where the file is. */
export const ecomPath: string = join(projectRoot, 'jobs/data/ecom.csv.gz')

/** Rows of the file. */
export const ECOM_ROWS = 31_106

/** One event of the file. */
export interface EcomRow {
  /** Row number in the file from 1, header not counted; the event's id. */
  readonly row: number
  readonly user: string
  readonly session: string
  readonly event: string
  /** Epoch milliseconds. */
  readonly timestampMs: number
  readonly platform: string
  readonly channel: string
  readonly cohort: string
  readonly lifecycle: string
  /** Derived, see the header; minor units. */
  readonly revenueMinor: number
}

/** Amount of a purchase by its row number, as SQL over the oracle's columns. */
export const REVENUE_SQL = "CASE WHEN event = 'purchase' THEN 100 + (row * 7919) % 20000 ELSE 0 END"

/** All rows sorted by time, those of one time by row number. */
export function readEcom(): EcomRow[] {
  const [header, ...lines] = gunzipSync(readFileSync(ecomPath)).toString('utf8').trimEnd().split(/\r?\n/)
  const expected = 'user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle'
  if (header !== expected) throw new Error(`${ecomPath}: unexpected columns ${header}`)
  return lines.map(parseRow).sort((a, b) => a.timestampMs - b.timestampMs || a.row - b.row)
}

function parseRow(line: string, index: number): EcomRow {
  const cells = line.split(',')
  const [user, session, event, timestamp, platform, channel, cohort, lifecycle] = cells
  const timestampMs = Date.parse(`${timestamp?.replace(' ', 'T')}Z`)
  if (cells.length !== 8 || Number.isNaN(timestampMs)) throw new Error(`${ecomPath}:${index + 2}: ${line}`)
  const row = index + 1
  return {
    row,
    user: user!,
    session: session!,
    event: event!,
    timestampMs,
    platform: platform!,
    channel: channel!,
    cohort: cohort!,
    lifecycle: lifecycle!,
    revenueMinor: event === 'purchase' ? 100 + ((row * 7919) % 20_000) : 0,
  }
}
