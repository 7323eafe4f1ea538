/**
 * How wide residuals scatter, learned so that outliers hardly widen it.
 *
 * Owns: medians, and a running robust scale. Of the first residuals the scale is the median of their sizes × 1.4826 (MAD;
 * 1 for standard normal ones); then it follows each one by bounded influence: Tukey's biweight with k = 2 (Gelper, Fried
 * and Croux, "Robust forecasting with exponential and Holt-Winters smoothing", 2010, equation 11). States are plain data
 * and changed in place.
 */

/** A running scale. */
export interface Spread {
  /** Sizes of the first residuals, until there are enough; then empty. */
  first: number[]
  /** Null until then. */
  scale: number | null
}

/** MAD to standard deviation, under the normal law. */
export const MAD_SCALE = 1.4826
const FIRST = 20
const RATE = 0.02
const BIWEIGHT_K = 2
const FEW = 24
const BIWEIGHT_C = 2.52

/** A spread that has seen nothing. */
export function newSpread(): Spread {
  return { first: [], scale: null }
}

/** Learns one residual. */
export function widen(spread: Spread, residual: number): void {
  if (spread.scale === null) {
    spread.first.push(Math.abs(residual))
    if (spread.first.length < FIRST) return
    spread.scale = MAD_SCALE * median(spread.first)
    spread.first = []
    return
  }
  // From 0 no share of it leads away: a series that was constant may begin to scatter.
  const scale = spread.scale > 0 ? spread.scale : Math.abs(residual)
  if (scale > 0) spread.scale = scale * Math.sqrt(1 - RATE + RATE * biweight(residual / scale))
}

/** The middle of some numbers, the mean of two middles; NaN of none. Sorts what it is given. */
export function median(numbers: number[]): number {
  if (numbers.length === 0) return Number.NaN
  if (numbers.length > FEW) numbers.sort((a, b) => a - b)
  else sortFew(numbers)
  const middle = numbers.length >> 1
  return numbers.length % 2 === 1 ? numbers[middle]! : (numbers[middle - 1]! + numbers[middle]!) / 2
}

/** By insertion: no call a comparison, where numbers are few. */
function sortFew(numbers: number[]): void {
  for (let i = 1; i < numbers.length; i++) {
    const number = numbers[i]!
    let at = i
    for (; at > 0 && numbers[at - 1]! > number; at--) numbers[at] = numbers[at - 1]!
    numbers[at] = number
  }
}

function biweight(x: number): number {
  if (Math.abs(x) > BIWEIGHT_K) return BIWEIGHT_C
  const part = 1 - (x / BIWEIGHT_K) ** 2
  return BIWEIGHT_C * (1 - part * part * part)
}
