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

  /** Finds the members of all rows, of groups `groupOf`, as if they were in `slice`: nearly all are where the batch ends. */
  find(batch: EventBatch, groupOf: Int32Array, slice: Slice): void {
    const hashes = this.#hashes
    const owners = this.#owners
    const { hash, rows } = batch
    if (this.#bits) {
      for (let row = 0; row < rows; row++) {
        const block = groupOf[row]! >>> BLOCK_SHIFT
        owners[row] = block
        hashes[row] = blockHash(hash[row]!, block)
      }
    } else {
      for (let row = 0; row < rows; row++) {
        const group = groupOf[row]!
        owners[row] = group
        hashes[row] = memberHash(hash[row]!, group)
      }
    }
    findAll(slice.members[this.#accumulator]!, hashes, owners, batch, rows, this.#found)
    this.#foundIn = slice
  }

  /** The row of the key of batch row `row` in the member set of an accumulator, added if need be. After `find`. */
  of(batch: EventBatch, row: number, slice: Slice, accumulator: number): number {
    if (accumulator === this.#accumulator && slice === this.#foundIn && this.#found[row]! >= 0) return this.#found[row]!
    const start = batch.keyStart[row]!
    const end = start + batch.keyLength[row]!
    const members = slice.members[accumulator]!
    return members.findOrInsert(this.#hashes[row]!, this.#owners[row]!, batch.bytes, start, end)
  }
}
