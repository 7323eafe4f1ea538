/**
 * Count, mean and sum of squared deviations of numbers, updated one at a time (Welford 1962) and merged (Chan, Golub,
 * LeVeque 1979): variance without the cancellation that sums of squares suffer from.
 *
 * Owns: three columns of a row: `at` has the squared deviations, `more` the count and `more + 1` the mean. It inverts, up
 * to rounding.
 */

/** Adds a finite number `weight` times (1 or -1). */
export function momentsAdd(f64: Float64Array, at: number, more: number, value: number, weight: number): void {
  const count = f64[more]! + weight
  if (count === 0) {
    f64[at] = 0
    f64[more] = 0
    f64[more + 1] = 0
    return
  }
  const delta = value - f64[more + 1]!
  const mean = f64[more + 1]! + (weight * delta) / count
  f64[at]! += weight * delta * (value - mean)
  f64[more] = count
  f64[more + 1] = mean
}

/** Adds `sign` times the moments of `from`. */
export function momentsMerge(
  f64: Float64Array,
  at: number,
  more: number,
  from: Float64Array,
  fromAt: number,
  fromMore: number,
  sign: number,
): void {
  const count = from[fromMore]!
  if (count === 0) return
  const total = f64[more]! + sign * count
  if (total === 0) {
    f64[at] = 0
    f64[more] = 0
    f64[more + 1] = 0
    return
  }
  if (f64[more] === 0 && sign > 0) {
    f64[at] = from[fromAt]!
    f64[more] = count
    f64[more + 1] = from[fromMore + 1]!
    return
  }
  const delta = from[fromMore + 1]! - f64[more + 1]!
  f64[at]! += sign * (from[fromAt]! + (delta * delta * f64[more]! * count) / total)
  f64[more + 1]! += (sign * delta * count) / total
  f64[more] = total
}

/**
 * The variance: by n, or of a sample by n - 1. NaN of too few numbers; Infinity where squares were too large for a
 * double, about 1e308.
 */
export function momentsVariance(f64: Float64Array, at: number, more: number, sample: boolean): number {
  const count = f64[more]! - (sample ? 1 : 0)
  if (!(count > 0)) return Number.NaN
  // All numbers were finite: what is not now has overflowed, with any sign.
  return Number.isFinite(f64[at]!) ? Math.max(0, f64[at]!) / count : Infinity
}
