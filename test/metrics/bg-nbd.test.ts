/**
 * Expectations of BG/NBD against what they are the closed form of: the mean over the hidden rate and the hidden
 * probability to leave, by numerical integration that shares nothing with it.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BgNbd, expectedPurchases, expectedPurchasesOfNew, probabilityAlive } from '../../src/metrics/bg-nbd.ts'
import { logGamma } from '../../src/metrics/gamma-function.ts'

/** ∫ f over (0, 1) by the tanh-sinh rule; f gets p and 1 - p, each to full precision, and may be infinite at the ends. */
function integrate(f: (p: number, rest: number) => number): number {
  const h = 1 / 64
  let sum = 0
  for (let k = -6 / h; k <= 6 / h; k++) {
    const u = (Math.PI / 2) * Math.sinh(k * h)
    const p = 1 / (1 + Math.exp(-2 * u))
    const rest = 1 / (1 + Math.exp(2 * u))
    const weight = Math.PI * Math.cosh(k * h) * p * rest
    if (weight > 0 && p > 0 && rest > 0) sum += weight * f(p, rest)
  }
  return sum * h
}

/** E[(1 - e^(-λpt)) / p], λ ~ gamma(r + x, α + T), p ~ beta(a, b + x): purchases in t of who is alive. */
function purchasesIfAlive({ r, alpha, a, b }: BgNbd, x: number, age: number, t: number): number {
  const logBeta = logGamma(a) + logGamma(b + x) - logGamma(a + b + x)
  return integrate((p, rest) => {
    const density = Math.exp((a - 1) * Math.log(p) + (b + x - 1) * Math.log(rest) - logBeta)
    return (density * -Math.expm1(-(r + x) * Math.log1p((p * t) / (alpha + age)))) / p
  })
}

const parameter = fc.double({ min: 0.3, max: 5, noNaN: true })
const model: fc.Arbitrary<BgNbd> = fc.record({
  r: parameter,
  alpha: fc.double({ min: 0.5, max: 100, noNaN: true }),
  a: parameter,
  b: parameter,
})
const history = fc
  .tuple(fc.nat(200), fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 500 }))
  .map(([frequency, last, since]) => ({ frequency, recency: frequency === 0 ? 0 : last, age: last + since }))
const horizon = fc.double({ min: 0.01, max: 3000, noNaN: true })

describe('expectedPurchases', () => {
  it('is the mean over the hidden rate and probability', () => {
    fc.assert(
      fc.property(model, history, horizon, (m, h, t) => {
        const expected = purchasesIfAlive(m, h.frequency, h.age, t) * probabilityAlive(m, h)
        expect(Math.abs(expectedPurchases(m, h, t) - expected)).toBeLessThanOrEqual(1e-8 * expected + 1e-300)
      }),
    )
  })

  it('of a new customer is the mean over all', () => {
    fc.assert(
      fc.property(model, horizon, (m, t) => {
        const expected = purchasesIfAlive(m, 0, 0, t)
        expect(Math.abs(expectedPurchasesOfNew(m, t) - expected)).toBeLessThanOrEqual(1e-8 * expected)
      }),
    )
  })

  it.each([
    ['a = 1', { r: 0.3, alpha: 5, a: 1, b: 2 }],
    ['a next to 1', { r: 0.3, alpha: 5, a: 1 + 1e-12, b: 2 }],
    ['a + b = 1', { r: 0.3, alpha: 5, a: 0.25, b: 0.75 }],
    ['a + b next to 1', { r: 0.3, alpha: 5, a: 0.25, b: 0.75 + 1e-12 }],
  ])('has a value at %s, where the form of the paper has none', (_, m) => {
    for (const h of [
      { frequency: 0, recency: 0, age: 30 },
      { frequency: 3, recency: 20, age: 30 },
    ]) {
      const expected = purchasesIfAlive(m, h.frequency, h.age, 50) * probabilityAlive(m, h)
      expect(Math.abs(expectedPurchases(m, h, 50) - expected) / expected).toBeLessThan(1e-9)
    }
  })

  it('grows with time, from none at no time', () => {
    fc.assert(
      fc.property(model, history, horizon, (m, h, t) => {
        expect(expectedPurchases(m, h, 0)).toBe(0)
        expect(expectedPurchases(m, h, t)).toBeLessThanOrEqual(expectedPurchases(m, h, 2 * t) * (1 + 1e-12))
      }),
    )
    const person = { frequency: 0, recency: 0, age: 1 }
    expect(() => expectedPurchases({ r: 1, alpha: 1, a: 1, b: 1 }, person, -1)).toThrow('give 0 or more')
  })
})

describe('probabilityAlive', () => {
  it('is 1 without a repeat purchase, and falls with silence', () => {
    fc.assert(
      fc.property(model, history, (m, h) => {
        const now = probabilityAlive(m, h)
        expect(now).toBeGreaterThanOrEqual(0)
        expect(now).toBeLessThanOrEqual(1)
        if (h.frequency === 0) expect(now).toBe(1)
        else expect(probabilityAlive(m, { ...h, age: h.age + 50 })).toBeLessThanOrEqual(now)
      }),
    )
  })
})
