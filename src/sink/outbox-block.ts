/**
 * Records of an epoch in bytes: what an outbox keeps, and what a sink applies.
 *
 *   block  = record*
 *   record = keyLength + 1 u32 (0: no key) | valueLength u32 | timestampMs f64 | key | value      little-endian
 *
 * Owns: the layout, and walking it without an object a record. Does not own: where blocks lie (checkpoint/), what keys
 * and values mean.
 */
import { MillraceError } from '../core/errors.ts'

const HEADER_BYTES = 16
const FIRST_BYTES = 4096

/** Bytes that a record takes in a block. */
export function outboxRecordBytes(key: Uint8Array | null, value: Uint8Array): number {
  return HEADER_BYTES + (key?.length ?? 0) + value.length
}

/** Collects records into one block. */
export class OutboxBlockWriter {
  /** Records in the block so far. */
  records = 0
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #used = 0
  /** What the next block is likely to need: as much as the last one, and a little more. */
  #expected = FIRST_BYTES

  /** Bytes of the block so far. */
  get byteLength(): number {
    return this.#used
  }

  /** Copies one record to the end of the block. */
  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    const at = this.#used
    const end = at + outboxRecordBytes(key, value)
    if (end > this.#bytes.length) this.#grow(end)
    this.#view.setUint32(at, key === null ? 0 : key.length + 1, true)
    this.#view.setUint32(at + 4, value.length, true)
    this.#view.setFloat64(at + 8, timestampMs, true)
    if (key !== null) this.#bytes.set(key, at + HEADER_BYTES)
    this.#bytes.set(value, end - value.length)
    this.#used = end
    this.records++
  }

  /** The block; the writer begins a new one. */
  take(): Uint8Array {
    const block = this.#bytes.subarray(0, this.#used)
    this.#expected = this.#used + (this.#used >>> 3)
    this.#bytes = new Uint8Array(0)
    this.#view = new DataView(this.#bytes.buffer)
    this.#used = 0
    this.records = 0
    return block
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(FIRST_BYTES, this.#expected, this.#bytes.length * 2, needed))
    larger.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** Walks the records of a block. After `next` the ranges are those of one record within `bytes`. */
export class OutboxBlockCursor {
  bytes: Uint8Array = new Uint8Array(0)
  /** -1 for a record without a key. */
  keyStart = -1
  keyEnd = -1
  valueStart = 0
  valueEnd = 0
  timestampMs = 0
  #view = new DataView(this.bytes.buffer)
  #at = 0

  /** Begins with a block. */
  reset(block: Uint8Array): void {
    this.bytes = block
    this.#view = new DataView(block.buffer, block.byteOffset, block.byteLength)
    this.#at = 0
  }

  /** Moves to the next record; false at the end. Throws CHECKPOINT_CORRUPT when the block ends within one. */
  next(): boolean {
    const at = this.#at
    const rest = this.bytes.length - at
    if (rest === 0) return false
    if (rest < HEADER_BYTES) throw torn(at)
    const keyLength = this.#view.getUint32(at, true)
    const valueLength = this.#view.getUint32(at + 4, true)
    this.timestampMs = this.#view.getFloat64(at + 8, true)
    const start = at + HEADER_BYTES
    this.keyStart = keyLength === 0 ? -1 : start
    this.keyEnd = keyLength === 0 ? -1 : start + keyLength - 1
    this.valueStart = keyLength === 0 ? start : this.keyEnd
    this.valueEnd = this.valueStart + valueLength
    if (this.valueEnd > this.bytes.length) throw torn(at)
    this.#at = this.valueEnd
    return true
  }

  /** The key as a view of the block; null without one. */
  get key(): Uint8Array | null {
    return this.keyStart < 0 ? null : this.bytes.subarray(this.keyStart, this.keyEnd)
  }

  /** The value as a view of the block. */
  get value(): Uint8Array {
    return this.bytes.subarray(this.valueStart, this.valueEnd)
  }
}

function torn(at: number): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', `a block of an outbox ends within the record at byte ${at}`)
}
