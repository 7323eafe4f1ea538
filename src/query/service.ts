/**
 * The QueryApi over views: asks every subtask that holds a part of a metric, and puts the answers together.
 *
 * Owns: checking a query, totals, limits, and following changes. Does not own: where views live and how mail reaches
 * them (ViewPort), the wire (rpc/). A watch polls the views for what changed since the last answer: nothing is queued
 * for it anywhere, and a change that is overtaken by a later one is never sent.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { ViewQuery } from '../operator/view-rows.ts'
import type { MetricWatcher, QueryApi } from './api.ts'
import { type MetricInfo, type MetricQuery, type MetricResult, type MetricValue, maxQueryLimit } from './api.ts'
import { GroupTotals } from './group-totals.ts'
import { lookupKey } from './lookup.ts'
import { markImmature } from './maturity.ts'
import { keptDimensions, limitValues, rollUp, valuesOf } from './render.ts'
import { checkConditions, passing, questionOf, topOfWindows } from './selection.ts'
import type { ViewAnswer, ViewMetric, ViewPort } from './view-port.ts'

/** Milliseconds between two looks at what changed. */
export const watchIntervalMs = 100

/** Makes the QueryApi over `views`. `intervalMs` is the pace of watches. */
export function createQueryService(
  views: ViewPort,
  scheduler: Scheduler,
  intervalMs: number = watchIntervalMs,
): QueryApi {
  return {
    listMetrics: async (job) => (await views.metrics(job)).map((metric) => metric.info),
    query: async (query) => {
      const metric = await find(views, query)
      checkConditions(query)
      const kept = keptDimensions(metric.info, query)
      const { view, adds } = questionOf(metric.index, metric.info, query, kept, true)
      const values = collect(await views.ask(query.job, { ...view, sinceChange: [] }, metric.info), query)
      const answer = answered(values, query, kept, adds)
      return markImmature({ info: metric.info, dimensions: dimensionsOf(metric.info, kept), ...answer }, query.filters)
    },
    lookupKey: (query) => lookupKey(views, query),
    watch: (query, watcher, options) =>
      watch(views, scheduler, intervalMs, query, watcher, options?.changesOnly ?? false),
  }
}

async function find(views: ViewPort, query: MetricQuery): Promise<ViewMetric> {
  const metrics = await views.metrics(query.job)
  const found = metrics.find((metric) => metric.info.metric === query.metric)
  if (found !== undefined) return found
  const names = metrics.map((metric) => metric.info.metric).join(', ')
  throw new MillraceError('METRIC_NOT_FOUND', `job ${query.job} has no metric ${query.metric}; it has ${names}`)
}

/** The values of an answer. A part that was cut is no answer. */
function collect(answer: ViewAnswer, query: MetricQuery): MetricValue[] {
  const values: MetricValue[] = []
  for (const rows of answer.rows) {
    if (rows.truncated) {
      throw new MillraceError(
        'QUERY_TOO_LARGE',
        `${query.job}/${query.metric} has more than ${maxQueryLimit} values in that range, or takes too long to search: narrow it, or filter`,
      )
    }
    for (const value of valuesOf(rows, answer.attempt)) values.push(value)
  }
  return values
}

/** Values of all subtasks as the query wants them. `adds`: they are parts of totals, over the kept dimensions already. */
function answered(
  values: MetricValue[],
  query: MetricQuery,
  kept: readonly number[] | null,
  adds: boolean,
): Pick<MetricResult, 'values' | 'truncated'> {
  const { top = null } = query
  let whole = values
  if (adds && kept !== null) {
    const totals = rollUp(
      values,
      kept.map((_, index) => index),
    )
    whole = passing(totals, query)
  }
  if (top !== null) whole = topOfWindows(whole, top)
  return limitValues(adds || kept === null ? whole : rollUp(whole, kept), query)
}

function dimensionsOf(info: MetricInfo, kept: readonly number[] | null): readonly string[] {
  return kept === null ? info.dimensions : kept.map((index) => info.dimensions[index] ?? '')
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
  const step = (follower: Follower, first: boolean) => {
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
  find(views, query).then(
    (metric) => {
      if (!open) return
      try {
        checkConditions(query)
        if (query.top != null) {
          throw new MillraceError(
            'QUERY_INVALID',
            'a watch tells single changes, so it has no top: ask by query instead',
          )
        }
        const kept = keptDimensions(metric.info, query)
        const deliver = (answer: MetricResult) => {
          wait(null)
          if (open) watcher.onValues(markImmature(answer, query.filters))
        }
        step(new Follower(views, metric, query, kept, changesOnly, deliver), true)
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

/** What one watch has seen: change numbers by subtask and, for totals, the value of every group. */
class Follower {
  readonly #views: ViewPort
  readonly #metric: ViewMetric
  readonly #query: MetricQuery
  readonly #kept: readonly number[] | null
  readonly #changesOnly: boolean
  readonly #deliver: (result: MetricResult) => void
  readonly #groups: GroupTotals | null
  #since: number[] = []
  #attempt = -1

  constructor(
    views: ViewPort,
    metric: ViewMetric,
    query: MetricQuery,
    kept: readonly number[] | null,
    changesOnly: boolean,
    deliver: (result: MetricResult) => void,
  ) {
    this.#views = views
    this.#metric = metric
    this.#query = query
    this.#kept = kept
    this.#changesOnly = changesOnly
    this.#deliver = deliver
    this.#groups = kept === null ? null : new GroupTotals(kept, metric.info.window)
  }

  /** Asks what changed and delivers it. True when nothing will change any more. */
  async look(first: boolean): Promise<boolean> {
    const { view } = questionOf(this.#metric.index, this.#metric.info, this.#query, this.#kept, false)
    const { latest, limit } = this.#query
    // All that there is may be any number of values, of which only so many are wanted.
    const all = this.#groups === null && latest ? { ...view, newest: limit + 1 } : view
    const none = first && this.#changesOnly && this.#groups === null
    const asked = none ? { ...view, rowsMax: 0 } : first ? all : view
    let answer = await this.#ask({ ...asked, sinceChange: this.#since })
    if (answer.attempt !== this.#attempt && this.#since.length > 0) {
      // Change numbers begin anew with each attempt, and what was provisional may be gone.
      this.#groups?.clear()
      answer = await this.#ask({ ...all, sinceChange: [] })
    }
    this.#attempt = answer.attempt
    const since: number[] = []
    for (const rows of answer.rows) since[rows.subtask] = rows.change
    for (let subtask = 0; subtask < since.length; subtask++) since[subtask] ??= -1
    // Who wants changes only, and no totals, needs no more than where they begin.
    const changed = first && this.#changesOnly && this.#groups === null ? [] : collect(answer, this.#query)
    const values = this.#groups === null ? changed : await this.#totals(changed, this.#groups)
    // Last: a look that fails in between is made again.
    this.#since = since
    if (first) {
      const limited = limitValues(this.#changesOnly ? [] : values, this.#query)
      this.#deliver({ info: this.#metric.info, dimensions: dimensionsOf(this.#metric.info, this.#kept), ...limited })
    } else if (values.length > 0) {
      const query = { ...this.#query, limit: maxQueryLimit }
      this.#deliver({
        info: this.#metric.info,
        dimensions: dimensionsOf(this.#metric.info, this.#kept),
        ...limitValues(values, query),
      })
    }
    return answer.ended
  }

  #ask(view: ViewQuery): Promise<ViewAnswer> {
    return this.#views.ask(this.#query.job, view, this.#metric.info)
  }

  /** The totals that the changed values are part of. */
  async #totals(changed: readonly MetricValue[], groups: GroupTotals): Promise<MetricValue[]> {
    const { view } = questionOf(this.#metric.index, this.#metric.info, this.#query, this.#kept, false)
    const totals: MetricValue[] = []
    for (const part of groups.parts(changed)) {
      if (groups.lacks(part)) {
        const { windowStartMs: fromMs, windowEndMs } = part[0]!
        const range = { fromMs, toMs: Number.isFinite(fromMs) ? fromMs + 1 : windowEndMs, sinceChange: [] }
        groups.fill(part, collect(await this.#ask({ ...view, ...range }), this.#query))
      }
      const ofWindow = groups.add(part)
      if (ofWindow === null) {
        throw new MillraceError(
          'QUERY_TOO_LARGE',
          `the watch follows more than ${maxQueryLimit} values of a window of ${this.#query.job}/${this.#query.metric}: narrow it`,
        )
      }
      for (const total of ofWindow) totals.push(total)
    }
    return passing(totals, this.#query)
  }
}
