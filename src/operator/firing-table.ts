/**
 * The contract of a table in which results are made: what a subtask drives and a view reads.
 *
 * Two kinds: windows that are the same for all groups (operator/result-table), and sessions (operator/session-table).
 */
import type { TablePlan } from '../job/plan.ts'
import type { HistoryTable } from '../state/history-table.ts'
import type { Accumulators } from './accumulators.ts'
import type { ChangingTable } from './change-numbers.ts'
import type { LateCounts } from './late-counts.ts'
import type { VisitOpen } from './open-rows.ts'
import type { KeyTest } from './view-filter.ts'

/** A window of a group that is there no more: it has become part of another one. */
export interface VanishedWindow {
  readonly startMs: number
  readonly endMs: number
  readonly key: Uint8Array
  /** One above that of the last result under this start. */
  readonly revision: number
}

/** Windows of one table whose results this subtask gives out. */
export interface FiringTable extends ChangingTable {
  readonly plan: TablePlan
  /** Index into JobPlan.tables. */
  readonly index: number
  readonly accumulators: Accumulators
  readonly history: HistoryTable
  /** The accumulators as rows of the history have them: their sketches are elsewhere. */
  readonly settled: Accumulators
  readonly late: LateCounts
  /** See operator/change-numbers; raised by whoever has finished an `advance`. */
  change: number
  /** Results given out. */
  results: number
  /** True while a sink cannot take more. */
  readonly sinksFull: boolean
  /** Bytes beside the page pool's. */
  readonly indexBytes: number
  /**
   * What makes the window due that fires next: its last instant, or later where it is settled later; or an earlier time;
   * Infinity where none is open. Undefined where every group has windows of its own.
   */
  readonly nextDueMs?: number
  /** Gives what a batch has corrected. Call after each batch, and `advance` after it. */
  correct(watermarkMs: number): void
  /**
   * Fires and closes what is due, about `budget` rows; returns the budget left, or -1 when there is more to do. A result
   * on time says the last instant of its window as its watermark: what made it due, however far time has come by then.
   * `nowMs` is how far that is; what is past its retention then is forgotten.
   */
  advance(watermarkMs: number, budget: number, nowMs?: number): number
  /**
   * Visits the rows of open windows that overlap [fromMs, toMs), until `visit` returns false. `passes` says which groups
   * are wanted; null for all.
   */
  visitOpen(fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): void
  /** Windows that vanished after change number `since`, which a view that follows changes must forget. */
  vanishedSince?(since: number): readonly VanishedWindow[]
  /** Gives provisional results of what has changed since the last call; budget as of `advance`. */
  early?(watermarkMs: number, budget: number): number
}
