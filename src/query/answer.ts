/**
 * One answer about one metric, of all subtasks that hold a part of it.
 *
 * Owns: asking once and putting the parts together: totals, the top, the limit. Does not own: metrics that are put together
 * of others (query/ratio-answer.ts), following changes (query/follower.ts).
 */
import { MillraceError } from '../core/errors.ts'
import type { GroupCap } from '../operator/view-rows.ts'
import { type MetricQuery, maxQueryLimit } from './api.ts'
import { capOf, capped } from './cap.ts'
import { markImmature } from './maturity.ts'
import type { MetricInfo, MetricResult, MetricValue } from './metric-info.ts'
import { keptDimensions, leastWatermarkMs, limitValues, rollUp, valuesOf } from './render.ts'
import { checkConditions, passing, questionOf, topOfWindows } from './selection.ts'
import type { ViewAnswer, ViewMetric, ViewPort } from './view-port.ts'

/** An answer, and up to when the input of all who gave it is complete. */
export interface WholeAnswer {
  readonly result: MetricResult
  readonly watermarkMs: number
}

/** Answers a query about a metric that workers have values of; with `cap` null, whatever the number of groups. */
export async function answerQuery(
  views: ViewPort,
  metric: ViewMetric,
  query: MetricQuery,
  cap: GroupCap | null = capOf(metric.info, query),
): Promise<WholeAnswer> {
  const { info } = metric
  checkConditions(query)
  const kept = keptDimensions(info, query)
  const { view, adds } = questionOf(metric.index, info, query, kept, true, cap)
  const answer = await views.ask(query.job, { ...view, sinceChange: [] }, info)
  const values = answered(collect(answer, query), query, kept, adds, cap)
  return {
    result: markImmature({ info, dimensions: dimensionsOf(info, kept), ...values }, query.filters),
    watermarkMs: leastWatermarkMs(answer.rows),
  }
}

/** The values of an answer. A part that was cut is no answer. */
export function collect(answer: ViewAnswer, query: MetricQuery): MetricValue[] {
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
  cap: GroupCap | null,
): Pick<MetricResult, 'values' | 'truncated'> {
  const { top = null } = query
  let whole = values
  if (adds && kept !== null) {
    const totals = rollUp(
      values,
      kept.map((_, index) => index),
    )
    whole = passing(cap === null ? totals : capped(totals, cap), query)
  } else if (cap !== null) whole = passing(capped(values, cap), query)
  if (top !== null) whole = topOfWindows(whole, top)
  return limitValues(adds || kept === null ? whole : rollUp(whole, kept), query)
}

/** Names of the dimensions that an answer keeps. */
export function dimensionsOf(info: MetricInfo, kept: readonly number[] | null): readonly string[] {
  return kept === null ? info.dimensions : kept.map((index) => info.dimensions[index] ?? '')
}
