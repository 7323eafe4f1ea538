/**
 * Predicted lifetimes as a table, as JSON and as CSV.
 *
 * The JSON form is API: a number that there is none of is null.
 */
import type { LifetimePerson, LifetimeResult } from '../query/lifetime-api.ts'
import { csvCell } from './export-view.ts'
import { formatNumber, formatWatermark, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import { describeKind, metricJson } from './metric-view.ts'
import type { Output } from './output.ts'

/** Writes what was predicted. */
export function writeLifetime(output: Output, result: LifetimeResult, csv: boolean): void {
  if (csv) writeCsv(output, result)
  else if (output.format === 'json') output.json(lifetimeJson(result))
  else writeTable(output, result)
}

function writeTable(output: Output, result: LifetimeResult): void {
  const { info, purchases, spend, steadyState, watermarkMs } = result
  output.table(
    [
      { title: 'PERSON' },
      ...['BOUGHT AGAIN', 'LAST, DAYS', 'AGE, DAYS', 'MEAN', 'ALIVE', 'EXPECTED', 'AMOUNT', 'VALUE'].map((title) => {
        return { title, align: 'right' as const }
      }),
    ],
    result.persons.map((one) => [
      printable(one.person),
      ...[one.frequency, one.recency, one.age].map(formatNumber),
      rounded(one.monetaryValue),
      `${rounded(one.alive * 100)} %`,
      rounded(one.expectedPurchases),
      rounded(one.expectedAmount),
      rounded(one.value),
    ]),
    `nobody of ${info.job}/${info.metric} in those days`,
  )
  const far = `${result.steps} x ${result.daysPerStep} days`
  output.line()
  output.line(
    `all ${formatNumber(purchases.persons)} persons in ${far}: ${rounded(result.total)}, ${rounded(result.mean)} each`,
  )
  output.note(`value = ${result.formula}, discount ${rounded(result.discountRate * 100)} % a step`)
  output.note(
    `purchases: BG/NBD of ${formatNumber(purchases.persons)} persons, ${parametersText(purchases.parameters)}`,
  )
  output.note(
    `amounts: Gamma-Gamma of ${formatNumber(spend.persons)} persons, ${parametersText(spend.parameters)}; they suppose that how ` +
      `often and how much have nothing to do with each other: their correlation is ${rounded(result.correlation)}`,
  )
  if (steadyState !== null) {
    const { arppu, buyers, margin, churn, value } = steadyState
    output.line(
      `steady state: ${rounded(arppu)} by each of ${formatNumber(buyers)} who bought in the last ${result.daysPerStep} days x ` +
        `margin ${rounded(margin * 100)} % / churn ${rounded(churn * 100)} % = ${rounded(value)}`,
    )
  }
  if (result.refundDays > 0)
    output.note(`${formatNumber(result.refundDays)} days of persons left out: more was refunded than bought`)
  output.note(`days ${spanText(result)}; watermark ${formatWatermark(watermarkMs)}`)
}

function writeCsv(output: Output, result: LifetimeResult): void {
  const { info, purchases, spend } = result
  const header = {
    metric: `${info.job}/${info.metric}`,
    definition: describeKind(info.kind),
    formula: result.formula,
    ...{ steps: result.steps, days_per_step: result.daysPerStep, discount_rate: result.discountRate },
    purchases: `BG/NBD, ${purchases.persons} persons, ${parametersText(purchases.parameters)}`,
    spend: `Gamma-Gamma, ${spend.persons} persons, ${parametersText(spend.parameters)}`,
    ...{ correlation: result.correlation, total: result.total, mean: result.mean },
    ...{ days: spanText(result), refund_days: result.refundDays, timezone: info.window.timezone },
    watermark: jsonInstant(result.watermarkMs) ?? '',
  }
  for (const [name, value] of Object.entries(header)) output.line(`# ${name}: ${value}`)
  output.line('person,frequency,recency_days,age_days,monetary_value,alive,expected_purchases,expected_amount,value')
  for (const one of result.persons) {
    const numbers = [one.frequency, one.recency, one.age, one.monetaryValue, one.alive, one.expectedPurchases]
    const rest = [one.expectedAmount, one.value].map((value) => (Number.isNaN(value) ? '' : value))
    output.line([one.person, ...numbers, ...rest].map(csvCell).join(','))
  }
}

function lifetimeJson(result: LifetimeResult) {
  const { info, sinceMs, watermarkMs, correlation, steadyState, persons, ...same } = result
  return {
    metric: metricJson(info),
    ...same,
    since: jsonInstant(sinceMs),
    correlation: jsonNumber(correlation),
    steadyState:
      steadyState === null
        ? null
        : { ...steadyState, arppu: jsonNumber(steadyState.arppu), value: jsonNumber(steadyState.value) },
    persons: persons.map(personJson),
    watermark: jsonInstant(watermarkMs),
  }
}

function personJson({ expectedAmount, value, ...person }: LifetimePerson) {
  return { ...person, expectedAmount: jsonNumber(expectedAmount), value: jsonNumber(value) }
}

function parametersText(parameters: Readonly<Record<string, number>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`)
    .join(', ')
}

function spanText({ sinceMs, days }: LifetimeResult): string {
  return `${formatNumber(days)} from ${(jsonInstant(sinceMs) ?? '').slice(0, 10)} on`
}

function rounded(value: number): string {
  return Number.isNaN(value) ? '-' : formatNumber(Math.round(value * 100) / 100)
}
