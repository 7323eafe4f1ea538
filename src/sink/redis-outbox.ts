/**
 * Epochs to Redis: the newest value of each row as a hash, or records as entries of a stream.
 *
 *   {<prefix>:<job>}:<metric>:<window>:<dimension>:…   hash: value, text, items, status, revision, window, watermark, …
 *   {<prefix>:<job>}:<stream>                          stream: entries of key, timestamp, value
 *   {<prefix>:<job>}:outbox:<sink>                     hash: the owner, the marker
 *
 * Owns: keys, fields, and splitting an epoch into parts that one script holds. Does not own: the connection and the
 * scripts (checkpoint/redis-connection.ts, lua/outbox-*.lua). The braces are a hash tag: in a cluster all keys of a job's
 * sinks share a slot, as a script over several of them needs.
 *
 * Invariants
 * 1. A part and how far the epoch is applied change in one script, which compares the nonce first.
 * 2. A part begins where the one before ended, whoever applied that: counted in records, so that it does not matter how an
 *    epoch is split. The records before it are checked by their sum.
 * 3. The marker moves with the last part. Between the first and the last, readers see rows of two epochs.
 */
import { fencedError } from '../checkpoint/store-errors.ts'
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import { type MetricRow, metricRowOf } from './metric-row.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from './outbox.ts'
import { OutboxBlockCursor } from './outbox-block.ts'

/** What a part has at most: no script should hold the server up. */
export const PART_RECORDS_MAX = 1000
const PART_BYTES_MAX = 1024 * 1024

/** The scripts of a Redis, as RedisConnection runs them. */
export interface RedisScripts {
  script(
    name: 'outbox-open' | 'outbox-apply',
    keys: readonly string[],
    args: readonly (string | Uint8Array)[],
  ): Promise<readonly (number | Buffer)[]>
  close(): Promise<void>
}

/** Where a RedisOutbox writes. */
export interface RedisOutboxOptions {
  readonly owner: OutboxOwner
  readonly prefix: string
  /** Name of the stream; null for rows as hashes, from results in Protobuf. */
  readonly stream: string | null
  /** How long a row is kept after it was last written; 0 for ever. */
  readonly ttlMs: number
  readonly connect: () => Promise<RedisScripts>
}

/** Part of an epoch on its way. */
interface Part {
  keys: string[]
  args: (string | Uint8Array)[]
  bytes: number
}

/** How far an epoch is applied. */
interface Progress {
  readonly jobId: string
  readonly epoch: number
  readonly records: number
  readonly sum: number
}

/** Applies epochs by scripts. */
export class RedisOutbox implements OutboxSink {
  readonly guarantee = 'exactly-once'
  readonly #options: RedisOutboxOptions
  readonly #tag: string
  readonly #markerKey: string
  readonly #cursor = new OutboxBlockCursor()
  #connection: RedisScripts | null = null
  #marker: OutboxMarker | null = null
  #progress: Progress | null = null

  constructor(options: RedisOutboxOptions) {
    this.#options = options
    this.#tag = `{${options.prefix}:${options.owner.job}}`
    this.#markerKey = `${this.#tag}:outbox:${options.owner.sink}`
  }

  async open(): Promise<OutboxMarker | null> {
    const { owner, connect } = this.#options
    try {
      await this.close()
      this.#connection = await connect()
      const args = [owner.jobId, String(owner.generation), owner.nonce]
      const [done, ...reply] = await this.#connection.script('outbox-open', [this.#markerKey], args)
      const [jobId, generation, epoch, partJob, partEpoch, records, sum] = reply.map(String)
      if (done !== 1) throw fencedError(owner.job, owner.generation, Number(jobId))
      this.#marker = epoch ? { jobId: jobId!, generation: Number(generation), epoch: Number(epoch) } : null
      this.#progress = partEpoch
        ? { jobId: partJob!, epoch: Number(partEpoch), records: Number(records), sum: Number(sum) }
        : null
      return this.#marker
    } catch (cause) {
      throw await this.#failed(cause)
    }
  }

  async apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      if (this.#isApplied(epoch)) return
      await this.#apply(epoch, blocks)
      const { jobId, generation } = this.#options.owner
      this.#marker = { jobId, generation, epoch }
      this.#progress = null
    } catch (cause) {
      throw await this.#failed(cause)
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = null
    await connection?.close()
  }

  #isApplied(epoch: number): boolean {
    return this.#marker?.jobId === this.#options.owner.jobId && epoch <= this.#marker.epoch
  }

  async #apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const { job, jobId } = this.#options.owner
    const resumed = this.#progress?.jobId === jobId ? this.#progress : null
    // Epochs are applied in order: one that was begun is ended before another. Another means that nobody knows it any more.
    if (resumed !== null && resumed.epoch !== epoch) throw otherRecords(job, resumed.epoch)
    const applied = resumed?.records ?? 0
    let records = 0
    let sum = 0
    let sent = applied
    let part: Part = { keys: [], args: [], bytes: 0 }
    const cursor = this.#cursor
    for await (const block of blocks) {
      cursor.reset(block)
      while (cursor.next()) {
        if (records === applied && sum !== (resumed?.sum ?? 0)) throw otherRecords(job, epoch)
        const start = cursor.keyStart < 0 ? cursor.valueStart : cursor.keyStart
        sum = crc32c(cursor.bytes, start, cursor.valueEnd, sum)
        records++
        if (records <= applied) continue
        this.#add(part, cursor)
        part.bytes += cursor.valueEnd - cursor.valueStart
        if (part.keys.length >= PART_RECORDS_MAX || part.bytes >= PART_BYTES_MAX) {
          await this.#send(epoch, part, sent, records, sum, false)
          sent = records
          part = { keys: [], args: [], bytes: 0 }
        }
      }
    }
    if (records < applied || (records === applied && sum !== (resumed?.sum ?? 0))) {
      throw otherRecords(job, epoch)
    }
    await this.#send(epoch, part, sent, records, sum, true)
  }

  async #send(epoch: number, part: Part, from: number, to: number, sum: number, last: boolean): Promise<void> {
    const { owner, ttlMs } = this.#options
    if (this.#connection === null) throw new Error('it is not open')
    const head = [owner.nonce, owner.jobId, owner.generation, epoch, from, to, sum, last ? 1 : 0, ttlMs].map(String)
    const [done] = await this.#connection.script(
      'outbox-apply',
      [this.#markerKey, ...part.keys],
      [...head, ...part.args],
    )
    if (done === 0) throw new Error(`it has another owner than generation ${owner.generation}`)
    if (done === -1) throw new Error(`epoch ${epoch} has been applied further than by this owner`)
  }

  #add(part: Part, cursor: OutboxBlockCursor): void {
    const { stream } = this.#options
    if (stream !== null) {
      // Copied: the block may be gone when the part is sent.
      const value = cursor.value.slice()
      const key = cursor.key?.slice() ?? new Uint8Array(0)
      part.keys.push(`${this.#tag}:${stream}`)
      part.args.push('XADD', '3', 'key', key, 'timestamp', String(cursor.timestampMs), 'value', value)
      return
    }
    const row = metricRowOf(cursor.key ?? new Uint8Array(0), cursor.value)
    part.keys.push(this.#rowKey(row))
    if (row.withdrawn) part.args.push('DEL', '0')
    else {
      const fields = fieldsOf(row)
      part.args.push('HSET', String(fields.length / 2), ...fields)
    }
  }

  #rowKey({ metric, window, dimensions }: MetricRow): string {
    return [this.#tag, metric, window, ...dimensions.map(({ value }) => escaped(value))].join(':')
  }

  async #failed(thrown: unknown): Promise<MillraceError> {
    await this.close()
    const cause = MillraceError.from(thrown)
    if (cause.code === 'STORE_FENCED' || cause.code === 'STORE_LOST') return cause
    const retry = cause.code === 'CONFIG_INVALID' ? 'never' : 'restart'
    const message = `sink ${this.#options.owner.sink} cannot write to Redis: ${cause.message}`
    return new MillraceError('SINK_FAILED', message, { cause, retry })
  }
}

/** So that no two texts give one key: `:` and `%` as in a URL. */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll(':', '%3A')
}

/** Names and values, in turn. All of them always: what a row had before is written over. */
function fieldsOf(row: MetricRow): string[] {
  return [
    'value',
    row.value === null ? '' : String(row.value),
    'text',
    row.text ?? '',
    'items',
    row.items.length === 0 ? '' : JSON.stringify(row.items),
    'dimensions',
    JSON.stringify(Object.fromEntries(row.dimensions.map(({ name, value }) => [name, value]))),
    'window_start',
    new Date(row.startMs).toISOString(),
    'window_end',
    new Date(row.endMs).toISOString(),
    'status',
    row.status,
    'revision',
    String(row.revision),
    'watermark',
    row.watermarkMs === null ? '' : new Date(row.watermarkMs).toISOString(),
    'events',
    String(row.eventCount),
    'late',
    String(row.lateCount),
    'attempt',
    String(row.attempt),
  ]
}

function otherRecords(job: string, epoch: number): MillraceError {
  return new MillraceError(
    'STORE_LOST',
    `epoch ${epoch} of job ${job} is in Redis in part, with other records than those that are to be applied now: the ` +
      'checkpoint store has lost a checkpoint. Restore the store, or cancel the job and submit it anew',
  )
}
