/**
 * What a metric of money and a job's rates say, after parsing. The rules are in docs/metrics.md. Plain data.
 */

/** How an amount becomes money of one currency. */
export interface MoneyDefinition {
  /** Path of the currency's code, or the code itself where all amounts are in one: three capital letters. */
  readonly currency: string
  /** The currency that values are in. */
  readonly in: string
  /** Whether amounts are in minor units of their currency (cents), and not in main ones. */
  readonly minorUnits: boolean
  /** Digits behind the point that each amount is rounded to. */
  readonly decimals: number
  /** CEL: amounts of these events are taken off, whatever their sign; null for none. */
  readonly refunds: string | null
  /** What is aggregated: the money, or how many amounts could not be converted. */
  readonly measure: MoneyMeasure
}

/** An aggregate of numbers that may be amounts. */
export interface OfMoney {
  /** Absent: they are plain numbers. */
  readonly money?: MoneyDefinition
}

/** What of amounts is aggregated. */
export type MoneyMeasure = 'amount' | 'unconverted'

/** The rates of a job. */
export interface CurrenciesDefinition {
  /** The currency that rates are in: a rate is what one unit of another is worth in it. */
  readonly base: string
  /** IANA zone of the days that rates begin with. */
  readonly timezone: string
  readonly rates: readonly CurrencyRate[]
}

/** What a currency is worth from a day on. */
export interface CurrencyRate {
  readonly currency: string
  /** Days from 1970-01-01 to the first day that it is of; null where it is of all days before the next. */
  readonly fromDay: number | null
  readonly rate: number
}

/** Most rates of a job. */
export const RATES_MAX = 10_000
/** Most digits behind the point. */
export const DECIMALS_MAX = 9

/** Whether a text is a currency's code, and not a path. */
export function isCurrencyCode(text: string): boolean {
  return /^[A-Z]{3}$/.test(text)
}

/** The money that a kind of metric is about; undefined for none. */
export function moneyOf(kind: {
  readonly kind: string
  readonly money?: MoneyDefinition
}): MoneyDefinition | undefined {
  return kind.money
}

/** The money that values are; undefined where they are none. */
export function shownMoney(kind: Parameters<typeof moneyOf>[0]): MoneyDefinition | undefined {
  const counts = 'measure' in kind && kind.measure === 'persons'
  return kind.money?.measure === 'amount' && !counts ? kind.money : undefined
}
