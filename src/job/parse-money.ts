/** Money and rates in a job document. */
import { minorDigits } from '../core/iso-4217.ts'
import {
  type CurrenciesDefinition,
  type CurrencyRate,
  DECIMALS_MAX,
  isCurrencyCode,
  type MoneyDefinition,
  RATES_MAX,
} from './money-definition.ts'
import { describe, type MappingReader } from './parse-reader.ts'

const DAY_MS = 86_400_000

/** Reads what makes an aggregate one of money; nothing where it has no `currency`. `measured`: it may count `unconverted`. */
export function readMoney(of: MappingReader, measured = true): { readonly money?: MoneyDefinition } {
  const currency = of.text('currency', '')
  const target = of.text('in', isCurrencyCode(currency) ? currency : '')
  const refunds = of.text('refunds', '').trim()
  const decimals = of.number('decimals', minorDigits(target) ?? 2, 0, DECIMALS_MAX)
  const money: MoneyDefinition = {
    ...{ currency, in: target, decimals },
    minorUnits: of.flag('minorUnits', false),
    refunds: refunds === '' ? null : refunds,
    measure: measured ? of.choice('measure', ['amount', 'unconverted'], 'amount') : 'amount',
  }
  if (currency !== '') return { money }
  for (const key of ['in', 'refunds', 'decimals', 'minorUnits', ...(measured ? ['measure'] : [])]) {
    if (of.has(key)) of.problem(key, 'is about money: it needs "currency", a path or a code such as EUR')
  }
  return {}
}

/** Reads the rates of a job, whose zone is `jobTimezone`; nothing where it has none. */
export function readCurrencies(
  root: MappingReader,
  jobTimezone: string,
): { readonly currencies?: CurrenciesDefinition } {
  if (!root.has('currencies') || root.raw('currencies') === null) return {}
  const reader = root.mapping('currencies')
  const base = reader.text('base')
  const timezone = reader.text('timezone', jobTimezone)
  const list = reader.mappings('rates')
  if (list.length > RATES_MAX) reader.problem('rates', `has more than ${RATES_MAX} rates`)
  const rates = list.slice(0, RATES_MAX).map(readRate)
  reader.finish()
  return { currencies: { base, timezone, rates } }
}

function readRate(reader: MappingReader): CurrencyRate {
  const currency = reader.text('currency')
  const from = reader.text('from', '')
  const fromDay = from === '' ? null : dayOf(from)
  if (Number.isNaN(fromDay)) reader.problem('from', `must be a day such as 2024-03-01, not ${describe(from)}`)
  if (!reader.has('rate')) reader.problem('rate', 'is missing: what one unit of it is worth in "base"')
  const rate = reader.number('rate', 1, 1e-9, 1e9, true)
  if (significantDigits(rate) > 10) reader.problem('rate', `has more than 10 digits: ${rate}`)
  reader.finish()
  return { currency, fromDay, rate }
}

function dayOf(text: string): number {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return Number.NaN
  const ms = Date.parse(`${text}T00:00:00Z`)
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text) return Number.NaN
  return ms / DAY_MS
}

function significantDigits(value: number): number {
  const [mantissa = ''] = String(value).split('e')
  return mantissa.replace('.', '').replace(/^0+|0+$/g, '').length
}
