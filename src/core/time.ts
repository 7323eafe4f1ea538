/**
 * Event time: epoch milliseconds as a double, windows as [start, end), watermarks with infinities at both ends.
 *
 * W(t) = t says: no more elements with a timestamp <= t are expected. The infinities saturate by themselves, so no rule
 * of time needs an overflow case.
 */

/** The watermark before anything is known. */
export const MIN_WATERMARK = Number.NEGATIVE_INFINITY

/** The watermark after the last element of a bounded input: it closes every window. */
export const MAX_WATERMARK = Number.POSITIVE_INFINITY

/** The last instant that belongs to a window ending at `windowEndMs` (exclusive). */
export function maxTimestampMs(windowEndMs: number): number {
  return windowEndMs - 1
}
