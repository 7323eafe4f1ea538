/**
 * BG/NBD: how often persons will buy, and who is still a customer (Fader, Hardie and Lee, "Counting Your Customers the
 * Easy Way", Marketing Science 24, 2005).
 *
 * While alive a person buys at a Poisson rate λ; after each purchase the person leaves with probability p. λ is gamma
 * distributed over persons (shape r, rate α), p beta distributed (a, b). Time is in the periods of the fit.
 *
 * The paper's conditional expectation (its equation 10) has a hypergeometric function that overflows for frequent buyers
 * and a factor 1 / (a - 1) that has no value at a = 1. Euler's transformation and one division done term by term make
 * both go away, see `purchasesIfAlive`.
 */
import { MillraceError } from '../core/errors.ts'
import type { PurchaseStatistics } from './purchase-statistics.ts'

/** Parameters, each greater than 0; `alpha` in periods. */
export interface BgNbd {
  readonly r: number
  readonly alpha: number
  readonly a: number
  readonly b: number
}

type History = Pick<PurchaseStatistics, 'frequency' | 'recency' | 'age'>

/** A series that has not come to its end by then is INTERNAL: horizons of a thousand times the age come to theirs. */
const TERMS_MAX = 10_000_000

/** Probability that a person with this history will ever buy again (Fader, Hardie and Lee 2008, note 021). */
export function probabilityAlive(model: BgNbd, history: History): number {
  return 1 / (1 + oddsOfHavingLeft(model, history))
}

/**
 * Expected number of purchases of a person with this history in the `periods` after the end of observation; the paper's
 * equation 10. 0 for no time.
 */
export function expectedPurchases(model: BgNbd, history: History, periods: number): number {
  return purchasesIfAlive(model, history.frequency, history.age, periods) / (1 + oddsOfHavingLeft(model, history))
}

/** Expected number of repeat purchases of a new customer in the first `periods`; the paper's equation 9. */
export function expectedPurchasesOfNew(model: BgNbd, periods: number): number {
  return purchasesIfAlive(model, 0, 0, periods)
}

/** 0 without a repeat purchase: in this model nobody leaves before the first one. */
function oddsOfHavingLeft({ r, alpha, a, b }: BgNbd, { frequency, recency, age }: History): number {
  if (frequency === 0) return 0
  const sinceLast = Math.log1p((age - recency) / (alpha + recency))
  return Math.exp(Math.log(a / (b + frequency - 1)) + (r + frequency) * sinceLast)
}

/**
 * With x, T the frequency and age, c = a + b + x - 1 and z = t / (α + T + t), the paper has
 *
 *   c / (a - 1) · [1 - ((α + T) / (α + T + t))^(r + x) · F(r + x, b + x; c; z)]
 *
 * and (α + T) / (α + T + t) is 1 - z. Euler: F(r + x, b + x; c; z) = (1 - z)^(a - 1 - r - x) · G with
 * G = F(a - 1, q; c; z), q = a + b - 1 - r, whose terms fall fast however large x is. So it is
 *
 *   c / (a - 1) · [1 - (1 - z)^(a - 1) · G]
 *
 * Every term of G but the first has the factor (a - 1) / c. Let K = Σ (a)_(n-1) (q)_n / ((c + 1)_(n-1) n!) z^n, so that
 * c G = c + (a - 1) K; then with e = -expm1((a - 1) ln(1 - z)) / (a - 1) (which is -ln(1 - z) at a = 1) it is
 *
 *   e · c - (1 - z)^(a - 1) · K
 *
 * which has a value for every a, b > 0, at a = 1 and at a + b = 1 too.
 */
function purchasesIfAlive({ r, alpha, a, b }: BgNbd, x: number, age: number, t: number): number {
  if (!(t >= 0)) throw new MillraceError('INPUT_INVALID', `purchases of ${t} periods to come: give 0 or more`)
  if (t === 0) return 0
  const z = t / (alpha + age + t)
  const c = a + b + x - 1
  const q = a + b - 1 - r
  let term = q * z
  let k = term
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(k); n++) {
    if (n > TERMS_MAX) throw new MillraceError('INTERNAL', `expected purchases of ${t} periods do not converge`)
    term *= ((a + n - 1) * (q + n) * z) / ((c + n) * (n + 1))
    k += term
  }
  const logLeft = -Math.log1p(t / (alpha + age))
  const e = a === 1 ? -logLeft : -Math.expm1((a - 1) * logLeft) / (a - 1)
  return e * c - Math.exp((a - 1) * logLeft) * k
}
