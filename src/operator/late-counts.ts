/** The contract of what counts late events by window and group, whatever the windows are. */
import type { LateEntry } from './late-ledger.ts'

/** Late counts of one table. Times are epoch ms. */
export interface LateCounts {
  /** Number of (window, group) pairs. */
  readonly size: number
  /** Change number of what is being counted; the owner sets it before it counts. */
  change: number
  /** `events` with these mask bits were late for a window and group. */
  addEvents(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    length: number,
    hash: number,
    bits: number,
    events: number,
  ): void
  /** Adds counts that another subtask, or another attempt, made. */
  addCounts(startMs: number, endMs: number, key: Uint8Array, hash: number, counts: Float64Array, at: number): void
  /** Late events of accumulator `accumulator` (a count) in a window and group. */
  count(startMs: number, endMs: number, key: Uint8Array, accumulator: number): number
  /** Whether a window and group have got late events after change number `since`. */
  changedSince(since: number, startMs: number, endMs: number, key: Uint8Array): boolean
  entries(): Iterable<LateEntry>
  /** Lowers all change numbers. */
  shiftChanges(by: number): void
  /** Forgets windows that ended at or before `endMs`. */
  dropUntil(endMs: number): void
}
