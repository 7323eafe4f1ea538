/**
 * Builds record batches v2: for the embedded log, the generators' chunks and test fixtures.
 *
 * Owns: record and header encoding, CRC. Does not own: where batches go. Buffers are reused: what `finish` returns is
 * valid until the next `append`. Transactional and control batches can be made, for fixtures and for copies of topics;
 * nothing here coordinates a transaction.
 */
import { invariant } from '../core/errors.ts'
import { varintSize, writeInt16, writeInt32, writeInt64, writeVarint } from './binary.ts'
import { type CodecName, codecNames, compress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { BATCH_HEADER_SIZE, BATCH_LENGTH_END, CONTROL_ABORT, CONTROL_COMMIT } from './record-batch.ts'

/** A record header as it is written; readers skip them. */
export type RecordHeader = readonly [name: string, value: Uint8Array | null]

/** What a batch says of itself beyond its records. All optional. */
export interface RecordBatchOptions {
  /** Default none. */
  readonly codec?: CodecName
  /** Default -1n: not idempotent. */
  readonly producerId?: bigint
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly partitionLeaderEpoch?: number
  readonly transactional?: boolean
  /** A control batch: its one record must be a marker (`appendMarker`). */
  readonly control?: boolean
  /** Log append time: readers take it as every record's timestamp. */
  readonly logAppendTimeMs?: number
  /** Last offset delta when later offsets were compacted away; at least that of the last record. */
  readonly lastOffsetDelta?: number
}

/**
 * Bytes of one record without headers, its own length field excluded. Key and value lengths are -1 for null.
 * With `writeRecordHead` a records section can be built in a buffer of the caller.
 */
export function recordBodySize(offsetDelta: number, timestampDelta: number, keyLength: number, valueLength: number) {
  return (
    2 +
    varintSize(timestampDelta) +
    varintSize(offsetDelta) +
    varintSize(keyLength) +
    Math.max(0, keyLength) +
    varintSize(valueLength) +
    Math.max(0, valueLength)
  )
}

/**
 * Writes a record's fields up to and including its key at `into[at ..]`, and the value's length; the value's bytes and a
 * zero byte (no headers) must follow. Returns the position of the value. There must be room for
 * `recordBodySize` + 5 bytes.
 */
export function writeRecordHead(
  into: Uint8Array,
  at: number,
  offsetDelta: number,
  timestampDelta: number,
  key: Uint8Array | null,
  valueLength: number,
  bodySize: number,
): number {
  let p = writeVarint(into, at, bodySize)
  into[p++] = 0
  p = writeVarint(into, p, timestampDelta)
  p = writeVarint(into, p, offsetDelta)
  if (key === null) {
    p = writeVarint(into, p, -1)
  } else {
    p = writeVarint(into, p, key.length)
    into.set(key, p)
    p += key.length
  }
  return writeVarint(into, p, valueLength)
}

/** Collects records into one batch at a time. */
export class RecordBatchWriter {
  #buffer: Uint8Array
  #at = BATCH_HEADER_SIZE
  #count = 0
  #baseTimestampMs = 0
  #maxTimestampMs = -1
  #lastOffsetDelta = -1

  constructor(initialBytes = 65_536) {
    this.#buffer = new Uint8Array(Math.max(initialBytes, 2 * BATCH_HEADER_SIZE))
  }

  /** Records appended since the last `finish` or `clear`. */
  get count(): number {
    return this.#count
  }

  /** Size in bytes of the batch so far, before compression. */
  get sizeBytes(): number {
    return this.#at
  }

  /** Largest timestamp so far; -1 without records. */
  get maxTimestampMs(): number {
    return this.#maxTimestampMs
  }

  /**
   * Adds one record; its bytes are copied. `offsetDelta` defaults to one after the last: a larger one leaves a gap, as
   * compaction does.
   */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    timestampMs: number,
    offsetDelta: number = this.#lastOffsetDelta + 1,
    headers: readonly RecordHeader[] = [],
  ): void {
    invariant(offsetDelta > this.#lastOffsetDelta, `offset delta ${offsetDelta} after ${this.#lastOffsetDelta}`)
    if (this.#count === 0) this.#baseTimestampMs = timestampMs
    const timestampDelta = timestampMs - this.#baseTimestampMs
    const headerBytes = headers.length === 0 ? NO_HEADERS : encodeHeaders(headers)
    const keyLength = key === null ? -1 : key.length
    const valueLength = value === null ? -1 : value.length
    const bodySize = recordBodySize(offsetDelta, timestampDelta, keyLength, valueLength) - 1 + headerBytes.length
    this.#reserve(bodySize + 5)
    let p = writeRecordHead(this.#buffer, this.#at, offsetDelta, timestampDelta, key, valueLength, bodySize)
    if (value !== null) {
      this.#buffer.set(value, p)
      p += value.length
    }
    this.#buffer.set(headerBytes, p)
    this.#at = p + headerBytes.length
    this.#count++
    this.#lastOffsetDelta = offsetDelta
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
  }

  /**
   * Adds the record whose key is `from[keyStart .. keyEnd)` (none with `keyStart` -1) and whose value is
   * `from[valueStart .. valueEnd)`, without headers. Nothing is allocated for it.
   */
  appendRange(
    from: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    timestampMs: number,
  ): void {
    const offsetDelta = this.#lastOffsetDelta + 1
    if (this.#count === 0) this.#baseTimestampMs = timestampMs
    const timestampDelta = timestampMs - this.#baseTimestampMs
    const keyLength = keyStart < 0 ? -1 : keyEnd - keyStart
    const valueLength = valueEnd - valueStart
    const bodySize = recordBodySize(offsetDelta, timestampDelta, keyLength, valueLength)
    this.#reserve(bodySize + 5)
    const into = this.#buffer
    let p = writeVarint(into, this.#at, bodySize)
    into[p++] = 0
    p = writeVarint(into, p, timestampDelta)
    p = writeVarint(into, p, offsetDelta)
    p = writeVarint(into, p, keyLength)
    if (keyLength > 0) p = copyRange(into, p, from, keyStart, keyEnd)
    p = writeVarint(into, p, valueLength)
    p = copyRange(into, p, from, valueStart, valueEnd)
    into[p] = 0
    this.#at = p + 1
    this.#count++
    this.#lastOffsetDelta = offsetDelta
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
  }

  /** Adds a transaction marker, for a control batch: 'abort' or 'commit', of coordinator epoch 0. */
  appendMarker(marker: 'abort' | 'commit', timestampMs: number): void {
    const key = new Uint8Array(4)
    writeInt16(key, 2, marker === 'abort' ? CONTROL_ABORT : CONTROL_COMMIT)
    this.append(key, new Uint8Array(6), timestampMs)
  }

  /**
   * The batch, starting at `baseOffset`, and ready for the next one. Without records it is what compaction leaves of a
   * batch: then `lastOffsetDelta` must say how many offsets it stands for.
   */
  finish(baseOffset: number, options: RecordBatchOptions = {}): Uint8Array {
    const lastOffsetDelta = options.lastOffsetDelta ?? this.#lastOffsetDelta
    invariant(lastOffsetDelta >= Math.max(0, this.#lastOffsetDelta), `last offset delta ${lastOffsetDelta}`)
    const codec = options.codec ?? 'none'
    if (codec !== 'none' && this.#count > 0) {
      const packed = compress(codec, this.#buffer, BATCH_HEADER_SIZE, this.#at)
      this.#at = BATCH_HEADER_SIZE
      this.#reserve(packed.length)
      this.#buffer.set(packed, BATCH_HEADER_SIZE)
      this.#at += packed.length
    }
    const b = this.#buffer
    const appendTime = options.logAppendTimeMs
    let attributes = this.#count > 0 ? codecNames.indexOf(codec) : 0
    if (appendTime !== undefined) attributes |= 0x08
    if (options.transactional) attributes |= 0x10
    if (options.control) attributes |= 0x20
    const producerId = BigInt.asUintN(64, options.producerId ?? -1n)
    writeInt64(b, 0, baseOffset)
    writeInt32(b, 8, this.#at - BATCH_LENGTH_END)
    writeInt32(b, 12, options.partitionLeaderEpoch ?? -1)
    b[16] = 2
    writeInt16(b, 21, attributes)
    writeInt32(b, 23, lastOffsetDelta)
    writeInt64(b, 27, this.#count === 0 ? -1 : this.#baseTimestampMs)
    writeInt64(b, 35, appendTime ?? this.#maxTimestampMs)
    writeInt32(b, 43, Number(producerId >> 32n))
    writeInt32(b, 47, Number(producerId & 0xffff_ffffn))
    writeInt16(b, 51, options.producerEpoch ?? -1)
    writeInt32(b, 53, options.baseSequence ?? -1)
    writeInt32(b, 57, this.#count)
    writeInt32(b, 17, crc32c(b, 21, this.#at))
    const batch = b.subarray(0, this.#at)
    this.clear()
    return batch
  }

  /** Forgets the records appended so far. */
  clear(): void {
    this.#at = BATCH_HEADER_SIZE
    this.#count = 0
    this.#lastOffsetDelta = -1
    this.#maxTimestampMs = -1
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(this.#at + more, 2 * this.#buffer.length))
    grown.set(this.#buffer.subarray(0, this.#at))
    this.#buffer = grown
  }
}

/** Below this a loop is faster than `set`, which wants a view of the source. */
const LOOP_BYTES_MAX = 64

/** Copies `from[start .. end)` to `into[at ..]`; returns the position after it. */
function copyRange(into: Uint8Array, at: number, from: Uint8Array, start: number, end: number): number {
  if (end - start > LOOP_BYTES_MAX) {
    into.set(from.subarray(start, end), at)
    return at + end - start
  }
  let p = at
  for (let i = start; i < end; i++) into[p++] = from[i]!
  return p
}

const NO_HEADERS = new Uint8Array(1)

function encodeHeaders(headers: readonly RecordHeader[]): Uint8Array {
  const parts = headers.map(([name, value]) => [Buffer.from(name), value] as const)
  let size = varintSize(headers.length)
  for (const [name, value] of parts) {
    size +=
      varintSize(name.length) + name.length + varintSize(value === null ? -1 : value.length) + (value?.length ?? 0)
  }
  const bytes = new Uint8Array(size)
  let p = writeVarint(bytes, 0, headers.length)
  for (const [name, value] of parts) {
    p = writeVarint(bytes, p, name.length)
    bytes.set(name, p)
    p = writeVarint(bytes, p + name.length, value === null ? -1 : value.length)
    if (value === null) continue
    bytes.set(value, p)
    p += value.length
  }
  return bytes
}
