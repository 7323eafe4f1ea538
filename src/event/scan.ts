/**
 * The scan batch: up to 1024 events of one thread as columns, before they are exchanged.
 *
 * Owns: the arrays and their reset. Does not own: filling them from Protobuf (event/projection.ts), the predicate bits
 * (operator/filter.ts), the layout that crosses threads (exchange/). One batch is reused for ever and never leaves its
 * thread.
 *
 * A row is: time, key (bytes and hash), a number or a dictionary id per column of the schema, its record's offset, and a
 * mask with a bit per predicate. Rows 0 .. `rows` - 1 are valid; the rest of every array is garbage.
 */

import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { Dictionary } from './dictionary.ts'
import type { ColumnEncoding } from './schema.ts'
import { textDecoder } from './utf8.ts'

/** Least bytes that a key takes up where it lies by words. */
export const KEY_ROOM_MIN = 12

/** Bytes that a key of `length` bytes takes up where it lies by words. */
export function keyRoom(length: number): number {
  return length <= KEY_ROOM_MIN ? KEY_ROOM_MIN : (length + 3) & ~3
}

const noNumbers = new Float64Array(0)
const noIds = new Uint16Array(0)

/** Where a batch has its arrays: addresses in a buffer. */
export interface BatchPlace {
  readonly buffer: ArrayBuffer
  readonly at: {
    readonly timeMs: number
    readonly keyHash: number
    readonly keyStart: number
    readonly keyEnd: number
    readonly offset: number
    readonly columns: readonly number[]
    readonly keys: number
    readonly keysBytes: number
  }
}

/** A reusable columnar batch of projected events. */
export class ScanBatch {
  /** Most rows; the projection must not be called when `rows` has reached it. */
  readonly capacity = BATCH_ROWS_MAX
  rows = 0
  /** How often the batch has been emptied: tells what it holds now from what it held before. */
  resets = 0
  /** Event time, epoch ms. */
  readonly timeMs: Float64Array
  /** `hashBytes` of the key's bytes. */
  readonly keyHash: Uint32Array
  /**
   * The keys of all rows, each from a multiple of 4 on and filled up with zeros to a multiple of 4, at least
   * KEY_ROOM_MIN: what comes after copies and compares them by words. May be replaced by a larger array while rows are
   * added.
   */
  keyBytes: Uint8Array<ArrayBuffer>
  /** The same memory. */
  keyWords: Uint32Array<ArrayBuffer>
  readonly keyStart: Uint32Array
  readonly keyEnd: Uint32Array
  /** Offset of the row's record in its partition. Set by the caller of the projection, for late events and dead letters. */
  readonly offset: Float64Array
  /** Bit i is set when predicate i of the plan takes the row. */
  readonly mask = new Uint32Array(BATCH_ROWS_MAX)
  /** By column: its numbers. Empty for a text column. Behind them those that are made of others, nullable. */
  readonly numbers: readonly Float64Array[]
  /** By column: its dictionary ids. Empty for a number column. */
  readonly texts: readonly Uint16Array[]
  /** By column: its dictionary. Without entries for a number column. */
  readonly dictionaries: readonly Dictionary[]
  /** Entries of each dictionary before the newest row: what `undoLast` goes back to. */
  readonly marks: Uint16Array

  /**
   * `place`: where the arrays are, where somebody else fills them too (event/kernel.ts). `made`: how many further columns
   * of numbers there are.
   */
  constructor(columns: readonly { readonly encoding: ColumnEncoding }[], place?: BatchPlace, made = 0) {
    const unused = new Dictionary()
    const buffer = place?.buffer ?? new ArrayBuffer(0)
    const at = place?.at
    const doubles = (from: number | undefined) =>
      from === undefined ? new Float64Array(BATCH_ROWS_MAX) : new Float64Array(buffer, from, BATCH_ROWS_MAX)
    const words = (from: number | undefined) =>
      from === undefined ? new Uint32Array(BATCH_ROWS_MAX) : new Uint32Array(buffer, from, BATCH_ROWS_MAX)
    this.timeMs = doubles(at?.timeMs)
    this.keyHash = words(at?.keyHash)
    this.keyStart = words(at?.keyStart)
    this.keyEnd = words(at?.keyEnd)
    this.offset = doubles(at?.offset)
    this.keyBytes = at === undefined ? new Uint8Array(32 * 1024) : new Uint8Array(buffer, at.keys, at.keysBytes)
    this.keyWords = new Uint32Array(this.keyBytes.buffer, this.keyBytes.byteOffset, this.keyBytes.length >>> 2)
    const numbers = columns.map((c, i) => (c.encoding === 'number' ? doubles(at?.columns[i]) : noNumbers))
    for (let i = 0; i < made; i++) numbers.push(new Float64Array(BATCH_ROWS_MAX))
    this.numbers = numbers
    this.texts = columns.map((c, i) =>
      c.encoding !== 'text'
        ? noIds
        : at === undefined
          ? new Uint16Array(BATCH_ROWS_MAX)
          : new Uint16Array(buffer, at.columns[i]!, BATCH_ROWS_MAX),
    )
    this.dictionaries = columns.map((c) => (c.encoding === 'text' ? new Dictionary() : unused))
    this.marks = new Uint16Array(columns.length).fill(1)
  }

  /** Empties the batch for the next rows. */
  reset(): void {
    this.rows = 0
    this.resets++
    const dictionaries = this.dictionaries
    for (let i = 0; i < dictionaries.length; i++) dictionaries[i]!.reset()
  }

  /** Takes the newest row away again, its dictionary entries included. Once after a row was added, not twice. */
  undoLast(): void {
    if (this.rows > 0) this.rows--
    this.forgetEntries()
  }

  /** Takes back the dictionary entries of a row that was begun and not finished. */
  forgetEntries(): void {
    const dictionaries = this.dictionaries
    for (let i = 0; i < dictionaries.length; i++) dictionaries[i]!.truncate(this.marks[i]!)
  }

  /** Makes room for `length` more key bytes (a multiple of 4) behind `used`; called by the projection. */
  growKeys(used: number, length: number): void {
    if (used + length <= this.keyBytes.length) return
    const grown = new Uint8Array(Math.max(this.keyBytes.length * 2, used + length))
    grown.set(this.keyBytes.subarray(0, used))
    this.keyBytes = grown
    this.keyWords = new Uint32Array(grown.buffer)
  }

  /** The key of `row` as a string. For edges and tests, never a row at a time. */
  keyText(row: number): string {
    return textDecoder.decode(this.keyBytes.subarray(this.keyStart[row]!, this.keyEnd[row]!))
  }
}
