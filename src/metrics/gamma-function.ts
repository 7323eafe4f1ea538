/**
 * The logarithm of the gamma function and its derivative, for positive numbers.
 *
 * Stirling's series at 10 or more, where the terms kept are below 1e-16 of the value (Abramowitz and Stegun 6.1.41,
 * 6.3.18); smaller arguments are raised to there by the recurrence.
 */

const SERIES_MIN = 10
const HALF_LN_TWO_PI = 0.918_938_533_204_672_7

/** ln Γ(x) for x > 0; NaN for what is not. Within 1e-14, relative or absolute, whichever is more. */
export function logGamma(x: number): number {
  if (!(x > 0)) return Number.NaN
  // Γ(x) = Γ(x + n) / (x (x + 1) … (x + n - 1)), the product below 1e10.
  let product = 1
  let at = x
  for (; at < SERIES_MIN; at++) product *= at
  const inverse = 1 / at
  const square = inverse * inverse
  const tail =
    inverse *
    (1 / 12 -
      square *
        (1 / 360 -
          square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * (691 / 360_360 - square / 156))))))
  return (at - 0.5) * Math.log(at) - at + HALF_LN_TWO_PI + tail - Math.log(product)
}

/** ψ(x) = d ln Γ(x) / dx for x > 0; NaN for what is not. Within 1e-13, relative or absolute, whichever is more. */
export function digamma(x: number): number {
  if (!(x > 0)) return Number.NaN
  let sum = 0
  let at = x
  for (; at < SERIES_MIN; at++) sum += 1 / at
  const inverse = 1 / at
  const square = inverse * inverse
  const tail =
    square *
    (1 / 12 -
      square *
        (1 / 120 -
          square * (1 / 252 - square * (1 / 240 - square * (1 / 132 - square * (691 / 32_760 - square / 12))))))
  return Math.log(at) - inverse / 2 - tail - sum
}
