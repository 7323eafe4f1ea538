/**
 * Answers to questions for whole funnels and retentions.
 *
 * Owns: refusing metrics of other kinds, and limits. Does not own: the numbers (query/report-rows.ts), what they come to
 * (query/funnel-report.ts, query/retention-report.ts).
 */
import { MillraceError } from '../core/errors.ts'
import type { FunnelResult, ReportQuery, RetentionResult } from './api.ts'
import { funnelReport } from './funnel-report.ts'
import type { MetricInfo } from './metric-info.ts'
import { reportRows } from './report-rows.ts'
import { cohortReport, retentionCurve } from './retention-report.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

/** A funnel. QUERY_INVALID where the metric is none, QUERY_TOO_LARGE, UNAVAILABLE. */
export async function funnelResult(views: ViewPort, metric: ViewMetric, query: ReportQuery): Promise<FunnelResult> {
  const { info } = metric
  if (info.kind.kind !== 'funnel') throw isNo('funnel', info)
  const { rows, ...rest } = await reportRows(views, metric, query)
  const steps = info.kind.steps.map(({ where }) => where)
  return { info, ...rest, funnels: limited(rows, query).map((row) => funnelReport(row, steps)) }
}

/** A retention. QUERY_INVALID where the metric is none, QUERY_TOO_LARGE, UNAVAILABLE. */
export async function retentionResult(
  views: ViewPort,
  metric: ViewMetric,
  query: ReportQuery,
): Promise<RetentionResult> {
  const { info } = metric
  if (info.kind.kind !== 'retention') throw isNo('retention', info)
  const { periods } = info.kind
  const { rows, ...rest } = await reportRows(views, metric, query)
  const cohorts = limited(rows, query).map((row) => cohortReport(row, periods))
  return { info, ...rest, cohorts, curve: retentionCurve(cohorts, periods) }
}

function isNo(kind: string, { job, metric, kind: own }: MetricInfo): MillraceError {
  return new MillraceError('QUERY_INVALID', `metric ${job}/${metric} is no ${kind} but of kind ${own.kind}`)
}

function limited<T>(rows: readonly T[], { limit }: ReportQuery): readonly T[] {
  if (rows.length <= limit) return rows
  throw new MillraceError(
    'QUERY_TOO_LARGE',
    `the answer has ${rows.length} windows and groups, more than the limit of ${limit}: narrow the range, or group by less`,
  )
}
