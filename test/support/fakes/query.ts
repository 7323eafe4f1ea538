/** A QueryApi in memory, whose values a test sets, for tests of what stands in front of one. */
import { MillraceError } from '../../../src/core/errors.ts'
import type { MetricQuery, MetricWatcher, QueryApi, ReportQuery } from '../../../src/query/api.ts'
import type { KeyQuery } from '../../../src/query/key-api.ts'
import type { LifetimeQuery } from '../../../src/query/lifetime-api.ts'
import type { MetricInfo, MetricResult, MetricValue } from '../../../src/query/metric-info.ts'
import { compareValues } from '../../../src/query/render.ts'
import { someFunnel, someLifetime, someRetention, someTimeline } from './reports.ts'

export const pageViews: MetricInfo = {
  job: 'engagement',
  metric: 'page_views',
  description: 'Pages and screens seen',
  kind: { kind: 'count' },
  where: "name == 'page_view'",
  dimensions: ['platform'],
  window: { kind: 'tumbling', sizeMs: 3_600_000, offsetMs: 0, timezone: 'UTC', time: 'event' },
  integer: true,
}

export const averageRevenue: MetricInfo = {
  job: 'engagement',
  metric: 'average_revenue',
  description: '',
  kind: { kind: 'avg', field: 'revenue_minor' },
  where: '',
  dimensions: [],
  window: { kind: 'tumbling', sizeMs: 86_400_000, offsetMs: -3_600_000, timezone: 'Europe/Berlin', time: 'event' },
  integer: false,
}

const hour = Date.UTC(2024, 2, 13, 10)

export function someValue(overrides: Partial<MetricValue> = {}): MetricValue {
  return {
    dimensions: ['ios'],
    windowStartMs: hour,
    windowEndMs: hour + 3_600_000,
    value: 42,
    status: 'final',
    revision: 1,
    watermarkMs: hour + 3_600_000,
    lateCount: 0,
    eventCount: 42,
    attempt: 1,
    ...overrides,
  }
}

export class FakeQuery implements QueryApi {
  readonly queries: MetricQuery[] = []
  readonly lookups: KeyQuery[] = []
  readonly reports: ReportQuery[] = []
  readonly lifetimes: LifetimeQuery[] = []
  readonly watchers = new Set<MetricWatcher>()
  values: MetricValue[] = [
    someValue(),
    someValue({ dimensions: ['web'], value: 7, status: 'provisional', revision: 0 }),
  ]
  truncated = false

  listMetrics: QueryApi['listMetrics'] = async (job) => {
    if (job !== '' && job !== 'engagement') throw new MillraceError('JOB_NOT_FOUND', `there is no job named ${job}`)
    return [averageRevenue, pageViews]
  }

  query: QueryApi['query'] = async (query) => {
    this.queries.push(query)
    return this.result(query)
  }

  funnel: QueryApi['funnel'] = async (query) => {
    this.reports.push(query)
    return someFunnel
  }

  retention: QueryApi['retention'] = async (query) => {
    this.reports.push(query)
    return someRetention
  }

  lifetime: QueryApi['lifetime'] = async (query) => {
    this.lifetimes.push(query)
    return someLifetime
  }

  lookupKey: QueryApi['lookupKey'] = async (query) => {
    this.lookups.push(query)
    const values = this.values.map((value) => ({ ...value, dimensions: [query.key, ...value.dimensions] }))
    const info = { ...pageViews, metric: 'views_of_person', dimensions: ['person', 'platform'] }
    const results = [{ info, dimensions: info.dimensions, values, truncated: this.truncated, ofPerson: false }]
    return {
      results,
      timelines: query.events === 0 ? [] : [someTimeline],
      subtask: 3,
      watermarkMs: Date.UTC(2024, 2, 13, 11),
    }
  }

  watch: QueryApi['watch'] = (query, watcher, options) => {
    this.queries.push(query)
    const result = this.result(query)
    this.watchers.add(watcher)
    watcher.onValues({ ...result, ...(options?.changesOnly ? { values: [] } : {}) })
    return () => this.watchers.delete(watcher)
  }

  /** Tells every watcher of changed values. */
  change(values: readonly MetricValue[]): void {
    for (const watcher of this.watchers) {
      watcher.onValues({ info: pageViews, dimensions: pageViews.dimensions, values, truncated: false })
    }
  }

  /** Tells every watcher that there is something to wait for, or nothing more. */
  wait(why: string | null): void {
    for (const watcher of this.watchers) watcher.onWaiting?.(why)
  }

  /** Ends every watch. */
  end(error: MillraceError | null): void {
    for (const watcher of this.watchers) watcher.onEnd(error)
    this.watchers.clear()
  }

  result(query: MetricQuery): MetricResult {
    const info = [pageViews, averageRevenue].find((candidate) => candidate.metric === query.metric)
    if (info === undefined) {
      throw new MillraceError('METRIC_NOT_FOUND', `job ${query.job} has no metric ${query.metric}`)
    }
    const values = this.values.filter(
      (value) =>
        value.windowEndMs > query.fromMs &&
        value.windowStartMs < query.toMs &&
        info.dimensions.every((name, index) => {
          const text = value.dimensions[index] ?? ''
          const conditions = (query.where ?? []).filter((condition) => condition.name === name)
          return (
            (query.filters.get(name) ?? text) === text &&
            conditions.every(({ texts, not }) => texts.includes(text) !== not)
          )
        }),
    )
    const dimensions = query.groupBy ?? info.dimensions
    return { info, dimensions, values: values.sort(compareValues), truncated: this.truncated }
  }
}
