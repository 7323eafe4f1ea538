/**
 * The hot loop: rows of an event batch into the slices of one table.
 *
 * Owns: for each row, judging lateness, finding the slice and the group's row, and updating the accumulators. Does not
 * own: what happens to touched rows (sent on as partials, or fired as results).
 *
 * Cost a row: one probe of the group table (none when the group was met in this batch before and the dimension is a
 * text), one probe of a member set for each exact distinct, one cache line of accumulators. Probes of keys are made for
 * all rows of a batch at once. No object, closure or promise a row.
 */
import { invariant } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import type { EventBatch } from '../exchange/event-batch.ts'
import { ROWS_MAX } from '../exchange/event-batch.ts'
import type { TablePlan } from '../job/plan.ts'
import { findAll } from '../state/find-all.ts'
import { type KeyedTable, ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import { createAssigner } from '../window/assigner.ts'
import { isClosed, latenessAt } from '../window/lateness.ts'
import { createPanes, type PaneAssigner, type Span } from '../window/panes.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
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
import { GroupKeyBuilder } from './group-key.ts'
import { setMemberBit } from './member-bits.ts'
import { MemberCounts, owe } from './member-counts.ts'
import { MemberFinder } from './member-finder.ts'
import { addMember, memberRow } from './member-rows.ts'
import type { Slice, SliceList } from './slices.ts'
import { updateSketch } from './update-sketch.ts'

/** Told of each row and window of a table that it came too late for. */
export type LateRow = (row: number, windowStartMs: number, windowEndMs: number, mask: number) => void

const noWindows: readonly Span[] = []

/** Told of each event that has been added to a row, for results that wait for events and not for time. */
export interface EventTrigger {
  counted(slice: Slice, row: number, watermarkMs: number): void
}

/** The first windows of a pane, as far as nothing may change them any more. */
export function closedOf(windows: readonly Span[], lateness: number, watermarkMs: number): readonly Span[] {
  let count = 0
  while (count < windows.length && isClosed(windows[count]!.endMs, lateness, watermarkMs)) count++
  return count === 0 ? noWindows : windows.slice(0, count)
}

/** How the group's row is found. */
type Grouping = 'key' | 'text' | 'composite'

/** Puts the events of one subtask into one table. */
export class EventAggregator {
  /** Changes are stamped with this number; the owner raises it when it has told somebody of all touched rows. */
  change = 1
  /** Members that are counted. */
  readonly counts = new MemberCounts()
  readonly #plan: TablePlan
  readonly #accumulators: Accumulators
  readonly #slices: SliceList
  readonly #assigner: WindowAssigner
  readonly #panes: PaneAssigner | null
  readonly #byClock: boolean
  readonly #builder: GroupKeyBuilder
  readonly #grouping: Grouping
  readonly #column: number
  /** Whether touched rows are wanted from the first row on (partials), or only once a slice has fired (corrections). */
  readonly #collectAlways: boolean
  /** For grouping by one text: the group row of each dictionary id, for `#cachedSlice`; -1 unknown. */
  readonly #rowOfEntry = new Int32Array(ROWS_MAX)
  /** The slices of the batch, each stretch of rows in one slice anew. */
  readonly #slicesHere: Slice[] = []
  /** The group row (-1 for none) of each row of the batch, and its slice's place in `#slicesHere`. */
  readonly #groupOfRow = new Int32Array(ROWS_MAX)
  readonly #sliceOfRow = new Uint16Array(ROWS_MAX)
  /** Rows of groups that were found for a whole batch. */
  readonly #found = new Int32Array(ROWS_MAX)
  readonly #trigger: EventTrigger | null
  /** Finds members of accumulators that count different keys; null where there are none. */
  readonly #members: MemberFinder | null

  /** `dimensions`: position of each dimension among the batch's text columns, -1 for the key. */
  constructor(
    plan: TablePlan,
    dimensions: readonly number[],
    accumulators: Accumulators,
    slices: SliceList,
    collectAlways: boolean,
    trigger: EventTrigger | null = null,
  ) {
    this.#trigger = trigger
    this.#plan = plan
    this.#accumulators = accumulators
    this.#slices = slices
    this.#panes = createPanes(plan.window)
    this.#assigner = this.#panes ?? createAssigner(plan.window)
    this.#byClock = plan.window.time === 'processing'
    this.#builder = new GroupKeyBuilder(dimensions)
    this.#grouping = dimensions.length !== 1 ? 'composite' : dimensions[0]! < 0 ? 'key' : 'text'
    this.#column = dimensions[0] ?? -1
    this.#collectAlways = collectAlways
    const keys = accumulators.kinds.findIndex((kind) => kind === DISTINCT_KEY || kind === DISTINCT_KEY_SENT)
    this.#members = keys < 0 ? null : new MemberFinder(keys, accumulators.memberBits)
  }

  /**
   * Applies a batch. `accepted[row]` is set to 1 where a window took the row; `onLate` hears of the others that a
   * metric wanted, but for those in no window at all. `nowMs` is the time of every row in processing time, and
   * `watermarkMs` then what has passed of it. Returns the number of rows that were applied.
   */
  apply(batch: EventBatch, watermarkMs: number, accepted: Uint8Array, onLate: LateRow, nowMs = Number.NaN): number {
    invariant(batch.weight === null || this.#accumulators.inverts, `table '${this.#plan.id}' cannot take events back`)
    const rows = batch.rows
    const byClock = this.#byClock
    const wanted = this.#accumulators.mask
    const lateness = this.#latenessAt(watermarkMs)
    const assigner = this.#assigner
    const { mask, timeMs } = batch
    const rowOfEntry = this.#rowOfEntry
    const groupOf = this.#groupOfRow
    const sliceOf = this.#sliceOfRow
    const slicesHere = this.#slicesHere
    slicesHere.length = 0
    const grouping = this.#grouping
    const found = this.#found
    let foundIn: Slice | null = null
    let slice: Slice | null = null
    let late: readonly Span[] = noWindows
    let startMs = Infinity
    let endMs = -Infinity
    let applied = 0
    for (let row = 0; row < rows; row++) {
      groupOf[row] = -1
      const bits = mask[row]! & wanted
      if (bits === 0) continue
      const time = byClock ? nowMs : timeMs[row]!
      if (time < startMs || time >= endMs) {
        assigner.assign(time)
        startMs = assigner.startMs
        endMs = assigner.endMs
        // The window is late when its last instant plus the lateness is at or behind the watermark (window/lateness).
        slice = assigner.lastEndMs - 1 + lateness <= watermarkMs ? null : this.#slices.of(startMs, endMs)
        late = this.#missedBy(slice, watermarkMs)
        if (slice !== null) slicesHere.push(slice)
        if (grouping === 'text') rowOfEntry.fill(-1, 0, batch.entries(this.#column))
        else if (grouping === 'key' && applied === 0 && slice !== null) {
          findAll(slice.groups, batch.hash, null, batch, rows, found)
          foundIn = slice
        }
      }
      for (let i = 0; i < late.length; i++) onLate(row, late[i]!.startMs, late[i]!.endMs, bits)
      if (slice === null) continue
      const groups = slice.groups
      let group: number
      if (grouping === 'key') {
        group = slice === foundIn ? found[row]! : -1
        if (group < 0) {
          const at = batch.keyStart[row]!
          group = groups.findOrInsert(batch.hash[row]!, 0, batch.bytes, at, at + batch.keyLength[row]!)
        }
      } else if (grouping === 'text') {
        const id = batch.texts[this.#column]![row]!
        group = rowOfEntry[id]!
        if (group < 0) {
          // A group of one text has the text's own bytes as its key.
          const at = batch.entryStart[this.#column]![id]!
          const end = at + batch.entryLength[this.#column]![id]!
          group = rowOfEntry[id] = groups.findOrInsert(hashBytes(batch.bytes, at, end), 0, batch.bytes, at, end)
        }
      } else {
        group = this.#groupOf(batch, row, groups)
      }
      groupOf[row] = group
      sliceOf[row] = slicesHere.length - 1
      accepted[row] = 1
      applied++
    }
    if (applied > 0) this.#updateAll(batch, watermarkMs)
    return applied
  }

  /** The windows of the assigner's pane that are closed to events here. Where partials are sent on, merge says so. */
  #missedBy(slice: Slice | null, watermarkMs: number): readonly Span[] {
    const { startMs, endMs } = this.#assigner
    if (this.#panes === null) return slice === null ? [{ startMs, endMs }] : noWindows
    if (slice === null) return this.#panes.windowsOf(startMs)
    if (this.#collectAlways) return noWindows
    return closedOf(slice.windows, this.#latenessAt(watermarkMs), watermarkMs)
  }

  #latenessAt(watermarkMs: number): number {
    return latenessAt(this.#plan.allowedLatenessMs, this.#slices.closedUntilMs, watermarkMs)
  }

  /** Updates the accumulators row by row; the usual kinds here, the others by a call each. */
  #updateAll(batch: EventBatch, watermarkMs: number): void {
    const { count, kinds, predicates, inputs, mask: wanted, memberBits } = this.#accumulators
    const { rows, mask, weight, count: counts, numbers } = batch
    const groupOf = this.#groupOfRow
    const sliceOf = this.#sliceOfRow
    const change = this.change
    const members = this.#members
    members?.find(batch, groupOf, this.#slicesHere.at(-1)!)
    for (let row = 0; row < rows; row++) {
      const group = groupOf[row]!
      if (group < 0) continue
      const slice = this.#slicesHere[sliceOf[row]!]!
      const groups = slice.groups
      const page = groups.rows.pages[group >>> ROW_PAGE_SHIFT]!
      const place = group & ROW_PAGE_MASK
      const f64 = page.f64
      const base = place * groups.strideF64 + ROW_HEADER_F64
      const changeAt = place * groups.strideU32 + ROW_CHANGE
      page.dirty = 1
      if (page.u32[changeAt] !== change) {
        page.u32[changeAt] = change
        if (this.#collectAlways || slice.fired) {
          slice.touched.push(group)
          if (slice.before !== null) slice.keepBefore(f64, base)
        }
      }
      const bits = mask[row]! & wanted
      for (let i = 0; i < count; i++) {
        if ((bits & (1 << predicates[i]!)) === 0) continue
        const kind = kinds[i]!
        if (kind === COUNT && weight === null) {
          f64[base + i]! += counts === null ? 1 : counts[row]!
        } else if (kind === DISTINCT_KEY && memberBits) {
          if (setMemberBit(slice.members[i]!, members!.of(batch, row, slice, i), group)) f64[base + i]!++
        } else {
          if (kind === SUM && weight === null) {
            const total = f64[base + i]! + numbers[inputs[i]!]![row]!
            if (total <= Number.MAX_SAFE_INTEGER && total >= Number.MIN_SAFE_INTEGER) {
              f64[base + i] = total
              continue
            }
          }
          this.#update(batch, row, i, slice, group, f64, base)
        }
      }
      if (this.#trigger !== null) this.#trigger.counted(slice, group, watermarkMs)
    }
  }

  #groupOf(batch: EventBatch, row: number, groups: KeyedTable): number {
    const builder = this.#builder
    builder.build(batch, row)
    return groups.findOrInsert(builder.hash, 0, builder.bytes, 0, builder.length)
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
      case SUM: {
        const total = f64[at]! + weight * batch.numbers[inputs[i]!]![row]!
        if (total <= Number.MAX_SAFE_INTEGER && total >= Number.MIN_SAFE_INTEGER) f64[at] = total
        else if (!Number.isNaN(total)) sumOverflow(this.#accumulators, i, this.#plan.id)
        break
      }
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
        const member = this.#members!.of(batch, row, slice, i)
        if (memberCounts) f64[at]! += this.counts.weigh(members, member, weight)
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

  /** As MemberCounts.weigh. Where partials are sent on, merge has the counts: only what it must be told is kept here. */
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
    if (!this.#collectAlways) return this.counts.weigh(members, member, weight)
    if (owe(members, member, weight)) {
      slice.owed[accumulator] ??= []
      slice.owed[accumulator].push(member)
    }
    return 0
  }
}
