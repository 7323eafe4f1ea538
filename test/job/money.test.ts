import { describe, expect, it } from 'vitest'
import { currencyCodes, minorDigits } from '../../src/core/iso-4217.ts'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { describeState } from '../../src/job/state-identity.ts'
import { descriptors, told } from './parse-support.ts'

const rates =
  'currencies: { base: EUR, timezone: Europe/Berlin, rates: [{ currency: USD, from: 2024-03-01, rate: 0.92 }] }'

function job(sum: string, currencies = rates): string {
  return `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ kafka: { topic: events } }]
${currencies}
metrics:
  - id: revenue
    sum: ${sum}
    where: name in ['purchase', 'refund']
    window: { tumbling: 1d }
`
}

const usual = '{ field: revenue_minor, currency: currency, in: EUR, minorUnits: true'

describe('metrics of money', () => {
  it('have the digits of their currency, or those that are asked for', () => {
    const moneyOf = (text: string) => {
      const { kind } = parseJob(text, descriptors).definition.metrics[0]!
      return 'money' in kind ? kind.money : undefined
    }
    expect(moneyOf(job(`${usual} }`))).toEqual({
      ...{ currency: 'currency', in: 'EUR', minorUnits: true, decimals: 2, refunds: null, measure: 'amount' },
    })
    expect(moneyOf(job('{ field: revenue_minor, currency: JPY }', ''))).toMatchObject({ in: 'JPY', decimals: 0 })
    expect(moneyOf(job('{ field: revenue_minor, currency: KWD }', ''))).toMatchObject({ in: 'KWD', decimals: 3 })
    expect(moneyOf(job(`${usual}, decimals: 4, refunds: "name == 'refund'" }`))).toMatchObject({
      ...{ decimals: 4, refunds: "name == 'refund'" },
    })
    expect(moneyOf(job('{ field: revenue_minor }'))).toBeUndefined()
  })

  it.each([
    [
      job('{ field: revenue_minor, in: EUR }'),
      '8:38 metrics[0].sum.in: is about money: it needs "currency", a path or a code such as EUR',
    ],
    [job('{ field: revenue_minor, currency: EUX }', ''), '"EUX" is no currency of ISO 4217'],
    [job('{ field: revenue_minor, currency: currency }', ''), 'metrics[0].sum.in: is missing'],
    [job('{ field: platform_x, currency: EUR }', ''), 'metrics[0].sum.field'],
    [job('{ field: occurred_at, currency: EUR }', ''), 'an amount is a number or a decimal text'],
    [job('{ field: revenue_minor, currency: revenue_minor, in: EUR }'), 'a currency is a text such as EUR'],
    [job('{ field: revenue_minor, currency: currency, in: GBP }'), 'there is no rate of GBP'],
    [job('{ field: revenue_minor, currency: USD, in: EUR }', ''), 'there is no rate of USD'],
    [job(`${usual}, refunds: "nme == 'refund'" }`), 'metrics[0].sum.refunds'],
    [job(`${usual} }`, rates.replace('2024-03-01', '2024-02-30')), 'must be a day such as 2024-03-01'],
    [job(`${usual} }`, rates.replace('Berlin', 'Bonn')), 'no time zone "Europe/Bonn"'],
    [job(`${usual} }`, rates.replace('currency: USD', 'currency: EUR')), 'it is worth 1'],
    [job(`${usual} }`, rates.replace('0.92', '0.12345678901')), 'has more than 10 digits'],
  ])('are refused where they make no sense', (text, problem) => {
    expect(told(text).join('\n')).toContain(problem)
  })

  it('go on with their state when rates are added, and not when what they are changes', () => {
    const stateOf = (text: string) =>
      describeState(planJob(parseJob(text, descriptors).definition, { threads: 1, descriptors })).tables
    const before = stateOf(job(`${usual} }`))
    const more = rates.replace('rates: [', 'rates: [{ currency: GBP, rate: 1.17 }, ')
    expect(stateOf(job(`${usual} }`, more))).toEqual(before)
    expect(stateOf(job(`${usual}, decimals: 3 }`))).not.toEqual(before)
    expect(stateOf(job(`${usual}, refunds: "name == 'refund'" }`))).not.toEqual(before)
  })

  it('share a column where they are of the same money', () => {
    const text = `${job(`${usual} }`)}  - id: sizes
    quantile: ${usual}, q: 0.5 }
    where: name in ['purchase', 'refund']
    window: { tumbling: 1d }
`
    const plan = planJob(parseJob(text, descriptors).definition, { threads: 1, descriptors })
    expect(plan.money).toHaveLength(1)
    const columns = plan.tables[0]!.accumulators.map(({ column }) => column)
    expect(columns).toEqual([-1, plan.schema.columns.length, plan.schema.columns.length])
  })
})

it('currencies have the digits of ISO 4217', () => {
  expect(['JPY', 'KRW', 'CLP', 'EUR', 'USD', 'BHD', 'KWD', 'TND', 'CLF', 'XXX'].map(minorDigits)).toEqual([
    ...[0, 0, 0, 2, 2, 3, 3, 3, 4, undefined],
  ])
  expect(currencyCodes.length).toBe(new Set(currencyCodes).size)
  // The runtime follows the CLDR, which knows no minor units of currencies that nobody pays small coins of any more.
  const withoutCoins = 'AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK PKR SLL SOS SYP YER'.split(' ')
  const digitsOf = (currency: string) =>
    new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits
  expect(currencyCodes.filter((code) => digitsOf(code) !== minorDigits(code))).toEqual(withoutCoins)
})
