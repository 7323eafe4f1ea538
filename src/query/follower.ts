/**
 * Follows one metric: what changed since the last look, by change numbers of every subtask.
 *
 * Owns: the change numbers, and totals of what changed. Does not own: when to look, and failures (query/service.ts).
 */
import { MillraceError } from '../core/errors.ts'
import type { ViewQuery } from '../operator/view-rows.ts'
import { collect, dimensionsOf } from './answer.ts'
import { type MetricQuery, maxQueryLimit } from './api.ts'
import { GroupTotals } from './group-totals.ts'
import type { MetricResult, MetricValue } from './metric-info.ts'
import { limitValues } from './render.ts'
import { passing, questionOf } from './selection.ts'
import type { ViewAnswer, ViewMetric, ViewPort } from './view-port.ts'

/** Looks for changes, and delivers them. */
export interface Looker {
  /** True when nothing will change any more. A look that failed is made again, with the same `first`. */
  look(first: boolean): Promise<boolean>
}

/** What one watch has seen: change numbers by subtask and, for totals, the value of every group. */
export class Follower implements Looker {
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
