/**
 * Money: amounts of events in whole units of one currency, a column made of others.
 *
 * Owns: for each row of a scan, which rate counts, and what becomes of amounts that have none. Does not own: exact
 * arithmetic (operator/money-amount.ts), what the columns are (job/plan-money.ts), adding up.
 *
 * An amount of 0 is 0 in any currency. One that is absent is no value, NaN. So is one that cannot be converted: its currency
 * is unknown or has no rate on that day, it is no number, or beyond 2^53 units; `unconverted` columns count these.
 *
 * A currency's code is looked up once a text of the dictionary; a row costs a rate by time, a product and a division.
 */
import type { Dictionary } from '../event/dictionary.ts'
import { DICTIONARY_ENTRIES_MAX } from '../event/dictionary.ts'
import type { ScanBatch } from '../event/scan.ts'
import type { MoneyColumn, MoneyCurrency } from '../job/plan-money.ts'
import { TimeZone } from '../window/time-zone.ts'
import { AmountReader, convertExactly, type Fraction } from './money-amount.ts'

/** Makes the columns of money of a scan. Their arrays are behind those of the schema's columns. */
export class MoneyConverter {
  readonly #columns: readonly ColumnConverter[]
  readonly #into: readonly Float64Array[]

  constructor(columns: readonly MoneyColumn[], { numbers }: ScanBatch) {
    this.#columns = columns.map((column) => new ColumnConverter(column))
    this.#into = numbers.slice(numbers.length - columns.length)
  }

  /** Fills the columns of all rows, whose conditions are known. */
  convert(scan: ScanBatch): void {
    for (let i = 0; i < this.#columns.length; i++) this.#columns[i]!.convert(scan, this.#into[i]!)
  }
}

/** The columns of money of a plan, which are the last ones of `scan`; null where it has none. */
export function openMoney(columns: readonly MoneyColumn[] | undefined, scan: ScanBatch): MoneyConverter | null {
  return columns === undefined ? null : new MoneyConverter(columns, scan)
}

/** One column. */
class ColumnConverter {
  readonly #plan: MoneyColumn
  readonly #currencies: readonly CurrencyRates[]
  readonly #byCode: ReadonlyMap<number, number>
  readonly #reader = new AmountReader()
  /** By text of the dictionary: the currency, or -1. */
  readonly #known = new Int16Array(DICTIONARY_ENTRIES_MAX)

  constructor(plan: MoneyColumn) {
    this.#plan = plan
    const zone = new TimeZone(plan.timezone)
    this.#currencies = plan.currencies.map((currency) => new CurrencyRates(currency, plan, zone))
    this.#byCode = new Map(plan.currencies.map(({ code }, i) => [codeNumber(Buffer.from(code), 0, 3), i]))
  }

  convert(scan: ScanBatch, into: Float64Array): void {
    const { amount, amountText, currency, refunds, measure } = this.#plan
    const amounts = amount < 0 ? null : scan.numbers[amount]!
    const texts = amountText < 0 ? null : scan.texts[amountText]!
    const dictionary = amountText < 0 ? null : scan.dictionaries[amountText]!
    const codes = currency < 0 ? null : scan.texts[currency]!
    if (currency >= 0) this.#look(scan.dictionaries[currency]!)
    const reader = this.#reader
    const minus = refunds < 0 ? 0 : 1 << refunds
    const counting = measure === 'unconverted'
    for (let row = 0; row < scan.rows; row++) {
      let coefficient = amounts === null ? Number.NaN : amounts[row]!
      let absent = false
      if (!Number.isNaN(coefficient)) coefficient = reader.double(coefficient)
      else if (texts !== null && texts[row] !== 0) {
        const { starts, bytes } = dictionary!
        coefficient = reader.text(bytes, starts[texts[row]!]!, starts[texts[row]! + 1]!)
      } else absent = true
      let units = coefficient
      if (coefficient === 0) units = 0
      else if (!Number.isNaN(coefficient)) {
        const of = codes === null ? 0 : this.#known[codes[row]!]!
        units = of < 0 ? Number.NaN : this.#currencies[of]!.convert(coefficient, reader.digits, scan.timeMs[row]!)
        if (minus !== 0 && (scan.mask[row]! & minus) !== 0) units = -Math.abs(units)
      }
      if (counting) into[row] = Number.isNaN(units) && !absent ? 1 : 0
      // Of the two zeros there is one.
      else into[row] = units + 0
    }
  }

  #look({ count, starts, bytes }: Dictionary): void {
    for (let id = 0; id < count; id++)
      this.#known[id] = this.#byCode.get(codeNumber(bytes, starts[id]!, starts[id + 1]!)) ?? -1
  }
}

/** What one currency is worth, by time. */
class CurrencyRates {
  readonly #minorDigits: number
  /** First instant of each rate, ascending, and the fraction by which main units become units. */
  readonly #fromMs: Float64Array
  readonly #fractions: readonly Fraction[]
  /** The last one that was needed: the next one is likely to be the same. */
  #at = 0

  constructor({ digits, rates }: MoneyCurrency, { decimals, minorUnits }: MoneyColumn, zone: TimeZone) {
    this.#minorDigits = minorUnits ? digits : 0
    this.#fromMs = Float64Array.from(rates, ({ fromDay }) =>
      Number.isFinite(fromDay) ? zone.dayStartMs(fromDay) : Number.NEGATIVE_INFINITY,
    )
    this.#fractions = rates.map(({ rate, by }) => fractionOf(rate, by, decimals))
  }

  /** An amount in units at an instant; NaN where there is no rate. */
  convert(coefficient: number, digits: number, timeMs: number): number {
    const at = this.#find(timeMs)
    if (at < 0) return Number.NaN
    return convertExactly(coefficient, digits + this.#minorDigits, this.#fractions[at]!)
  }

  #find(timeMs: number): number {
    const fromMs = this.#fromMs
    const last = this.#at
    if (fromMs[last]! <= timeMs && !(fromMs[last + 1]! <= timeMs)) return last
    let low = 0
    let high = fromMs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (fromMs[middle]! <= timeMs) low = middle + 1
      else high = middle
    }
    if (low > 0) this.#at = low - 1
    return low - 1
  }
}

/** A code of three letters, of any case, as one number; 0 for other texts. */
function codeNumber(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== 3) return 0
  return ((bytes[start]! & 0xdf) << 16) | ((bytes[start + 1]! & 0xdf) << 8) | (bytes[start + 2]! & 0xdf)
}

/** `rate / by * 10 ** decimals` in lowest terms. */
function fractionOf(rate: number, by: number, decimals: number): Fraction {
  const [a, aDigits] = decimalOf(rate)
  const [b, bDigits] = decimalOf(by)
  const numerator = a * 10n ** BigInt(bDigits + decimals)
  const denominator = b * 10n ** BigInt(aDigits)
  let [x, y] = [numerator, denominator]
  while (y !== 0n) [x, y] = [y, x % y]
  const [exactNumerator, exactDenominator] = [numerator / x, denominator / x]
  return {
    ...{ exactNumerator, exactDenominator },
    numerator: Number(exactNumerator),
    denominator: Number(exactDenominator),
  }
}

function decimalOf(value: number): readonly [coefficient: bigint, digits: number] {
  const reader = new AmountReader()
  return [BigInt(reader.double(value)), reader.digits]
}
