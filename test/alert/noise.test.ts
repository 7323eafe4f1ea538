/** Residuals in units of chance, and the normal law. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Noise, residualOf, valueAt } from '../../src/alert/noise.ts'
import { cusumRunLength, normalTail, poissonUpperBound } from '../../src/alert/normal-law.ts'
import { Draws } from '../support/draws.ts'

const noises: readonly Noise[] = ['normal', 'poisson', 'binomial']

describe('residualOf', () => {
  it('is 0 where expected, and grows with the value', () => {
    const share = fc.double({ min: 0.01, max: 0.99, noNaN: true })
    fc.assert(
      fc.property(
        fc.constantFrom(...noises),
        share,
        share,
        share,
        fc.integer({ min: 1, max: 1000 }),
        (noise, a, b, e, n) => {
          const times = noise === 'binomial' ? 1 : 100
          expect(residualOf(noise, e * times, e * times, n)).toBeCloseTo(0, 6)
          const [low, high] = [Math.min(a, b) * times, Math.max(a, b) * times]
          const below = residualOf(noise, low, e * times, n)
          expect(below).toBeLessThanOrEqual(residualOf(noise, high, e * times, n) + 1e-9)
        },
      ),
    )
  })

  it.each([
    ['poisson', 2, 1],
    ['poisson', 100, 1],
    ['binomial', 0.1, 20],
    ['binomial', 0.5, 200],
  ] as const)('%s around %f of %i scatters by one', (noise, expected, volume) => {
    const draws = new Draws(5)
    let squares = 0
    const count = 20_000
    for (let i = 0; i < count; i++) {
      const value = noise === 'poisson' ? draws.poisson(expected) : draws.binomial(volume, expected) / volume
      squares += residualOf(noise, value, expected, volume) ** 2
    }
    expect(Math.abs(squares / count - 1)).toBeLessThan(0.25)
  })

  it('takes a share above 1 as 1, and nothing of nothing as no news', () => {
    expect(residualOf('binomial', 1.4, 0.7, 10)).toBe(residualOf('binomial', 1, 0.7, 10))
    expect(Math.abs(residualOf('binomial', 0, 0.7, 0))).toBe(0)
    expect(Number.isFinite(residualOf('binomial', 1, 0, 10))).toBe(true)
    expect(Number.isFinite(residualOf('poisson', 10, 0, 1))).toBe(true)
  })
})

describe('valueAt', () => {
  it('is the value that has the residual', () => {
    const z = fc.double({ min: -5, max: 5, noNaN: true })
    const share = fc.double({ min: 0.05, max: 0.95, noNaN: true })
    fc.assert(
      fc.property(
        fc.constantFrom(...noises),
        z,
        share,
        fc.integer({ min: 1, max: 500 }),
        (noise, residual, e, volume) => {
          const expected = noise === 'binomial' ? e : e * 1000
          const value = valueAt(noise, residual, expected, volume)
          // At the ends of what the noise knows there is no such value.
          if (noise !== 'normal' && (value === 0 || value === 1)) return
          expect(residualOf(noise, value, expected, volume)).toBeCloseTo(residual, 5)
        },
      ),
    )
    expect(valueAt('poisson', -9, 4, 1)).toBe(0)
    expect(valueAt('binomial', 9, 0.9, 4)).toBe(1)
  })
})

describe('the normal law', () => {
  it('has the tails of the tables', () => {
    expect(normalTail(1.644_853_626_951_472)).toBeCloseTo(0.05, 9)
    expect(normalTail(2.326_347_874_040_841)).toBeCloseTo(0.01, 9)
    expect(normalTail(6) / 9.865_876_450_376_98e-10).toBeCloseTo(1, 8)
  })

  it('has the run lengths of CUSUM that are known', () => {
    // Montgomery, Introduction to Statistical Quality Control, table 9.3: two-sided 168 and 465 for drift 0.5.
    expect(Math.abs(cusumRunLength(4, 0.5) / 2 / 168 - 1)).toBeLessThan(0.02)
    expect(Math.abs(cusumRunLength(5, 0.5) / 2 / 465 - 1)).toBeLessThan(0.02)
  })

  it('bounds a rate of which nothing, or a few, was seen', () => {
    expect(poissonUpperBound(0)).toBeCloseTo(2.9957, 4)
    expect(poissonUpperBound(1)).toBeCloseTo(4.7439, 4)
    expect(poissonUpperBound(10)).toBeCloseTo(16.962, 3)
  })
})
