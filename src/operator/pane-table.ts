/**
 * The life of windows that overlap, where results are made: fire, correct, close, keep for queries.
 *
 * Events are in panes (`slices`), each once; a window is made of its panes when it is due (operator/running-window).
 * Owns: which windows are due, fired and closed; those that may still be corrected (`windows`, rows with revisions).
 * Does not own: how panes lie (window/panes), corrections (operator/pane-corrections), open windows in queries
 * (operator/pane-view).
 *
 *   pane:   open --its last window closed--> gone
 *   window: open --watermark >= end - 1--> fired (a slice of `windows`) --watermark >= end - 1 + lateness--> history
 *
 * Without allowed lateness a window is fired and closed in one: its rows go to sinks and history straight from the sum.
 * `firedMs` is the watermark up to which every window has fired; a window that had no events then is not different from
 * one that had: an event that comes for it later, and is not late, corrects it, for the first time.
 */
import { MIN_WATERMARK, maxTimestampMs } from '../core/time.ts'
import type { TablePlan } from '../job/plan.ts'
import {
  ROW_CHANGE,
  ROW_HASH,
  ROW_HEADER_F64,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
  ROW_REVISION,
} from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { isClosed, isDue } from '../window/lateness.ts'
import type { Span } from '../window/panes.ts'
import type { Accumulators } from './accumulators.ts'
import { closedOf } from './aggregate-events.ts'
import { forgetCells, releaseTable } from './cells.ts'
import { shiftRows } from './change-numbers.ts'
import { earlyRows } from './early-results.ts'
import { GlobalTable } from './global-table.ts'
import { type VisitOpen, visitRows } from './open-rows.ts'
import { settlePanes } from './pane-corrections.ts'
import { visitSums } from './pane-sums.ts'
import { knownResults, openWindows, panesOf, tellingWindows } from './pane-view.ts'
import type { ResultSink } from './result-sink.ts'
import { columnsBefore, ResultTable } from './result-table.ts'
import { type Budget, RunningWindow } from './running-window.ts'
import { panesOfTable, type Slice, SliceList } from './slices.ts'
import type { KeyTest } from './view-filter.ts'

/** The table in which results of `plan` are made, but for sessions; arguments as of ResultTable. */
export function openResultTable(
  plan: TablePlan,
  index: number,
  accumulators: Accumulators,
  pool: PagePool,
  membersHere: (kind: number) => boolean,
  sinks: readonly ResultSink[],
): ResultTable {
  const Table = plan.window.kind === 'global' ? GlobalTable : panesOfTable(plan) === null ? ResultTable : PaneTable
  return new Table(plan, index, accumulators, pool, membersHere, sinks)
}

/** Overlapping windows of one table whose results this subtask gives out. */
export class PaneTable extends ResultTable {
  /** Windows that have fired and may still be corrected. */
  readonly windows: SliceList
  /** Every window due at this watermark has fired. */
  firedMs = MIN_WATERMARK
  readonly #running: RunningWindow
  readonly #pool: PagePool
  readonly #budget: Budget = { left: 0 }
  #work: Generator<undefined, void> | null = null
  /** The window that is firing; the rows of the sum before the cursor have fired. */
  #firing: Span | null = null
  /** The last window that this `advance` has begun to fire. */
  #begun: Span | null = null
  /** Next row to fire, or to move into the history. */
  #cursor = 0
  #closing = false
  /** Nothing is to be done before this watermark. */
  #idleUntilMs = MIN_WATERMARK
  /** Windows due up to here may have fired in a part of what was restored. */
  #refiresMs = MIN_WATERMARK
  #restores = 0

  /** As of ResultTable, whose windows are made of panes. */
  constructor(
    plan: TablePlan,
    index: number,
    accumulators: Accumulators,
    pool: PagePool,
    membersHere: (kind: number) => boolean,
    sinks: readonly ResultSink[],
  ) {
    super(plan, index, accumulators, pool, membersHere, sinks)
    this.#pool = pool
    this.#running = new RunningWindow(accumulators, pool, plan.id, null)
    this.windows = new SliceList(
      pool,
      accumulators.initial,
      Array.from(accumulators.kinds, () => false),
    )
    // Panes are summed up anew; what was given out is in the rows of windows.
    this.slices.keepsBefore = false
    this.windows.keepsBefore = plan.retracts === true
    this.slices.onOpen = (pane) => {
      pane.fired = isDue(pane.windows[0]!.endMs, this.firedMs)
      this.#idleUntilMs = MIN_WATERMARK
    }
    this.windows.onOpen = (window) => {
      window.fired = true
      this.#idleUntilMs = MIN_WATERMARK
    }
    if (accumulators.cells !== null) this.windows.onDrop = (window) => releaseTable(accumulators, window.groups)
  }

  override get indexBytes(): number {
    return super.indexBytes + this.windows.indexBytes + this.#running.indexBytes
  }

  /** Also when something is to be closed. */
  override get nextDueMs(): number {
    return this.#idleUntilMs === MIN_WATERMARK ? this.#nextWorkMs() : this.#idleUntilMs
  }

  override correct(watermarkMs: number): void {
    const { accumulators, slices, windows, firedMs, change, plan } = this
    const table = { accumulators, slices, windows, firedMs, change, plan, running: this.#running }
    if (!settlePanes(table, watermarkMs)) return
    for (const window of windows.slices) {
      const before = columnsBefore(window)
      const { columns } = window.groups
      for (const [i, row] of window.touched.entries()) this.#emitOf(window, row, watermarkMs, before, i * columns)
      window.settle()
    }
  }

  override advance(watermarkMs: number, budget: number, nowMs = watermarkMs): number {
    if (this.#work === null && watermarkMs < this.#idleUntilMs) {
      this.firedMs = Math.max(this.firedMs, watermarkMs)
      this.retain(nowMs)
      return budget
    }
    this.#work ??= this.#advanceTo(watermarkMs)
    this.#budget.left = budget
    if (this.#work.next().done !== true) return -1
    this.#work = null
    this.retain(nowMs)
    return Math.max(0, this.#budget.left)
  }

  override visitOpen(fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): void {
    const overlaps = (window: Span): boolean => window.endMs > fromMs && window.startMs < toMs
    for (const window of this.windows.slices) {
      const first = this.#closing && window === this.windows.slices[0] ? this.#cursor : 0
      if (overlaps(window) && !visitRows(window, window.groups, first, visit, passes?.onlyKey)) return
    }
    const firing = this.#firing
    const running = this.#running
    const live = (sum: RunningWindow, window: Span, first: number): boolean =>
      visitRows(window, sum.groups, first, (startMs, endMs, key, _revision, change, f64, at, row) =>
        sum.isLive(row) ? visit(startMs, endMs, key, 0, change, f64, at, row) : true,
      )
    if (firing !== null && overlaps(firing) && !live(running, firing, this.#cursor)) return
    const panes = this.slices.slices
    const windows = openWindows(this.plan.window, panes, (w) => this.#isOpen(w) && overlaps(w))
    visitSums(this.accumulators, this.#pool, this.plan.id, passes, panes, windows, (sum, w) => live(sum, w, 0))
  }

  override shiftChanges(by: number): void {
    super.shiftChanges(by)
    for (const { groups } of this.windows.slices) shiftRows(groups.rows, groups.strideU32, by)
    const { groups } = this.#running
    shiftRows(groups.rows, groups.strideU32, by)
  }

  override missedWindows(pane: Slice): readonly Span[] {
    return closedOf(pane.windows, this.latenessAt(this.firedMs), this.firedMs)
  }

  /** Takes note of how far a part of what is restored had fired. */
  restoreFired(firedMs: number): void {
    this.firedMs = this.#restores++ === 0 ? firedMs : Math.min(this.firedMs, firedMs)
    this.#refiresMs = Math.max(this.#refiresMs, firedMs)
  }

  /** After a restore: every change of panes has been told before the checkpoint. */
  restored(): void {
    for (const pane of this.slices.slices) {
      settled(pane)
      pane.fired = isDue(pane.windows[0]!.endMs, this.firedMs)
    }
  }

  protected override *earlyResults(since: number, watermarkMs: number, budget: Budget): Generator<undefined, void> {
    const sum = new RunningWindow(this.accumulators, this.#pool, this.plan.id, null)
    const open = openWindows(this.plan.window, this.slices.slices, (w) => this.#isOpen(w))
    for (const window of this.plan.window.kind === 'cumulate' ? tellingWindows(open, this.slices.slices) : open) {
      yield* sum.moveTo(panesOf(this.slices.slices, window), budget)
      const isLive = (row: number): boolean => sum.isLive(row)
      yield* earlyRows(window, sum.groups, since, watermarkMs, this.emitter, budget, isLive)
    }
    sum.release()
  }

  /** Whether a window has neither fired nor begun to. */
  #isOpen(window: Span): boolean {
    if (isDue(window.endMs, this.firedMs)) return false
    return this.#begun === null || isAfter(window, this.#begun)
  }

  *#advanceTo(watermarkMs: number): Generator<undefined, void> {
    for (let next = this.#nextOpen(); next !== null && isDue(next.endMs, watermarkMs); next = this.#nextOpen()) {
      yield* this.#running.moveTo(panesOf(this.slices.slices, next), this.#budget)
      this.#firing = this.#begun = next
      yield* this.#fire(next, watermarkMs)
      this.#firing = null
      this.#dropSketches()
    }
    this.#begun = null
    this.firedMs = Math.max(this.firedMs, watermarkMs)
    for (const pane of this.slices.slices) if (!pane.fired && isDue(pane.windows[0]!.endMs, this.firedMs)) settled(pane)
    yield* this.#closeWindows(watermarkMs)
    yield* this.#closePanes(watermarkMs)
    this.#idleUntilMs = this.#nextWorkMs()
  }

  /** The first window that has neither fired nor begun to. The first pane that has one has it. */
  #nextOpen(): Span | null {
    for (const pane of this.slices.slices) for (const window of pane.windows) if (this.#isOpen(window)) return window
    return null
  }

  *#fire(window: Span, watermarkMs: number): Generator<undefined, void> {
    const running = this.#running
    const isKnown = isDue(window.endMs, this.#refiresMs) ? knownResults(this, window) : null
    const corrects = !isClosed(window.endMs, this.latenessAt(watermarkMs), watermarkMs)
    for (this.#cursor = 0; this.#cursor < running.groups.count; this.#cursor++) {
      const row = this.#cursor
      if (!running.isLive(row) || isKnown?.(running.groups.keyOf(row)) === true) continue
      while (this.#budget.left <= 0 || this.sinksFull) yield
      this.#budget.left--
      if (corrects) this.#keep(window, row, maxTimestampMs(window.endMs))
      else this.#fireAndClose(window, row, maxTimestampMs(window.endMs))
    }
  }

  /** Fires a row of the sum into a window that can be corrected. */
  #keep(window: Span, row: number, watermarkMs: number): void {
    const from = this.#running.groups
    const page = from.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const slice = this.windows.of(window.startMs, window.endMs)
    const { groups } = slice
    const hash = page.u32[(row & ROW_PAGE_MASK) * from.strideU32 + ROW_HASH]!
    const copy = groups.insertKeyOf(from, row, hash, 0)
    const into = groups.rows.pages[copy >>> ROW_PAGE_SHIFT]!
    const at = (copy & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64
    const fromAt = (row & ROW_PAGE_MASK) * from.strideF64 + ROW_HEADER_F64
    for (let i = 0; i < from.columns; i++) into.f64[at + i] = page.f64[fromAt + i]!
    // Sketches go with the row: the sum is made anew for the next window.
    forgetCells(this.accumulators, page.f64, fromAt)
    this.#emitOf(slice, copy, watermarkMs)
  }

  #fireAndClose(window: Span, row: number, watermarkMs: number): void {
    const { startMs, endMs } = window
    const { groups } = this.#running
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const at = (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64
    this.emitter.emit(startMs, endMs, groups, row, page.f64, at, 1, watermarkMs)
    if (this.#retains) this.history.append(startMs, endMs, groups.keyOf(row), 1, this.change, page.f64, at)
  }

  #emitOf(window: Slice, row: number, watermarkMs: number, before: Float64Array | null = null, beforeAt = 0): void {
    const { groups } = window
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    const u32 = place * groups.strideU32
    const revision = ++page.u32[u32 + ROW_REVISION]!
    page.u32[u32 + ROW_CHANGE] = this.change
    page.dirty = 1
    const at = place * groups.strideF64 + ROW_HEADER_F64
    const { startMs, endMs } = window
    this.emitter.emit(startMs, endMs, groups, row, page.f64, at, revision, watermarkMs, before, beforeAt)
  }

  /** Retention no longer than the lateness keeps nothing: the window is already out of it when it closes. */
  get #retains(): boolean {
    return this.plan.retainMs > this.plan.allowedLatenessMs
  }

  *#closeWindows(watermarkMs: number): Generator<undefined, void> {
    const { slices } = this.windows
    while (slices.length > 0 && isClosed(slices[0]!.endMs, this.latenessAt(watermarkMs), watermarkMs)) {
      const { startMs, endMs, groups } = slices[0]!
      this.#closing = true
      for (this.#cursor = 0; this.#retains && this.#cursor < groups.count; this.#cursor++) {
        while (this.#budget.left <= 0) yield
        this.#budget.left--
        const page = groups.rows.pages[this.#cursor >>> ROW_PAGE_SHIFT]!
        const place = this.#cursor & ROW_PAGE_MASK
        const u32 = place * groups.strideU32
        const [revision, change] = [page.u32[u32 + ROW_REVISION]!, page.u32[u32 + ROW_CHANGE]!]
        const at = place * groups.strideF64 + ROW_HEADER_F64
        this.history.append(startMs, endMs, groups.keyOf(this.#cursor), revision, change, page.f64, at)
      }
      this.#closing = false
      this.windows.dropFirst()
    }
  }

  *#closePanes(watermarkMs: number): Generator<undefined, void> {
    const { slices } = this.slices
    const isOver = (pane: Slice): boolean => isClosed(pane.lastEndMs, this.latenessAt(watermarkMs), watermarkMs)
    if (this.#running.panes.every(isOver)) this.#running.clear()
    while (slices.length > 0 && isOver(slices[0]!)) {
      yield* this.#running.drop(slices[0]!, this.#budget)
      this.slices.dropFirst()
    }
  }

  /** Sketches of the sum would be written with a checkpoint, and belong to no row after it. */
  #dropSketches(): void {
    if (this.accumulators.cells !== null) this.#running.clear()
  }

  #nextWorkMs(): number {
    const { allowedLatenessMs } = this.plan
    const due = (this.#nextOpen()?.endMs ?? Infinity) - 1
    const pane = (this.slices.slices[0]?.lastEndMs ?? Infinity) - 1 + allowedLatenessMs
    const window = (this.windows.slices[0]?.endMs ?? Infinity) - 1 + allowedLatenessMs
    return Math.min(due, pane, window)
  }
}

/** All that a pane has is in the windows that have fired: what comes from now on corrects them. */
function settled(pane: Slice): void {
  pane.fired = true
  for (let i = 0; i < pane.members.length; i++) pane.membersSeen[i] = pane.members[i]?.count ?? 0
}

/** Whether a window comes after another in the order in which they fire. */
function isAfter(window: Span, other: Span): boolean {
  return window.startMs > other.startMs || (window.startMs === other.startMs && window.endMs > other.endMs)
}
