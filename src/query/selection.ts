/**
 * From a query to the question that each subtask is asked: which part of the work is done where the rows are.
 *
 * Pure. Owns: naming dimensions by index, bounds of conditions, what is added up by whom, and the top of each window over
 * all subtasks. Does not own: putting answers together otherwise (query/render.ts), asking (query/service.ts).
 *
 * Conditions on groups always go to the worker. Totals are added up there too, and again here over subtasks. What
 * concerns a value (conditions, top) goes there as long as a value is one row's; a total's are judged here, once it is
 * whole.
 */
import { MillraceError } from '../core/errors.ts'
import { compareTop } from '../operator/view-collect.ts'
import { valuePasses } from '../operator/view-filter.ts'
import type { DimensionCondition, GroupCap, TopRows, ViewQuery } from '../operator/view-rows.ts'
import { type MetricQuery, maxQueryLimit } from './api.ts'
import type { MetricInfo, MetricValue } from './metric-info.ts'

/** Most conditions of one kind in a query. */
export const conditionsMax = 100

/** Most texts in all conditions of a query together: each row is tested against them. */
export const conditionTextsMax = 1000

/** What to ask of the views for `query`. */
export interface Question {
  /** Without its change numbers. */
  readonly view: Omit<ViewQuery, 'sinceChange'>
  /** Values of the answer are parts of totals: to be added up over subtasks. */
  readonly adds: boolean
}

/**
 * The question for metric number `metric`. `kept` are the dimensions that the answer keeps, null for all. `sums` false
 * asks for every group by itself, as one who follows changes must. `limit` caps the groups of a window.
 */
export function questionOf(
  metric: number,
  info: MetricInfo,
  query: MetricQuery,
  kept: readonly number[] | null,
  sums: boolean,
  limit: GroupCap | null = null,
): Question {
  const adds = kept !== null && !fixesRest(info, query, kept)
  const { values = [], top = null } = query
  const cap = sums && !adds ? limit : null
  return {
    view: {
      metric,
      fromMs: query.fromMs,
      toMs: query.toMs,
      filter: info.dimensions.map((dimension) => query.filters.get(dimension) ?? null),
      rowsMax: maxQueryLimit,
      ...((query.where ?? []).length === 0 ? {} : { conditions: conditionsOf(info, query) }),
      ...(adds || cap !== null || values.length === 0 ? {} : { values }),
      ...(cap === null ? {} : { cap }),
      ...(adds || top === null ? {} : { top }),
      // One more than are wanted, so that it is known that there are more. Other groupings have another order.
      ...(sums && query.latest && (top === null ? kept === null : !adds) ? { newest: query.limit + 1 } : {}),
      ...(adds && sums ? { keep: kept } : {}),
    },
    adds,
  }
}

/** The conditions of a query, dimensions by index. Names are checked by `keptDimensions`. */
function conditionsOf(info: MetricInfo, query: MetricQuery): DimensionCondition[] {
  return (query.where ?? []).map(({ name, ...condition }) => ({
    dimension: info.dimensions.indexOf(name),
    ...condition,
  }))
}

/** True when every dimension that is not kept has one value only: then each value of the answer is one group's. */
export function fixesRest(info: MetricInfo, query: MetricQuery, kept: readonly number[]): boolean {
  const fixed = new Set(query.filters.keys())
  for (const { name, test, texts, not } of query.where ?? []) {
    if (test === 'equals' && !not && texts.length === 1) fixed.add(name)
  }
  return info.dimensions.every((dimension, index) => kept.includes(index) || fixed.has(dimension))
}

/** Refuses conditions that make no sense whatever the metric. QUERY_INVALID, QUERY_TOO_LARGE. */
export function checkConditions(query: MetricQuery): void {
  const { where = [], values = [], top = null } = query
  if (where.length > conditionsMax || values.length > conditionsMax) {
    throw new MillraceError('QUERY_TOO_LARGE', `a query has at most ${conditionsMax} conditions of a kind`)
  }
  for (const { name, texts } of where) {
    if (texts.length === 0) throw new MillraceError('QUERY_INVALID', `the condition on ${name} names no value`)
  }
  if (where.reduce((sum, { texts }) => sum + texts.length, 0) > conditionTextsMax) {
    throw new MillraceError(
      'QUERY_TOO_LARGE',
      `the conditions of a query have at most ${conditionTextsMax} values together`,
    )
  }
  if (values.some(({ than }) => Number.isNaN(than))) {
    throw new MillraceError('QUERY_INVALID', 'a value is compared with what is no number')
  }
  if (top !== null && !(Number.isInteger(top.count) && top.count >= 1 && top.count <= maxQueryLimit)) {
    throw new MillraceError('QUERY_INVALID', `top asks for ${top.count} values; it must be from 1 to ${maxQueryLimit}`)
  }
}

/** The totals that pass the query's conditions on values. */
export function passing(values: readonly MetricValue[], query: MetricQuery): MetricValue[] {
  const conditions = query.values ?? []
  return values.filter(({ value }) => valuePasses(value, conditions))
}

/** The top of each window, of values of several subtasks; in no order. */
export function topOfWindows(values: readonly MetricValue[], top: TopRows): MetricValue[] {
  const windows = new Map<string, MetricValue[]>()
  for (const value of values) {
    const name = `${value.windowStartMs}/${value.windowEndMs}`
    const window = windows.get(name)
    if (window === undefined) windows.set(name, [value])
    else window.push(value)
  }
  return [...windows.values()].flatMap((window) => window.sort((a, b) => compareTop(top, a, b)).slice(0, top.count))
}
