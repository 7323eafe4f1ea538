/**
 * Money in a plan: number columns that are not read from events but made of an amount, a currency, a time and a rate.
 *
 * Owns: what such a column is made of. It is behind the columns of the schema: column `schema.columns.length + i` is the
 * i-th of these. Does not own: making it (operator/convert-money.ts). Pure, plain data.
 */
import { minorDigits } from '../core/iso-4217.ts'
import {
  type CurrenciesDefinition,
  type CurrencyRate,
  isCurrencyCode,
  type MoneyDefinition,
  type MoneyMeasure,
} from './money-definition.ts'

/** One column of money: whole numbers of units, or 1 where an amount could not be converted and else 0. */
export interface MoneyColumn {
  /** What it is, for state to be found again: all but the rates, which may be added to. */
  readonly meaning: string
  readonly measure: MoneyMeasure
  /** Number column of the amount; -1 where it is text alone. */
  readonly amount: number
  /** Text column of the amount, where it may be text; -1 else. */
  readonly amountText: number
  /** Text column of the currency; -1 where it is the only one of `currencies`. */
  readonly currency: number
  readonly minorUnits: boolean
  /** A unit is one of `in` by 10 to the power of this. */
  readonly decimals: number
  /** Condition under which an amount is taken off, as a bit of the row mask; -1 for none. */
  readonly refunds: number
  /** Zone of the days that rates begin with. */
  readonly timezone: string
  readonly currencies: readonly MoneyCurrency[]
}

/** One currency that can be converted. */
export interface MoneyCurrency {
  readonly code: string
  readonly digits: number
  /** By first day, ascending; -Infinity for always. What one of it is worth in `in` is `rate / by`. */
  readonly rates: readonly { readonly fromDay: number; readonly rate: number; readonly by: number }[]
}

/** Places that a planner gives. */
export interface MoneyPlaces {
  readonly amount: number
  readonly amountText: number
  readonly currency: number
  readonly refunds: number
  /** The condition of refunds as text. */
  readonly refundsText: string
}

/** Plans the column of one metric. */
export function planMoney(
  field: string,
  money: MoneyDefinition,
  currencies: CurrenciesDefinition | undefined,
  { refundsText, ...places }: MoneyPlaces,
): MoneyColumn {
  const { measure, minorUnits, decimals, currency } = money
  const meaning = JSON.stringify([field, currency, money.in, minorUnits, decimals, refundsText, measure])
  const codes = isCurrencyCode(currency)
    ? [currency]
    : [...new Set([money.in, ...(currencies === undefined ? [] : [currencies.base, ...currencies.rates.map(codeOf)])])]
  return {
    ...{ meaning, measure, minorUnits, decimals, ...places },
    timezone: currencies?.timezone ?? 'UTC',
    currencies: codes.map((code) => ({
      code,
      digits: minorDigits(code)!,
      rates: crossRates(code, money.in, currencies),
    })),
  }
}

const codeOf = ({ currency }: CurrencyRate): string => currency

const always = [{ fromDay: Number.NEGATIVE_INFINITY, rate: 1 }]

/** The rate of one currency in another by day: through the base. Days on which one of the two has no rate have none. */
function crossRates(from: string, to: string, currencies: CurrenciesDefinition | undefined): MoneyCurrency['rates'] {
  if (from === to) return [{ fromDay: Number.NEGATIVE_INFINITY, rate: 1, by: 1 }]
  if (currencies === undefined) return []
  const [own, other] = [ratesOf(from, currencies), ratesOf(to, currencies)]
  const days = [...new Set([...own, ...other].map(({ fromDay }) => fromDay))].sort((a, b) => (a < b ? -1 : 1))
  return days.flatMap((fromDay) => {
    const rate = own.findLast((one) => one.fromDay <= fromDay)?.rate
    const by = other.findLast((one) => one.fromDay <= fromDay)?.rate
    return rate === undefined || by === undefined ? [] : [{ fromDay, rate, by }]
  })
}

function ratesOf(code: string, { base, rates }: CurrenciesDefinition): readonly { fromDay: number; rate: number }[] {
  if (code === base) return always
  return rates
    .filter(({ currency }) => currency === code)
    .map(({ fromDay, rate }) => ({ fromDay: fromDay ?? Number.NEGATIVE_INFINITY, rate }))
    .sort((a, b) => (a.fromDay < b.fromDay ? -1 : 1))
}
