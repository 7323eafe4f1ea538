/**
 * All numbers of a metric about persons, put together by window and group: what funnels and retentions are reported from.
 *
 * Owns: checking the question, asking once so that all numbers of a row are of one moment, adding up over dimensions that
 * are not kept. Does not own: what the numbers say (query/funnel-report.ts, query/retention-report.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { isPersonKind, ownDimension } from '../job/person-definition.ts'
import type { MetricItem } from '../operator/read-metric.ts'
import { type MetricQuery, maxQueryLimit, type ReportPlace, type ReportQuery } from './api.ts'
import { markImmature } from './maturity.ts'
import type { MetricValue } from './metric-info.ts'
import { compareValues, leastSettled, leastWatermarkMs, valueKey, valuesOf } from './render.ts'
import { checkConditions, questionOf } from './selection.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

/** One window and group: for each text of the metric's own dimension, its numbers by name. */
export interface ReportRow extends ReportPlace {
  readonly own: ReadonlyMap<string, ReportNumbers>
}

/** Numbers of one text of the own dimension. */
export interface ReportNumbers {
  readonly of: ReadonlyMap<string, number>
  /** Of those names that are no column of the metric: its histogram. */
  readonly buckets: readonly MetricItem[]
  readonly immature: boolean
}

/** What was found. */
export interface ReportRows {
  /** Names of the dimensions that are kept. */
  readonly dimensions: readonly string[]
  /** By window, then by dimensions. */
  readonly rows: readonly ReportRow[]
  readonly watermarkMs: number
}

/** Asks for all numbers of `metric`. QUERY_INVALID, QUERY_TOO_LARGE, UNAVAILABLE. */
export async function reportRows(views: ViewPort, metric: ViewMetric, query: ReportQuery): Promise<ReportRows> {
  const { info, columns } = metric
  if (columns === undefined || !isPersonKind(info.kind)) throw new Error(`${info.metric} is not about persons`)
  const own = info.dimensions.indexOf(ownDimension(info.kind) ?? '')
  const kept = keptOf(metric, query, own)
  const whole: MetricQuery = { ...query, groupBy: null, latest: false, values: [], top: null }
  checkConditions(whole)
  const { view } = questionOf(metric.index, info, whole, null, true)
  const answer = await views.ask(query.job, { ...view, sinceChange: [], read: columns }, info)
  if (answer.rows.some((part) => part.truncated)) {
    throw new MillraceError(
      'QUERY_TOO_LARGE',
      `${query.job}/${query.metric} has more than ${maxQueryLimit} numbers in that range: narrow it, or filter`,
    )
  }
  const values = answer.rows.flatMap((part) => valuesOf(part, answer.attempt)).sort(compareValues)
  const marked = markImmature({ info, dimensions: info.dimensions, values })
  return {
    dimensions: kept.map((index) => info.dimensions[index]!),
    rows: addedUp(marked.values, kept, own, new Set(columns.of.map(({ label }) => label))),
    watermarkMs: leastWatermarkMs(answer.rows),
  }
}

/** Indexes of the dimensions that are kept: all but the metric's own where the query names none. */
function keptOf({ info }: ViewMetric, query: ReportQuery, own: number): readonly number[] {
  const others = info.dimensions.flatMap((_, index) => (index === own ? [] : [index]))
  const known = others.map((index) => info.dimensions[index]).join(', ') || 'none'
  const asked = [...(query.groupBy ?? []), ...query.filters.keys(), ...(query.where ?? []).map(({ name }) => name)]
  for (const name of asked) {
    if (others.some((index) => info.dimensions[index] === name)) continue
    const why = name === info.dimensions[own] ? 'is what the report is made of, all of it' : 'is no dimension of it'
    throw new MillraceError('QUERY_INVALID', `${info.job}/${info.metric} by ${name}: that ${why}; others: ${known}`)
  }
  if (query.groupBy === null) return others
  if (new Set(query.groupBy).size < query.groupBy.length) {
    throw new MillraceError('QUERY_INVALID', `a dimension is named twice in the grouping`)
  }
  return query.groupBy.map((name) => info.dimensions.indexOf(name))
}

interface Building {
  place: ReportPlace
  readonly own: Map<string, { of: Map<string, number>; buckets: Map<string, number>; immature: boolean }>
}

function addedUp(
  values: readonly MetricValue[],
  kept: readonly number[],
  own: number,
  columns: ReadonlySet<string>,
): ReportRow[] {
  const rows = new Map<string, Building>()
  for (const value of values) {
    const { windowStartMs, windowEndMs, status, revision, immature = false } = value
    const dimensions = kept.map((index) => value.dimensions[index] ?? '')
    const place = { dimensions, windowStartMs, windowEndMs, status, revision, immature }
    const key = valueKey(place, { kind: 'tumbling' })
    const row = rows.get(key) ?? { place, own: new Map() }
    rows.set(key, row)
    row.place = {
      ...place,
      status: leastSettled(row.place.status, status),
      revision: Math.max(row.place.revision, revision),
      immature: row.place.immature || immature,
    }
    const text = value.dimensions[own] ?? ''
    const numbers = row.own.get(text) ?? { of: new Map(), buckets: new Map(), immature: false }
    row.own.set(text, numbers)
    numbers.immature ||= immature
    for (const { label, value: number } of value.detail?.items ?? []) {
      const into = columns.has(label) ? numbers.of : numbers.buckets
      into.set(label, (into.get(label) ?? 0) + number)
    }
  }
  const order = (row: Building): MetricValue => ({ ...values[0]!, ...row.place })
  return [...rows.values()]
    .sort((a, b) => compareValues(order(a), order(b)))
    .map(({ place, own: texts }) => ({
      ...place,
      own: new Map(
        Array.from(texts, ([text, { of, buckets, immature }]) => [
          text,
          { of, immature, buckets: Array.from(buckets, ([label, value]) => ({ label, value, error: 0 })) },
        ]),
      ),
    }))
}
