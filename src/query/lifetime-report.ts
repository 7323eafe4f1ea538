/**
 * What persons are likely to bring: BG/NBD and Gamma-Gamma fitted to what they bought, day by day, and asked about each.
 *
 * Owns: limits, doing it in pieces so that nothing else waits, and what is told of whom. Does not own: reading the days
 * (query/lifetime-days.ts), the models (metrics/). Definitions, with their sources: docs/specs/lifetime-value.md.
 */
import { MillraceError } from '../core/errors.ts'
import { expectedPurchases, probabilityAlive } from '../metrics/bg-nbd.ts'
import { fittingBgNbd } from '../metrics/bg-nbd-fit.ts'
import { expectedAmount, fittingGammaGamma } from '../metrics/gamma-gamma.ts'
import { predictedValue, steadyStateValue } from '../metrics/lifetime-value.ts'
import {
  countPurchases,
  countSpend,
  type PurchaseStatistics,
  purchaseStatistics,
} from '../metrics/purchase-statistics.ts'
import { maxQueryLimit } from './api.ts'
import type { LifetimePerson, LifetimeQuery, LifetimeResult, SteadyState } from './lifetime-api.ts'
import { checkByPersonAndDay, type PersonDays, personDays } from './lifetime-days.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

/** How each number is made, in words. */
export const lifetimeFormula =
  'sum over steps i of (purchases expected in step i by BG/NBD) x (amount expected by Gamma-Gamma) / (1 + discount)^i'

const STEPS_MAX = 1200
const DAYS_A_STEP_MAX = 3660
const PERSONS_ASKED_MAX = 1000
/** Persons between two pauses: a millisecond or two. */
const PERSONS_A_PIECE = 100

/** Lets other work in. */
export type Pause = () => Promise<void>

/** Predicts. QUERY_INVALID where the metric has no days of persons, or too little to fit; QUERY_TOO_LARGE, UNAVAILABLE. */
export async function lifetimeResult(
  views: ViewPort,
  metric: ViewMetric,
  query: LifetimeQuery,
  pause: Pause,
): Promise<LifetimeResult> {
  checkLifetimeQuery(query)
  checkByPersonAndDay(metric)
  const days = await personDays(views, metric, query.untilMs)
  const { steps, daysPerStep, discountRate, penalizer } = query
  const persons = await statisticsOf(days, pause)
  try {
    const purchases = await inPieces(fittingBgNbd(countPurchases(persons.values()), { penalizer }), pause)
    const spend = await inPieces(fittingGammaGamma(countSpend(persons.values()), { penalizer }), pause)
    const horizon = { steps, periodsPerStep: daysPerStep, discountRate }
    const all: LifetimePerson[] = []
    for (const [person, known] of persons) {
      if (all.length % PERSONS_A_PIECE === 0) await pause()
      all.push({
        person,
        ...known,
        alive: probabilityAlive(purchases.model, known),
        expectedPurchases: expectedPurchases(purchases.model, known, steps * daysPerStep),
        expectedAmount: expectedAmount(spend.model, known),
        value: predictedValue(purchases.model, spend.model, known, horizon),
      })
    }
    const total = all.reduce((sum, { value }) => sum + value, 0)
    return {
      info: metric.info,
      ...{ steps, daysPerStep, discountRate, formula: lifetimeFormula },
      ...{ sinceMs: days.sinceMs, days: days.endDay + 1, refundDays: days.refundDays, watermarkMs: days.watermarkMs },
      purchases: {
        parameters: { ...purchases.model },
        persons: purchases.persons,
        logLikelihood: purchases.logLikelihood,
      },
      spend: { parameters: { ...spend.model }, persons: spend.persons, logLikelihood: spend.logLikelihood },
      correlation: correlationOf(persons.values()),
      ...{ total, mean: total / all.length },
      steadyState: steadyStateOf(days, query),
      persons: told(all, query),
    }
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    // What the models refuse is what was asked of them.
    if (error.code !== 'INPUT_INVALID') throw error
    throw new MillraceError('QUERY_INVALID', `${query.job}/${query.metric}: ${error.message}`, { cause: error })
  }
}

/** QUERY_INVALID for what nobody can predict. */
export function checkLifetimeQuery(query: LifetimeQuery): void {
  const { steps, daysPerStep, discountRate, penalizer, persons, margin, churn } = query
  const whole = (value: number, most: number): boolean => Number.isInteger(value) && value >= 1 && value <= most
  const wrong = (what: string): never => {
    throw new MillraceError('QUERY_INVALID', what)
  }
  if (!whole(steps, STEPS_MAX)) wrong(`a horizon of ${steps} steps: give 1 to ${STEPS_MAX}`)
  if (!whole(daysPerStep, DAYS_A_STEP_MAX)) wrong(`steps of ${daysPerStep} days: give 1 to ${DAYS_A_STEP_MAX}`)
  if (!(discountRate >= 0 && discountRate <= 10))
    wrong(`a discount of ${discountRate} a step: give 0 to 10, 0.01 is 1 %`)
  if (!(penalizer >= 0 && penalizer <= 1000)) wrong(`a penalizer of ${penalizer}: give 0 to 1000`)
  if (persons.length > PERSONS_ASKED_MAX) wrong(`at most ${PERSONS_ASKED_MAX} persons by name, not ${persons.length}`)
  if ((margin === null) !== (churn === null)) wrong('the steady state needs both a margin and a churn')
  if (margin !== null && !(margin >= 0 && margin <= 1)) wrong(`a margin of ${margin}: give 0 to 1`)
  if (churn !== null && !(churn > 0 && churn <= 1)) wrong(`a churn of ${churn} a step: give above 0, up to 1`)
}

async function statisticsOf({ purchases, endDay }: PersonDays, pause: Pause): Promise<Map<string, PurchaseStatistics>> {
  const known = new Map<string, PurchaseStatistics>()
  let at = 0
  for (const [person, list] of purchases) {
    if (at++ % PERSONS_A_PIECE === 0) await pause()
    const statistics = purchaseStatistics(list, endDay)
    if (statistics !== undefined) known.set(person, statistics)
  }
  return known
}

async function inPieces<T>(steps: Generator<undefined, T, undefined>, pause: Pause): Promise<T> {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    await pause()
  }
}

/** Those who were asked for, or the most valuable. */
function told(all: LifetimePerson[], { persons, limit }: LifetimeQuery): readonly LifetimePerson[] {
  if (persons.length > 0) {
    const asked = new Set(persons)
    return all.filter(({ person }) => asked.has(person))
  }
  all.sort((a, b) => b.value - a.value || (a.person < b.person ? -1 : 1))
  return all.slice(0, Math.min(limit, maxQueryLimit))
}

/** Of those who bought again: how often, and how much each time. Gamma-Gamma supposes that it is about 0. */
function correlationOf(persons: Iterable<PurchaseStatistics>): number {
  const some = [...persons].filter(({ frequency, monetaryValue }) => frequency > 0 && monetaryValue > 0)
  const mean = (of: (one: PurchaseStatistics) => number) => some.reduce((sum, one) => sum + of(one), 0) / some.length
  const [often, much] = [mean((one) => one.frequency), mean((one) => one.monetaryValue)]
  const both = mean((one) => (one.frequency - often) * (one.monetaryValue - much))
  return both / Math.sqrt(mean((one) => (one.frequency - often) ** 2) * mean((one) => (one.monetaryValue - much) ** 2))
}

/** What the last step of days says, where margin and churn are given: revenue a person who bought in it. */
function steadyStateOf({ purchases, endDay }: PersonDays, query: LifetimeQuery): SteadyState | null {
  const { margin, churn, daysPerStep } = query
  if (margin === null || churn === null) return null
  let revenue = 0
  let buyers = 0
  for (const list of purchases.values()) {
    const recent = list.filter(({ period }) => period <= endDay && period > endDay - daysPerStep)
    if (recent.length > 0) buyers++
    for (const { amount } of recent) revenue += amount
  }
  const arppu = buyers === 0 ? Number.NaN : revenue / buyers
  return { arppu, buyers, margin, churn, value: steadyStateValue(arppu, margin, churn) }
}
