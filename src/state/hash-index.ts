/**
 * The index of a keyed table: from a 32-bit hash to candidate rows.
 *
 * Owns: an open-addressing table of rows with linear probing. Does not own: keys and hashes, which are in the rows; the
 * table compares bytes itself. It is never part of a snapshot: it is built again from the rows.
 *
 *   slots: [top bits of the hash | row + 1] in 32 bits, 0 for a free slot; load at most 2/3
 *
 * A slot is small because it is what a lookup waits for first: an index that fits a near cache is worth more than one
 * that knows the whole hash. Eight bits of it pass over all but one in 256 rows of other keys. Where there are more rows
 * than fit the other 24, slots have rows alone, and candidates are told apart by their rows.
 *
 * Growth is incremental, so that no insertion stalls a thread: after the slots double, every insertion also copies a
 * few old ones across. Until all are copied, a lookup that misses in the new slots looks in the old ones. Slots are
 * copied, not moved, so the old ones stay valid for probing throughout.
 */

/** Old slots copied with each insertion while growing. Must be above 2, or growth could not finish before the next. */
const COPIED_PER_INSERT = 16

const SLOTS_MIN = 8

/** Bits of a slot for the row, while they suffice. */
const ROW_BITS = 24

/** The hash of a row that is in the index. */
export type HashOfRow = (row: number) => number

/** Slots for `rows` rows at a load of at most 2/3. */
function slotsFor(rows: number): number {
  let slots = SLOTS_MIN
  while (slots * 2 < rows * 3) slots *= 2
  return slots
}

/** Incrementally growing hash index. The slots and masks are read by the table's probe loops. */
export class HashIndex {
  slots: Uint32Array
  mask: number
  /** slot & rowMask is the row plus one; the other bits are those of the hash. */
  rowMask: number
  /** The slots before the last doubling while they are still being copied, else null. */
  oldSlots: Uint32Array | null = null
  oldMask = 0
  oldRowMask = 0
  readonly #hashOf: HashOfRow
  readonly #rowBits: number
  #copied = 0
  #count = 0

  /** `rowBits`: bits of a slot that are the row's, up to 31. */
  constructor(rowsExpected: number, hashOf: HashOfRow, rowBits = ROW_BITS) {
    const slots = slotsFor(rowsExpected)
    this.#hashOf = hashOf
    this.#rowBits = rowBits
    this.slots = new Uint32Array(slots)
    this.mask = slots - 1
    this.rowMask = this.#rowMaskFor(slots)
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.slots.byteLength + (this.oldSlots?.byteLength ?? 0)
  }

  /** Adds a row that is not in the index yet. */
  insert(hash: number, row: number): void {
    if ((this.#count + 1) * 3 > (this.mask + 1) * 2) this.#startGrowing()
    if (this.oldSlots !== null) this.#copySome(this.oldSlots)
    place(this.slots, this.mask, this.rowMask, hash, row)
    this.#count++
  }

  /** All rows + 1 that so many slots will hold must fit. */
  #rowMaskFor(slots: number): number {
    return slots > 2 ** this.#rowBits ? -1 : 2 ** this.#rowBits - 1
  }

  #startGrowing(): void {
    // Only reachable with an old copy unfinished if insertions outran copying, which COPIED_PER_INSERT rules out.
    while (this.oldSlots !== null) this.#copySome(this.oldSlots)
    this.oldSlots = this.slots
    this.oldMask = this.mask
    this.oldRowMask = this.rowMask
    this.#copied = 0
    const slots = (this.mask + 1) * 2
    this.slots = new Uint32Array(slots)
    this.mask = slots - 1
    this.rowMask = this.#rowMaskFor(slots)
  }

  #copySome(old: Uint32Array): void {
    let at = this.#copied
    const end = Math.min(at + COPIED_PER_INSERT, this.oldMask + 1)
    for (; at < end; at++) {
      const row = (old[at]! & this.oldRowMask) - 1
      if (row >= 0) place(this.slots, this.mask, this.rowMask, this.#hashOf(row), row)
    }
    this.#copied = at
    if (at > this.oldMask) this.oldSlots = null
  }
}

function place(slots: Uint32Array, mask: number, rowMask: number, hash: number, row: number): void {
  let at = hash & mask
  while (slots[at] !== 0) at = (at + 1) & mask
  slots[at] = (hash & ~rowMask) | (row + 1)
}
