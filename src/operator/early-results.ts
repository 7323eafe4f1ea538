/**
 * Provisional results of windows that are not due yet, at the cadence of a metric's `early`.
 *
 * Owns: what has been told before (by change number), and going on where a sink was full or a budget ended. Does not
 * own: when it is time (runtime/keyed-subtask), or which windows there are (operator/result-table, operator/pane-table).
 */
import { type KeyedTable, ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import type { Span } from '../window/panes.ts'
import { type ChangingTable, nextChange } from './change-numbers.ts'
import type { ResultEmitter } from './result-emitter.ts'
import type { Budget } from './running-window.ts'

/** One table's early results. After a restore every group of an open window counts as changed. */
export class EarlyResults {
  #since = -1
  /** Numbers went down under the work in hand: what it has passed over then must be told by the next. */
  #shifted = false
  #work: Generator<undefined, void> | null = null
  readonly #budget: Budget = { left: 0 }

  /** Goes on with what `begin` gives, or begins it; returns the budget left, or -1 when there is more to do. */
  run(
    budget: number,
    begin: (since: number, budget: Budget) => Generator<undefined, void>,
    table: ChangingTable,
  ): number {
    this.#budget.left = budget
    this.#work ??= begin(this.#since, this.#budget)
    if (this.#work.next().done !== true) return -1
    this.#work = null
    // What is touched from now on has not been told.
    this.#since = this.#shifted ? -1 : table.change
    this.#shifted = false
    nextChange(table)
    return Math.max(0, this.#budget.left)
  }

  /** All change numbers of the table go down by `by`. */
  shiftChanges(by: number): void {
    this.#since = Math.max(-1, this.#since - by)
    this.#shifted = this.#work !== null
  }
}

/** Gives the rows of one window that changed after `since`; `isLive` says which rows count, null for all. */
export function* earlyRows(
  window: Span,
  groups: KeyedTable,
  since: number,
  watermarkMs: number,
  emitter: ResultEmitter,
  budget: Budget,
  isLive: ((row: number) => boolean) | null = null,
): Generator<undefined, void> {
  for (let row = 0; row < groups.count; row++) {
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    if (page.u32[place * groups.strideU32 + ROW_CHANGE]! <= since || isLive?.(row) === false) continue
    while (budget.left <= 0 || emitter.full) yield
    budget.left--
    const at = place * groups.strideF64 + ROW_HEADER_F64
    emitter.emit(window.startMs, window.endMs, groups, row, page.f64, at, 0, watermarkMs)
  }
}
