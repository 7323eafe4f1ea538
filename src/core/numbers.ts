/** Whole numbers. */

/** Greatest common divisor of two positive whole numbers. */
export function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}
