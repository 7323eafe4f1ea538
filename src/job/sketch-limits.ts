/**
 * What approximate metrics may be asked, and the errors that they state. The sketches themselves: state/sketch.
 */
import type { MetricKind } from './definition.ts'

/** Least precision p of a HyperLogLog, for 2^p registers. */
export const HLL_PRECISION_MIN = 10
/** Greatest precision. */
export const HLL_PRECISION_MAX = 16
/** Most different values that may be counted exactly before their number becomes an estimate. */
export const EXACT_MAX = 65_536
/** Least relative error of quantiles that may be asked for. */
export const DD_ERROR_MIN = 0.001
/** Greatest relative error of quantiles that may be asked for. */
export const DD_ERROR_MAX = 0.2
/** Different texts of a group that a top list counts exactly. */
export const ITEMS_MAX = 1024
/** Most texts of a top list. */
export const TOP_MAX = 100
/** Most bounds of a histogram. */
export const BOUNDS_MAX = 100

/** The standard error of a HyperLogLog of precision `p`, relative. */
export function hllError(p: number): number {
  return 1.04 / Math.sqrt(2 ** p)
}

/** The least precision whose standard error is at most `error`; the greatest one where none is. */
export function hllPrecision(error: number): number {
  let p = HLL_PRECISION_MIN
  while (p < HLL_PRECISION_MAX && hllError(p) > error) p++
  return p
}

/** Where the buckets of a metric's histogram begin; none for other metrics. */
export function boundsOf(kind: MetricKind): readonly number[] {
  if (kind.kind === 'funnel') return kind.measure === 'convertTimes' ? kind.bucketsMs : []
  if (kind.kind === 'sessions') return kind.measure === 'durations' ? kind.bucketsMs : []
  return kind.kind === 'histogram' ? kind.bounds : []
}

/**
 * How far off a metric's values may be, relative; 0 for exact. Of approxDistinct, and of activeUsers beyond `exactUpTo`, it is the standard error, of quantile
 * the greatest error, of topK the greatest error of a count as a share of the group's events.
 */
export function statedError(kind: MetricKind): number {
  switch (kind.kind) {
    case 'approxDistinct':
      return hllError(hllPrecision(kind.error))
    case 'activeUsers':
      return kind.exactUpTo === undefined ? 0 : hllError(hllPrecision(kind.error ?? 0))
    case 'quantile':
      return kind.error
    case 'topK':
      return 2 / ITEMS_MAX
    default:
      return 0
  }
}
