/**
 * The dictionary of one text column of one batch: bytes in, a small id out.
 *
 * Owns: ids, the bytes behind them, finding an entry again. Does not own: what makes bytes a valid text (the caller
 * checks an entry once, when it is new).
 *
 * Invariants: id 0 is always the empty text. Ids are dense, 0 .. `count` - 1, in order of first appearance. Entry `id` is
 * `bytes[starts[id] .. starts[id + 1])`. `bytes` may be replaced by a larger array at any `intern`: read it anew.
 */

import { hashBytes } from '../core/hash.ts'
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { textDecoder } from './utf8.ts'

/** Most entries of a dictionary: one a row, and the empty text. */
export const DICTIONARY_ENTRIES_MAX = BATCH_ROWS_MAX + 1

const SLOTS = 4096
const SLOT_MASK = SLOTS - 1
const RECENT_BITS = 8
const RECENT_SHIFT = 32 - RECENT_BITS

/** A set of texts with dense ids; reused from batch to batch. */
export class Dictionary {
  /** Entries, the empty text included. */
  count = 1
  /** The bytes of all entries, one behind the other. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096)
  /** Where each entry starts; entry `id` ends where `id + 1` starts. */
  readonly starts = new Uint32Array(DICTIONARY_ENTRIES_MAX + 1)
  /** Hash of each entry (`hashBytes`), entry 0 excepted. */
  readonly hashes = new Uint32Array(DICTIONARY_ENTRIES_MAX)
  /** Ids that are worth a look, by a cheap mix of length and ends. Stale ones are harmless: bytes decide. */
  readonly #recent = new Uint16Array(1 << RECENT_BITS)
  readonly #slots = new Int16Array(SLOTS)
  readonly #slotOf = new Uint16Array(DICTIONARY_ENTRIES_MAX)
  #view: DataView = new DataView(this.bytes.buffer)
  /** Where the last text came from, and a view of it: the next one is likely to come from there too. */
  #source: Uint8Array = this.bytes
  #sourceView: DataView = this.#view

  /**
   * The id of `source[start .. end)`: the old one where the text is known, else a new one (then `count` has grown).
   * The caller keeps within DICTIONARY_ENTRIES_MAX entries: at most one new text a row does.
   */
  intern(source: Uint8Array, start: number, end: number): number {
    const length = end - start
    if (length === 0) return 0
    if (source !== this.#source) {
      this.#source = source
      this.#sourceView = new DataView(source.buffer, source.byteOffset, source.byteLength)
    }
    const view = this.#sourceView
    // Most columns have a handful of texts: one look by length and ends finds them without a hash.
    let mix = length
    if (length >= 4) mix ^= view.getInt32(start, true) ^ Math.imul(view.getInt32(end - 4, true), 0x9e3779b1)
    else mix ^= (source[start]! << 8) | (source[end - 1]! << 16)
    const recent = Math.imul(mix, 0x85ebca6b) >>> RECENT_SHIFT
    const guess = this.#recent[recent]!
    if (guess < this.count && this.#isEntry(guess, source, view, start, length)) return guess
    const hash = hashBytes(source, start, end)
    const slots = this.#slots
    const hashes = this.hashes
    let slot = hash & SLOT_MASK
    let id = slots[slot]!
    while (id !== 0) {
      if (hashes[id] === hash && this.#isEntry(id, source, view, start, length)) {
        this.#recent[recent] = id
        return id
      }
      slot = (slot + 1) & SLOT_MASK
      id = slots[slot]!
    }
    this.#recent[recent] = this.count
    return this.#append(source, start, length, hash, slot)
  }

  /** Whether an entry is the text at `start`, compared by words; the last one overlaps the one before. */
  #isEntry(id: number, source: Uint8Array, view: DataView, start: number, length: number): boolean {
    const at = this.starts[id]!
    if (this.starts[id + 1]! - at !== length) return false
    if (length < 4) {
      const bytes = this.bytes
      let i = 0
      while (i < length && bytes[at + i] === source[start + i]) i++
      return i === length
    }
    const own = this.#view
    const last = length - 4
    if (own.getInt32(at + last) !== view.getInt32(start + last)) return false
    let i = 0
    while (i < last && own.getInt32(at + i) === view.getInt32(start + i)) i += 4
    return i >= last
  }

  #append(source: Uint8Array, start: number, length: number, hash: number, slot: number): number {
    const id = this.count
    const at = this.starts[id]!
    if (at + length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, at + length))
      grown.set(this.bytes.subarray(0, at))
      this.bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    const bytes = this.bytes
    for (let i = 0; i < length; i++) bytes[at + i] = source[start + i]!
    this.starts[id + 1] = at + length
    this.hashes[id] = hash
    this.#slots[slot] = id
    this.#slotOf[id] = slot
    this.count = id + 1
    return id
  }

  /** Forgets the newest entries until `count` are left (at least 1): exact, because entries left the table as they came. */
  truncate(count: number): void {
    for (let id = this.count - 1; id >= count; id--) this.#slots[this.#slotOf[id]!] = 0
    if (count < this.count) this.count = count
  }

  /** Forgets all entries but the empty text. Costs a step an entry, not a step a slot. */
  reset(): void {
    this.truncate(1)
  }

  /** Entry `id` as a string. For edges (sinks, errors, tests), never a row at a time. */
  text(id: number): string {
    return textDecoder.decode(this.bytes.subarray(this.starts[id]!, this.starts[id + 1]!))
  }
}
