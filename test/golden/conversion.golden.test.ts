/**
 * The metrics of jobs/conversion.yaml against DuckDB, every value exactly: in order, shuffled within the lateness, over
 * several partitions and threads, and stopped with a savepoint in the middle and resumed at another parallelism.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { accountedFor } from '../../src/control/api.ts'
import type { MetricValue } from '../../src/query/api.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { type ConversionRow, type FunnelQuery, funnelRows, lifecycleRows } from '../oracle/conversion-oracle.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const document = parse(readFileSync(join(import.meta.dirname, '../../jobs/conversion.yaml'), 'utf8')) as {
  metrics: { id: string }[]
}

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

type Expected = ReadonlyMap<string, readonly string[]>

let oracle: Oracle
let expected: Expected

beforeAll(async () => {
  oracle = await openOracle()
  const persons = ({ values }: ConversionRow) => values[2]!
  const ratio = (of: number, by: number) => (row: ConversionRow) =>
    row.values[by] === 0 ? Number.NaN : row.values[of]! / row.values[by]!
  const first = ({ values }: ConversionRow) => values[0]!
  const checkouts = await funnelRows(oracle, checkout)
  const all = {
    checkout: lines(checkouts, true, persons),
    checkout_conversion: lines(checkouts, true, ratio(2, 0)),
    checkout_step_conversion: lines(checkouts, true, ratio(2, 1)),
    checkout_time: lines(checkouts, true, ratio(3, 2)),
    checkout_times: lines(checkouts, true, persons, ({ values }) => values.slice(4)),
    straight_checkout: lines(await funnelRows(oracle, straight), false, persons),
    considered: lines(await funnelRows(oracle, considered), false, persons),
    smooth_purchases: lines(await funnelRows(oracle, smooth), true, persons),
    lifecycle: lines(
      await lifecycleRows(oracle, { period: 'week', timezone: berlin, lookbackMs: 90 * DAY, where: 'true', by: '' }),
      ...[false, first],
    ),
    lifecycle_by_platform: lines(
      await lifecycleRows(oracle, {
        ...{ period: 'day', timezone: 'Asia/Kolkata', lookbackMs: 30 * DAY, where: 'true', by: 'platform' },
      }),
      ...[true, first],
    ),
    buyers: lines(
      await lifecycleRows(oracle, {
        ...{ period: 'month', timezone: berlin, lookbackMs: 180 * DAY, where: event('purchase'), by: '' },
      }),
      ...[false, first],
    ),
  }
  expected = new Map(Object.entries(all))
  // Of each metric something must happen.
  for (const [id, wanted] of expected) expect(wanted.length, id).toBeGreaterThan(5)
  expect([...expected.keys()].sort()).toEqual(document.metrics.map(({ id }) => id).sort())
})

afterAll(() => oracle?.close())

function line(
  startMs: number,
  endMs: number,
  group: readonly string[],
  value: number,
  items: readonly number[],
): string {
  const bounds = `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()}`
  return `${bounds} ${JSON.stringify(group)} = ${value}${items.length === 0 ? '' : ` of ${items.join(', ')}`}`
}

function lines(
  rows: readonly ConversionRow[],
  grouped: boolean,
  value: (row: ConversionRow) => number,
  items: (row: ConversionRow) => readonly number[] = () => [],
): string[] {
  return rows
    .map((row) => line(row.startMs, row.endMs, grouped ? [row.by, row.label] : [row.label], value(row), items(row)))
    .sort()
}

function told(values: readonly MetricValue[]): string[] {
  return values
    .map((value) => {
      const items = value.detail?.items.map((item) => item.value) ?? []
      return line(value.windowStartMs, value.windowEndMs, value.dimensions, value.value, items)
    })
    .sort()
}

async function expectAll(client: MillraceClient, job: string): Promise<void> {
  for (const [id, wanted] of expected) {
    const values = await valuesOf(client, job, id)
    expect(told(values), id).toEqual(wanted)
    expect(new Set(values.map(({ status }) => status)), id).toEqual(new Set(['final']))
  }
  const { events } = await untilRead(client, job, ECOM_ROWS)
  expect(events).toMatchObject({ read: ECOM_ROWS, late: 0, deadLettered: 0, lost: 0 })
  expect(accountedFor(events)).toBe(ECOM_ROWS)
}

/** The funnel whole says what the metrics that measure it say one by one, whichever of them it is asked for by. */
async function expectReport(client: MillraceClient, job: string): Promise<void> {
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

function jobText(name: string, source: object, outOfOrderness: string, parallelism: number): string {
  const ends = { metadata: { name }, sources: [{ id: 'events', ...source }], sinks: [] }
  return JSON.stringify({ ...document, ...ends, parallelism, watermark: { outOfOrderness, idleness: '0s' } })
}

describe('jobs/conversion.yaml', () => {
  it.each([
    { partitions: 1, parallelism: 1, boundMs: 0 },
    { partitions: 4, parallelism: 3, boundMs: 5000 },
    { partitions: 3, parallelism: 2, boundMs: 6 * HOUR },
  ])('is what DuckDB says: %o', async ({ partitions, parallelism, boundMs }) => {
    const engine = await engineForTest({ threads: 2 })
    const log = createLogTopic(engine.logRoot, 'events', partitions)
    const filled = fillPartitions(engagementEvents(), partitions, 'round-robin')
    await log.append(filled.map((events, i) => shuffleWithin(events, boundMs, i + 1)))
    await log.close()
    await submitJob(engine.client, jobText('conversion', log.source({ bounded: true }), `${boundMs}ms`, parallelism))
    await untilJob(engine.client, 'conversion', ({ state }) => state === 'FINISHED')
    await expectAll(engine.client, 'conversion')
    await expectReport(engine.client, 'conversion')
  })

  it('is the same when it is stopped in the middle and goes on at another parallelism', async () => {
    const env = { MILLRACE_SAVEPOINT_DIR: folderForTest('conversion-savepoints') }
    const first = await engineForTest({ threads: 2, env })
    const log = createLogTopic(first.logRoot, 'events', 3)
    const filled = fillPartitions(engagementEvents(), 3, 'hash').map((events, i) => shuffleWithin(events, HOUR, i))
    await submitJob(first.client, jobText('conversion', log.source(), '1h', 2))
    await log.append(filled.map((events) => events.slice(0, events.length >> 1)))
    await untilRead(first.client, 'conversion', ECOM_ROWS >> 2)
    await first.client.control.stop('conversion', { savepoint: 'middle', drain: false })
    await log.append(filled.map((events) => events.slice(events.length >> 1)))
    await log.close()
    const second = await engineForTest({ threads: 3, env })
    const text = jobText('conversion', log.source({ bounded: true }), '1h', 3)
    await second.client.control.submit({ kind: 'text', text }, { savepoint: 'middle', claim: false, dropState: [] })
    await untilJob(second.client, 'conversion', ({ state }) => state === 'FINISHED')
    await expectAll(second.client, 'conversion')
  })
})
