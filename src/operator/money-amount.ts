/**
 * Exact arithmetic of amounts: decimals read out of doubles and texts, and converted by a fraction with one rounding.
 *
 * Owns: what decimal a double means, reading a text, and rounding half to even. Does not own: rates, currencies, columns
 * (operator/convert-money.ts). Pure. An amount is `coefficient / 10 ** digits`.
 *
 * No object and no bigint an amount: whole numbers up to 2^53 carry it, in two parts where a product is larger. Only
 * amounts whose product with the rate is beyond that, and which so are most unusual, are converted by bigints.
 */

const DIGITS_MAX = 22
/** 10 to the power of each: exact doubles. */
export const powersOfTen: readonly number[] = Array.from({ length: DIGITS_MAX + 1 }, (_, i) => Number(`1e${i}`))

const COEFFICIENT_MAX = 1e15
const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30

/** Reads amounts; the digits of the last one are in `digits`. */
export class AmountReader {
  digits = 0

  /**
   * The decimal that a double means: the shortest one that is read as this double, if it has up to 15 digits, as every
   * amount that was a decimal before; else it is rounded to 15. NaN for what is no amount.
   */
  double(value: number): number {
    const size = Math.abs(value)
    if (Number.isInteger(value) && size <= Number.MAX_SAFE_INTEGER) {
      this.digits = 0
      return value
    }
    if (!(size < COEFFICIENT_MAX)) return Number.NaN
    let digits = 2
    let coefficient = Math.round(size * 100)
    if (coefficient > COEFFICIENT_MAX) {
      digits = 0
      coefficient = Math.round(size)
    }
    while (coefficient / powersOfTen[digits]! !== size && digits < DIGITS_MAX) {
      const next = Math.round(size * powersOfTen[digits + 1]!)
      if (next > COEFFICIENT_MAX) break
      coefficient = next
      digits++
    }
    this.digits = digits
    return value < 0 ? -coefficient : coefficient
  }

  /** A decimal text such as `-12.50`: digits, a point, digits. NaN for any other, and for more than 15 digits. */
  text(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    const first = bytes[at]
    if (first === MINUS || first === PLUS) at++
    let coefficient = 0
    let zeros = 0
    let digits = 0
    let point = false
    let some = false
    for (; at < end; at++) {
      const byte = bytes[at]!
      if (byte === POINT && !point) {
        point = true
        continue
      }
      const digit = byte - ZERO
      if (digit < 0 || digit > 9) return Number.NaN
      some = true
      if (point && digit === 0) {
        // Zeros at the end say nothing.
        zeros++
        continue
      }
      if (digits + zeros + 1 > DIGITS_MAX) return Number.NaN
      coefficient = coefficient * powersOfTen[zeros + 1]! + digit
      if (coefficient >= COEFFICIENT_MAX) return Number.NaN
      if (point) digits += zeros + 1
      zeros = 0
    }
    if (!some) return Number.NaN
    this.digits = digits
    return first === MINUS ? -coefficient : coefficient
  }
}

/** A fraction in lowest terms, both parts above 0. As doubles they are exact where they are below 2^53. */
export interface Fraction {
  readonly numerator: number
  readonly denominator: number
  readonly exactNumerator: bigint
  readonly exactDenominator: bigint
}

/** `coefficient / 10 ** digits * fraction`, rounded once, half to even. NaN for more than 2^53. */
export function convertExactly(coefficient: number, digits: number, fraction: Fraction): number {
  const product = Math.abs(coefficient) * fraction.numerator
  const divisor = fraction.denominator * (powersOfTen[digits] ?? Number.POSITIVE_INFINITY)
  if (product > Number.MAX_SAFE_INTEGER || divisor > Number.MAX_SAFE_INTEGER)
    return convertLarge(coefficient, digits, fraction)
  let whole = Math.floor(product / divisor)
  let rest = product - whole * divisor
  // The quotient was rounded: it may have been the next whole number.
  if (rest < 0) {
    whole--
    rest += divisor
  }
  if (rest * 2 > divisor || (rest * 2 === divisor && whole % 2 === 1)) whole++
  return coefficient < 0 ? -whole : whole
}

function convertLarge(coefficient: number, digits: number, fraction: Fraction): number {
  const product = BigInt(Math.abs(coefficient)) * fraction.exactNumerator
  const divisor = fraction.exactDenominator * 10n ** BigInt(digits)
  let whole = product / divisor
  const twice = (product % divisor) * 2n
  if (twice > divisor || (twice === divisor && whole % 2n === 1n)) whole++
  if (whole > BigInt(Number.MAX_SAFE_INTEGER)) return Number.NaN
  return coefficient < 0 ? -Number(whole) : Number(whole)
}
