/** What ideal noise does: how rarely it reaches a threshold, and what a count of rare events says of their rate. */

/** P(Z > z) of a standard normal, z at least 1: the continued fraction of Laplace, within 1e-10 of it relative. */
export function normalTail(z: number): number {
  let fraction = z
  for (let k = 100; k >= 1; k--) fraction = z + k / fraction
  return Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI) / fraction
}

/**
 * Windows of standard normal noise between false alarms of a one-sided CUSUM, on average (Siegmund 1985, with the
 * correction of 1.166 for discrete time).
 */
export function cusumRunLength(threshold: number, drift: number): number {
  const b = threshold + 1.166
  if (drift === 0) return b * b
  return (Math.exp(2 * drift * b) - 2 * drift * b - 1) / (2 * drift * drift)
}

/** The rate a history may have, at 95 % confidence, in which rare events came `count` times: 3.0 of none, 4.7 of one. */
export function poissonUpperBound(count: number): number {
  return bisect(count, count + 10 + 5 * Math.sqrt(count + 1), (mean) => {
    let term = Math.exp(-mean)
    let sum = term
    for (let n = 1; n <= count; n++) {
      term *= mean / n
      sum += term
    }
    return sum <= 0.05
  })
}

/** The least number between the two for which `holds`, which must hold from some number on. */
export function bisect(low: number, high: number, holds: (x: number) => boolean): number {
  let [least, most] = [low, high]
  for (let i = 0; i < 60; i++) {
    const middle = (least + most) / 2
    if (holds(middle)) most = middle
    else least = middle
  }
  return most
}
