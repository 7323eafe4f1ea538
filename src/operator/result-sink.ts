/**
 * The contract between a table that fires and the sinks of a job (sink/).
 */
import type { Accumulators } from './accumulators.ts'

/** Where the group keys of fired rows are. */
export interface GroupKeys {
  /** The key of `row` as a view: valid during the call that got the row. */
  keyOf(row: number): Uint8Array
  /** Copies the key of `row` to `into` at `at`; returns its length. */
  copyKey(row: number, into: Uint8Array, at: number): number
}

/** One fired row of a table; one object is reused for all of them. */
export interface FiredRow {
  /** Index into JobPlan.tables. */
  table: number
  startMs: number
  endMs: number
  groups: GroupKeys
  /** The row in `groups`; its key is the group's. */
  row: number
  /** The number columns are `f64[at ..]`, accumulators in plan order. */
  f64: Float64Array
  at: number
  /** How to read them. */
  accumulators: Accumulators
  /** 1 for the on-time result, more for corrections. */
  revision: number
  watermarkMs: number
  /** Events of the row's window and group that came too late for the metric whose events `accumulator` counts. */
  lateCount: (accumulator: number) => number
  /**
   * The result of this window and group is withdrawn: a session that is part of another one now. The accumulators are
   * those of before; the value is none.
   */
  retracted: boolean
  /** The columns, at `beforeAt`, of the row's last result, which this one corrects; null where that is not known. */
  before: Float64Array | null
  beforeAt: number
}

/** Takes results of one subtask. */
export interface ResultSink {
  /** Takes one row. The row object and what it points at are valid only during the call. */
  accept(row: FiredRow): void
  /** True while the sink cannot take more: the subtask waits, and calls again later. */
  readonly full: boolean
  /** Resolves when all that was accepted is where it belongs. Rejects with SINK_FAILED. */
  flush(): Promise<void>
  close(): Promise<void>
}
