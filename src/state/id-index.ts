/**
 * The index of a table of ids: from a 32-bit hash to candidate rows, in as few bytes as may be.
 *
 * Owns: 256 open-addressing tables with linear probing, each growing by itself, so that no growth stalls a thread for
 * long. Does not own: ids and hashes, which are in the rows. Never part of a snapshot.
 *
 *   slot: 0 free, GONE, or [5 bits of the hash | row + 1] in 32 bits
 *
 * A removed row leaves GONE, which the next insertion on its way takes. A table in which free slots are few is made anew:
 * twice as large where its rows need it.
 */
import { invariant } from '../core/errors.ts'

const SHARDS = 256
const SHARD_SHIFT = 24
const TAG_SHIFT = 19
const SLOTS_MIN = 16
/** Bits of a slot that are the row's. */
const ROW_BITS = 27
/** slot & ROW_MASK is the row plus one. */
export const ROW_MASK = 2 ** ROW_BITS - 1
const GONE = ROW_MASK

/** Most rows of a table. */
export const ID_ROWS_MAX = ROW_MASK - 1

/** Hash index with removal. */
export class IdIndex {
  readonly #shards: Uint32Array[] = Array.from({ length: SHARDS }, () => new Uint32Array(SLOTS_MIN))
  /** Slots in use, those of removed rows included, and rows, by shard. */
  readonly #used = new Uint32Array(SHARDS)
  readonly #rows = new Uint32Array(SHARDS)
  readonly #hashOf: (row: number) => number
  byteLength = SHARDS * SLOTS_MIN * 4

  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf
  }

  /** The slots that `hash` is in; a probe begins at `hash & (length - 1)`, and looks at slots with `tagOf(hash)`. */
  slotsOf(hash: number): Uint32Array {
    return this.#shards[hash >>> SHARD_SHIFT]!
  }

  /** Adds a row that is not there. Hashes may be signed. */
  insert(hash: number, row: number): void {
    invariant(row < ID_ROWS_MAX, 'a table has more ids than its index can tell apart')
    const shard = hash >>> SHARD_SHIFT
    const size = this.#shards[shard]!.length
    if ((this.#used[shard]! + 1) * 4 > size * 3) this.#remake(shard, this.#rows[shard]! * 2 > size ? size * 2 : size)
    const slots = this.#shards[shard]!
    const mask = slots.length - 1
    let at = hash & mask
    while (slots[at] !== 0 && slots[at] !== GONE) at = (at + 1) & mask
    if (slots[at] === 0) this.#used[shard]!++
    slots[at] = tagOf(hash) | (row + 1)
    this.#rows[shard]!++
  }

  /** Takes a row out that is there. */
  remove(hash: number, row: number): void {
    const shard = hash >>> SHARD_SHIFT
    const slots = this.#shards[shard]!
    const mask = slots.length - 1
    const wanted = (tagOf(hash) | (row + 1)) >>> 0
    let at = hash & mask
    while (slots[at] !== wanted) {
      invariant(slots[at] !== 0, 'an id is not in its index')
      at = (at + 1) & mask
    }
    // Where no probe goes on behind it, nothing needs to be left.
    const last = slots[(at + 1) & mask] === 0
    slots[at] = last ? 0 : GONE
    if (last) this.#used[shard]!--
    this.#rows[shard]!--
  }

  #remake(shard: number, size: number): void {
    const old = this.#shards[shard]!
    const slots = new Uint32Array(size)
    const mask = size - 1
    for (let i = 0; i < old.length; i++) {
      const slot = old[i]!
      if (slot === 0 || slot === GONE) continue
      let at = this.#hashOf((slot & ROW_MASK) - 1) & mask
      while (slots[at] !== 0) at = (at + 1) & mask
      slots[at] = slot
    }
    this.byteLength += (size - old.length) * 4
    this.#shards[shard] = slots
    this.#used[shard] = this.#rows[shard]!
  }
}

/** The bits of a hash that a slot has, where it has them. */
export function tagOf(hash: number): number {
  return ((hash >>> TAG_SHIFT) & 31) << ROW_BITS
}
