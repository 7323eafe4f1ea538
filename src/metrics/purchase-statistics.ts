/**
 * What a purchase history comes to for the models of lifetime value, and the counts of equal ones.
 *
 * Time is in whole periods (days, weeks) on any axis that the caller keeps. Purchases of one person in one period are
 * one purchase with the sum of their money: the models know repeat purchases in later periods only. Definitions as in
 * Fader, Hardie and Lee (2005): frequency x, recency t_x, age T; monetary value m is the mean of the *repeat* purchases.
 */
import { MillraceError } from '../core/errors.ts'

/** Purchases of one person in one period. */
export interface PeriodPurchase {
  /** The period's number. */
  readonly period: number
  /** Money spent in it, any unit. */
  readonly amount: number
}

/** A person's history, as far as the models see it. */
export interface PurchaseStatistics {
  /** Periods with a purchase after the first one. */
  readonly frequency: number
  /** Periods from the first purchase to the last; 0 without a repeat. */
  readonly recency: number
  /** Periods from the first purchase to the end of observation. */
  readonly age: number
  /** Mean money of a period with a repeat purchase; 0 without one. */
  readonly monetaryValue: number
}

/** Columns of equal length: `persons[i]` persons have frequency, recency and age of place i. */
export interface PurchaseCounts {
  readonly frequency: Float64Array
  readonly recency: Float64Array
  readonly age: Float64Array
  readonly persons: Float64Array
}

/** Columns of equal length: `persons[i]` persons have frequency and monetary value of place i. */
export interface SpendCounts {
  readonly frequency: Float64Array
  readonly monetaryValue: Float64Array
  readonly persons: Float64Array
}

/**
 * A person's statistics from purchases in any order, those of one period together or apart, up to and including
 * `endPeriod`; later ones are not seen. Undefined for who has bought nothing by then.
 */
export function purchaseStatistics(
  purchases: Iterable<PeriodPurchase>,
  endPeriod: number,
): PurchaseStatistics | undefined {
  const amounts = new Map<number, number>()
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const { period, amount } of purchases) {
    if (!(period <= endPeriod)) continue
    amounts.set(period, (amounts.get(period) ?? 0) + amount)
    first = Math.min(first, period)
    last = Math.max(last, period)
  }
  if (amounts.size === 0) return undefined
  const frequency = amounts.size - 1
  let repeats = 0
  for (const [period, amount] of amounts) if (period !== first) repeats += amount
  const monetaryValue = frequency === 0 ? 0 : repeats / frequency
  return { frequency, recency: last - first, age: endPeriod - first, monetaryValue }
}

/** How many persons have each (frequency, recency, age). Throws INPUT_INVALID for a history that nobody can have. */
export function countPurchases(persons: Iterable<PurchaseStatistics>): PurchaseCounts {
  const counted = new Counts(3)
  for (const { frequency, recency, age } of persons) {
    if (!(Number.isInteger(frequency) && frequency >= 0 && recency >= 0 && age >= recency && Number.isFinite(age)))
      badHistory(`frequency ${frequency}, recency ${recency}, age ${age}`)
    if (frequency === 0 && recency !== 0) badHistory(`recency ${recency} without a repeat purchase`)
    counted.add([frequency, recency, age])
  }
  const [frequency, recency, age] = counted.columns as [Float64Array, Float64Array, Float64Array]
  return { frequency, recency, age, persons: counted.persons }
}

/**
 * How many persons have each (frequency, monetary value), of those whom the model of spending is about: who bought again
 * and spent more than nothing.
 */
export function countSpend(persons: Iterable<PurchaseStatistics>): SpendCounts {
  const counted = new Counts(2)
  for (const { frequency, monetaryValue } of persons) {
    if (!Number.isFinite(monetaryValue)) badHistory(`monetary value ${monetaryValue}`)
    if (frequency > 0 && monetaryValue > 0) counted.add([frequency, monetaryValue])
  }
  const [frequency, monetaryValue] = counted.columns as [Float64Array, Float64Array]
  return { frequency, monetaryValue, persons: counted.persons }
}

function badHistory(what: string): never {
  throw new MillraceError('INPUT_INVALID', `a purchase history has ${what}: give counts and ages of real purchases`)
}

/** Distinct rows of numbers in the order of their first appearance, with how often each came. */
class Counts {
  readonly #places = new Map<string, number>()
  readonly #rows: (readonly number[])[] = []
  readonly #counts: number[] = []
  readonly #width: number

  constructor(width: number) {
    this.#width = width
  }

  add(row: readonly number[]): void {
    const key = row.join()
    const place = this.#places.get(key)
    if (place !== undefined) {
      this.#counts[place]!++
      return
    }
    this.#places.set(key, this.#rows.length)
    this.#rows.push(row)
    this.#counts.push(1)
  }

  get columns(): Float64Array[] {
    return Array.from({ length: this.#width }, (_, column) => Float64Array.from(this.#rows, (row) => row[column]!))
  }

  get persons(): Float64Array {
    return Float64Array.from(this.#counts)
  }
}
