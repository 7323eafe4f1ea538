/**
 * The parameters of BG/NBD by maximum likelihood, on counts of equal histories.
 *
 * The likelihood is equation 6 of Fader, Hardie and Lee (2005) in the form of Hardie's note 004, which neither overflows
 * nor underflows. Frequencies are whole, so Γ(r + x) / Γ(r) is a product and its derivative a sum: both come from tables
 * a evaluation, and a history costs four logarithms or so, however many persons have it. Minimised over log-parameters
 * with the exact gradient.
 */
import { MillraceError } from '../core/errors.ts'
import { finish, minimising } from './bfgs.ts'
import type { BgNbd } from './bg-nbd.ts'
import type { PurchaseCounts } from './purchase-statistics.ts'

/** How to fit. */
export interface FitOptions {
  /**
   * This times the sum of the squared parameters is added to the mean of minus the log-likelihood: small data sets want
   * some (0.001 to 0.1). `alpha` counts in units of the greatest age, as in the Python package lifetimes. 0 by default.
   */
  readonly penalizer?: number
}

/** What a fit says of itself. */
export interface Fit<Model> {
  readonly model: Model
  /** Sum over persons, without the penalty. */
  readonly logLikelihood: number
  readonly persons: number
  /** Largest part of the gradient of the mean at the end, in log-parameters: how near to the maximum it is. */
  readonly gradient: number
  readonly steps: number
}

/** No parameter of a real population is beyond these; where the search goes there, the maximum is at infinity. */
const LOG_PARAMETER_MAX = 20

/**
 * Fits. Throws INPUT_INVALID without any repeat purchase, or where the likelihood has no maximum within sane parameters:
 * then give more history or a penalizer.
 */
export function fitBgNbd(counts: PurchaseCounts, options: FitOptions = {}): Fit<BgNbd> {
  return finish(fittingBgNbd(counts, options))
}

/** As `fitBgNbd`, step by step: each costs a few evaluations of the likelihood. */
export function* fittingBgNbd(
  counts: PurchaseCounts,
  options: FitOptions = {},
): Generator<undefined, Fit<BgNbd>, undefined> {
  const persons = counts.persons.reduce((sum, n) => sum + n, 0)
  if (!counts.frequency.some((x) => x > 0))
    throw new MillraceError(
      'INPUT_INVALID',
      `BG/NBD of ${persons} persons without a repeat purchase: give more history`,
    )
  const scale = counts.age.reduce((most, age) => Math.max(most, age), 0)
  const penalizer = options.penalizer ?? 0
  const likelihood = bgNbdLikelihood(counts, scale, penalizer)
  const found = yield* minimising(likelihood, [0.1, 0.1, 0.1, 0.1])
  const [r, alpha, a, b] = found.at.map(Math.exp) as unknown as [number, number, number, number]
  if (!found.converged || found.at.some((log) => Math.abs(log) > LOG_PARAMETER_MAX))
    noMaximum('BG/NBD', persons, `r ${r}, alpha ${alpha * scale}, a ${a}, b ${b}`)
  const penalty = penalizer * (r * r + alpha * alpha + a * a + b * b)
  return {
    model: { r, alpha: alpha * scale, a, b },
    // Time was scaled: a density of the times of x purchases has the unit of 1 / periods^x.
    logLikelihood: -persons * (found.value - penalty) - repeatPurchases(counts) * Math.log(scale),
    persons,
    gradient: found.gradient,
    steps: found.steps,
  }
}

/** Refuses a likelihood without a maximum. */
export function noMaximum(name: string, persons: number, where: string): never {
  throw new MillraceError(
    'INPUT_INVALID',
    `${name} of ${persons} persons has no maximum of its likelihood within sane parameters (the search ended at ` +
      `${where}): give more history; where parameters grow without end, a penalizer such as 0.01 holds them`,
  )
}

function repeatPurchases(counts: PurchaseCounts): number {
  return counts.frequency.reduce((sum, x, i) => sum + x * counts.persons[i]!, 0)
}

/**
 * Minus the mean log-likelihood, and the penalty, of log(r, α, a, b); ages and recencies are divided by `scale`. Exported
 * for the test of its gradient.
 */
export function bgNbdLikelihood(
  counts: PurchaseCounts,
  scale: number,
  penalizer: number,
): (at: Float64Array, gradient: Float64Array) => number {
  const { frequency, persons } = counts
  const ages = counts.age.map((age) => age / scale)
  const recencies = counts.recency.map((recency) => recency / scale)
  const most = frequency.reduce((a, b) => Math.max(a, b), 0)
  const all = persons.reduce((sum, n) => sum + n, 0)
  const ofR = new Rising(most)
  const ofB = new Rising(most)
  const ofAB = new Rising(most)
  return (at, gradient) => {
    const [r, alpha, a, b] = at.map(Math.exp) as unknown as [number, number, number, number]
    ofR.fill(r)
    ofB.fill(b)
    ofAB.fill(a + b)
    const logA = Math.log(a)
    let sum = 0
    let byR = 0
    let byAlpha = 0
    let byA = 0
    let byB = 0
    for (let i = 0; i < persons.length; i++) {
      const x = frequency[i]!
      const n = persons[i]!
      const logAge = Math.log(alpha + ages[i]!)
      const stayed = -(r + x) * logAge
      let mixed = stayed
      let left = 0
      let logLast = logAge
      if (x > 0) {
        logLast = Math.log(alpha + recencies[i]!)
        const gone = logA - Math.log(b + x - 1) - (r + x) * logLast
        const top = Math.max(stayed, gone)
        mixed = top + Math.log(Math.exp(stayed - top) + Math.exp(gone - top))
        left = Math.exp(gone - mixed)
      }
      sum += n * (ofR.logs[x]! + r * at[1]! + ofB.logs[x]! - ofAB.logs[x]! + mixed)
      byR += n * (ofR.slopes[x]! + at[1]! - (1 - left) * logAge - left * logLast)
      byAlpha += n * (r / alpha - (r + x) * ((1 - left) / (alpha + ages[i]!) + left / (alpha + recencies[i]!)))
      byA += n * (left / a - ofAB.slopes[x]!)
      byB += n * (ofB.slopes[x]! - ofAB.slopes[x]! - (x > 0 ? left / (b + x - 1) : 0))
    }
    gradient[0] = (-byR * r) / all + 2 * penalizer * r * r
    gradient[1] = (-byAlpha * alpha) / all + 2 * penalizer * alpha * alpha
    gradient[2] = (-byA * a) / all + 2 * penalizer * a * a
    gradient[3] = (-byB * b) / all + 2 * penalizer * b * b
    return -sum / all + penalizer * (r * r + alpha * alpha + a * a + b * b)
  }
}

/** ln (Γ(s + x) / Γ(s)) and its derivative by s, for each x from 0 to a greatest one. */
class Rising {
  readonly logs: Float64Array
  readonly slopes: Float64Array

  constructor(most: number) {
    this.logs = new Float64Array(most + 1)
    this.slopes = new Float64Array(most + 1)
  }

  fill(s: number): void {
    for (let x = 1; x < this.logs.length; x++) {
      this.logs[x] = this.logs[x - 1]! + Math.log(s + x - 1)
      this.slopes[x] = this.slopes[x - 1]! + 1 / (s + x - 1)
    }
  }
}
