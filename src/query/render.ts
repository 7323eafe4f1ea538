/**
 * From the rows that subtasks answer to the values that people ask for: status, order, limits, totals.
 *
 * Pure. Owns: how answers of several subtasks become one. Does not own: asking them (query/service.ts), the wire.
 */

import { MillraceError } from '../core/errors.ts'
import type { WindowDefinition } from '../job/definition.ts'
import { ownDimension } from '../job/person-definition.ts'
import { compareTop } from '../operator/view-collect.ts'
import type { TopRows, ViewRows } from '../operator/view-rows.ts'
import type { MetricQuery } from './api.ts'
import type { MetricValue, ValueStatus } from './metric-info.ts'
import { isAdditive, type MetricInfo } from './metric-info.ts'
import { fixesRest } from './selection.ts'

/** How settled a value is, by the times its window has fired. */
export function statusOf(revision: number): ValueStatus {
  if (revision === 0) return 'provisional'
  return revision === 1 ? 'final' : 'corrected'
}

/** The rows of one answer as values, in the subtask's order. */
export function valuesOf(rows: ViewRows, attempt: number): MetricValue[] {
  const values: MetricValue[] = []
  for (let row = 0; row < rows.count; row++) {
    const revision = rows.revision[row] ?? 0
    values.push({
      dimensions: rows.dimensions[row] ?? [],
      windowStartMs: rows.windowStartMs[row] ?? Number.NaN,
      windowEndMs: rows.windowEndMs[row] ?? Number.NaN,
      value: rows.values[row] ?? Number.NaN,
      status: rows.provisional?.[row] === 1 ? 'provisional' : statusOf(revision),
      revision,
      watermarkMs: rows.watermarkMs,
      lateCount: rows.lateCount[row] ?? 0,
      eventCount: rows.events[row] ?? 0,
      attempt,
      ...((rows.otherGroups?.[row] ?? 0) === 0 ? {} : { otherGroups: rows.otherGroups![row]! }),
      ...(rows.details?.[row] == null ? {} : { detail: rows.details[row] }),
    })
  }
  return values
}

/** Up to when the input of all who answered is complete; -Infinity where nobody has. */
export function leastWatermarkMs(rows: readonly Pick<ViewRows, 'watermarkMs'>[]): number {
  return rows.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...rows.map(({ watermarkMs }) => watermarkMs))
}

/** What names one value of a metric: its window and its group. A session grows, and so is known by its start. */
export function valueKey(
  value: Pick<MetricValue, 'windowStartMs' | 'windowEndMs' | 'dimensions' | 'otherGroups'>,
  { kind }: { readonly kind: WindowDefinition['kind'] },
): string {
  const endMs = kind === 'cumulate' ? value.windowEndMs : 0
  // The rest of some groups is not the group that has no texts.
  const rest = value.otherGroups === undefined ? [] : [null]
  return JSON.stringify([value.windowStartMs, endMs, ...value.dimensions, ...rest])
}

/** By window, then by dimension texts in code-unit order; what is left beside them last. */
export function compareValues(a: MetricValue, b: MetricValue): number {
  if (a.windowStartMs !== b.windowStartMs) return a.windowStartMs - b.windowStartMs
  if (a.windowEndMs !== b.windowEndMs) return a.windowEndMs - b.windowEndMs
  if ((a.otherGroups === undefined) !== (b.otherGroups === undefined)) return a.otherGroups === undefined ? -1 : 1
  for (let index = 0; index < a.dimensions.length; index++) {
    const left = a.dimensions[index] ?? ''
    const right = b.dimensions[index] ?? ''
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/**
 * Checks a query against its metric and says which dimensions the answer keeps, as indexes into the metric's. Null when
 * it keeps all in their own order. QUERY_INVALID for names that are no dimension, for names given twice, and for
 * totals of a metric whose groups do not add up.
 */
export function keptDimensions(info: MetricInfo, query: MetricQuery): readonly number[] | null {
  const known = info.dimensions.length === 0 ? 'it has none' : `it has ${info.dimensions.join(', ')}`
  const name = `${info.job}/${info.metric}`
  for (const filter of [...query.filters.keys(), ...(query.where ?? []).map((condition) => condition.name)]) {
    if (!info.dimensions.includes(filter)) {
      throw new MillraceError('QUERY_INVALID', `metric ${name} has no dimension ${filter} to filter by: ${known}`)
    }
  }
  if (query.groupBy === null) return null
  const kept: number[] = []
  for (const dimension of query.groupBy) {
    const index = info.dimensions.indexOf(dimension)
    if (index < 0) {
      throw new MillraceError('QUERY_INVALID', `metric ${name} has no dimension ${dimension} to group by: ${known}`)
    }
    if (kept.includes(index)) {
      throw new MillraceError('QUERY_INVALID', `dimension ${dimension} is named twice in the grouping`)
    }
    kept.push(index)
  }
  if (!fixesRest(info, query, kept) && !isAdditive(info) && !addsUp(info, query, kept)) {
    throw new MillraceError(
      'QUERY_INVALID',
      `values of ${name} (${info.kind.kind}) do not add up over ${info.dimensions.join(', ')}: the same person or ` +
        'extreme may be in several groups. Group by all of its dimensions, or define a metric with fewer in the job.',
    )
  }
  if (kept.length === info.dimensions.length && kept.every((dimension, index) => dimension === index)) return null
  return kept
}

/** A person counts in one group of a funnel's step, and of a cohort: groups add up, steps and periods do not. So do sessions. */
function addsUp(info: MetricInfo, query: MetricQuery, kept: readonly number[]): boolean {
  const { kind, dimensions } = info
  if (kind.kind === 'sessions') return kind.measure === 'count'
  if ((kind.kind !== 'funnel' && kind.kind !== 'retention') || kind.measure !== 'persons') return false
  const own = ownDimension(kind)
  const rest = dimensions.flatMap((name, index) => (name === own ? [] : [index]))
  return fixesRest(info, query, [...kept, ...rest])
}

/** Adds up values of one metric whose kept dimensions and window are the same. Order of the answer is not defined. */
export function rollUp(
  values: readonly MetricValue[],
  kept: readonly number[],
  window: { readonly kind: WindowDefinition['kind'] } = { kind: 'cumulate' },
): MetricValue[] {
  const groups = new Map<string, MetricValue>()
  for (const value of values) {
    const projected = { ...value, dimensions: kept.map((index) => value.dimensions[index] ?? '') }
    const key = valueKey(projected, window)
    const sum = groups.get(key)
    groups.set(key, sum === undefined ? projected : addValues(sum, projected))
  }
  return [...groups.values()]
}

/** Two values of one window and group as one. */
export function addValues(a: MetricValue, b: MetricValue): MetricValue {
  return {
    dimensions: a.dimensions,
    windowStartMs: a.windowStartMs,
    windowEndMs: a.windowEndMs,
    value: a.value + b.value,
    status: leastSettled(a.status, b.status),
    revision: Math.max(a.revision, b.revision),
    watermarkMs: Math.min(a.watermarkMs, b.watermarkMs),
    lateCount: a.lateCount + b.lateCount,
    eventCount: a.eventCount + b.eventCount,
    attempt: Math.max(a.attempt, b.attempt),
  }
}

/** The status of two values together. */
export function leastSettled(a: ValueStatus, b: ValueStatus): ValueStatus {
  if (a === 'provisional' || b === 'provisional') return 'provisional'
  return a === 'corrected' || b === 'corrected' ? 'corrected' : 'final'
}

/** By window, then as a top list is. */
function compareInTop(top: TopRows): (a: MetricValue, b: MetricValue) => number {
  return (a, b) => a.windowStartMs - b.windowStartMs || a.windowEndMs - b.windowEndMs || compareTop(top, a, b)
}

/** Sorts and cuts to the limit: the newest windows are kept (`latest`), or QUERY_TOO_LARGE. */
export function limitValues(
  values: MetricValue[],
  query: MetricQuery,
): { readonly values: readonly MetricValue[]; readonly truncated: boolean } {
  values.sort(query.top == null ? compareValues : compareInTop(query.top))
  if (values.length <= query.limit) return { values, truncated: false }
  if (query.latest) return { values: values.slice(values.length - query.limit), truncated: true }
  throw new MillraceError(
    'QUERY_TOO_LARGE',
    `the answer has ${values.length} values, more than the limit of ${query.limit}: ` +
      'narrow the range or the filters, or ask for the latest only',
  )
}
