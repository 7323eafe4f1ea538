/**
 * The hot loop: rows of an event batch into the slices of one table.
 *
 * Owns: for each row, judging lateness, finding the slice and the group's row. Does not own: what it does to the
 * accumulators (operator/update-groups), what happens to touched rows (sent on as partials, or fired as results).
 *
 * A batch is worked off in blocks, each in a few loops with one thing to do. Cost a row: one probe of the group table (none
 * when the group was met in this batch before and the dimension is a text), one probe of a member set for each exact
 * distinct, one cache line of accumulators. Probes of keys are made for a block at once. No object, closure or promise a row.
 */
import { invariant } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import type { EventBatch } from '../exchange/event-batch.ts'
import { ROWS_MAX } from '../exchange/event-batch.ts'
import type { TablePlan } from '../job/plan.ts'
import { findAll } from '../state/find-all.ts'
import { createAssigner } from '../window/assigner.ts'
import { isClosed, latenessAt } from '../window/lateness.ts'
import { createPanes, type PaneAssigner, type Span } from '../window/panes.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import type { Accumulators } from './accumulators.ts'
import { GroupKeyBuilder } from './group-key.ts'
import type { Slice, SliceList } from './slices.ts'
import { GroupUpdater } from './update-groups.ts'

/** Rows that are worked off together: their rows in tables stay in the nearest cache meanwhile. */
const BLOCK_ROWS = 128

/** In no slice. */
const NONE = 0xffff

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
  /** For grouping by one text: the group of each dictionary id in the slice at `#entriesPlace`; -1 unknown. */
  readonly #rowOfEntry = new Int32Array(ROWS_MAX)
  #entriesPlace = NONE
  /** See Placement; `sliceOf` is NONE for a row that no slice takes. */
  readonly #slicesHere: Slice[] = []
  readonly #groupOf = new Int32Array(ROWS_MAX)
  readonly #sliceOf = new Uint16Array(ROWS_MAX)
  /** The stretch of time that rows are in, its slice (null where that is late), and its windows that are closed to events. */
  #startMs = Infinity
  #endMs = -Infinity
  #slice: Slice | null = null
  #missed: readonly Span[] = noWindows
  readonly #trigger: EventTrigger | null
  readonly #updater: GroupUpdater

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
    const placement = { groupOf: this.#groupOf, sliceOf: this.#sliceOf, slices: this.#slicesHere }
    this.#updater = new GroupUpdater(plan, accumulators, collectAlways, placement)
  }

  /**
   * Applies a batch. `accepted[row]` is set to 1 where a window took the row; `onLate` hears of the others that a
   * metric wanted, but for those in no window at all. `nowMs` is the time of every row in processing time, and
   * `watermarkMs` then what has passed of it. Returns the number of rows that were applied.
   */
  apply(batch: EventBatch, watermarkMs: number, accepted: Uint8Array, onLate: LateRow, nowMs = Number.NaN): number {
    invariant(batch.weight === null || this.#accumulators.inverts, `table '${this.#plan.id}' cannot take events back`)
    const rows = batch.rows
    this.#slicesHere.length = 0
    this.#entriesPlace = NONE
    this.#startMs = Infinity
    this.#endMs = -Infinity
    let applied = 0
    for (let from = 0; from < rows; from += BLOCK_ROWS) {
      const to = Math.min(from + BLOCK_ROWS, rows)
      const taken = this.#assign(batch, from, to, watermarkMs, accepted, onLate, nowMs)
      if (taken === 0) continue
      applied += taken
      this.#findGroups(batch, from, to)
      this.#updater.prepare(batch, from, to)
      if (this.#trigger === null) this.#updater.update(batch, from, to, this.change)
      else this.#updateAndCount(this.#trigger, batch, from, to, watermarkMs)
    }
    return applied
  }

  /** Finds the slices of rows; returns how many are in one. */
  #assign(
    { mask, timeMs }: EventBatch,
    from: number,
    to: number,
    watermarkMs: number,
    accepted: Uint8Array,
    onLate: LateRow,
    nowMs: number,
  ): number {
    const byClock = this.#byClock
    const wanted = this.#accumulators.mask
    const sliceOf = this.#sliceOf
    let startMs = this.#startMs
    let endMs = this.#endMs
    let place = this.#slicesHere.length - 1
    let taken = 0
    for (let row = from; row < to; row++) {
      const bits = mask[row]! & wanted
      if (bits === 0) {
        sliceOf[row] = NONE
        continue
      }
      const time = byClock ? nowMs : timeMs[row]!
      if (time < startMs || time >= endMs) {
        this.#enter(time, watermarkMs)
        startMs = this.#startMs
        endMs = this.#endMs
        place = this.#slicesHere.length - 1
      }
      const missed = this.#missed
      for (let i = 0; i < missed.length; i++) onLate(row, missed[i]!.startMs, missed[i]!.endMs, bits)
      if (this.#slice === null) {
        sliceOf[row] = NONE
      } else {
        sliceOf[row] = place
        accepted[row] = 1
        taken++
      }
    }
    return taken
  }

  /** Enters the stretch of time around `time` in which the slice is the same. */
  #enter(time: number, watermarkMs: number): void {
    const assigner = this.#assigner
    assigner.assign(time)
    const { startMs, endMs } = assigner
    // The window is late when its last instant plus the lateness is at or behind the watermark (window/lateness).
    const late = assigner.lastEndMs - 1 + this.#latenessAt(watermarkMs) <= watermarkMs
    const slice = late ? null : this.#slices.of(startMs, endMs)
    this.#startMs = startMs
    this.#endMs = endMs
    this.#slice = slice
    this.#missed = this.#missedBy(slice, watermarkMs)
    if (slice !== null) this.#slicesHere.push(slice)
  }

  /** Finds the groups of rows that are in a slice, added where need be. */
  #findGroups(batch: EventBatch, from: number, to: number): void {
    if (this.#grouping === 'text') this.#findTexts(batch, from, to)
    else if (this.#grouping === 'key') this.#findKeys(batch, from, to)
    else {
      const builder = this.#builder
      for (let row = from; row < to; row++) {
        const place = this.#sliceOf[row]!
        if (place !== NONE) builder.build(batch, row)
        const groups = this.#slicesHere[place]?.groups
        this.#groupOf[row] = groups?.findOrInsert(builder.hash, 0, builder.bytes, 0, builder.length) ?? -1
      }
    }
  }

  #findKeys(batch: EventBatch, from: number, to: number): void {
    const sliceOf = this.#sliceOf
    const groupOf = this.#groupOf
    const slices = this.#slicesHere
    // Nearly all are in the slice where the block ends.
    const usual = slices[slices.length - 1]!
    findAll(usual.groups, batch.hash, null, batch, from, to, groupOf)
    for (let row = from; row < to; row++) {
      const place = sliceOf[row]!
      if (place === NONE) {
        groupOf[row] = -1
        continue
      }
      const slice = slices[place]!
      if (groupOf[row]! >= 0 && slice === usual) continue
      const at = batch.keyStart[row]!
      groupOf[row] = slice.groups.findOrInsert(batch.hash[row]!, 0, batch.bytes, at, at + batch.keyLength[row]!)
    }
  }

  #findTexts(batch: EventBatch, from: number, to: number): void {
    const sliceOf = this.#sliceOf
    const groupOf = this.#groupOf
    const rowOfEntry = this.#rowOfEntry
    const ids = batch.texts[this.#column]!
    for (let row = from; row < to; row++) {
      const place = sliceOf[row]!
      if (place === NONE) {
        groupOf[row] = -1
        continue
      }
      if (place !== this.#entriesPlace) {
        this.#entriesPlace = place
        rowOfEntry.fill(-1, 0, batch.entries(this.#column))
      }
      const id = ids[row]!
      let group = rowOfEntry[id]!
      if (group < 0) {
        // A group of one text has the text's own bytes as its key.
        const at = batch.entryStart[this.#column]![id]!
        const end = at + batch.entryLength[this.#column]![id]!
        const groups = this.#slicesHere[place]!.groups
        group = rowOfEntry[id] = groups.findOrInsert(hashBytes(batch.bytes, at, end), 0, batch.bytes, at, end)
      }
      groupOf[row] = group
    }
  }

  #updateAndCount(trigger: EventTrigger, batch: EventBatch, from: number, to: number, watermarkMs: number): void {
    for (let row = from; row < to; row++) {
      const group = this.#groupOf[row]!
      if (group < 0) continue
      this.#updater.update(batch, row, row + 1, this.change)
      trigger.counted(this.#slicesHere[this.#sliceOf[row]!]!, group, watermarkMs)
    }
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
}
