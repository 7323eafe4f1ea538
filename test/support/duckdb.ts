/**
 * DuckDB in memory, in this process: the batch oracle's engine. The one importer of @duckdb/node-api.
 *
 * One connection, one statement at a time (callers wait for each query), one thread: results come in the order that the
 * SQL says. For test processes that are forks, never for worker threads.
 */
import { DuckDBInstance } from '@duckdb/node-api'

/** A value of a result. Integers within 2^53 are numbers, larger ones an error. */
export type SqlValue = string | number | boolean | null

/** One row of a result by column name. */
export type SqlRow = Readonly<Record<string, SqlValue>>

/** An open in-memory database. */
export interface DuckDb {
  /** Runs one statement and gives all its rows. Rejects on a value that has no plain form (cast it in the SQL). */
  query(sql: string): Promise<SqlRow[]>
  /** Ends it. */
  close(): void
}

/** Opens an empty database in memory. Times without a zone are UTC. */
export async function openDuckDb(): Promise<DuckDb> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
  let running = false
  return {
    async query(sql) {
      if (running) throw new Error('one query at a time on a DuckDB connection: await the last one')
      running = true
      try {
        const result = await connection.runAndReadAll(sql)
        return result
          .getRowObjects()
          .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(name, value)])))
      } finally {
        running = false
      }
    },
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/** `text` as a literal of SQL. */
export function sqlString(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function plain(column: string, value: unknown): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value
  }
  if (typeof value === 'bigint' && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
    return Number(value)
  }
  throw new Error(`column ${column}: ${String(value)} has no plain form, cast it in the SQL`)
}
