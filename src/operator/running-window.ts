/**
 * The sum of some panes: the window that is due, built from the one before it.
 *
 * Owns: adding panes up by group, taking panes away again where every accumulator can be subtracted, and the union of
 * their member sets. Does not own: panes, which windows there are, or what is told of them.
 *
 * To get from one window to the next, the panes that enter are added and those that leave are subtracted, so a window
 * costs the same however many panes it has. Minima, floating sums and most sketches cannot be subtracted: a table with one of
 * them is added up anew for each window that loses a pane. A cumulating window only grows until it starts anew.
 *
 * A member of several panes is one member of the window: it is kept with the number of panes that have it. Groups and
 * members that no pane has any more stay as dead rows until there are more of them than others.
 *
 * Work is done in steps of a budget. Nothing here is part of a checkpoint: it is built again from the panes.
 */
import { hashBytes } from '../core/hash.ts'
import {
  KeyedTable,
  ROW_CHANGE,
  ROW_HASH,
  ROW_HEADER_F64,
  ROW_OWNER,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
} from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { type Accumulators, COUNT, DISTINCT_KEY, HISTOGRAM, isDistinct, SUM, VALUES } from './accumulators.ts'
import { releaseCells, releaseTable } from './cells.ts'
import { memberHash } from './member-rows.ts'
import { mergePartial } from './merge-accumulators.ts'
import type { Slice } from './slices.ts'
import type { KeyTest } from './view-filter.ts'

/** Rows that may still be worked on before the thread is given back. */
export interface Budget {
  left: number
}

/** One column: how many panes have the member. */
const memberColumns = new Float64Array(1)

/** Dead rows are kept for as long as they are fewer than this. */
const DEAD_MIN = 1024

/** Groups summed over panes. */
export class RunningWindow {
  groups: KeyedTable
  /** The panes in the sum, in order. */
  panes: Slice[] = []
  #members: readonly (KeyedTable | null)[]
  /** For each pane in the sum: the row here of each of its rows; -1 for a group that is left out. */
  readonly #rowOf = new Map<Slice, Int32Array>()
  #dead = 0
  #deadMembers = 0
  readonly #accumulators: Accumulators
  readonly #pool: PagePool
  readonly #table: string
  readonly #passes: KeyTest | null
  readonly #inverts: boolean
  /** How many panes have each group. */
  #panesOf = new Uint16Array(64)
  /** Accumulators that `mergePartial` would add up though their members are united. */
  readonly #keyCounts: readonly number[]

  /** `passes`: which groups are wanted; null for all. */
  constructor(accumulators: Accumulators, pool: PagePool, table: string, passes: KeyTest | null) {
    const kinds = Array.from(accumulators.kinds)
    this.#accumulators = accumulators
    this.#pool = pool
    this.#table = table
    this.#passes = passes
    this.#inverts = kinds.every((kind) => isExact(kind) || isDistinct(kind))
    this.#keyCounts = kinds.flatMap((kind, i) => (kind === DISTINCT_KEY ? [i] : []))
    this.groups = new KeyedTable(pool, accumulators.initial, 0)
    this.#members = this.#newMembers()
  }

  /** Bytes beside the page pool's. */
  get indexBytes(): number {
    let bytes = this.groups.indexBytes
    for (const members of this.#members) bytes += members?.indexBytes ?? 0
    for (const rows of this.#rowOf.values()) bytes += rows.byteLength
    return bytes + this.#panesOf.byteLength
  }

  /** Makes this the sum of `target`, panes in order. Yields where the budget is used up. */
  *moveTo(target: readonly Slice[], budget: Budget): Generator<undefined, void> {
    const wanted = new Set(target)
    const leaving = this.panes.filter((pane) => !wanted.has(pane))
    const staying = this.panes.length - leaving.length
    if (leaving.length > 0 && (!this.#inverts || leaving.length >= staying || this.#mostlyDead())) this.clear()
    else for (const pane of leaving) yield* this.#subtract(pane, budget)
    for (const pane of target) if (!this.#rowOf.has(pane)) yield* this.#add(pane, budget)
    this.panes = [...target]
  }

  /** Takes one pane out, if it is in. */
  *drop(pane: Slice, budget: Budget): Generator<undefined, void> {
    if (!this.#rowOf.has(pane)) return
    if (!this.#inverts || this.panes.length === 1) {
      this.clear()
      return
    }
    yield* this.#subtract(pane, budget)
    this.panes = this.panes.filter((other) => other !== pane)
  }

  /** True while a pane of the sum has events of the group in this row. */
  isLive(row: number): boolean {
    return this.#panesOf[row]! > 0
  }

  /** A row of a pane has changed: sums its group up anew. Its member counts are `addMember`'s. */
  update(pane: Slice, row: number): void {
    if (!this.#rowOf.has(pane)) return
    sumGroup(this.#accumulators, this.groups, this.#groupOf(pane, row), this.panes, this.#table)
  }

  /** A pane has got a new member, `member` of its set `accumulator`. */
  addMember(pane: Slice, accumulator: number, member: number): void {
    if (!this.#rowOf.has(pane)) return
    const from = pane.members[accumulator]!
    const owner =
      from.rows.pages[member >>> ROW_PAGE_SHIFT]!.u32[(member & ROW_PAGE_MASK) * from.strideU32 + ROW_OWNER]!
    this.#countMember(from, member, accumulator, this.#groupOf(pane, owner), 1)
  }

  /** Forgets everything and gives all memory back. */
  clear(): void {
    const expected = this.groups.count - this.#dead
    this.release()
    this.groups = new KeyedTable(this.#pool, this.#accumulators.initial, expected)
    this.#members = this.#newMembers()
  }

  /** Gives all memory back. Must not be used afterwards. */
  release(): void {
    releaseTable(this.#accumulators, this.groups)
    this.groups.release()
    for (const members of this.#members) members?.release()
    this.#rowOf.clear()
    this.#panesOf.fill(0)
    this.panes = []
    this.#dead = 0
    this.#deadMembers = 0
  }

  #newMembers(): (KeyedTable | null)[] {
    const { kinds } = this.#accumulators
    return Array.from(kinds, (kind) => (isDistinct(kind) ? new KeyedTable(this.#pool, memberColumns, 0) : null))
  }

  #mostlyDead(): boolean {
    let members = 0
    for (const set of this.#members) members += set?.count ?? 0
    return (
      (this.#dead > DEAD_MIN && this.#dead * 2 > this.groups.count) ||
      (this.#deadMembers > DEAD_MIN && this.#deadMembers * 2 > members)
    )
  }

  /** The row here of a pane's row, which may be newer than the sum. */
  #groupOf(pane: Slice, row: number): number {
    let rows = this.#rowOf.get(pane)!
    if (row >= rows.length) {
      const longer = new Int32Array(pane.groups.count)
      longer.set(rows)
      for (let i = rows.length; i < longer.length; i++) longer[i] = this.#place(pane, i)
      this.#rowOf.set(pane, longer)
      rows = longer
    }
    return rows[row]!
  }

  #place(pane: Slice, row: number): number {
    const { groups } = pane
    if (this.#passes !== null && !this.#passes(groups.keyOf(row))) return -1
    const hash = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * groups.strideU32 + ROW_HASH]!
    const known = this.groups.count
    const group = this.groups.insertKeyOf(groups, row, hash, 0)
    if (group >= this.#panesOf.length) {
      const longer = new Uint16Array(group * 2)
      longer.set(this.#panesOf)
      this.#panesOf = longer
    }
    if (group < known && this.#panesOf[group] === 0) this.#dead--
    this.#panesOf[group]!++
    return group
  }

  *#add(pane: Slice, budget: Budget): Generator<undefined, void> {
    const from = pane.groups
    const only = this.#passes?.onlyKey
    const found = only === undefined ? 0 : from.find(hashBytes(only, 0, only.length), 0, only, 0, only.length)
    const rows = new Int32Array(from.count).fill(-1)
    const end = only === undefined ? rows.length : found + 1
    for (let row = Math.max(0, found); row < end; row++) {
      if (budget.left <= 0) yield
      budget.left--
      const group = this.#place(pane, row)
      rows[row] = group
      if (group >= 0) this.#addRow(from, row, group)
    }
    this.#rowOf.set(pane, rows)
    if (found >= 0) yield* this.#countMembers(pane, rows, budget, 1)
  }

  #addRow(from: KeyedTable, row: number, group: number): void {
    const { groups } = this
    const page = from.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const fromPlace = row & ROW_PAGE_MASK
    const into = groups.rows.pages[group >>> ROW_PAGE_SHIFT]!
    const place = group & ROW_PAGE_MASK
    const at = place * groups.strideF64 + ROW_HEADER_F64
    const keyCounts = this.#keyCounts
    for (let i = 0; i < keyCounts.length; i++) kept[i] = into.f64[at + keyCounts[i]!]!
    const fromAt = fromPlace * from.strideF64 + ROW_HEADER_F64
    mergePartial(this.#accumulators, into.f64, at, page.f64, fromAt, this.#table)
    for (let i = 0; i < keyCounts.length; i++) into.f64[at + keyCounts[i]!] = kept[i]!
    const change = page.u32[fromPlace * from.strideU32 + ROW_CHANGE]!
    const changeAt = place * groups.strideU32 + ROW_CHANGE
    if (change > into.u32[changeAt]!) into.u32[changeAt] = change
  }

  *#subtract(pane: Slice, budget: Budget): Generator<undefined, void> {
    const rows = this.#rowOf.get(pane)!
    yield* this.#countMembers(pane, rows, budget, -1)
    const { kinds, initial } = this.#accumulators
    const columns = initial.length
    const { groups } = this
    const from = pane.groups
    for (let row = 0; row < rows.length; row++) {
      if (budget.left <= 0) yield
      budget.left--
      const group = rows[row]!
      if (group < 0) continue
      const f64 = groups.rows.pages[group >>> ROW_PAGE_SHIFT]!.f64
      const at = (group & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64
      const page = from.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const fromAt = (row & ROW_PAGE_MASK) * from.strideF64 + ROW_HEADER_F64
      for (let i = 0; i < kinds.length; i++) if (isExact(kinds[i]!)) f64[at + i]! -= page.f64[fromAt + i]!
      // Of what exact accumulators have behind them, only histograms have more: counts as well.
      for (let i = kinds.length; i < columns; i++) f64[at + i]! -= page.f64[fromAt + i]!
      if (--this.#panesOf[group]! === 0) this.#dead++
    }
    this.#rowOf.delete(pane)
  }

  *#countMembers(pane: Slice, rows: Int32Array, budget: Budget, by: number): Generator<undefined, void> {
    for (let i = 0; i < this.#members.length; i++) {
      const from = pane.members[i] ?? null
      if (this.#members[i] === null || from === null) continue
      for (let member = 0; member < from.count; member++) {
        if (budget.left <= 0) yield
        budget.left--
        const page = from.rows.pages[member >>> ROW_PAGE_SHIFT]!
        const group = rows[page.u32[(member & ROW_PAGE_MASK) * from.strideU32 + ROW_OWNER]!]!
        if (group >= 0) this.#countMember(from, member, i, group, by)
      }
    }
  }

  #countMember(from: KeyedTable, member: number, accumulator: number, group: number, by: number): void {
    if (group < 0) return
    const set = this.#members[accumulator]!
    const known = set.count
    const row = set.insertKeyOf(from, member, memberHash(from.keyHashOf(member), group), group)
    const f64 = set.rows.pages[row >>> ROW_PAGE_SHIFT]!.f64
    const at = (row & ROW_PAGE_MASK) * set.strideF64 + ROW_HEADER_F64
    const panes = (f64[at]! += by)
    if (panes > 1 || (panes === 1 && by < 0)) return
    const values = this.groups.rows.pages[group >>> ROW_PAGE_SHIFT]!.f64
    values[(group & ROW_PAGE_MASK) * this.groups.strideF64 + ROW_HEADER_F64 + accumulator]! += by
    if (by < 0) this.#deadMembers++
    else if (set.count === known) this.#deadMembers--
  }
}

/** Whether what such an accumulator was given can be taken back without a trace: whole numbers that add up. */
function isExact(kind: number): boolean {
  return kind === COUNT || kind === SUM || kind === VALUES || kind === HISTOGRAM
}

/** The counts of keys of one row; a table has fewer than 64 accumulators of one kind. */
const kept = new Float64Array(64)
let scratch = new Float64Array(64)

/** Sets the columns of a group to their sum over `panes`; counts of different values stay as they are. */
export function sumGroup(
  accumulators: Accumulators,
  groups: KeyedTable,
  row: number,
  panes: readonly Slice[],
  table: string,
): void {
  const { initial, kinds } = accumulators
  if (scratch.length < initial.length) scratch = new Float64Array(initial.length * 2)
  scratch.set(initial)
  const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
  const hash = page.u32[(row & ROW_PAGE_MASK) * groups.strideU32 + ROW_HASH]!
  for (const pane of panes) {
    const from = pane.groups
    const found = from.findKeyOf(groups, row, hash, 0)
    if (found < 0) continue
    const fromAt = (found & ROW_PAGE_MASK) * from.strideF64 + ROW_HEADER_F64
    mergePartial(accumulators, scratch, 0, from.rows.pages[found >>> ROW_PAGE_SHIFT]!.f64, fromAt, table)
  }
  const at = (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64
  releaseCells(accumulators, page.f64, at)
  for (let i = 0; i < initial.length; i++)
    if (!(i < kinds.length && isDistinct(kinds[i]!))) page.f64[at + i] = scratch[i]!
  page.dirty = 1
}
