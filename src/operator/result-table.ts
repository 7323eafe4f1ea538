/**
 * The life of a table's windows where results are made: fire on time, correct, close, keep for queries.
 *
 * Owns: open slices, the history of closed ones, the late ledger, and the order in which results leave. Does not own:
 * how rows get in (operator/aggregate-events, operator/merge-partials), or where results go (sink/).
 *
 * Firing is resumable: `advance` gives out at most a budget of rows and says whether it is done, so that a window with a
 * million groups does not hold its thread. The owner finishes it before it takes the next message, so results leave
 * before the watermark that caused them, and before a barrier.
 *
 *   open --watermark >= end - 1--> fired --watermark >= end - 1 + lateness--> closed (history) --retain--> gone
 *
 * Of metrics about persons, `end` is `settleMs` later than the window's: until then it may grow in time.
 */
import { MAX_WATERMARK, MIN_WATERMARK, maxTimestampMs } from '../core/time.ts'
import type { TablePlan } from '../job/plan.ts'
import { HistoryTable } from '../state/history-table.ts'
import { ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT, ROW_REVISION } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { dueAt, isClosed, isDue, latenessAt } from '../window/lateness.ts'
import type { Span } from '../window/panes.ts'
import { type Accumulators, COUNT, DISTINCT_KEY_SENT, DISTINCT_TEXT, isDistinct } from './accumulators.ts'
import { historyCells, releaseTable, withOwnCells } from './cells.ts'
import { shiftRows } from './change-numbers.ts'
import { EarlyResults, earlyRows } from './early-results.ts'
import { LateLedger } from './late-ledger.ts'
import { memberColumnsOf } from './member-counts.ts'
import { type VisitOpen, visitRows } from './open-rows.ts'
import { ResultEmitter } from './result-emitter.ts'
import type { ResultSink } from './result-sink.ts'
import type { Budget } from './running-window.ts'
import { panesOfTable, type Slice, SliceList } from './slices.ts'
import type { KeyTest } from './view-filter.ts'

const noWindows: readonly Span[] = []

/** What the touched rows of a slice were before, one after the other; null where that was not kept. */
export function columnsBefore({ before }: Slice): Float64Array | null {
  return before === null ? null : Float64Array.from(before)
}

/** Windows of one table whose results this subtask gives out. */
export class ResultTable {
  readonly plan: TablePlan
  /** Index into JobPlan.tables. */
  readonly index: number
  readonly accumulators: Accumulators
  readonly slices: SliceList
  readonly history: HistoryTable
  readonly settled: Accumulators
  readonly late: LateLedger
  /**
   * Number of the last change, for those who watch. Rows carry the number of their own. Whoever has finished an
   * `advance` raises it: a row touched under the number that its result left with would not be told of as corrected.
   */
  change = 1
  changeBase = 0
  protected readonly emitter: ResultEmitter
  readonly #early = new EarlyResults()
  readonly #settleMs: number
  /** Next row to fire in the slice that is firing. */
  #cursor = 0
  /**
   * Next row to move into the history of the slice that is closing. Not the same: who yields while one window closes may be
   * asked to fire the next one first.
   */
  #moved = 0
  /** Everything due at this watermark has been worked off. */
  #passedMs = MIN_WATERMARK

  /** `membersHere`: whether distinct values of accumulators are kept here (they are not in a merge of counts). */
  constructor(
    plan: TablePlan,
    index: number,
    accumulators: Accumulators,
    pool: PagePool,
    membersHere: (kind: number) => boolean,
    sinks: readonly ResultSink[],
  ) {
    this.plan = plan
    this.#settleMs = plan.settleMs ?? 0
    this.index = index
    this.accumulators = accumulators
    const withMembers = Array.from(accumulators.kinds, membersHere)
    const memberColumns = memberColumnsOf(accumulators)
    this.slices = new SliceList(pool, accumulators.initial, withMembers, panesOfTable(plan), memberColumns)
    this.slices.keepsBefore = plan.retracts === true
    if (accumulators.cells !== null) this.slices.onDrop = (slice) => releaseTable(accumulators, slice.groups)
    this.settled = withOwnCells(accumulators, pool)
    this.history = new HistoryTable(pool, accumulators.initial.length, historyCells(accumulators, this.settled))
    this.late = new LateLedger(accumulators)
    this.emitter = new ResultEmitter(index, accumulators, this.late, sinks)
  }

  /** Results given out. */
  get results(): number {
    return this.emitter.results
  }

  set results(results: number) {
    this.emitter.results = results
  }

  /** True while a sink cannot take more. */
  get sinksFull(): boolean {
    return this.emitter.full
  }

  /** See FiringTable. */
  get nextDueMs(): number {
    for (const slice of this.slices.slices) if (!slice.fired) return maxTimestampMs(slice.endMs + this.#settleMs)
    return Infinity
  }

  /**
   * Gives corrections of rows that were touched in windows that had fired. Call after each batch, and `advance` after
   * it: a late event can open a window that is due at once.
   */
  correct(watermarkMs: number): void {
    for (const slice of this.slices.slices) {
      if (!slice.fired || slice.touched.length === 0) continue
      const before = columnsBefore(slice)
      const { columns } = slice.groups
      for (const [i, row] of slice.touched.entries()) this.#emit(slice, row, watermarkMs, before, i * columns)
      slice.settle()
    }
  }

  /**
   * Fires what is due and closes what is over at `watermarkMs`, at most about `budget` rows; returns the rows of budget
   * left, or -1 when there is more to do. `nowMs`: as of FiringTable.
   */
  advance(watermarkMs: number, budget: number, nowMs = watermarkMs): number {
    let left = budget
    for (;;) {
      const slice = this.#nextDue(watermarkMs)
      if (slice === null) break
      const groups = slice.groups
      while (this.#cursor < groups.count && left > 0 && !this.sinksFull) {
        this.#emit(slice, this.#cursor++, dueAt(slice.endMs + this.#settleMs, this.#passedMs, nowMs))
        left--
      }
      if (this.#cursor < groups.count) return -1
      this.#cursor = 0
      slice.fired = true
      slice.settle()
    }
    while (this.slices.slices.length > 0 && this.#mayClose(this.slices.slices[0]!, watermarkMs)) {
      left = this.#moveToHistory(this.slices.slices[0]!, left)
      if (left < 0) return -1
      this.slices.dropFirst()
    }
    this.#passedMs = Math.max(this.#passedMs, watermarkMs)
    this.retain(nowMs)
    return left
  }

  /**
   * Gives provisional results of the groups that have changed since the last call, at most about `budget` of them;
   * returns the budget left, or -1 when there is more to do. To be finished before the next batch, as `advance`.
   */
  early(watermarkMs: number, budget: number): number {
    return this.#early.run(budget, (since, rows) => this.earlyResults(since, watermarkMs, rows), this)
  }

  /**
   * Visits the rows of open windows that overlap [fromMs, toMs), until `visit` returns false. `passes` says which groups
   * are wanted; null for all. A window that is being closed is in the history as far as it is not visited here.
   */
  visitOpen(fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): void {
    for (const slice of this.slices.slices) {
      if (slice.endMs <= fromMs || slice.startMs >= toMs) continue
      const first = slice === this.slices.slices[0] ? this.#moved : 0
      if (!visitRows(slice, slice.groups, first, visit, passes?.onlyKey)) return
    }
  }

  /** Windows of a pane to which its events come too late here; none where slices are windows. */
  missedWindows(_slice: Slice): readonly Span[] {
    return noWindows
  }

  /** Forgets what is past its retention. */
  protected retain(watermarkMs: number): void {
    // The end of a bounded input closes every window; it is no time by which anything could have become old.
    if (watermarkMs === MAX_WATERMARK) return
    const kept = watermarkMs - this.plan.retainMs
    this.history.dropUntil(kept)
    this.late.dropUntil(kept)
  }

  /** Gives the provisional results of rows changed after `since`; yields where it must wait. */
  protected *earlyResults(since: number, watermarkMs: number, budget: Budget): Generator<undefined, void> {
    for (const slice of this.slices.slices) {
      if (!slice.fired) yield* earlyRows(slice, slice.groups, since, watermarkMs, this.emitter, budget)
    }
  }

  /** See ChangingTable. */
  shiftChanges(by: number): void {
    for (const { groups } of this.slices.slices) shiftRows(groups.rows, groups.strideU32, by)
    this.history.shiftChanges(by)
    this.late.shiftChanges(by)
    this.#early.shiftChanges(by)
  }

  /** Bytes beside the page pool's. */
  get indexBytes(): number {
    return this.slices.indexBytes
  }

  #nextDue(watermarkMs: number): Slice | null {
    for (const slice of this.slices.slices) {
      if (slice.fired) continue
      return isDue(slice.endMs + this.#settleMs, watermarkMs) ? slice : null
    }
    return null
  }

  #mayClose(slice: Slice, watermarkMs: number): boolean {
    return slice.fired && isClosed(slice.endMs + this.#settleMs, this.latenessAt(watermarkMs), watermarkMs)
  }

  /** See window/lateness. */
  protected latenessAt(watermarkMs: number): number {
    return latenessAt(this.plan.allowedLatenessMs, this.slices.closedUntilMs, watermarkMs - this.#settleMs)
  }

  #emit(slice: Slice, row: number, watermarkMs: number, before: Float64Array | null = null, beforeAt = 0): void {
    const groups = slice.groups
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    const u32At = place * groups.strideU32
    const revision = ++page.u32[u32At + ROW_REVISION]!
    page.u32[u32At + ROW_CHANGE] = this.change
    page.dirty = 1
    const { startMs, endMs } = slice
    const at = place * groups.strideF64 + ROW_HEADER_F64
    this.emitter.emit(startMs, endMs, groups, row, page.f64, at, revision, watermarkMs, before, beforeAt)
  }

  #moveToHistory(slice: Slice, budget: number): number {
    // Retention no longer than the lateness keeps nothing: the window is already out of it when it closes.
    if (this.plan.retainMs <= this.plan.allowedLatenessMs + this.#settleMs) return budget
    const groups = slice.groups
    let left = budget
    while (this.#moved < groups.count && left > 0) {
      const row = this.#moved++
      const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const place = row & ROW_PAGE_MASK
      const u32At = place * groups.strideU32
      this.history.append(
        slice.startMs,
        slice.endMs,
        groups.keyOf(row),
        page.u32[u32At + ROW_REVISION]!,
        page.u32[u32At + ROW_CHANGE]!,
        page.f64,
        place * groups.strideF64 + ROW_HEADER_F64,
      )
      left--
    }
    if (this.#moved < groups.count) return -1
    this.#moved = 0
    return left
  }
}

/** Member sets live with the events: where events are aggregated, every distinct has one. */
export function membersOfEvents(kind: number): boolean {
  return isDistinct(kind)
}

/** Where partials merge, keys add up (a person is counted by one sender only); other values need their set here too. */
export function membersOfPartials(kind: number): boolean {
  return kind === DISTINCT_TEXT || kind === DISTINCT_KEY_SENT
}

/** Index of the first count accumulator for a predicate; -1 when there is none. */
export function countOf(accumulators: Accumulators, predicate: number): number {
  return accumulators.kinds.findIndex((kind, i) => kind === COUNT && accumulators.predicates[i] === predicate)
}
