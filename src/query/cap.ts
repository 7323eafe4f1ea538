/**
 * Answers with at most so many groups of a window, and one value for all others. The rules: docs/specs/queries.md.
 *
 * Owns: when an answer is capped, and putting capped parts of subtasks together. Does not own: which groups are shown
 * (operator/view-cap.ts). Pure.
 */
import type { MetricKind } from '../job/definition.ts'
import { compareShown, restValue } from '../operator/view-cap.ts'
import type { GroupCap, RestOf } from '../operator/view-rows.ts'
import type { MetricQuery } from './api.ts'
import type { MetricInfo, MetricValue } from './metric-info.ts'
import { addValues } from './render.ts'

/** How an answer is capped; null for not at all: by the metric's definition, and where not the top is asked for. */
export function capOf(info: MetricInfo, query: MetricQuery): GroupCap | null {
  if (info.maxGroups === undefined || query.top != null) return null
  return { count: info.maxGroups, rest: restOf(info.kind) }
}

/** What the rest of some groups comes to. The same person may be in several, so of persons it is not known. */
function restOf({ kind }: MetricKind): RestOf {
  if (kind === 'count' || kind === 'sum') return 'sum'
  return kind === 'min' || kind === 'max' ? kind : 'none'
}

/** The values of each window, those beyond the cap as one. */
export function capped(values: readonly MetricValue[], { count, rest }: GroupCap): MetricValue[] {
  const windows = Map.groupBy(values, ({ windowStartMs, windowEndMs }) => `${windowStartMs}/${windowEndMs}`)
  return [...windows.values()].flatMap((all) => {
    const groups = all.filter((value) => value.otherGroups === undefined)
    const parts = all.filter((value) => value.otherGroups !== undefined)
    if (groups.length <= count && parts.length === 0) return groups
    groups.sort((a, b) => compareShown(shownBy(a), shownBy(b)))
    // A list, or a text, is of one group.
    const beyond = groups.splice(count).map(({ detail: _, ...value }) => ({
      ...value,
      ...{ dimensions: value.dimensions.map(() => ''), otherGroups: 1 },
      value: rest === 'none' ? Number.NaN : value.value,
    }))
    const [first, ...others] = [...parts, ...beyond]
    return [...groups, others.reduce((sum, value) => together(sum, value, rest), first!)]
  })
}

function shownBy({ eventCount, dimensions }: MetricValue) {
  return { events: eventCount, dimensions }
}

function together(a: MetricValue, b: MetricValue, rest: RestOf): MetricValue {
  return {
    ...a,
    ...addValues(a, b),
    value: restValue(rest, a.value, b.value),
    otherGroups: (a.otherGroups ?? 0) + (b.otherGroups ?? 0),
  }
}
