/** Funnels in every order, and lifecycles. The SQL is in conversion-oracle.ts. */
import { BERLIN, calendar, type ExpectedValue, type OracleCase, type OracleMetric, type Period } from '../case.ts'
import { type ConversionRow, type FunnelQuery, funnelRows, lifecycleRows } from '../conversion-oracle.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** The events of a name of the sample, in a job and in SQL. */
const named = {
  product_view: "screen == 'product_view'",
  add_to_cart: "properties.feature == 'add_to_cart'",
  search: "properties.feature == 'search'",
  cart: "screen == 'cart'",
  shipping_details: "screen == 'shipping_details'",
  payment_details: "screen == 'payment_details'",
  purchase: "name == 'purchase'",
} as const

type Step = keyof typeof named

interface FunnelCase {
  readonly steps: readonly Step[]
  readonly order: FunnelQuery['order']
  readonly within: string
  readonly withinMs: number
  readonly period: Period
  readonly by?: 'platform'
  readonly excludesErrors?: boolean
  readonly attribution?: 'first' | 'last'
}

const bucketsMs = [60_000, HOUR, DAY]

function expectedRows(
  rows: readonly ConversionRow[],
  by: string | undefined,
  told: (row: ConversionRow) => unknown,
): ExpectedValue[] {
  return rows.map((row) => ({
    startMs: row.startMs,
    endMs: row.endMs,
    dimensions: by === undefined ? [row.label] : [row.by, row.label],
    told: String(told(row)),
  }))
}

/** A funnel by persons, or by what `measure` says, of which `told` is the value in a row of SQL. */
function funnelMetric(
  it: FunnelCase,
  measure = 'persons',
  told: (row: ConversionRow) => unknown = ({ values }) => values[2],
): OracleMetric {
  const { steps, order, within, withinMs, period, by, excludesErrors = false, attribution = 'first' } = it
  const errors = excludesErrors ? { exclude: [{ where: "name == 'error'" }] } : {}
  return {
    definition: {
      funnel: {
        ...{ steps: steps.map((step) => ({ where: named[step] })), order, within, attribution, measure },
        ...{ buckets: ['1m', '1h', '1d'], ...errors },
      },
      ...calendar(period),
      ...(by === undefined ? {} : { by: [by] }),
    },
    expected: async (oracle) => {
      const rows = await funnelRows(oracle, {
        ...{ steps: steps.map((step) => `name = '${step}'`), order, withinMs, by: by ?? '', attribution, bucketsMs },
        ...{ period, timezone: BERLIN },
        ...(excludesErrors ? { exclude: "name IN ('error_page', 'payment_error', 'checkout_bug')" } : {}),
      })
      return expectedRows(rows, by, told)
    },
    ...(measure === 'convertTimes' ? { told: ({ detail }) => detail!.items.map(({ value }) => value).join() } : {}),
  }
}

const checkout: FunnelCase = {
  steps: ['product_view', 'add_to_cart', 'cart', 'payment_details', 'purchase'],
  ...{ order: 'sequential', within: '7d', withinMs: 7 * DAY, period: 'day', by: 'platform' },
}

/** How far people come. */
export const funnel: OracleCase = {
  kind: 'funnel',
  metrics: {
    checkout: funnelMetric(checkout),
    checkout_conversion: funnelMetric(
      checkout,
      'conversion',
      ({ values: [entered, , persons] }) => persons! / entered!,
    ),
    checkout_times: funnelMetric(checkout, 'convertTimes', ({ values }) => values.slice(4).join()),
    straight: funnelMetric({
      steps: ['cart', 'shipping_details', 'payment_details'],
      ...{ order: 'strict', within: '1h', withinMs: HOUR, period: 'week' },
    }),
    considered: funnelMetric({
      steps: ['search', 'product_view', 'add_to_cart'],
      ...{ order: 'any', within: '1d', withinMs: DAY, period: 'week' },
    }),
    smooth: funnelMetric({
      steps: ['cart', 'payment_details', 'purchase'],
      ...{ order: 'sequential', within: '1d', withinMs: DAY, period: 'month', by: 'platform' },
      ...{ excludesErrors: true, attribution: 'last' },
    }),
  },
}

function lifecycleMetric(period: Period, by?: 'platform'): OracleMetric {
  return {
    definition: {
      ...{ lifecycle: { lookback: '90d' }, ...calendar(period) },
      ...(by === undefined ? {} : { by: [by] }),
    },
    expected: async (oracle) => {
      const query = { period, timezone: BERLIN, lookbackMs: 90 * DAY, where: 'true', by: by ?? '' }
      return expectedRows(await lifecycleRows(oracle, query), by, ({ values }) => values[0])
    },
  }
}

/** Who is new, returning, resurrecting and dormant. */
export const lifecycle: OracleCase = {
  kind: 'lifecycle',
  metrics: { lifecycle_by_week: lifecycleMetric('week'), lifecycle_by_day: lifecycleMetric('day', 'platform') },
}
