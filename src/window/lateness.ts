/**
 * When a window is due, closed, or too late: the rules of time in one place.
 *
 * As Flink's WindowOperator: a window fires when the watermark reaches its last instant (`endMs - 1`), takes late
 * elements and corrects itself until the watermark reaches `endMs - 1 + allowedLatenessMs`, and is then closed. An
 * element whose window is closed (`cleanup <= watermark`) is late.
 */
import { maxTimestampMs } from '../core/time.ts'

/** True once the window's on-time result is due. */
export function isDue(windowEndMs: number, watermarkMs: number): boolean {
  return maxTimestampMs(windowEndMs) <= watermarkMs
}

/**
 * The lateness that counts at a watermark, where windows whose last instant is at or before `closedUntilMs` have been
 * closed by a shorter one: they stay closed, and the longer one is grown into. What is closed has given up its state, so
 * that an event more would make a window of that event alone.
 */
export function latenessAt(allowedLatenessMs: number, closedUntilMs: number, watermarkMs: number): number {
  const grown = watermarkMs - closedUntilMs
  return grown < allowedLatenessMs ? grown : allowedLatenessMs
}

/**
 * The watermark that a window's first result says. On time it is the last instant of the window, which made it due,
 * however far the mark went that brought it; of a window that is opened when `passedMs` has been worked off already, it
 * is how far time has come.
 */
export function dueAt(windowEndMs: number, passedMs: number, watermarkMs: number): number {
  const lastMs = maxTimestampMs(windowEndMs)
  return lastMs > passedMs ? lastMs : watermarkMs
}

/** True once nothing may change the window any more; its elements are late from then on. */
export function isClosed(windowEndMs: number, allowedLatenessMs: number, watermarkMs: number): boolean {
  return maxTimestampMs(windowEndMs) + allowedLatenessMs <= watermarkMs
}
