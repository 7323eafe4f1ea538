/**
 * The index of a keyed table: from a 32-bit hash to candidate rows.
 *
 * Owns: an open-addressing table of (hash, row) pairs with linear probing. Does not own: keys; the table compares bytes
 * itself. It is never part of a snapshot: it is built again from the rows.
 *
 *   slots: [hash, row + 1] pairs in one Uint32Array; row + 1 = 0 marks a free slot; load at most 1/2
 *
 * Growth is incremental, so that no insertion stalls a thread: after the slots double, every insertion also copies a
 * few old pairs across. Until all are copied, a lookup that misses in the new slots looks in the old ones. Pairs are
 * copied, not moved, so the old slots stay valid for probing throughout.
 */

/** Old pairs copied with each insertion while growing. Must be above 2, or growth could not finish before the next. */
const COPIED_PER_INSERT = 16

const SLOTS_MIN = 8

/** Slots for `rows` rows at a load of at most 1/2. */
function slotsFor(rows: number): number {
  let slots = SLOTS_MIN
  while (slots < rows * 2) slots *= 2
  return slots
}

/** Incrementally growing hash index. `slots`, `mask`, `oldSlots`, `oldMask` are read by the table's probe loops. */
export class HashIndex {
  slots: Uint32Array
  mask: number
  /** The slots before the last doubling while pairs are still being copied, else null. */
  oldSlots: Uint32Array | null = null
  oldMask = 0
  #copied = 0
  #count = 0

  constructor(rowsExpected: number) {
    const slots = slotsFor(rowsExpected)
    this.slots = new Uint32Array(slots * 2)
    this.mask = slots - 1
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.slots.byteLength + (this.oldSlots?.byteLength ?? 0)
  }

  /** Adds a row that is not in the index yet. */
  insert(hash: number, row: number): void {
    if ((this.#count + 1) * 2 > this.mask + 1) this.#startGrowing()
    if (this.oldSlots !== null) this.#copySome(this.oldSlots)
    place(this.slots, this.mask, hash, row)
    this.#count++
  }

  #startGrowing(): void {
    // Only reachable with an old copy unfinished if insertions outran copying, which COPIED_PER_INSERT rules out.
    while (this.oldSlots !== null) this.#copySome(this.oldSlots)
    this.oldSlots = this.slots
    this.oldMask = this.mask
    this.#copied = 0
    const slots = (this.mask + 1) * 2
    this.slots = new Uint32Array(slots * 2)
    this.mask = slots - 1
  }

  #copySome(old: Uint32Array): void {
    let at = this.#copied
    const end = Math.min(at + COPIED_PER_INSERT, this.oldMask + 1)
    for (; at < end; at++) {
      const row = old[at * 2 + 1]!
      if (row !== 0) place(this.slots, this.mask, old[at * 2]!, row - 1)
    }
    this.#copied = at
    if (at > this.oldMask) this.oldSlots = null
  }
}

function place(slots: Uint32Array, mask: number, hash: number, row: number): void {
  let at = hash & mask
  while (slots[at * 2 + 1] !== 0) at = (at + 1) & mask
  slots[at * 2] = hash
  slots[at * 2 + 1] = row + 1
}
