/** The gamma function's logarithm and its derivative, against identities that they do not use. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digamma, logGamma } from '../../src/metrics/gamma-function.ts'

const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true })

function expectNear(value: number, expected: number, tolerance: number): void {
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(expected)))
}

describe('logGamma', () => {
  it('is the logarithm of factorials', () => {
    let factorial = 1
    for (let n = 1; n <= 25; n++) {
      expectNear(logGamma(n), Math.log(factorial), 1e-14)
      factorial *= n
    }
    expectNear(logGamma(0.5), Math.log(Math.PI) / 2, 1e-14)
  })

  it('keeps the duplication formula', () => {
    fc.assert(
      fc.property(positive, (x) => {
        const doubled = logGamma(x) + logGamma(x + 0.5) - (1 - 2 * x) * Math.LN2 - Math.log(Math.PI) / 2
        expectNear(doubled, logGamma(2 * x), 1e-13)
      }),
    )
  })

  it('has no value at 0 and below', () => {
    expect([logGamma(0), logGamma(-1.5), digamma(0), digamma(-1.5)]).toEqual(Array(4).fill(Number.NaN))
  })
})

describe('digamma', () => {
  it('is minus the constant of Euler at 1', () => {
    expectNear(digamma(1), -0.577_215_664_901_532_9, 1e-14)
  })

  it('keeps the duplication formula', () => {
    fc.assert(
      fc.property(positive, (x) => {
        expectNear((digamma(x) + digamma(x + 0.5)) / 2 + Math.LN2, digamma(2 * x), 1e-12)
      }),
    )
  })

  it('is the slope of logGamma', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 1000, noNaN: true }), (x) => {
        const h = 1e-4 * x
        expectNear(digamma(x), (logGamma(x + h) - logGamma(x - h)) / (2 * h), 1e-6)
      }),
    )
  })
})
