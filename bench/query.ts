/** Queries of the measures. */
import type { MetricQuery } from '../src/query/api.ts'

/** All values of a metric whose dimensions have the texts of `filters`. */
export function allValues(job: string, metric: string, filters: Readonly<Record<string, string>> = {}): MetricQuery {
  return {
    job,
    metric,
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    filters: new Map(Object.entries(filters)),
    groupBy: null,
    limit: 100_000,
    latest: false,
  }
}
