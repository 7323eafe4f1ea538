/** Whole funnels and retentions, put together of what subtasks answer. */
import { expect, it } from 'vitest'
import type { MetricKind } from '../../src/job/definition.ts'
import type { ColumnsRead } from '../../src/operator/read-metric.ts'
import type { ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import type { ReportQuery } from '../../src/query/api.ts'
import { createQueryService } from '../../src/query/service.ts'
import type { ViewMetric, ViewPort } from '../../src/query/view-port.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { pageViews } from '../support/fakes/query.ts'
import { checkout, someRetention } from '../support/fakes/reports.ts'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS

interface Row {
  readonly dimensions: readonly string[]
  readonly week: number
  readonly revision: number
  readonly numbers: Readonly<Record<string, number>>
}

function answer(watermarkMs: number, given: readonly Row[]): ViewRows {
  return {
    ...{ operator: 'merge', subtask: 0, watermarkMs, change: 1, truncated: false, count: given.length },
    windowStartMs: Float64Array.from(given, ({ week }) => week * WEEK_MS),
    windowEndMs: Float64Array.from(given, ({ week }) => (week + 1) * WEEK_MS),
    dimensions: given.map(({ dimensions }) => dimensions),
    values: new Float64Array(given.length),
    events: new Float64Array(given.length).fill(1),
    revision: Uint32Array.from(given, ({ revision }) => revision),
    lateCount: new Float64Array(given.length),
    details: given.map(({ numbers }) => ({
      items: Object.entries(numbers).map(([label, value]) => ({ label, value, error: 0 })),
      text: null,
    })),
  }
}

const funnelKind: MetricKind = {
  ...{ kind: 'funnel', withinMs: DAY_MS, order: 'sequential', exclude: [], attribution: 'first', attributionStep: 0 },
  ...{ steps: [{ where: 'a' }, { where: 'b' }], bucketsMs: [60_000], measure: 'conversion' },
}

function columns(...labels: string[]): ColumnsRead {
  return { kind: 'columns', of: labels.map((label, at) => ({ label, at })), histogram: -1 }
}

/** A service over these answers of subtasks, and what they were asked. */
function serve(metric: ViewMetric, rows: readonly ViewRows[]) {
  const asked: ViewQuery[] = []
  const views: ViewPort = {
    metrics: async () => [metric, { info: pageViews, index: 1 }],
    ownerOf: () => 0,
    ask: async (_job, query) => {
      asked.push(query)
      return { attempt: 1, rows, ended: false }
    },
  }
  return { asked, service: createQueryService(views, new ManualScheduler(new ManualClock())) }
}

const funnelMetric: ViewMetric = {
  info: { ...checkout, kind: funnelKind },
  index: 0,
  columns: columns('entered', 'previous', 'persons', 'time'),
}

function about(metric: string, more: Partial<ReportQuery> = {}): ReportQuery {
  const everything = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY, limit: 10 }
  return { job: 'conversion', metric, ...everything, filters: new Map(), groupBy: null, ...more }
}

const numbersOf = (entered: number, previous: number, persons: number, time: number) => ({
  ...{ entered, previous, persons, time },
  '<60000': persons - 1,
  '>=60000': 1,
})

const funnelRows = [
  answer(2 * WEEK_MS, [
    { dimensions: ['web', '1'], week: 0, revision: 1, numbers: numbersOf(30, 30, 30, 0) },
    { dimensions: ['web', '2'], week: 0, revision: 2, numbers: numbersOf(30, 30, 6, 6000) },
  ]),
  answer(1.5 * WEEK_MS, [
    { dimensions: ['ios', '1'], week: 0, revision: 1, numbers: numbersOf(10, 10, 10, 0) },
    { dimensions: ['ios', '2'], week: 0, revision: 1, numbers: numbersOf(10, 10, 4, 14_000) },
    { dimensions: ['ios', '1'], week: 1, revision: 0, numbers: numbersOf(3, 3, 3, 0) },
  ]),
]

it('a funnel is all of its steps, whatever the metric measures', async () => {
  const { service, asked } = serve(funnelMetric, funnelRows)
  const { funnels, dimensions, watermarkMs } = await service.funnel(about('checkout'))
  expect(asked).toHaveLength(1)
  expect(asked[0]!.read).toEqual(funnelMetric.columns)
  expect(dimensions).toEqual(['platform'])
  expect(watermarkMs).toBe(1.5 * WEEK_MS)
  expect(funnels.map(({ dimensions: [platform], windowStartMs }) => [platform, windowStartMs])).toEqual([
    ['ios', 0],
    ['web', 0],
    ['ios', WEEK_MS],
  ])
  expect(funnels[1]).toMatchObject({ status: 'corrected', revision: 2, immature: false })
  expect(funnels[1]!.steps).toEqual([
    {
      ...{ step: 1, where: 'a', persons: 30, conversion: 1, stepConversion: 1, dropped: 0, meanTimeMs: 0 },
      times: [
        { label: '<60000', value: 29, error: 0 },
        { label: '>=60000', value: 1, error: 0 },
      ],
    },
    {
      ...{ step: 2, where: 'b', persons: 6, conversion: 0.2, stepConversion: 0.2, dropped: 24, meanTimeMs: 1000 },
      times: [
        { label: '<60000', value: 5, error: 0 },
        { label: '>=60000', value: 1, error: 0 },
      ],
    },
  ])
  // Nobody has come to the second step: it is there, with no mean time.
  expect(funnels[2]!.steps[1]).toMatchObject({ step: 2, persons: 0, meanTimeMs: Number.NaN })
  expect(funnels[2]).toMatchObject({ status: 'provisional', immature: true })
})

it('persons of groups add up, and so do times: each is in one group', async () => {
  const { service } = serve(funnelMetric, funnelRows)
  const { funnels, dimensions } = await service.funnel(about('checkout', { groupBy: [] }))
  expect(dimensions).toEqual([])
  expect(funnels).toHaveLength(2)
  expect(funnels[0]!.steps[1]).toMatchObject({ persons: 10, conversion: 0.25, meanTimeMs: 2000, dropped: 30 })
  expect(funnels[0]!.steps[1]!.times).toEqual([
    { label: '<60000', value: 8, error: 0 },
    { label: '>=60000', value: 2, error: 0 },
  ])
})

it('is refused by the own dimension, by what is none, of other kinds and beyond the limit', async () => {
  const { service } = serve(funnelMetric, funnelRows)
  const refused = (query: ReportQuery) => service.funnel(query).catch((error: { code: string }) => error.code)
  expect(await refused(about('checkout', { groupBy: ['step'] }))).toBe('QUERY_INVALID')
  expect(await refused(about('checkout', { filters: new Map([['step', '1']]) }))).toBe('QUERY_INVALID')
  expect(await refused(about('checkout', { groupBy: ['country'] }))).toBe('QUERY_INVALID')
  expect(await refused(about('checkout', { groupBy: ['platform', 'platform'] }))).toBe('QUERY_INVALID')
  expect(await refused(about('page_views'))).toBe('QUERY_INVALID')
  expect(await refused(about('nothing'))).toBe('METRIC_NOT_FOUND')
  expect(await refused(about('checkout', { limit: 2 }))).toBe('QUERY_TOO_LARGE')
  await expect(service.retention(about('checkout'))).rejects.toMatchObject({ code: 'QUERY_INVALID' })
})

it('a retention is its cohorts, and a curve over those that are mature', async () => {
  const metric: ViewMetric = { info: someRetention.info, index: 0, columns: columns('cohort', 'previous', 'persons') }
  const cohort = (week: number, revision: number, ...persons: number[]): Row[] =>
    persons.map((number, period) => ({
      ...{ dimensions: [String(period)], week, revision },
      numbers: { cohort: persons[0]!, previous: persons[period - 1] ?? 0, persons: number },
    }))
  // Up to the end of week 3: the cohort of week 0 is mature in all, that of week 1 too, that of week 2 in period 0 and 1.
  const rows = [answer(4 * WEEK_MS, [...cohort(0, 1, 8, 4, 2), ...cohort(1, 1, 2, 2, 0), ...cohort(2, 0, 10, 1, 1)])]
  const { service } = serve(metric, rows)
  const { cohorts, curve } = await service.retention(about('weekly'))
  expect(cohorts.map(({ size, immature }) => [size, immature])).toEqual([
    [8, false],
    [2, false],
    [10, true],
  ])
  expect(cohorts[0]!.periods).toEqual([
    { period: 0, persons: 8, retention: 1, previous: Number.NaN, immature: false },
    { period: 1, persons: 4, retention: 0.5, previous: 0.5, immature: false },
    { period: 2, persons: 2, retention: 0.25, previous: 0.5, immature: false },
  ])
  expect(cohorts[2]!.periods.map(({ immature }) => immature)).toEqual([false, false, true])
  expect(curve).toEqual([
    { period: 0, cohorts: 3, size: 20, persons: 20, weighted: 1, mean: 1 },
    { period: 1, cohorts: 3, size: 20, persons: 7, weighted: 0.35, mean: (0.5 + 1 + 0.1) / 3 },
    { period: 2, cohorts: 2, size: 10, persons: 2, weighted: 0.2, mean: 0.125 },
  ])
})
