/**
 * The metrics of jobs/conversion.yaml against DuckDB, every value exactly: in order, shuffled within the lateness, over
 * several partitions and threads, and stopped with a savepoint in the middle and resumed at another parallelism.
 */
import { afterAll, beforeAll, expect } from 'vitest'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { type ConversionRow, type FunnelQuery, funnelRows, lifecycleRows } from '../oracle/conversion-oracle.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { describeShippedJob, type ExpectedLines, expectedLines, linesOf } from '../oracle/shipped-job.ts'
import { valuesOf } from '../support/engine-numbers.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const bucketsMs = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY]
const berlin = 'Europe/Berlin'

const event = (name: string): string => `name = '${name}'`

const checkout: FunnelQuery = {
  steps: ['product_view', 'add_to_cart', 'cart', 'payment_details', 'purchase'].map(event),
  ...{ order: 'sequential', withinMs: 7 * DAY, by: 'platform', attribution: 'first' },
  ...{ bucketsMs, period: 'day', timezone: berlin },
}
const straight: FunnelQuery = {
  steps: ['cart', 'shipping_details', 'payment_details'].map(event),
  ...{ order: 'strict', withinMs: HOUR, by: '', attribution: 'first', bucketsMs, period: 'week', timezone: berlin },
}
const considered: FunnelQuery = {
  steps: ['search', 'filter_results', 'add_to_cart'].map(event),
  ...{ order: 'any', withinMs: DAY, by: '', attribution: 'first', bucketsMs, period: 'week', timezone: berlin },
}
const smooth: FunnelQuery = {
  steps: ['cart', 'payment_details', 'purchase'].map(event),
  exclude: "name IN ('error_page', 'payment_error', 'checkout_bug')",
  ...{ order: 'sequential', withinMs: DAY, by: 'channel', attribution: 'last' },
  ...{ bucketsMs, period: 'month', timezone: berlin },
}

let oracle: Oracle
let expected: ExpectedLines

beforeAll(async () => {
  oracle = await openOracle()
  const persons = ({ values }: ConversionRow) => values[2]!
  const ratio = (of: number, by: number) => (row: ConversionRow) =>
    row.values[by] === 0 ? Number.NaN : row.values[of]! / row.values[by]!
  const first = ({ values }: ConversionRow) => values[0]!
  const checkouts = await funnelRows(oracle, checkout)
  const all = {
    checkout: linesOf(checkouts, true, persons),
    checkout_conversion: linesOf(checkouts, true, ratio(2, 0)),
    checkout_step_conversion: linesOf(checkouts, true, ratio(2, 1)),
    checkout_time: linesOf(checkouts, true, ratio(3, 2)),
    checkout_times: linesOf(checkouts, true, persons, ({ values }) => values.slice(4)),
    straight_checkout: linesOf(await funnelRows(oracle, straight), false, persons),
    considered: linesOf(await funnelRows(oracle, considered), false, persons),
    smooth_purchases: linesOf(await funnelRows(oracle, smooth), true, persons),
    lifecycle: linesOf(
      await lifecycleRows(oracle, { period: 'week', timezone: berlin, lookbackMs: 90 * DAY, where: 'true', by: '' }),
      ...[false, first],
    ),
    lifecycle_by_platform: linesOf(
      await lifecycleRows(oracle, {
        ...{ period: 'day', timezone: 'Asia/Kolkata', lookbackMs: 30 * DAY, where: 'true', by: 'platform' },
      }),
      ...[true, first],
    ),
    buyers: linesOf(
      await lifecycleRows(oracle, {
        ...{ period: 'month', timezone: berlin, lookbackMs: 180 * DAY, where: event('purchase'), by: '' },
      }),
      ...[false, first],
    ),
  }
  expected = expectedLines('conversion', all)
})

afterAll(() => oracle?.close())

/** The funnel whole says what the metrics that measure it say one by one, whichever of them it is asked for by. */
async function expectReport(client: MillraceClient): Promise<void> {
  const job = 'conversion'
  const measured = new Map<string, string>()
  const measures = { checkout: 'persons', checkout_conversion: 'conversion', checkout_time: 'meanTimeMs' } as const
  for (const [id, measure] of Object.entries(measures)) {
    for (const { windowStartMs, dimensions, value } of await valuesOf(client, job, id))
      measured.set(`${measure} ${windowStartMs} ${dimensions.join()}`, String(value))
  }
  const everything = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY, limit: 10_000 }
  const query = { job, metric: 'checkout_times', ...everything, filters: new Map(), groupBy: null }
  const { funnels } = await client.query.funnel(query)
  const reported = funnels.flatMap(({ windowStartMs, dimensions, steps }) =>
    steps.flatMap((step) =>
      Object.values(measures).map((measure) => {
        return [`${measure} ${windowStartMs} ${[...dimensions, step.step].join()}`, String(step[measure])] as const
      }),
    ),
  )
  expect(new Map(reported)).toEqual(measured)
  expect(funnels.length).toBeGreaterThan(100)
}

describeShippedJob('conversion', () => expected, expectReport)
