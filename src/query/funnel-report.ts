/**
 * A funnel, whole: for each window and group all steps with persons, rates, drop-off and times, of one moment.
 *
 * Pure. The definition of each number is in docs/metrics.md.
 */
import type { FunnelReport, FunnelStepReport } from './api.ts'
import type { ReportNumbers, ReportRow } from './report-rows.ts'

/** The report of a row; `steps` are the conditions of the funnel's steps. */
export function funnelReport({ own, ...place }: ReportRow, steps: readonly string[]): FunnelReport {
  return { ...place, steps: steps.map((where, i) => stepReport(i + 1, where, own.get(String(i + 1)))) }
}

function stepReport(step: number, where: string, numbers: ReportNumbers | undefined): FunnelStepReport {
  const of = (name: string): number => numbers?.of.get(name) ?? 0
  const persons = of('persons')
  const previous = of('previous')
  return {
    ...{ step, where, persons },
    conversion: persons / of('entered'),
    stepConversion: persons / previous,
    dropped: previous - persons,
    meanTimeMs: of('time') / persons,
    times: numbers?.buckets ?? [],
  }
}
