/** The formulas of lifetime value. */
import { describe, expect, it } from 'vitest'
import { expectedPurchases } from '../../src/metrics/bg-nbd.ts'
import { expectedAmount } from '../../src/metrics/gamma-gamma.ts'
import {
  historicValueByAge,
  historicValues,
  predictedValue,
  stagedValue,
  steadyStateValue,
} from '../../src/metrics/lifetime-value.ts'

const purchases = { r: 0.25, alpha: 4, a: 0.8, b: 2.4 }
const spend = { p: 6, q: 4, v: 15 }
const person = { frequency: 3, recency: 30, age: 40, monetaryValue: 50 }

describe('predictedValue', () => {
  it('without a discount is purchases times amount', () => {
    const horizon = { steps: 12, periodsPerStep: 4, discountRate: 0 }
    const expected = expectedPurchases(purchases, person, 48) * expectedAmount(spend, person)
    expect(predictedValue(purchases, spend, person, horizon)).toBeCloseTo(expected, 10)
  })

  it('takes the discount off each step', () => {
    const steps = (n: number) => ({ steps: n, periodsPerStep: 4, discountRate: 0.1 })
    const first = expectedPurchases(purchases, person, 4)
    const second = expectedPurchases(purchases, person, 8) - first
    const amount = expectedAmount(spend, person)
    expect(predictedValue(purchases, spend, person, steps(0))).toBe(0)
    expect(predictedValue(purchases, spend, person, steps(1))).toBeCloseTo((first * amount) / 1.1, 10)
    expect(predictedValue(purchases, spend, person, steps(2))).toBeCloseTo((first / 1.1 + second / 1.21) * amount, 10)
    expect(() => predictedValue(purchases, spend, person, steps(1.5))).toThrow('give whole steps')
  })
})

describe('simple formulas', () => {
  it('ARPU × margin / churn', () => {
    expect(steadyStateValue(10, 0.6, 0.05)).toBeCloseTo(120, 10)
    // What it is the sum of: a share of 95 % stays each period.
    const stays = Array.from({ length: 2000 }, (_, j) => (j === 0 ? 1 : 0.95))
    expect(
      stagedValue(
        stays.map(() => 6),
        stays,
      ),
    ).toBeCloseTo(120, 8)
    for (const churn of [0, -0.1, 1.1, Number.NaN]) expect(() => steadyStateValue(10, 0.6, churn)).toThrow('churn')
  })

  it('staged: revenue times the survivals up to then', () => {
    expect(stagedValue([10, 20, 30], [1, 0.5, 0.5])).toBe(10 + 10 + 7.5)
    expect(() => stagedValue([1], [])).toThrow('1 revenues with 0 survivals')
  })
})

describe('historic value', () => {
  const cohorts = [
    { cohort: '2024-01', persons: 4, revenue: [40, 20, 0], completeAges: 3 },
    { cohort: '2024-02', persons: 2, revenue: [30, 2], completeAges: 1 },
    { cohort: '2024-03', persons: 0, revenue: [], completeAges: 0 },
  ]

  it('adds up revenue by age a person of age 0, and marks ages that still grow', () => {
    expect(historicValues(cohorts)).toEqual([
      { cohort: '2024-01', age: 0, persons: 4, value: 10, complete: true },
      { cohort: '2024-01', age: 1, persons: 4, value: 15, complete: true },
      { cohort: '2024-01', age: 2, persons: 4, value: 15, complete: true },
      { cohort: '2024-02', age: 0, persons: 2, value: 15, complete: true },
      { cohort: '2024-02', age: 1, persons: 2, value: 16, complete: false },
    ])
  })

  it('of all is over the cohorts that are complete at an age', () => {
    expect(historicValueByAge(cohorts)).toEqual([
      { cohort: 'all', age: 0, persons: 6, value: 70 / 6, complete: true },
      { cohort: 'all', age: 1, persons: 4, value: 15, complete: true },
      { cohort: 'all', age: 2, persons: 4, value: 15, complete: true },
    ])
    expect(historicValueByAge([])).toEqual([])
  })
})
