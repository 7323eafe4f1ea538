/**
 * The index of a table whose rows come and go: from a 32-bit hash to candidate rows, with removal.
 *
 * Owns: an open-addressing table of (hash, row) pairs with linear probing. Does not own: keys. Never part of a snapshot.
 *
 *   slots: [hash, row + 1] pairs in one Uint32Array; row + 1 = 0 marks a free slot; load at most 1/2
 *
 * Growth is incremental, as in state/hash-index: while old pairs are being copied, a lookup that misses in the new slots
 * looks in the old ones. A pair may then be in both, so removing and replacing touch both. In the new slots a removal
 * closes the gap by moving pairs back; in the old ones, which only shrink, it leaves a mark that no row equals.
 */

/** Old pairs copied with each insertion while growing. Must be above 2, or growth could not finish before the next. */
const COPIED_PER_INSERT = 16

const SLOTS_MIN = 8

/** Marks a removed pair in the old slots. */
const GONE = 0xffff_ffff

/** Hash index with removal. `slots`, `mask`, `oldSlots`, `oldMask` are read by the table's probe loops. */
export class RecycledIndex {
  slots = new Uint32Array(SLOTS_MIN * 2)
  mask = SLOTS_MIN - 1
  /** The slots before the last doubling while pairs are still being copied, else null. A row + 1 of GONE is no row. */
  oldSlots: Uint32Array | null = null
  oldMask = 0
  #copied = 0
  #count = 0

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

  /** Puts `by` in the place of `row`; nothing happens when `row` is not there. */
  replace(hash: number, row: number, by: number): void {
    const at = slotOf(this.slots, this.mask, hash, row)
    if (at >= 0) this.slots[at * 2 + 1] = by + 1
    if (this.oldSlots === null) return
    const old = slotOf(this.oldSlots, this.oldMask, hash, row)
    if (old >= 0) this.oldSlots[old * 2 + 1] = by + 1
  }

  /** Takes a row out. */
  remove(hash: number, row: number): void {
    let found = false
    if (this.oldSlots !== null) {
      const old = slotOf(this.oldSlots, this.oldMask, hash, row)
      if (old >= 0) {
        this.oldSlots[old * 2 + 1] = GONE
        found = true
      }
    }
    const at = slotOf(this.slots, this.mask, hash, row)
    if (at >= 0) {
      this.#closeGap(at)
      found = true
    }
    if (found) this.#count--
  }

  /** Moves later pairs of the run back over a free slot, so that every pair stays reachable from its own place. */
  #closeGap(from: number): void {
    const { slots, mask } = this
    let gap = from
    for (let at = (gap + 1) & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      const home = slots[at * 2]! & mask
      // A pair may move to the gap unless its own place lies behind the gap, up to where it is.
      if (((at - home) & mask) < ((at - gap) & mask)) continue
      slots[gap * 2] = slots[at * 2]!
      slots[gap * 2 + 1] = slots[at * 2 + 1]!
      gap = at
    }
    slots[gap * 2 + 1] = 0
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
      if (row !== 0 && row !== GONE) place(this.slots, this.mask, old[at * 2]!, row - 1)
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

function slotOf(slots: Uint32Array, mask: number, hash: number, row: number): number {
  for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
    if (slots[at * 2 + 1] === row + 1) return at
  }
  return -1
}
