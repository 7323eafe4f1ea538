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
const RECENT_MASK = 63

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
  readonly #recent = new Uint16Array(RECENT_MASK + 1)
  readonly #slots = new Int16Array(SLOTS)
  readonly #slotOf = new Uint16Array(DICTIONARY_ENTRIES_MAX)

  /**
   * The id of `source[start .. end)`: the old one where the text is known, else a new one (then `count` has grown).
   * The caller keeps within DICTIONARY_ENTRIES_MAX entries: at most one new text a row does.
   */
  intern(source: Uint8Array, start: number, end: number): number {
    const length = end - start
    if (length === 0) return 0
    const starts = this.starts
    const bytes = this.bytes
    // Most columns have a handful of texts: one look by length and ends finds them without a hash.
    const recent = (length * 7 + source[start]! * 3 + source[end - 1]!) & RECENT_MASK
    const guess = this.#recent[recent]!
    if (guess < this.count) {
      const at = starts[guess]!
      if (starts[guess + 1]! - at === length) {
        let i = 0
        while (i < length && bytes[at + i] === source[start + i]) i++
        if (i === length) return guess
      }
    }
    const hash = hashBytes(source, start, end)
    const slots = this.#slots
    const hashes = this.hashes
    let slot = hash & SLOT_MASK
    let id = slots[slot]!
    while (id !== 0) {
      if (hashes[id] === hash) {
        const at = starts[id]!
        if (starts[id + 1]! - at === length) {
          let i = 0
          while (i < length && bytes[at + i] === source[start + i]) i++
          if (i === length) {
            this.#recent[recent] = id
            return id
          }
        }
      }
      slot = (slot + 1) & SLOT_MASK
      id = slots[slot]!
    }
    this.#recent[recent] = this.count
    return this.#append(source, start, length, hash, slot)
  }

  #append(source: Uint8Array, start: number, length: number, hash: number, slot: number): number {
    const id = this.count
    const at = this.starts[id]!
    if (at + length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, at + length))
      grown.set(this.bytes.subarray(0, at))
      this.bytes = grown
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
