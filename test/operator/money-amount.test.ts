import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AmountReader, convertExactly } from '../../src/operator/money-amount.ts'

/** A decimal text as a whole number and its digits, by BigInt alone. */
function exact(text: string): { coefficient: bigint; digits: number } {
  const [whole = '', fraction = ''] = text.replace('+', '').split('.')
  return { coefficient: BigInt(whole + fraction), digits: fraction.length }
}

/** `numerator / denominator`, half to even. */
function rounded(numerator: bigint, denominator: bigint): bigint {
  const size = numerator < 0n ? -numerator : numerator
  const twice = 2n * (size % denominator)
  let whole = size / denominator
  if (twice > denominator || (twice === denominator && whole % 2n === 1n)) whole++
  return numerator < 0n ? -whole : whole
}

const decimals = fc
  .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }), fc.integer({ min: 0, max: 15 }))
  .map(([negative, coefficient, digits]) => {
    const text = coefficient.toString().padStart(digits + 1, '0')
    const point = digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`
    return negative ? `-${point}` : point
  })

const reader = new AmountReader()

function readText(text: string): { coefficient: number; digits: number } {
  const bytes = Buffer.from(`<${text}>`)
  const coefficient = reader.text(bytes, 1, bytes.length - 1)
  return { coefficient, digits: reader.digits }
}

describe('amounts', () => {
  it('of decimal texts are those decimals', () => {
    fc.assert(
      fc.property(decimals, (text) => {
        const { coefficient, digits } = readText(text)
        const wanted = exact(text)
        expect(BigInt(coefficient) * 10n ** BigInt(wanted.digits)).toBe(wanted.coefficient * 10n ** BigInt(digits))
      }),
    )
  })

  it('of doubles are the decimals that they were read from', () => {
    fc.assert(
      fc.property(decimals, (text) => {
        const coefficient = reader.double(Number(text))
        const wanted = exact(text)
        const same =
          BigInt(coefficient) * 10n ** BigInt(wanted.digits) === wanted.coefficient * 10n ** BigInt(reader.digits)
        expect(same, `${text}: ${coefficient} / 10^${reader.digits}`).toBe(true)
      }),
    )
  })

  it('are read to 15 digits where a double has more', () => {
    expect([reader.double(0.1 + 0.2), reader.digits]).toEqual([300_000_000_000_000, 15])
    expect([reader.double(1e300), reader.double(Number.NaN), reader.double(Infinity)]).toEqual([NaN, NaN, NaN])
  })

  it.each(['', '-', '.', 'x', '1e3', '1,50', ' 1', '1 ', '1.2.3', '--1', '1234567890123456', '12 €'])(
    'are none in "%s"',
    (text) => {
      expect(readText(text).coefficient).toBeNaN()
    },
  )

  it.each([
    ['+1.50', 15, 1],
    ['0.0050', 5, 3],
    ['.5', 5, 1],
    ['7.', 7, 0],
    ['-0', -0, 0],
    ['000012', 12, 0],
  ])('are read from %s', (text, coefficient, digits) => {
    expect(readText(text)).toEqual({ coefficient, digits })
  })

  it('are converted by one rounding, half to even, whatever their size', () => {
    const parts = fc.bigInt({ min: 1n, max: 10n ** 24n })
    fc.assert(
      fc.property(
        fc.integer({ min: -1e15, max: 1e15 }),
        fc.integer({ min: 0, max: 24 }),
        parts,
        parts,
        (c, d, n, m) => {
          const fraction = { numerator: Number(n), denominator: Number(m), exactNumerator: n, exactDenominator: m }
          const wanted = rounded(BigInt(c) * n, m * 10n ** BigInt(d))
          const size = wanted < 0n ? -wanted : wanted
          if (size > BigInt(Number.MAX_SAFE_INTEGER)) expect(convertExactly(c, d, fraction)).toBeNaN()
          else expect(BigInt(convertExactly(c, d, fraction))).toBe(wanted)
        },
      ),
    )
  })

  it('are converted so where all is small, ties among them', () => {
    const small = fc.integer({ min: 1, max: 50 })
    fc.assert(
      fc.property(fc.integer({ min: -5000, max: 5000 }), fc.integer({ min: 0, max: 3 }), small, small, (c, d, n, m) => {
        const [exactNumerator, exactDenominator] = [BigInt(n), BigInt(m)]
        const got = convertExactly(c, d, { numerator: n, denominator: m, exactNumerator, exactDenominator })
        expect(BigInt(got)).toBe(rounded(BigInt(c) * exactNumerator, exactDenominator * 10n ** BigInt(d)))
      }),
      { numRuns: 2000 },
    )
  })
})
