/**
 * The sessions of each group, in the order of their times.
 *
 * Owns: which session of a group comes before and after another, and finding the place of an event among them. Does not
 * own: what a session is, merging (operator/session-rows).
 *
 * Sessions of one group do not touch. The index of their table leads to the latest, ROW_NEXT from each to the one before
 * it; the way back is kept beside the rows and never stored, because it follows from them. While one input is behind
 * another, a group has many sessions between the two, and most events that are not in the latest session come close to
 * where the one before them came: so the search starts there. It costs what lies between two such events, not what lies
 * between the slowest input and the fastest.
 */
import {
  RECYCLED_HEADER_F64,
  RECYCLED_PAGE_MASK,
  RECYCLED_PAGE_SHIFT,
  type RecycledTable,
  ROW_NEXT,
} from '../state/recycled-table.ts'

/** Column of the session's start, epoch ms. */
export const SESSION_START = 0

const FIRST_ROWS = 64

/** Sessions in order of time, by group. */
export class SessionChain {
  readonly #table: RecycledTable
  /** The session after each in its group, plus one. */
  #after = new Uint32Array(FIRST_ROWS)
  /** Of the latest session of a group: where the search ended last, plus one. That row may have gone since. */
  #hints = new Uint32Array(FIRST_ROWS)

  constructor(table: RecycledTable) {
    this.#table = table
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.#after.byteLength + this.#hints.byteLength
  }

  /** The session before `row` in its group, -1 for none. */
  before(row: number): number {
    return this.#table.u32(row, ROW_NEXT) - 1
  }

  /** The earliest session that starts after `timeMs`, in the group whose latest session is `head`, which does so. */
  earliestAfter(head: number, timeMs: number): number {
    const hint = this.#hints[head]! - 1
    let row = hint >= 0 && this.#table.sameKey(hint, head) ? hint : head
    if (this.#startMs(row) > timeMs) {
      for (;;) {
        const before = this.before(row)
        if (before < 0 || this.#startMs(before) <= timeMs) break
        row = before
      }
    } else {
      do row = this.#after[row]! - 1
      while (this.#startMs(row) <= timeMs)
    }
    this.#hints[head] = row + 1
    return row
  }

  /** Puts a fresh row between two sessions of its group; -1 where there is none. */
  insert(row: number, before: number, after: number): void {
    const table = this.#table
    if (row >= this.#after.length) this.#grow()
    table.setU32(row, ROW_NEXT, before + 1)
    this.#after[row] = after + 1
    this.#hints[row] = 0
    if (before >= 0) this.#after[before] = row + 1
    if (after >= 0) {
      table.setU32(after, ROW_NEXT, row + 1)
      return
    }
    if (before < 0) table.link(row)
    else {
      table.relink(before, row)
      this.#hints[row] = this.#hints[before]!
    }
  }

  /** Takes a row out, before its table forgets it. */
  remove(row: number): void {
    const table = this.#table
    const before = this.before(row)
    const after = this.#after[row]! - 1
    if (before >= 0) this.#after[before] = after + 1
    if (after >= 0) table.setU32(after, ROW_NEXT, before + 1)
    else if (before >= 0) {
      table.relink(row, before)
      this.#hints[before] = this.#hints[row]!
    }
  }

  /** After the rows were restored: the ways that are not stored. */
  restore(): void {
    const table = this.#table
    while (table.count > this.#after.length) this.#grow()
    this.#after.fill(0)
    this.#hints.fill(0)
    for (let row = 0; row < table.count; row++) {
      const before = table.isLive(row) ? this.before(row) : -1
      if (before >= 0) this.#after[before] = row + 1
    }
  }

  #startMs(row: number): number {
    const { rows, strideF64 } = this.#table
    const at = (row & RECYCLED_PAGE_MASK) * strideF64 + RECYCLED_HEADER_F64
    return rows.pages[row >>> RECYCLED_PAGE_SHIFT]!.f64[at + SESSION_START]!
  }

  #grow(): void {
    const [after, hints] = [this.#after, this.#hints]
    this.#after = new Uint32Array(after.length * 2)
    this.#hints = new Uint32Array(hints.length * 2)
    this.#after.set(after)
    this.#hints.set(hints)
  }
}
