/**
 * Epochs to PostgreSQL: results as rows that are updated in place, dead letters and late events as rows that are added.
 *
 * Owns: the transactions. Does not own: the connection (postgres-connection.ts), tables and statements
 * (postgres-tables.ts).
 *
 * Invariants
 * 1. An epoch's rows and its marker are one transaction, which locks the marker's row first and compares the nonce.
 * 2. `open` puts a new nonce there. An older owner that is in the middle of a transaction is waited for, and its epoch
 *    then is in the marker that `open` reads; one that comes later finds another nonce and rolls back.
 * 3. A commit whose answer is lost is not guessed at: the next `open` reads what came of it.
 */
import { fencedError } from '../checkpoint/store-errors.ts'
import { MillraceError } from '../core/errors.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from './outbox.ts'
import { OutboxBlockCursor } from './outbox-block.ts'
import type { PostgresConnection } from './postgres-connection.ts'
import { MARKER_TABLE, type PostgresRows, SET_UP_LOCK, tablesOf } from './postgres-tables.ts'

/** Rows that go into one statement. */
const STATEMENT_ROWS_MAX = 1000
/** Bytes of records that go into one statement, more or less. */
const STATEMENT_BYTES_MAX = 1024 * 1024

/** Where a PostgresOutbox writes. */
export interface PostgresOutboxOptions {
  readonly owner: OutboxOwner
  readonly rows: PostgresRows
  readonly connect: () => Promise<PostgresConnection>
}

/** Applies epochs in transactions. */
export class PostgresOutbox implements OutboxSink {
  readonly guarantee = 'exactly-once'
  readonly #options: PostgresOutboxOptions
  readonly #cursor = new OutboxBlockCursor()
  #connection: PostgresConnection | null = null

  constructor(options: PostgresOutboxOptions) {
    this.#options = options
  }

  async open(): Promise<OutboxMarker | null> {
    const { owner, connect } = this.#options
    try {
      await this.close()
      const connection = await connect()
      this.#connection = connection
      await this.#setUp(connection)
      await connection.query('BEGIN')
      const { job, sink, jobId, generation, nonce } = owner
      await connection.query(
        `INSERT INTO ${MARKER_TABLE} (job, sink, owner_job_id, owner_generation, owner_nonce)
         VALUES ($1, $2, $3, $4, '') ON CONFLICT (job, sink) DO NOTHING`,
        [job, sink, jobId, generation],
      )
      const found = await this.#lock(connection)
      if (found.owner_job_id === jobId && Number(found.owner_generation) > generation) {
        throw fencedError(job, generation, Number(found.owner_generation))
      }
      await connection.query(
        `UPDATE ${MARKER_TABLE} SET owner_job_id = $3, owner_generation = $4, owner_nonce = $5
         WHERE job = $1 AND sink = $2`,
        [job, sink, jobId, generation, nonce],
      )
      await connection.query('COMMIT')
      return markerOf(found)
    } catch (cause) {
      throw await this.#failed(cause)
    }
  }

  async apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const { owner, rows } = this.#options
    try {
      const connection = this.#connection
      if (connection === null) throw new Error('it is not open')
      await connection.query('BEGIN')
      const found = await this.#lock(connection)
      if (found.owner_nonce !== owner.nonce) {
        throw new Error(`it has another owner than generation ${owner.generation}`)
      }
      const marker = markerOf(found)
      if (marker?.jobId === owner.jobId && epoch <= marker.epoch) {
        await connection.query('ROLLBACK')
        return
      }
      const cursor = this.#cursor
      let bytes = 0
      for await (const block of blocks) {
        cursor.reset(block)
        while (cursor.next()) {
          rows.add(cursor.key, cursor.value)
          bytes += cursor.valueEnd - cursor.valueStart
          if (rows.count < STATEMENT_ROWS_MAX && bytes < STATEMENT_BYTES_MAX) continue
          await this.#write(connection)
          bytes = 0
        }
      }
      await this.#write(connection)
      await connection.query(
        `UPDATE ${MARKER_TABLE} SET job_id = $3, generation = $4, epoch = $5, applied_at = now()
         WHERE job = $1 AND sink = $2`,
        [owner.job, owner.sink, owner.jobId, owner.generation, epoch],
      )
      await connection.query('COMMIT')
    } catch (cause) {
      throw await this.#failed(cause)
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = null
    this.#options.rows.clear()
    await connection?.close()
  }

  /** Creates tables that are missing; with those that are there, no right to create any is needed. */
  async #setUp(connection: PostgresConnection): Promise<void> {
    for (const { table, definition } of tablesOf(this.#options.rows)) {
      const [found] = await connection.query('SELECT to_regclass($1) IS NULL AS missing', [table])
      if (found?.missing !== true) continue
      await connection.query('BEGIN')
      await connection.query(SET_UP_LOCK)
      await connection.query(definition)
      await connection.query('COMMIT')
    }
  }

  async #write(connection: PostgresConnection): Promise<void> {
    for (const { text, parameters } of this.#options.rows.take()) await connection.query(text, parameters)
  }

  async #lock(connection: PostgresConnection): Promise<Readonly<Record<string, unknown>>> {
    const { job, sink } = this.#options.owner
    const text = `SELECT * FROM ${MARKER_TABLE} WHERE job = $1 AND sink = $2 FOR UPDATE`
    const [found] = await connection.query(text, [job, sink])
    if (found === undefined) throw new Error(`the row of job ${job}, sink ${sink} in ${MARKER_TABLE} has been deleted`)
    return found
  }

  async #failed(thrown: unknown): Promise<MillraceError> {
    await this.close()
    const cause = MillraceError.from(thrown)
    if (cause.code === 'STORE_FENCED') return cause
    const retry = cause.code === 'CONFIG_INVALID' ? 'never' : 'restart'
    const message = `sink ${this.#options.owner.sink} cannot write to PostgreSQL: ${cause.message}`
    return new MillraceError('SINK_FAILED', message, { cause, retry })
  }
}

function markerOf({ job_id: jobId, generation, epoch }: Readonly<Record<string, unknown>>): OutboxMarker | null {
  if (typeof jobId !== 'string') return null
  return { jobId, generation: Number(generation), epoch: Number(epoch) }
}
