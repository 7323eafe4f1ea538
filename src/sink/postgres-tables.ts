/**
 * The tables of a PostgreSQL sink, and the statements that fill them.
 *
 * Owns: columns, keys, how many values become one statement. Does not own: transactions (postgres-outbox.ts).
 *
 * Rows travel as arrays of columns, unnested: a statement has the same text, and a dozen parameters, for one row as for a
 * thousand. A statement that upserts must not have a row twice: the last one of a key counts.
 */
import { DeadLetter, LateEvent } from '../gen/millrace/v1/metric.ts'
import { type MetricRow, metricRowOf } from './metric-row.ts'

/** Where owners and markers are: one row a job and sink. */
export const MARKER_TABLE = 'millrace_outbox'

/** A statement with its parameters. */
export interface Statement {
  readonly text: string
  readonly parameters: readonly unknown[]
}

/** Rows of one table on their way. */
export interface PostgresRows {
  /** Its name, quoted. */
  readonly table: string
  /** Creates it if need be. */
  readonly definition: string
  readonly count: number
  add(key: Uint8Array | null, value: Uint8Array): void
  /** The statements that write what was added; forgets it. */
  take(): readonly Statement[]
  clear(): void
}

const MARKER_DEFINITION = `CREATE TABLE IF NOT EXISTS ${MARKER_TABLE} (
  job text NOT NULL, sink text NOT NULL,
  owner_job_id text NOT NULL, owner_generation bigint NOT NULL, owner_nonce text NOT NULL,
  job_id text, generation bigint, epoch bigint, applied_at timestamptz,
  PRIMARY KEY (job, sink))`

/** Creates one at a time: "if not exists" alone is no atomic thing. */
export const SET_UP_LOCK = `SELECT pg_advisory_xact_lock(hashtext('${MARKER_TABLE}'))`

/** The tables that a sink needs, with what creates them. */
export function tablesOf({ table, definition }: PostgresRows): readonly { table: string; definition: string }[] {
  return [
    { table: MARKER_TABLE, definition: MARKER_DEFINITION },
    { table, definition },
  ]
}

/** A table's name in a statement: `name` or `schema.name`. */
export function quotedTable(name: string): string {
  return name
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.')
}

/** A column: its name, its type in the table, the type of its parameter, the value. */
interface Column<R> {
  readonly name: string
  readonly type: string
  /** Type of an element of the parameter; the type without its constraints by default. */
  readonly from?: string
  /** What is stored, from `v`, the element. */
  readonly stored?: string
  readonly of: (row: R) => unknown
}

const metricColumns: readonly Column<MetricRow>[] = [
  { name: 'job', type: 'text NOT NULL', of: (row) => row.job },
  { name: 'metric', type: 'text NOT NULL', of: (row) => row.metric },
  { name: 'window_key', type: 'text NOT NULL', of: (row) => row.window },
  // Of any length, which the entries of an index are not; and with any character, which a jsonb is not.
  {
    name: 'dimensions_key',
    type: 'bytea NOT NULL',
    from: 'text',
    stored: "sha256(convert_to(v, 'UTF8'))",
    of: (row) => JSON.stringify(row.dimensions.map(({ value }) => value)),
  },
  {
    name: 'dimensions',
    type: 'jsonb NOT NULL',
    of: ({ dimensions }) => json(Object.fromEntries(dimensions.map(({ name, value }) => [name, value]))),
  },
  { name: 'window_start', type: 'timestamptz NOT NULL', of: (row) => instant(row.startMs) },
  { name: 'window_end', type: 'timestamptz NOT NULL', of: (row) => instant(row.endMs) },
  { name: 'value', type: 'double precision', of: (row) => row.value },
  { name: 'text', type: 'text', of: (row) => (row.text === null ? null : withoutNul(row.text)) },
  { name: 'items', type: 'jsonb', of: (row) => (row.items.length === 0 ? null : json(row.items)) },
  { name: 'status', type: 'text NOT NULL', of: (row) => row.status },
  { name: 'revision', type: 'bigint NOT NULL', of: (row) => row.revision },
  { name: 'watermark', type: 'timestamptz', of: (row) => (row.watermarkMs === null ? null : instant(row.watermarkMs)) },
  { name: 'event_count', type: 'bigint NOT NULL', of: (row) => row.eventCount },
  { name: 'late_count', type: 'bigint NOT NULL', of: (row) => row.lateCount },
  { name: 'attempt', type: 'bigint NOT NULL', of: (row) => row.attempt },
]
const metricKey = ['job', 'metric', 'window_key', 'dimensions_key']

/** Results: the newest value of each metric, window and group. Withdrawn rows are deleted. */
export class MetricTable implements PostgresRows {
  readonly table: string
  readonly definition: string
  readonly #upsert: string
  readonly #delete: string
  readonly #rows = new Map<string, MetricRow>()

  constructor(table: string) {
    const name = quotedTable(table)
    this.table = name
    const columns = metricColumns.map((column) => `"${column.name}" ${column.type}`).join(', ')
    this.definition = `CREATE TABLE IF NOT EXISTS ${name} (${columns}, PRIMARY KEY (${metricKey.join(', ')}))`
    const set = metricColumns
      .filter((column) => !metricKey.includes(column.name))
      .map((column) => `"${column.name}" = excluded."${column.name}"`)
    this.#upsert = `${insertion(name, metricColumns)} ON CONFLICT (${metricKey.join(', ')}) DO UPDATE SET ${set.join(', ')}`
    const keys = metricColumns.filter((column) => metricKey.includes(column.name))
    const same = keys.map((column) => `t."${column.name}" = k."${column.name}"`).join(' AND ')
    this.#delete = `DELETE FROM ${name} t USING (${selection(keys)}) k WHERE ${same}`
  }

  get count(): number {
    return this.#rows.size
  }

  add(key: Uint8Array | null, value: Uint8Array): void {
    const row = metricRowOf(key ?? new Uint8Array(0), value)
    this.#rows.set(JSON.stringify([row.job, row.metric, row.window, ...row.dimensions.map((one) => one.value)]), row)
  }

  take(): readonly Statement[] {
    const rows = [...this.#rows.values()]
    this.clear()
    const written = rows.filter((row) => !row.withdrawn)
    const deleted = rows.filter((row) => row.withdrawn)
    const keys = metricColumns.filter((column) => metricKey.includes(column.name))
    return [
      ...(written.length === 0 ? [] : [{ text: this.#upsert, parameters: arrays(metricColumns, written) }]),
      ...(deleted.length === 0 ? [] : [{ text: this.#delete, parameters: arrays(keys, deleted) }]),
    ]
  }

  clear(): void {
    this.#rows.clear()
  }
}

/** A dead letter or a late event. */
interface SideRow {
  readonly job: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timeMs: number | null
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly reason: string | null
  readonly watermarkMs: number | null
  readonly metrics: readonly string[]
}

const sideColumns: readonly Column<SideRow>[] = [
  { name: 'job', type: 'text NOT NULL', of: (row) => row.job },
  { name: 'topic', type: 'text NOT NULL', of: (row) => row.topic },
  { name: 'partition', type: 'integer NOT NULL', of: (row) => row.partition },
  { name: 'offset', type: 'bigint NOT NULL', of: (row) => row.offset },
  { name: 'time', type: 'timestamptz', of: (row) => (row.timeMs === null ? null : instant(row.timeMs)) },
  { name: 'key', type: 'bytea', from: 'text', stored: "decode(v, 'base64')", of: (row) => base64(row.key) },
  { name: 'value', type: 'bytea', from: 'text', stored: "decode(v, 'base64')", of: (row) => base64(row.value) },
]
const deadLetterColumns: readonly Column<SideRow>[] = [
  ...sideColumns,
  { name: 'reason', type: 'text NOT NULL', of: (row) => row.reason },
]
const lateColumns: readonly Column<SideRow>[] = [
  ...sideColumns,
  { name: 'watermark', type: 'timestamptz', of: (row) => (row.watermarkMs === null ? null : instant(row.watermarkMs)) },
  { name: 'metrics', type: 'jsonb', of: (row) => json(row.metrics) },
]

/** Dead letters or late events, a row each. */
export class SideTable implements PostgresRows {
  readonly table: string
  readonly definition: string
  readonly #columns: readonly Column<SideRow>[]
  readonly #insert: string
  readonly #decode: (value: Uint8Array) => SideRow
  #rows: SideRow[] = []

  constructor(table: string, kind: 'deadLetters' | 'late') {
    const name = quotedTable(table)
    this.table = name
    this.#columns = kind === 'late' ? lateColumns : deadLetterColumns
    this.#decode = kind === 'late' ? lateRow : deadLetterRow
    const columns = this.#columns.map((column) => `"${column.name}" ${column.type}`).join(', ')
    this.definition = `CREATE TABLE IF NOT EXISTS ${name} (${columns})`
    this.#insert = insertion(name, this.#columns)
  }

  get count(): number {
    return this.#rows.length
  }

  add(_key: Uint8Array | null, value: Uint8Array): void {
    this.#rows.push(this.#decode(value))
  }

  take(): readonly Statement[] {
    const rows = this.#rows
    this.clear()
    return rows.length === 0 ? [] : [{ text: this.#insert, parameters: arrays(this.#columns, rows) }]
  }

  clear(): void {
    this.#rows = []
  }
}

function deadLetterRow(value: Uint8Array): SideRow {
  const letter = DeadLetter.decode(value)
  const { job, topic, partition, offset, reason, recordTime } = letter
  const { key, value: bytes } = letter
  const timeMs = recordTime?.getTime() ?? null
  return { job, topic, partition, offset, timeMs, key, value: bytes, reason, watermarkMs: null, metrics: [] }
}

function lateRow(value: Uint8Array): SideRow {
  const event = LateEvent.decode(value)
  const { job, topic, partition, offset, eventTime, watermark, key, metrics } = event
  const timeMs = eventTime?.getTime() ?? null
  const watermarkMs = watermark?.getTime() ?? null
  return { job, topic, partition, offset, timeMs, key, value: event.value, reason: null, watermarkMs, metrics }
}

function baseType<R>({ type, from }: Column<R>): string {
  return from ?? type.replace(/ NOT NULL$/, '')
}

/** `SELECT` of the rows that parameters hold, a column each. */
function selection<R>(columns: readonly Column<R>[]): string {
  const stored = columns.map(
    ({ name, stored: text }, i) => `${text === undefined ? `c${i}` : text.replace(/\bv\b/, `c${i}`)} AS "${name}"`,
  )
  const parameters = columns.map((column, i) => `$${i + 1}::${baseType(column)}[]`)
  return `SELECT ${stored.join(', ')} FROM unnest(${parameters.join(', ')}) AS u(${columns.map((_, i) => `c${i}`).join(', ')})`
}

function insertion<R>(table: string, columns: readonly Column<R>[]): string {
  return `INSERT INTO ${table} (${columns.map(({ name }) => `"${name}"`).join(', ')}) ${selection(columns)}`
}

function arrays<R>(columns: readonly Column<R>[], rows: readonly R[]): readonly unknown[] {
  return columns.map(({ of }) => rows.map(of))
}

function instant(timestampMs: number): string {
  return new Date(timestampMs).toISOString()
}

function json(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? withoutNul(part) : part))
}

/** PostgreSQL's texts hold every character but one. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\ufffd')
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}
