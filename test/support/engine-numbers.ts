/**
 * The numbers of a job and those that the oracle expects, in one comparable form: a line a value.
 *
 * A line is `metric start..end dimensions = value`, with the bounds in ISO 8601 UTC.
 */
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { engagementMetrics } from '../oracle/engagement-metrics.ts'
import type { OracleRow } from '../oracle/engagement-oracle.ts'

/** Metrics of the main job. */
export type EngagementMetric = keyof typeof engagementMetrics

/** Their ids. */
export const engagementMetricIds = Object.keys(engagementMetrics) as EngagementMetric[]

/** Everything of a metric. */
export function allOf(job: string, metric: string, changes: Partial<MetricQuery> = {}): MetricQuery {
  const everything = {
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    filters: new Map<string, string>(),
    groupBy: null,
    limit: 100_000,
    latest: false,
  }
  return { job, metric, ...everything, ...changes }
}

/** All values of a metric of a job. */
export async function valuesOf(client: MillraceClient, job: string, metric: string): Promise<readonly MetricValue[]> {
  return (await client.query.query(allOf(job, metric))).values
}

/** How a job's metric differs from what is expected of it; empty when it does not. Windows from `untilMs` on are left out. */
export function differences(
  expected: readonly string[],
  metric: string,
  values: readonly MetricValue[],
  untilMs = Number.POSITIVE_INFINITY,
): string[] {
  const actual = values.filter((value) => value.windowStartMs < untilMs).map((value) => valueLine(metric, value))
  const wanted = new Set(expected)
  const found = new Set(actual)
  const wrong = [
    ...expected.filter((line) => !found.has(line)).map((line) => `missing: ${line}`),
    ...actual.filter((line) => !wanted.has(line)).map((line) => `wrong:   ${line}`),
  ]
  if (actual.length !== found.size) wrong.push(`${actual.length - found.size} values twice`)
  return wrong.length <= 12 ? wrong : [...wrong.slice(0, 12), `… ${wrong.length} in all`]
}

/** The same for all metrics of the main job, asked of a server. */
export async function engagementDifferences(
  client: MillraceClient,
  job: string,
  expected: ReadonlyMap<EngagementMetric, readonly string[]>,
  untilMs?: number,
): Promise<string[]> {
  const wrong: string[] = []
  for (const id of engagementMetricIds) {
    wrong.push(...differences(expected.get(id)!, id, await valuesOf(client, job, id), untilMs))
  }
  return wrong
}

/** A row of the oracle as a line. */
export function oracleLine(metric: string, row: OracleRow, by: readonly string[]): string {
  const dimensions = by.map((name) => String(row[name]))
  return line(metric, row.window_start_ms, row.window_end_ms, dimensions, row.value)
}

function valueLine(metric: string, value: MetricValue): string {
  return line(metric, value.windowStartMs, value.windowEndMs, value.dimensions, value.value)
}

function line(metric: string, startMs: number, endMs: number, dimensions: readonly string[], value: number): string {
  const bounds = `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()}`
  return `${metric} ${bounds} ${JSON.stringify(dimensions)} = ${value}`
}
