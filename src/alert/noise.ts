/**
 * How far a value may lie from what was expected by chance alone: residuals in units of that chance.
 *
 * `poisson` is for counts, `binomial` for shares of a volume (conversion rates), `normal` for anything else, in the unit
 * of the value. The first two know their own chance from the expectation and the volume, so a thin window weighs less by
 * itself; their residual is the signed root of the deviance (McCullagh and Nelder, 2.4.3), which is near to standard
 * normal even where counts are small and lopsided.
 */

/** The law of chance of a series. */
export type Noise = 'normal' | 'poisson' | 'binomial'

/** An expected count below this is taken as this much: of a series that is always 0, one event is no news. */
const COUNT_MIN = 0.1
/** An expected share nearer to 0 or 1 is taken as this near. */
const SHARE_MIN = 0.001
const BISECTIONS = 50
/** Distance from the mean, as a share of it, up to which so many terms of the series are exact. */
const NEAR = 0.01
const SERIES_TERMS = 9

/**
 * Residual of `value`, positive above `expected`. Of shares `volume` is what they are of; a share above 1 (events of a
 * later step may outnumber those of an earlier one) counts as 1. 0 for a share of nothing.
 */
export function residualOf(noise: Noise, value: number, expected: number, volume: number): number {
  if (noise === 'normal') return value - expected
  if (noise === 'poisson') {
    const mean = Math.max(expected, COUNT_MIN)
    const count = Math.max(value, 0)
    return signedRoot(count - mean, halfDeviance(count, mean))
  }
  const share = Math.min(Math.max(value, 0), 1)
  const mean = Math.min(Math.max(expected, SHARE_MIN), 1 - SHARE_MIN)
  return signedRoot(share - mean, volume * (halfDeviance(share, mean) + halfDeviance(1 - share, 1 - mean)))
}

/** The value whose residual is `residual`: the edge of a band. Within the values that the noise knows. */
export function valueAt(noise: Noise, residual: number, expected: number, volume: number): number {
  if (noise === 'normal') return expected + residual
  let low = 0
  let high = noise === 'binomial' ? 1 : expected + (Math.abs(residual) + 1) ** 2 * (1 + Math.sqrt(expected))
  if (residualOf(noise, low, expected, volume) >= residual) return low
  if (residualOf(noise, high, expected, volume) <= residual) return high
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2
    if (residualOf(noise, middle, expected, volume) < residual) low = middle
    else high = middle
  }
  return (low + high) / 2
}

function signedRoot(difference: number, halved: number): number {
  return Math.sign(difference) * Math.sqrt(2 * Math.max(halved, 0))
}

/** x ln(x / mean) - (x - mean): 0 where they are the same, else above. */
function halfDeviance(x: number, mean: number): number {
  const part = (x - mean) / mean
  if (Math.abs(part) > NEAR) return (x === 0 ? 0 : x * Math.log(x / mean)) - (x - mean)
  // Close to the mean that is a small difference of large numbers; its series, to the last bit.
  let sum = 0
  for (let k = SERIES_TERMS; k >= 2; k--) sum = 1 / (k * (k - 1)) - part * sum
  return mean * part * part * sum
}
