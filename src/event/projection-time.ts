/** Integer times of any unit. */

const TWO_32 = 0x1_0000_0000

/** An integer time in milliseconds, rounded down; exact for nanoseconds beyond 2^53 too. */
export function scaleTime(low: number, high: number, unsigned: boolean, unitMs: number): number {
  const top = unsigned ? high >>> 0 : high
  if (unitMs >= 1) return (top * TWO_32 + (low >>> 0)) * unitMs
  const divisor = Math.round(1 / unitMs)
  const quotient = Math.floor(top / divisor)
  const rest = (top - quotient * divisor) * TWO_32 + (low >>> 0)
  return quotient * TWO_32 + Math.floor(rest / divisor)
}
