/**
 * The QueryApi over views: asks every subtask that holds a part of a metric, and puts the answers together.
 *
 * Owns: checking a query, totals, limits, and following changes. Does not own: where views live and how mail reaches
 * them (ViewPort), the wire (rpc/). A watch polls the views for what changed since the last answer: nothing is queued
 * for it anywhere, and a change that is overtaken by a later one is never sent.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { answerQuery } from './answer.ts'
import type { MetricQuery, MetricWatcher, QueryApi } from './api.ts'
import { Follower, type Looker } from './follower.ts'
import { lifetimeResult } from './lifetime-report.ts'
import { lookupKey } from './lookup.ts'
import { markImmature } from './maturity.ts'
import type { MetricResult } from './metric-info.ts'
import { OneByOne } from './one-by-one.ts'
import { answerRatio, RatioFollower, sidesOf } from './ratio-answer.ts'
import { keptDimensions } from './render.ts'
import { funnelResult, retentionResult } from './reports.ts'
import { checkConditions } from './selection.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

/** Milliseconds between two looks at what changed. */
export const watchIntervalMs = 100

/** Predictions that wait for one another: each reads a whole metric, and computes for a second. */
const predictionsMax = 8

/** Makes the QueryApi over `views`. `intervalMs` is the pace of watches. */
export function createQueryService(
  views: ViewPort,
  scheduler: Scheduler,
  intervalMs: number = watchIntervalMs,
): QueryApi {
  const predictions = new OneByOne(predictionsMax)
  const pause = (): Promise<void> => new Promise((done) => void scheduler.soon(done))
  return {
    listMetrics: async (job) => (await views.metrics(job)).map((metric) => metric.info),
    query: async (query) => {
      const metrics = await views.metrics(query.job)
      const metric = find(metrics, query)
      const sides = sidesOf(metrics, metric)
      return sides === null ? (await answerQuery(views, metric, query)).result : answerRatio(views, sides, query)
    },
    funnel: async (query) => funnelResult(views, find(await views.metrics(query.job), query), query),
    retention: async (query) => retentionResult(views, find(await views.metrics(query.job), query), query),
    lifetime: async (query) => {
      const metric = find(await views.metrics(query.job), query)
      return predictions.run(() => lifetimeResult(views, metric, query, pause))
    },
    lookupKey: (query) => lookupKey(views, query),
    watch: (query, watcher, options) =>
      watch(views, scheduler, intervalMs, query, watcher, options?.changesOnly ?? false),
  }
}

function find(metrics: readonly ViewMetric[], query: Pick<MetricQuery, 'job' | 'metric'>): ViewMetric {
  const found = metrics.find((metric) => metric.info.metric === query.metric)
  if (found !== undefined) return found
  const names = metrics.map((metric) => metric.info.metric).join(', ')
  throw new MillraceError('METRIC_NOT_FOUND', `job ${query.job} has no metric ${query.metric}; it has ${names}`)
}

function watch(
  views: ViewPort,
  scheduler: Scheduler,
  intervalMs: number,
  query: MetricQuery,
  watcher: MetricWatcher,
  changesOnly: boolean,
): () => void {
  let open = true
  let timer: Cancel = () => {}
  let waiting: string | null = null
  const wait = (why: string | null) => {
    if (!open || why === waiting) return
    waiting = why
    watcher.onWaiting?.(why)
  }
  const end = (error: MillraceError | null) => {
    if (!open) return
    open = false
    watcher.onEnd(error)
  }
  const step = (follower: Looker, first: boolean) => {
    const look = follower.look(first).then(
      (ended) => {
        if (!open) return
        wait(null)
        if (ended) end(null)
        else timer = scheduler.after(intervalMs, () => step(follower, false))
      },
      (thrown: unknown) => {
        const error = MillraceError.from(thrown)
        if (error.retry !== 'backoff') return end(error)
        wait(error.message)
        if (open) timer = scheduler.after(intervalMs, () => step(follower, first))
      },
    )
    void look
  }
  views.metrics(query.job).then(
    (metrics) => {
      if (!open) return
      try {
        const metric = find(metrics, query)
        checkConditions(query)
        if (query.top != null) {
          throw new MillraceError(
            'QUERY_INVALID',
            'a watch tells single changes, so it has no top: ask by query instead',
          )
        }
        const deliver = (answer: MetricResult) => {
          wait(null)
          if (open) watcher.onValues(markImmature(answer, query.filters))
        }
        const sides = sidesOf(metrics, metric)
        const follower =
          sides === null
            ? new Follower(views, metric, query, keptDimensions(metric.info, query), changesOnly, deliver)
            : new RatioFollower(views, sides, query, changesOnly, deliver)
        step(follower, true)
      } catch (thrown) {
        end(MillraceError.from(thrown))
      }
    },
    (thrown: unknown) => end(MillraceError.from(thrown)),
  )
  return () => {
    open = false
    timer()
  }
}
