/**
 * Gamma-Gamma: what a person spends a purchase (Fader and Hardie, "The Gamma-Gamma Model of Monetary Value", note 025,
 * 2013).
 *
 * Amounts of one person are gamma distributed (shape p, rate ν), ν over persons too (shape q, rate v), and independent of
 * how often the person buys. Fitted to mean amounts of persons who bought again.
 */
import { MillraceError } from '../core/errors.ts'
import { finish, minimising } from './bfgs.ts'
import { type Fit, type FitOptions, noMaximum } from './bg-nbd-fit.ts'
import { digamma, logGamma } from './gamma-function.ts'
import type { PurchaseStatistics, SpendCounts } from './purchase-statistics.ts'

/** Parameters, each greater than 0; `v` in the unit of the money. */
export interface GammaGamma {
  readonly p: number
  readonly q: number
  readonly v: number
}

const LOG_PARAMETER_MAX = 30

/** Mean amount of a purchase over all persons, p v / (q - 1). NaN for q of 1 or less, where the model has no mean. */
export function meanAmount({ p, q, v }: GammaGamma): number {
  return q > 1 ? (p * v) / (q - 1) : Number.NaN
}

/**
 * Expected amount of a purchase of a person with this history: between the person's own mean and that of all, the nearer
 * to the own one the more purchases there were (note 025, equation 5). Without a repeat purchase that of all.
 */
export function expectedAmount(
  model: GammaGamma,
  { frequency, monetaryValue }: Pick<PurchaseStatistics, 'frequency' | 'monetaryValue'>,
): number {
  if (frequency === 0) return meanAmount(model)
  const { p, q, v } = model
  const weight = p * frequency + q - 1
  return weight > 0 ? (p * (v + frequency * monetaryValue)) / weight : Number.NaN
}

/**
 * Fits by maximum likelihood over log-parameters (note 025, equation 1a). Throws INPUT_INVALID for nobody, or where the
 * likelihood has no maximum within sane parameters (amounts that are all alike, say).
 */
export function fitGammaGamma(counts: SpendCounts, options: FitOptions = {}): Fit<GammaGamma> {
  return finish(fittingGammaGamma(counts, options))
}

/** As `fitGammaGamma`, step by step. */
export function* fittingGammaGamma(
  counts: SpendCounts,
  options: FitOptions = {},
): Generator<undefined, Fit<GammaGamma>, undefined> {
  const persons = counts.persons.reduce((sum, n) => sum + n, 0)
  if (persons === 0)
    throw new MillraceError('INPUT_INVALID', 'Gamma-Gamma of nobody with a repeat purchase: give more history')
  const penalizer = options.penalizer ?? 0
  const found = yield* minimising(gammaGammaLikelihood(counts, penalizer), [0.1, 0.1, 0.1])
  const [p, q, v] = found.at.map(Math.exp) as unknown as [number, number, number]
  if (!found.converged || found.at.some((log) => Math.abs(log) > LOG_PARAMETER_MAX))
    noMaximum('Gamma-Gamma', persons, `p ${p}, q ${q}, v ${v}`)
  return {
    model: { p, q, v },
    logLikelihood: -persons * (found.value - penalizer * (p * p + q * q + v * v)),
    persons,
    gradient: found.gradient,
    steps: found.steps,
  }
}

/** Minus the mean log-likelihood, and the penalty, of log(p, q, v). Exported for the test of its gradient. */
export function gammaGammaLikelihood(
  { frequency, monetaryValue, persons }: SpendCounts,
  penalizer: number,
): (at: Float64Array, gradient: Float64Array) => number {
  const all = persons.reduce((sum, n) => sum + n, 0)
  return (at, gradient) => {
    const [p, q, v] = at.map(Math.exp) as unknown as [number, number, number]
    const logGammaQ = logGamma(q)
    const slopeQ = digamma(q)
    let sum = 0
    let byP = 0
    let byQ = 0
    let byV = 0
    for (let i = 0; i < persons.length; i++) {
      const x = frequency[i]!
      const m = monetaryValue[i]!
      const n = persons[i]!
      const px = p * x
      const logAll = Math.log(x * m + v)
      const logOwn = Math.log(x * m)
      const slope = digamma(px + q)
      sum +=
        n * (logGamma(px + q) - logGamma(px) - logGammaQ + q * at[2]! + px * logOwn - Math.log(m) - (px + q) * logAll)
      byP += n * x * (slope - digamma(px) + logOwn - logAll)
      byQ += n * (slope - slopeQ + at[2]! - logAll)
      byV += n * (q / v - (px + q) / (x * m + v))
    }
    gradient[0] = (-byP * p) / all + 2 * penalizer * p * p
    gradient[1] = (-byQ * q) / all + 2 * penalizer * q * q
    gradient[2] = (-byV * v) / all + 2 * penalizer * v * v
    return -sum / all + penalizer * (p * p + q * q + v * v)
  }
}
