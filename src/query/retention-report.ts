/**
 * A retention, whole: cohorts with all of their periods, and the curve over those that are mature, of one moment.
 *
 * Pure. The definition of each number is in docs/metrics.md.
 */
import type { CohortReport, RetentionCurvePoint } from './api.ts'
import type { ReportRow } from './report-rows.ts'

/** The cohort of a row. */
export function cohortReport({ own, ...place }: ReportRow, periods: number): CohortReport {
  const size = own.get('0')?.of.get('persons') ?? 0
  return {
    ...place,
    size,
    periods: Array.from({ length: periods + 1 }, (_, period) => {
      const numbers = own.get(String(period))
      const persons = numbers?.of.get('persons') ?? 0
      const before = numbers?.of.get('previous') ?? 0
      return {
        ...{ period, persons },
        retention: persons / size,
        previous: period === 0 ? Number.NaN : persons / before,
        immature: numbers?.immature ?? false,
      }
    }),
  }
}

/** What cohorts that are mature in a period come to, for each period. Cohorts of several groups all count. */
export function retentionCurve(cohorts: readonly CohortReport[], periods: number): RetentionCurvePoint[] {
  return Array.from({ length: periods + 1 }, (_, period) => {
    const mature = cohorts.filter((cohort) => cohort.size > 0 && cohort.periods[period]!.immature === false)
    const size = mature.reduce((sum, cohort) => sum + cohort.size, 0)
    const persons = mature.reduce((sum, cohort) => sum + cohort.periods[period]!.persons, 0)
    const rates = mature.reduce((sum, cohort) => sum + cohort.periods[period]!.retention, 0)
    return {
      ...{ period, size, persons },
      cohorts: mature.length,
      weighted: persons / size,
      mean: rates / mature.length,
    }
  })
}
