/** Fits of both models on made-up populations, and the slopes that they go by. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bgNbdLikelihood, fitBgNbd } from '../../src/metrics/bg-nbd-fit.ts'
import { expectedAmount, fitGammaGamma, gammaGammaLikelihood, meanAmount } from '../../src/metrics/gamma-gamma.ts'
import { countPurchases, countSpend, type PurchaseStatistics } from '../../src/metrics/purchase-statistics.ts'
import { drawPerson, populationOf } from './populations.ts'

const truth = { r: 0.5, alpha: 20, a: 0.8, b: 2.5, p: 4, q: 5, v: 30 }
const population = populationOf(20_000, truth, 7)

const persons = fc
  .integer({ min: 1, max: 2 ** 31 - 1 })
  .map((seed) => [...populationOf(200, truth, seed), drawPerson(truth, 300, seed, 5)])

function expectSlopes(f: (at: Float64Array, gradient: Float64Array) => number, at: readonly number[]): void {
  const gradient = new Float64Array(at.length)
  f(Float64Array.from(at), gradient)
  for (const [i, slope] of gradient.entries()) {
    const moved = (by: number): number =>
      f(
        Float64Array.from(at, (x, j) => (i === j ? x + by : x)),
        new Float64Array(at.length),
      )
    expect(Math.abs(slope - (moved(1e-5) - moved(-1e-5)) / 2e-5)).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)))
  }
}

const logs = (n: number) => fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: n, maxLength: n })

describe('likelihoods', () => {
  it('have the slopes that they say', () => {
    fc.assert(
      fc.property(persons, logs(4), logs(3), fc.constantFrom(0, 0.1), (list, ofPurchases, ofSpend, penalizer) => {
        expectSlopes(bgNbdLikelihood(countPurchases(list), 400, penalizer), ofPurchases)
        expectSlopes(gammaGammaLikelihood(countSpend(list), penalizer), ofSpend)
      }),
      { numRuns: 20 },
    )
  })
})

describe('fitBgNbd', () => {
  it('finds the parameters that a population was made with', () => {
    const { model, persons: all, gradient } = fitBgNbd(countPurchases(population))
    expect(all).toBe(20_000)
    expect(gradient).toBeLessThan(1e-6)
    // Three standard errors and more at this size.
    expect(Math.abs(model.r / truth.r - 1)).toBeLessThan(0.1)
    expect(Math.abs(model.alpha / truth.alpha - 1)).toBeLessThan(0.1)
    const left = model.a / (model.a + model.b)
    expect(Math.abs(left / (truth.a / (truth.a + truth.b)) - 1)).toBeLessThan(0.1)
  })

  it('of every person twice is the same, with twice the likelihood', () => {
    const once = fitBgNbd(countPurchases(population))
    const twice = fitBgNbd(countPurchases([...population, ...population]))
    expect(twice.logLikelihood / once.logLikelihood).toBeCloseTo(2, 9)
    expect(twice.model.alpha / once.model.alpha).toBeCloseTo(1, 6)
  })

  it('in another unit of time changes the rate only', () => {
    const weeks = population.map((c) => ({ ...c, recency: c.recency / 7, age: c.age / 7 }))
    const { model: byDay } = fitBgNbd(countPurchases(population))
    const { model: byWeek } = fitBgNbd(countPurchases(weeks))
    expect(byWeek.alpha * 7).toBeCloseTo(byDay.alpha, 4)
    expect(byWeek.r).toBeCloseTo(byDay.r, 5)
    expect(byWeek.a).toBeCloseTo(byDay.a, 4)
  })

  it('refuses a population without a maximum', () => {
    const nobodyAgain = [{ frequency: 0, recency: 0, age: 9, monetaryValue: 0 }]
    expect(() => fitBgNbd(countPurchases(nobodyAgain))).toThrow('without a repeat purchase')
    // Everybody buys each day, nobody ever leaves: rates all alike and no leaving are parameters without end.
    const clockwork: PurchaseStatistics[] = Array.from({ length: 50 }, (_, i) => ({
      frequency: 60 + i,
      recency: 60 + i,
      age: 60 + i,
      monetaryValue: 5,
    }))
    expect(() => fitBgNbd(countPurchases(clockwork))).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
  })
})

describe('fitGammaGamma', () => {
  it('finds the parameters that a population was made with', () => {
    const { model } = fitGammaGamma(countSpend(population))
    expect(Math.abs(model.p / truth.p - 1)).toBeLessThan(0.2)
    expect(Math.abs(model.q / truth.q - 1)).toBeLessThan(0.2)
    expect(Math.abs(meanAmount(model) / ((truth.p * truth.v) / (truth.q - 1)) - 1)).toBeLessThan(0.03)
  })

  it('refuses nobody, and amounts that are all alike unless a penalizer holds them', () => {
    expect(() => fitGammaGamma(countSpend([]))).toThrow('give more history')
    const alike = Array.from({ length: 50 }, (_, i) => ({ frequency: 1 + i, recency: 1, age: 2, monetaryValue: 5 }))
    expect(() => fitGammaGamma(countSpend(alike))).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
    const held = fitGammaGamma(countSpend(alike), { penalizer: 0.01 })
    expect(held.gradient).toBeLessThan(1e-6)
    expect(Object.values(held.model).every((x) => x > 0 && x < 100)).toBe(true)
  })

  it('expects an amount between the own mean and that of all, nearer with more purchases', () => {
    const model = { p: 4, q: 5, v: 30 }
    fc.assert(
      fc.property(fc.nat(1000), fc.double({ min: 0.01, max: 1e4, noNaN: true }), (frequency, monetaryValue) => {
        const all = meanAmount(model)
        const own = frequency === 0 ? all : monetaryValue
        const amount = expectedAmount(model, { frequency, monetaryValue })
        expect(amount).toBeGreaterThanOrEqual(Math.min(own, all) * (1 - 1e-12))
        expect(amount).toBeLessThanOrEqual(Math.max(own, all) * (1 + 1e-12))
        const later = expectedAmount(model, { frequency: frequency + 10, monetaryValue })
        expect(Math.abs(later - monetaryValue)).toBeLessThanOrEqual(Math.abs(amount - monetaryValue) + 1e-9)
      }),
    )
    expect(meanAmount({ p: 1, q: 0.9, v: 1 })).toBeNaN()
    expect(expectedAmount({ p: 0.1, q: 0.5, v: 1 }, { frequency: 1, monetaryValue: 1 })).toBeNaN()
  })
})
