/**
 * The open sessions of one table in one subtask: rows that grow, merge and go.
 *
 * Owns: one row a session, the members that exact distincts need, and merging. Does not own: the order of a group's
 * sessions (operator/session-chain), when a session fires or closes (operator/session-table), reading events
 * (operator/aggregate-sessions).
 *
 * A row's columns: start | end | time of its timer | first member of each member set | the accumulators. The index leads
 * to the latest session of a group: so the usual event costs one probe and finds its session at once.
 */
import { hashBytes } from '../core/hash.ts'
import { ROW_REVISION } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import {
  RECYCLED_HEADER_F64,
  RECYCLED_PAGE_MASK,
  RECYCLED_PAGE_SHIFT,
  RecycledTable,
  ROW_FIRST_OWN_FLAG,
  ROW_NEXT,
} from '../state/recycled-table.ts'
import { RowTimers } from '../state/row-timers.ts'
import { touches } from '../window/session.ts'
import { type Accumulators, DISTINCT_KEY, DISTINCT_TEXT } from './accumulators.ts'
import { releaseCells } from './cells.ts'
import { memberHash } from './member-rows.ts'
import { mergePartial } from './merge-accumulators.ts'
import { SESSION_START, SessionChain } from './session-chain.ts'

/** Column of its end: the time of its last event plus the gap. */
export const SESSION_END = 1
/** Column of the time of its timer that counts. */
export const SESSION_TIMER = 2
const SESSION_SETS = 3

/** Flag of a session whose last change has been given out. */
export const SESSION_FIRED = ROW_FIRST_OWN_FLAG

/** Told of a session that will no longer be found by its start: it merges into an earlier one, or starts earlier. */
export type SessionVanishes = (row: number) => void

const noColumns = new Float64Array(0)

/** Sessions by group. */
export class SessionRows {
  readonly gapMs: number
  readonly accumulators: Accumulators
  readonly table: RecycledTable
  readonly timers: RowTimers
  readonly chain: SessionChain
  /** A member set for each accumulator that counts different texts, null for the others. Owners are session rows. */
  readonly sets: readonly (RecycledTable | null)[]
  /** Column of the first accumulator. */
  readonly valuesAt: number
  /** As of SliceList. */
  closedUntilMs = Number.NEGATIVE_INFINITY
  /** For each accumulator with a member set: the column of its first member, plus one. */
  readonly #setColumns: Int32Array
  readonly #name: string

  constructor(name: string, gapMs: number, accumulators: Accumulators, pool: PagePool) {
    this.#name = name
    this.gapMs = gapMs
    this.accumulators = accumulators
    this.timers = new RowTimers(gapMs)
    this.#setColumns = new Int32Array(accumulators.count).fill(-1)
    let columns = SESSION_SETS
    this.sets = Array.from(accumulators.kinds, (kind, i) => {
      if (kind !== DISTINCT_TEXT) return null
      this.#setColumns[i] = columns++
      return new RecycledTable(pool, noColumns)
    })
    this.valuesAt = columns
    const initial = new Float64Array(columns + accumulators.initial.length)
    initial.set(accumulators.initial, columns)
    this.table = new RecycledTable(pool, initial)
    this.chain = new SessionChain(this.table)
  }

  /** Bytes beside the page pool's. */
  get indexBytes(): number {
    let bytes = this.table.indexBytes + this.chain.byteLength + this.timers.byteLength
    for (const set of this.sets) bytes += set?.indexBytes ?? 0
    return bytes
  }

  /** Column `column` of a row. */
  value(row: number, column: number): number {
    return this.table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!.f64[this.at(row) + column]!
  }

  /** Where the columns of a row begin in the f64 view of its page. */
  at(row: number): number {
    return (row & RECYCLED_PAGE_MASK) * this.table.strideF64 + RECYCLED_HEADER_F64
  }

  /** The numbers of a row's page. */
  f64(row: number): Float64Array {
    return this.table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!.f64
  }

  /**
   * The session of an event that is not within the latest one of its group (`head`, -1 for none): an existing one, which
   * grows or merges with its neighbour, or a fresh one, whose end is the event's time plus the gap. -1 when there is
   * none that it touches and `takesNew` is false.
   */
  place(
    head: number,
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    timeMs: number,
    takesNew: boolean,
    vanishes: SessionVanishes,
  ): number {
    const endMs = timeMs + this.gapMs
    let row = head
    let after = -1
    if (head >= 0 && this.value(head, SESSION_START) > endMs) {
      after = this.chain.earliestAfter(head, endMs)
      row = this.chain.before(after)
    }
    if (row < 0 || !touches(timeMs, endMs, this.value(row, SESSION_START), this.value(row, SESSION_END))) {
      return takesNew ? this.#insert(hash, bytes, start, end, timeMs, endMs, row, after) : -1
    }
    // Sessions are at least a gap long, so an event reaches two of them at most: this one and the one before it.
    const before = this.chain.before(row)
    const bridges = before >= 0 && this.value(before, SESSION_END) >= timeMs
    if (bridges || timeMs < this.value(row, SESSION_START)) vanishes(row)
    if (bridges) this.#swallow(row, before)
    this.#cover(row, timeMs, endMs)
    return row
  }

  /** A fresh row for a session of another table, in its place in the chain of its group. For restores. */
  insert(hash: number, key: Uint8Array, startMs: number, endMs: number): number {
    const head = this.table.find(hash, 0, key, 0, key.length)
    if (head < 0 || this.value(head, SESSION_START) <= startMs) {
      return this.#insert(hash, key, 0, key.length, startMs, endMs, head, -1)
    }
    const after = this.chain.earliestAfter(head, startMs)
    return this.#insert(hash, key, 0, key.length, startMs, endMs, this.chain.before(after), after)
  }

  /** The sessions of a group, the latest first. */
  *ofGroup(key: Uint8Array): Generator<number, void> {
    let row = this.table.find(hashBytes(key, 0, key.length), 0, key, 0, key.length)
    for (; row >= 0; row = this.chain.before(row)) yield row
  }

  /** Makes sure that a timer comes at or before `timeMs`. */
  ensureTimer(row: number, timeMs: number): void {
    const f64 = this.f64(row)
    const at = this.at(row) + SESSION_TIMER
    if (f64[at]! <= timeMs) return
    f64[at] = timeMs
    this.timers.add(timeMs, row)
  }

  /** Sets the row's next timer, whatever it had. */
  setTimer(row: number, timeMs: number): void {
    this.f64(row)[this.at(row) + SESSION_TIMER] = timeMs
    this.timers.add(timeMs, row)
  }

  /** Whether the row is a session whose timer this is; others are of sessions that have changed or gone. */
  hasTimer(row: number, timeMs: number): boolean {
    return this.value(row, SESSION_TIMER) === timeMs && this.table.isLive(row)
  }

  /** Adds a text to a member set of a session; true when it is new. */
  addMember(accumulator: number, row: number, hash: number, bytes: Uint8Array, start: number, end: number): boolean {
    const set = this.sets[accumulator]!
    const spread = memberHash(hash, row)
    if (set.find(spread, row, bytes, start, end) >= 0) return false
    const member = set.add(spread, row, bytes, start, end)
    set.link(member)
    const f64 = this.f64(row)
    const at = this.at(row) + this.#setColumns[accumulator]!
    set.setU32(member, ROW_NEXT, f64[at]!)
    f64[at] = member + 1
    return true
  }

  /** Visits the members of a session in one of its sets, from `first` on; they may be removed meanwhile. */
  eachMember(accumulator: number, row: number, visit: (member: number) => void): void {
    const set = this.sets[accumulator]!
    let member = this.value(row, this.#setColumns[accumulator]!) - 1
    while (member >= 0) {
      const next = set.u32(member, ROW_NEXT) - 1
      visit(member)
      member = next
    }
  }

  /** Takes a session out, with its members. */
  remove(row: number): void {
    this.chain.remove(row)
    this.#removeMembers(row)
    releaseCells(this.accumulators, this.f64(row), this.at(row) + this.valuesAt)
    this.table.remove(row)
  }

  /** Gives all memory back. */
  release(): void {
    this.table.release()
    for (const set of this.sets) set?.release()
  }

  #insert(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    startMs: number,
    endMs: number,
    before: number,
    after: number,
  ): number {
    const table = this.table
    const row = table.add(hash, 0, bytes, start, end)
    const f64 = this.f64(row)
    const at = this.at(row)
    f64[at + SESSION_START] = startMs
    f64[at + SESSION_END] = endMs
    f64[at + SESSION_TIMER] = Infinity
    this.chain.insert(row, before, after)
    return row
  }

  /** Merges the session before `row` into it. */
  #swallow(row: number, before: number): void {
    const table = this.table
    const into = this.f64(row)
    const from = this.f64(before)
    const intoAt = this.at(row)
    const fromAt = this.at(before)
    this.#cover(row, from[fromAt + SESSION_START]!, from[fromAt + SESSION_END]!)
    mergePartial(this.accumulators, into, intoAt + this.valuesAt, from, fromAt + this.valuesAt, this.#name)
    this.accumulators.kinds.forEach((kind, i) => {
      // A group has one key: both have counted the same one.
      if (kind === DISTINCT_KEY) into[intoAt + this.valuesAt + i] = Math.min(1, into[intoAt + this.valuesAt + i]!)
      if (kind === DISTINCT_TEXT) this.#swallowMembers(i, row, before)
    })
    const revision = Math.max(table.u32(row, ROW_REVISION), table.u32(before, ROW_REVISION))
    table.setU32(row, ROW_REVISION, revision)
    this.remove(before)
  }

  #swallowMembers(accumulator: number, row: number, before: number): void {
    const set = this.sets[accumulator]!
    const valueAt = this.at(row) + this.valuesAt + accumulator
    this.eachMember(accumulator, before, (member) => {
      const key = set.keyOf(member).slice()
      if (this.addMember(accumulator, row, hashBytes(key, 0, key.length), key, 0, key.length)) this.f64(row)[valueAt]!++
    })
  }

  #cover(row: number, startMs: number, endMs: number): void {
    const page = this.table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    const at = this.at(row)
    if (startMs < page.f64[at + SESSION_START]!) page.f64[at + SESSION_START] = startMs
    if (endMs > page.f64[at + SESSION_END]!) page.f64[at + SESSION_END] = endMs
    page.dirty = 1
  }

  #removeMembers(row: number): void {
    for (let i = 0; i < this.sets.length; i++) {
      const set = this.sets[i]!
      if (set !== null) this.eachMember(i, row, (member) => set.remove(member))
    }
  }
}
