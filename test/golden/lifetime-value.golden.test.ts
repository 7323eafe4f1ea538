/**
 * Lifetime value on the purchases of CDNOW against the Python package lifetimes, and against the numbers of the papers.
 *
 * Tolerances. With the oracle's own parameters every expectation is the same arithmetic in doubles: 1e-9. Fits differ by
 * where a search stops: lifetimes ends when no part of the gradient is above 1e-7, ours at 1e-8. The error of a
 * log-parameter is the inverse curvature times that, and persons × (relative standard error)² is the inverse curvature:
 * up to 126 here, which gives 5e-5 over four parts. So 1e-4; what the data leaves open, the standard errors, is a hundred
 * times that and more. Expectations follow the parameters; powers of r + x make small probabilities follow faster.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { type BgNbd, expectedPurchases, expectedPurchasesOfNew, probabilityAlive } from '../../src/metrics/bg-nbd.ts'
import { type Fit, fitBgNbd } from '../../src/metrics/bg-nbd-fit.ts'
import { expectedAmount, fitGammaGamma, type GammaGamma } from '../../src/metrics/gamma-gamma.ts'
import { predictedValue } from '../../src/metrics/lifetime-value.ts'
import {
  countPurchases,
  countSpend,
  type PurchaseStatistics,
  purchaseStatistics,
} from '../../src/metrics/purchase-statistics.ts'
import {
  type LifetimesOracle,
  lifetimesOracle,
  type OracleCustomers,
  type OracleFit,
  readCdnow,
} from '../support/lifetimes/lifetimes.ts'

const SAME_ARITHMETIC = 1e-9
const SAME_MAXIMUM = 1e-4
const END_DAY = Date.UTC(1998, 5, 30) / 86_400_000
const YEAR = { steps: 12, periodsPerStep: 30, discountRate: 0.01 }

let oracle: LifetimesOracle
let customers: ReadonlyMap<string, PurchaseStatistics>
let ofOracle: readonly PurchaseStatistics[]

beforeAll(async () => {
  oracle = await lifetimesOracle()
  const purchases = readCdnow()
  customers = new Map([...purchases].map(([id, list]) => [id, purchaseStatistics(list, END_DAY)!]))
  ofOracle = oracle.customers.id.map((id) => customers.get(id)!)
}, 240_000)

/** The largest relative difference of two columns. */
function worst(ours: readonly number[], theirs: readonly number[]): number {
  expect(ours).toHaveLength(theirs.length)
  let most = 0
  for (const [i, value] of ours.entries()) {
    const other = theirs[i]!
    expect(value).not.toBeNaN()
    most = Math.max(most, Math.abs(value - other) / Math.max(Math.abs(other), 1e-300))
  }
  return most
}

function expectSameMaximum(fit: Fit<BgNbd> | Fit<GammaGamma>, theirs: OracleFit): void {
  for (const [name, value] of Object.entries(fit.model)) {
    const other = theirs.params[name]!
    expect(Math.abs(value - other) / other, name).toBeLessThan(SAME_MAXIMUM)
    expect(Math.abs(value - other), name).toBeLessThan(theirs.standardErrors[name]! / 100)
  }
}

function statisticsOf(columns: OracleCustomers): PurchaseStatistics[] {
  return columns.frequency.map((frequency, i) => ({
    frequency,
    recency: columns.recency[i]!,
    age: columns.age[i]!,
    monetaryValue: columns.monetaryValue[i]!,
  }))
}

const theirPurchases = (): BgNbd => oracle.purchases.params as unknown as BgNbd
const theirSpend = (): GammaGamma => oracle.spend.params as unknown as GammaGamma

describe('the purchases of CDNOW', () => {
  it('have the known totals', () => {
    expect(oracle.transactions).toBe(69_659)
    expect([...readCdnow().values()].reduce((sum, list) => sum + list.length, 0)).toBe(69_659)
    const cents = [...readCdnow().values()].flat().reduce((sum, p) => sum + Math.round(p.amount * 100), 0)
    expect(cents).toBe(Math.round(oracle.dollars * 100))
    expect(cents).toBe(250_031_563)
    expect(customers.size).toBe(23_570)
  })

  it('come to the statistics that lifetimes has of them', () => {
    expect(ofOracle.map((c) => c.frequency)).toEqual(oracle.customers.frequency)
    expect(ofOracle.map((c) => c.recency)).toEqual(oracle.customers.recency)
    expect(ofOracle.map((c) => c.age)).toEqual(oracle.customers.age)
    expect(
      worst(
        ofOracle.map((c) => c.monetaryValue),
        oracle.customers.monetaryValue,
      ),
    ).toBeLessThan(1e-12)
  })
})

describe('expectations under the parameters of lifetimes', () => {
  it.each([
    [
      'the probability to be alive',
      'probabilityAlive',
      (c: PurchaseStatistics) => probabilityAlive(theirPurchases(), c),
    ],
    ['the purchases of 30 days', 'purchases30', (c: PurchaseStatistics) => expectedPurchases(theirPurchases(), c, 30)],
    ['the purchases of a year', 'purchases365', (c: PurchaseStatistics) => expectedPurchases(theirPurchases(), c, 365)],
    ['the amount of a purchase', 'amount', (c: PurchaseStatistics) => expectedAmount(theirSpend(), c)],
    [
      'the discounted value of 12 months',
      'value12Months',
      (c: PurchaseStatistics) => predictedValue(theirPurchases(), theirSpend(), c, YEAR),
    ],
  ] as const)('%s of every customer is the same', (_, column, ours) => {
    expect(worst(ofOracle.map(ours), oracle[column])).toBeLessThan(SAME_ARITHMETIC)
  })

  it('the purchases of a new customer are the same', () => {
    const ours = expectedPurchasesOfNew(theirPurchases(), 90)
    expect(worst([ours], [oracle.purchasesOfNew90])).toBeLessThan(SAME_ARITHMETIC)
  })
})

describe('the fits', () => {
  it('of purchases and of spending are the maxima that lifetimes finds', () => {
    const purchases = fitBgNbd(countPurchases(customers.values()))
    const spend = fitGammaGamma(countSpend(customers.values()))
    expect([purchases.persons, spend.persons]).toEqual([23_570, 11_515])
    expectSameMaximum(purchases, oracle.purchases)
    expectSameMaximum(spend, oracle.spend)
    // And no lower: theirs is of scaled time, so Σ x ln(scale) apart.
    const greatestAge = Math.max(...oracle.customers.age)
    const repeats = oracle.customers.frequency.reduce((sum, x) => sum + x, 0)
    const theirs = -oracle.purchases.meanNegativeLogLikelihood * 23_570 - repeats * Math.log(greatestAge)
    expect(purchases.logLikelihood - theirs).toBeGreaterThan(-1e-6)
    expect(purchases.logLikelihood - theirs).toBeLessThan(1e-3)
    expect(spend.logLikelihood + oracle.spend.meanNegativeLogLikelihood * 11_515).toBeGreaterThan(-1e-6)
  })

  it('expect of every customer what lifetimes expects', () => {
    const { model: purchases } = fitBgNbd(countPurchases(customers.values()))
    const { model: spend } = fitGammaGamma(countSpend(customers.values()))
    const alive = ofOracle.map((c) => probabilityAlive(purchases, c))
    for (const [i, value] of alive.entries()) expect(Math.abs(value - oracle.probabilityAlive[i]!)).toBeLessThan(1e-4)
    const bought = ofOracle.map((c) => expectedPurchases(purchases, c, 365))
    expect(worst(bought, oracle.purchases365)).toBeLessThan(1e-3)
    expect(
      worst(
        ofOracle.map((c) => expectedAmount(spend, c)),
        oracle.amount,
      ),
    ).toBeLessThan(SAME_MAXIMUM)
    const values = ofOracle.map((c) => predictedValue(purchases, spend, c, YEAR))
    const sum = (list: readonly number[]): number => list.reduce((all, value) => all + value, 0)
    expect(worst([sum(values)], [sum(oracle.value12Months)])).toBeLessThan(SAME_MAXIMUM)
  })

  it('are the same with a penalizer', () => {
    expectSameMaximum(fitBgNbd(countPurchases(customers.values()), { penalizer: 0.01 }), oracle.purchasesPenalized)
    expectSameMaximum(fitGammaGamma(countSpend(customers.values()), { penalizer: 0.001 }), oracle.spendPenalized)
  })

  it('are those of the papers on their sample of 2,357 customers', () => {
    const sample = statisticsOf(oracle.sample.customers)
    const purchases = fitBgNbd(countPurchases(sample))
    expectSameMaximum(purchases, oracle.sample.purchases)
    // Fader, Hardie and Lee (2005), table 2.
    const { r, alpha, a, b } = purchases.model
    expect([r.toFixed(3), alpha.toFixed(3), a.toFixed(3), b.toFixed(3)]).toEqual(['0.243', '4.414', '0.793', '2.426'])
    expect(purchases.logLikelihood).toBeCloseTo(-9582.4, 1)
    const spend = fitGammaGamma(countSpend(sample))
    expectSameMaximum(spend, oracle.sample.spend)
    // Fader and Hardie, note 025.
    const { p, q, v } = spend.model
    expect([p.toFixed(2), q.toFixed(2)]).toEqual(['6.25', '3.74'])
    expect(Math.abs(v - 15.44)).toBeLessThan(0.01)
  })
})
