/**
 * Customer lifetime value: what customers have brought by an age, and what they may bring. Each function is one formula
 * with a name, because the numbers of different formulas cannot be compared (docs/specs/lifetime-value.md).
 */
import { MillraceError } from '../core/errors.ts'
import { type BgNbd, expectedPurchases } from './bg-nbd.ts'
import { expectedAmount, type GammaGamma } from './gamma-gamma.ts'
import type { PurchaseStatistics } from './purchase-statistics.ts'

/** Over which future, and what a later coin is worth. */
export interface ValueHorizon {
  /** Steps of discounting to look ahead, such as months: whole, 0 or more. */
  readonly steps: number
  /** Periods of the fit in a step: 30 for months of a model in days. */
  readonly periodsPerStep: number
  /** Discount a step: 0.01 is 1 % a month. */
  readonly discountRate: number
}

/**
 * Predictive value of one person, from now on: Σ over steps i of the purchases expected in step i, times the expected
 * amount, / (1 + discount)^i. Money comes at the end of its step. In the unit of the amounts; times the gross margin it
 * is profit. NaN where Gamma-Gamma has no mean.
 */
export function predictedValue(
  purchases: BgNbd,
  spend: GammaGamma,
  person: PurchaseStatistics,
  { steps, periodsPerStep, discountRate }: ValueHorizon,
): number {
  if (!(Number.isInteger(steps) && steps >= 0 && periodsPerStep > 0 && discountRate > -1))
    throw new MillraceError(
      'INPUT_INVALID',
      `a horizon of ${steps} steps of ${periodsPerStep} periods at a discount of ${discountRate}: give whole steps`,
    )
  let sum = 0
  let before = 0
  for (let step = 1; step <= steps; step++) {
    const until = expectedPurchases(purchases, person, step * periodsPerStep)
    sum += (until - before) / (1 + discountRate) ** step
    before = until
  }
  return sum * expectedAmount(spend, person)
}

/**
 * ARPU × margin / churn: the value of a customer who brings `arpu` a period, of which `grossMargin` (0 to 1) stays, and
 * leaves with probability `churn` (above 0, up to 1) each period. Infinity without churn is refused as INPUT_INVALID.
 */
export function steadyStateValue(arpu: number, grossMargin: number, churn: number): number {
  if (!(churn > 0 && churn <= 1))
    throw new MillraceError(
      'INPUT_INVALID',
      `a churn of ${churn}: give the share that leaves a period, above 0 up to 1`,
    )
  return (arpu * grossMargin) / churn
}

/**
 * Staged: Σ revenue of period j × the share that is still there, Π of the survivals up to and including j. Period 0 comes first; its survival is
 * 1 where all are there.
 */
export function stagedValue(revenue: readonly number[], survival: readonly number[]): number {
  if (revenue.length !== survival.length)
    throw new MillraceError('INPUT_INVALID', `${revenue.length} revenues with ${survival.length} survivals`)
  let there = 1
  let sum = 0
  for (let j = 0; j < revenue.length; j++) {
    there *= survival[j]!
    sum += revenue[j]! * there
  }
  return sum
}

/** What a cohort has brought: persons who came in one period, and the revenue of their period of age 0, 1, … */
export interface CohortRevenue {
  /** Name or start of the cohort's period. */
  readonly cohort: string
  /** Persons at age 0. */
  readonly persons: number
  /** By age; what is missing behind the last one is an age that nobody has reached. */
  readonly revenue: readonly number[]
  /** Ages that all of the cohort have lived through: the ages from here on are still growing. */
  readonly completeAges: number
}

/** Historic value at one age. */
export interface HistoricValue {
  readonly cohort: string
  readonly age: number
  readonly persons: number
  /** Revenue of ages 0 to `age` a person of age 0. NaN of nobody. */
  readonly value: number
  /** False while later events may still add to it. */
  readonly complete: boolean
}

/** The cumulative revenue a person by cohort and age (AdMob's Dx LTV: Σ revenue of D0 … Dx / persons at D0). */
export function historicValues(cohorts: Iterable<CohortRevenue>): HistoricValue[] {
  const values: HistoricValue[] = []
  for (const { cohort, persons, revenue, completeAges } of cohorts) {
    let sum = 0
    for (const [age, amount] of revenue.entries()) {
      sum += amount
      const value = persons > 0 ? sum / persons : Number.NaN
      values.push({ cohort, age, persons, value, complete: age < completeAges })
    }
  }
  return values
}

/**
 * The historic value of all cohorts together at each age: revenue by that age / persons, over the cohorts that are
 * complete at it, so that young cohorts do not pull it down.
 */
export function historicValueByAge(cohorts: readonly CohortRevenue[]): HistoricValue[] {
  const ages = Math.max(0, ...cohorts.map((c) => Math.min(c.completeAges, c.revenue.length)))
  return Array.from({ length: ages }, (_, age) => {
    let persons = 0
    let revenue = 0
    for (const c of cohorts) {
      if (c.completeAges <= age || c.revenue.length <= age) continue
      persons += c.persons
      for (let at = 0; at <= age; at++) revenue += c.revenue[at]!
    }
    return { cohort: 'all', age, persons, value: persons > 0 ? revenue / persons : Number.NaN, complete: true }
  })
}
