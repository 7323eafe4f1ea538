/**
 * The inner loops: what the rows of a batch do to the accumulators of their groups.
 *
 * Owns: marking touched rows, and one loop an accumulator over a block of rows, so that what an accumulator is, is asked
 * once a block. Does not own: which slice and group each row is in (operator/aggregate-events).
 *
 * The rows of a block stay in the nearest cache from one loop to the next. Where a trigger counts events a block is one row.
 */
import type { EventBatch } from '../exchange/event-batch.ts'
import type { TablePlan } from '../job/plan.ts'
import { type KeyedTable, ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import type { Page } from '../state/pages.ts'
import {
  type Accumulators,
  addCompensated,
  COUNT,
  DISTINCT_KEY,
  DISTINCT_KEY_SENT,
  DISTINCT_TEXT,
  MAX,
  MIN,
  SUM,
  SUM_FLOATING,
  sumOverflow,
} from './accumulators.ts'
import { setMemberBit } from './member-bits.ts'
import { owe, weigh } from './member-counts.ts'
import { MemberFinder } from './member-finder.ts'
import { addMember, memberRow } from './member-rows.ts'
import type { Slice } from './slices.ts'
import { updateSketch } from './update-sketch.ts'

// Compiled in where they are used, which what is imported is not (decision 0029).
const PAGE_SHIFT = ROW_PAGE_SHIFT
const PAGE_MASK = ROW_PAGE_MASK
const COLUMNS = ROW_HEADER_F64
const CHANGE = ROW_CHANGE
const LARGEST = Number.MAX_SAFE_INTEGER

const noPages: readonly Page[] = []

/** Where the rows of a batch are in one table. */
export interface Placement {
  /** The group of each row, or -1 for one that no slice takes. */
  readonly groupOf: Int32Array
  /** The place in `slices` of each row's slice. */
  readonly sliceOf: Uint16Array
  /** The slices of the batch, each stretch of rows in one slice anew. */
  readonly slices: readonly Slice[]
}

/** Updates the groups of one table. */
export class GroupUpdater {
  readonly #plan: TablePlan
  readonly #accumulators: Accumulators
  readonly #strideF64: number
  readonly #collectAlways: boolean
  readonly #placement: Placement
  /** Finds members of accumulators that count different keys; null where there are none. */
  readonly #members: MemberFinder | null

  /** `collectAlways`: whether touched rows are wanted from the first row on, or only once a slice has fired. */
  constructor(plan: TablePlan, accumulators: Accumulators, collectAlways: boolean, placement: Placement) {
    this.#plan = plan
    this.#accumulators = accumulators
    this.#strideF64 = COLUMNS + accumulators.initial.length
    this.#collectAlways = collectAlways
    this.#placement = placement
    const keys = accumulators.kinds.findIndex((kind) => kind === DISTINCT_KEY || kind === DISTINCT_KEY_SENT)
    this.#members = keys < 0 ? null : new MemberFinder(keys, accumulators.memberBits)
  }

  /** Finds what rows `from` .. `to` - 1 will need; before they are updated. */
  prepare(batch: EventBatch, from: number, to: number): void {
    const { groupOf, slices } = this.#placement
    // Nearly all are in the slice where the block ends.
    this.#members?.find(batch, groupOf, from, to, slices[slices.length - 1]!)
  }

  /** Applies rows `from` .. `to` - 1; touched rows are stamped with `change`. */
  update(batch: EventBatch, from: number, to: number, change: number): void {
    const { count, kinds, predicates, inputs, memberBits } = this.#accumulators
    const events = batch.weight === null
    this.#touch(from, to, change)
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]!
      const bit = 1 << predicates[i]!
      if (kind === COUNT && events) this.#count(batch, from, to, i, bit)
      else if (kind === SUM && events) this.#sum(batch, from, to, i, bit, batch.numbers[inputs[i]!]!)
      else if (kind === DISTINCT_KEY && memberBits) this.#countKeys(batch, from, to, i, bit)
      else this.#updateEach(batch, from, to, i, bit)
    }
  }

  #touch(from: number, to: number, change: number): void {
    const { groupOf, sliceOf, slices } = this.#placement
    const strideF64 = this.#strideF64
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      if (group < 0) continue
      const slice = slices[sliceOf[row]!]!
      const page = slice.groups.rows.pages[group >>> PAGE_SHIFT]!
      const at = (group & PAGE_MASK) * strideF64
      const changeAt = at * 2 + CHANGE
      page.dirty = 1
      if (page.u32[changeAt] === change) continue
      page.u32[changeAt] = change
      if (this.#collectAlways || slice.fired) {
        slice.touched.push(group)
        if (slice.before !== null) slice.keepBefore(page.f64, at + COLUMNS)
      }
    }
  }

  #count({ mask, count }: EventBatch, from: number, to: number, i: number, bit: number): void {
    const { groupOf, sliceOf, slices } = this.#placement
    const strideF64 = this.#strideF64
    let place = -1
    let pages = noPages
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      if (group < 0 || (mask[row]! & bit) === 0) continue
      if (sliceOf[row] !== place) {
        place = sliceOf[row]!
        pages = slices[place]!.groups.rows.pages
      }
      const at = (group & PAGE_MASK) * strideF64 + COLUMNS + i
      pages[group >>> PAGE_SHIFT]!.f64[at]! += count === null ? 1 : count[row]!
    }
  }

  #sum({ mask }: EventBatch, from: number, to: number, i: number, bit: number, values: Float64Array): void {
    const { groupOf, sliceOf, slices } = this.#placement
    const strideF64 = this.#strideF64
    let place = -1
    let pages = noPages
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      if (group < 0 || (mask[row]! & bit) === 0) continue
      if (sliceOf[row] !== place) {
        place = sliceOf[row]!
        pages = slices[place]!.groups.rows.pages
      }
      const f64 = pages[group >>> PAGE_SHIFT]!.f64
      const at = (group & PAGE_MASK) * strideF64 + COLUMNS + i
      this.#addTo(f64, at, values[row]!, i)
    }
  }

  /** Counts different keys whose sets are bits. */
  #countKeys(batch: EventBatch, from: number, to: number, i: number, bit: number): void {
    const { groupOf, sliceOf, slices } = this.#placement
    const strideF64 = this.#strideF64
    const finder = this.#members!
    const mask = batch.mask
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      if (group < 0 || (mask[row]! & bit) === 0) continue
      const slice = slices[sliceOf[row]!]!
      if (!setMemberBit(slice.members[i]!, finder.of(batch, row, group, slice, i), group)) continue
      slice.groups.rows.pages[group >>> PAGE_SHIFT]!.f64[(group & PAGE_MASK) * strideF64 + COLUMNS + i]!++
    }
  }

  #updateEach(batch: EventBatch, from: number, to: number, i: number, bit: number): void {
    const { groupOf, sliceOf, slices } = this.#placement
    for (let row = from; row < to; row++) {
      const group = groupOf[row]!
      if (group < 0 || (batch.mask[row]! & bit) === 0) continue
      const slice = slices[sliceOf[row]!]!
      const f64 = slice.groups.rows.pages[group >>> PAGE_SHIFT]!.f64
      this.#update(batch, row, i, slice, group, f64, (group & PAGE_MASK) * this.#strideF64 + COLUMNS)
    }
  }

  /** Updates accumulator `i` of a row, whose columns are f64[base ..]. */
  #update(
    batch: EventBatch,
    row: number,
    i: number,
    slice: Slice,
    group: number,
    f64: Float64Array,
    base: number,
  ): void {
    const { kinds, inputs, compensations, memberCounts } = this.#accumulators
    const weight = batch.weight === null ? 1 : batch.weight[row]!
    const at = base + i
    switch (kinds[i]) {
      case COUNT:
        f64[at]! += batch.count === null ? weight : weight * batch.count[row]!
        break
      case SUM:
        this.#addTo(f64, at, weight * batch.numbers[inputs[i]!]![row]!, i)
        break
      case SUM_FLOATING: {
        const value = batch.numbers[inputs[i]!]![row]!
        // NaN is no value, as SQL's NULL.
        if (!Number.isNaN(value)) addCompensated(f64, at, base + compensations[i]!, weight * value)
        break
      }
      case MIN: {
        const value = batch.numbers[inputs[i]!]![row]!
        if (value < f64[at]!) f64[at] = value
        break
      }
      case MAX: {
        const value = batch.numbers[inputs[i]!]![row]!
        if (value > f64[at]!) f64[at] = value
        break
      }
      case DISTINCT_KEY:
      case DISTINCT_KEY_SENT: {
        const members = slice.members[i]!
        const before = members.count
        const member = this.#members!.of(batch, row, group, slice, i)
        if (memberCounts) f64[at]! += weigh(members, member, weight)
        else if (members.count > before) f64[at]!++
        break
      }
      case DISTINCT_TEXT: {
        const column = inputs[i]!
        const id = batch.texts[column]![row]!
        // The empty text is an absent field: no value, as SQL's NULL.
        if (id === 0) break
        const start = batch.entryStart[column]![id]!
        const end = start + batch.entryLength[column]![id]!
        const members = slice.members[i]!
        if (memberCounts) f64[at]! += this.#weighText(slice, i, members, group, batch.bytes, start, end, weight)
        else if (addMember(members, group, batch.bytes, start, end)) f64[at]!++
        break
      }
      default:
        updateSketch(this.#accumulators, i, batch, row, f64, base, weight)
    }
  }

  /** Adds to an exact sum. NaN is no value. */
  #addTo(f64: Float64Array, at: number, value: number, i: number): void {
    const total = f64[at]! + value
    if (total <= LARGEST && total >= -LARGEST) f64[at] = total
    else if (!Number.isNaN(total)) sumOverflow(this.#accumulators, i, this.#plan.id)
  }

  /** As `weigh`. Where partials are sent on, merge has the counts: only what it must be told is kept here. */
  #weighText(
    slice: Slice,
    accumulator: number,
    members: KeyedTable,
    group: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    weight: number,
  ): number {
    const member = memberRow(members, group, bytes, start, end)
    if (!this.#collectAlways) return weigh(members, member, weight)
    if (owe(members, member, weight)) {
      slice.owed[accumulator] ??= []
      slice.owed[accumulator].push(member)
    }
    return 0
  }
}
