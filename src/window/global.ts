/**
 * The one window of a global metric: all of time.
 *
 * It has no end that time could reach, so it never fires by itself and nothing is late for it. Where a window must have
 * a start and an end (results, queries), they are the ends of what a Protobuf timestamp can say after 1970.
 */
import type { WindowAssigner } from './tumbling.ts'

/** Start of the global window: 1970-01-01T00:00:00Z. */
export const GLOBAL_START_MS = 0
/** Its end: the last millisecond of the year 9999. */
export const GLOBAL_END_MS = 253_402_300_799_999

/** Puts every timestamp into the global window. */
export class GlobalAssigner implements WindowAssigner {
  startMs = GLOBAL_START_MS
  endMs = GLOBAL_END_MS
  lastEndMs = Number.POSITIVE_INFINITY

  assign(_timestampMs: number): void {
    // All of time is one window.
  }
}
