/**
 * Finds the event keys of a batch in the member sets of a slice, all at once.
 *
 * Owns: hashes and owners of the batch's keys as members. Does not own: what a member's row means (operator/member-rows,
 * operator/member-bits), which group and slice a row of the batch is in.
 */
import { type EventBatch, ROWS_MAX } from '../exchange/event-batch.ts'
import { findAll } from '../state/find-all.ts'
import { BLOCK_SHIFT, blockHash } from './member-bits.ts'
import { memberHash } from './member-rows.ts'
import type { Slice } from './slices.ts'

/** Groups of a block. */
const BLOCK_GROUPS = 1 << BLOCK_SHIFT

/** Finds members that are keys of events. */
export class MemberFinder {
  readonly #accumulator: number
  readonly #bits: boolean
  readonly #found = new Int32Array(ROWS_MAX)
  #foundIn: Slice | null = null
  readonly #hashes = new Uint32Array(ROWS_MAX)
  readonly #owners = new Uint32Array(ROWS_MAX)

  /** `accumulator`: whose members are found at once; others with keys are found one by one. `bits`: the form of the sets. */
  constructor(accumulator: number, bits: boolean) {
    this.#accumulator = accumulator
    this.#bits = bits
  }

  /** Finds the members of rows `from` .. `to` - 1, of groups `groupOf`, as if they were in `slice`. */
  find(batch: EventBatch, groupOf: Int32Array, from: number, to: number, slice: Slice): void {
    const members = slice.members[this.#accumulator]!
    this.#foundIn = slice
    if (this.#bits && slice.groups.count <= BLOCK_GROUPS) {
      // All groups are in the first block: members are found under the hashes of their own.
      findAll(members, batch.hash, null, batch, from, to, this.#found)
      return
    }
    const hashes = this.#hashes
    const owners = this.#owners
    const hash = batch.hash
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      owners[row] = this.#ownerOf(group)
      hashes[row] = this.#hashOf(hash[row]!, group)
    }
    findAll(members, hashes, owners, batch, from, to, this.#found)
  }

  /**
   * The row of the key of batch row `row`, in group `group`, in the member set of an accumulator, added if need be. After
   * `find`.
   */
  of(batch: EventBatch, row: number, group: number, slice: Slice, accumulator: number): number {
    const found = this.#found[row]!
    if (found >= 0 && slice === this.#foundIn && accumulator === this.#accumulator) return found
    const start = batch.keyStart[row]!
    const end = start + batch.keyLength[row]!
    const hash = this.#hashOf(batch.hash[row]!, group)
    return slice.members[accumulator]!.findOrInsert(hash, this.#ownerOf(group), batch.bytes, start, end)
  }

  #ownerOf(group: number): number {
    return this.#bits ? group >>> BLOCK_SHIFT : group
  }

  #hashOf(hash: number, group: number): number {
    return this.#bits ? blockHash(hash, group >>> BLOCK_SHIFT) : memberHash(hash, group)
  }
}
