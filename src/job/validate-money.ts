/** Whether metrics of money and a job's rates make sense. */
import { minorDigits } from '../core/iso-4217.ts'
import type { JobDefinition } from './definition.ts'
import type { EventScope } from './event-scope.ts'
import { isCurrencyCode, type MoneyDefinition } from './money-definition.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { isTimeZone } from './timezone.ts'

const NO_CURRENCY = 'is no currency of ISO 4217: use a code such as EUR'

/** Tells every mistake of a job's rates. */
export function validateCurrencies({ currencies }: JobDefinition, report: Report): void {
  if (currencies === undefined) return
  const { base, timezone, rates } = currencies
  if (minorDigits(base) === undefined) report(['currencies', 'base'], `"${base}" ${NO_CURRENCY}`)
  if (!isTimeZone(timezone))
    report(['currencies', 'timezone'], `no time zone "${timezone}": use an IANA name such as Europe/Berlin`)
  const seen = new Set<string>()
  rates.forEach(({ currency, fromDay }, i) => {
    const at = ['currencies', 'rates', i]
    if (minorDigits(currency) === undefined) report([...at, 'currency'], `"${currency}" ${NO_CURRENCY}`)
    else if (currency === base) report([...at, 'currency'], `"${base}" is the base: it is worth 1`)
    const name = `${currency} ${fromDay}`
    if (seen.has(name)) report([...at, 'from'], `there are two rates of ${currency} from that day on`)
    seen.add(name)
  })
}

/** Tells every mistake of a metric of money but those of its expression. `path` is that of its kind, `key` that of the amount. */
export function validateMoney(
  key: string,
  field: string,
  money: MoneyDefinition,
  { currencies }: JobDefinition,
  scope: EventScope,
  path: DocumentPath,
  report: Report,
): void {
  const amount = scope.resolve(field)
  if (!amount.ok) report([...path, key], amount.problem)
  else if (['bool', 'bytes', 'enum', 'timestamp'].includes(amount.field.type))
    report([...path, key], `an amount is a number or a decimal text; "${field}" is ${amount.field.type}`)
  if (money.in === '') report([...path, 'in'], 'is missing: the currency that values are in, such as EUR')
  else if (minorDigits(money.in) === undefined) report([...path, 'in'], `"${money.in}" ${NO_CURRENCY}`)
  if (isCurrencyCode(money.currency)) {
    if (minorDigits(money.currency) === undefined) report([...path, 'currency'], `"${money.currency}" ${NO_CURRENCY}`)
    else if (money.currency !== money.in) needsRate(money.currency)
  } else {
    const code = scope.resolve(money.currency)
    if (!code.ok) report([...path, 'currency'], code.problem)
    else if (code.field.type !== 'string' && code.field.type !== 'property' && code.field.type !== 'enum')
      report([...path, 'currency'], `a currency is a text such as EUR; "${money.currency}" is ${code.field.type}`)
  }
  if (money.in !== '' && currencies !== undefined) needsRate(money.in)

  function needsRate(code: string): void {
    if (currencies?.base === code || currencies?.rates.some(({ currency }) => currency === code)) return
    report(
      [...path, 'in'],
      `there is no rate of ${code}: give one in "currencies", as rates: [{ currency: ${code}, rate: … }]`,
    )
  }
}
