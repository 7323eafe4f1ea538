/** Made-up customers: histories drawn from the models of lifetime value themselves. */
import type { BgNbd } from '../../src/metrics/bg-nbd.ts'
import type { GammaGamma } from '../../src/metrics/gamma-gamma.ts'
import type { PurchaseStatistics } from '../../src/metrics/purchase-statistics.ts'
import { Draws } from '../support/draws.ts'

/** As many customers, of ages 250 to 350, from one seed. */
export function populationOf(persons: number, truth: BgNbd & GammaGamma, seed: number): PurchaseStatistics[] {
  const draws = new Draws(seed)
  return Array.from({ length: persons }, () => draw(truth, 250 + Math.floor(draws.uniform() * 100), draws))
}

/** One customer with at least so many repeat purchases. */
export function drawPerson(truth: BgNbd & GammaGamma, age: number, seed: number, atLeast: number): PurchaseStatistics {
  const draws = new Draws(seed)
  for (;;) {
    const person = draw(truth, age, draws)
    if (person.frequency >= atLeast) return person
  }
}

function draw(truth: BgNbd & GammaGamma, age: number, draws: Draws): PurchaseStatistics {
  const rate = draws.gamma(truth.r) / truth.alpha
  const first = draws.gamma(truth.a)
  const leaves = first / (first + draws.gamma(truth.b))
  let frequency = 0
  let recency = 0
  for (let at = 0; ; ) {
    at -= Math.log(1 - draws.uniform()) / rate
    if (at > age) break
    frequency++
    recency = at
    if (draws.uniform() < leaves) break
  }
  const amountRate = draws.gamma(truth.q) / truth.v
  const monetaryValue = frequency === 0 ? 0 : draws.gamma(truth.p * frequency) / (amountRate * frequency)
  return { frequency, recency, age, monetaryValue }
}
