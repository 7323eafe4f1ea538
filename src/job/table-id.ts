/**
 * The names of tables: made of dimensions, windows and what else makes two metrics share one.
 *
 * Stable across edits of other metrics. Names of tables name state in snapshots: they are never made otherwise. Pure.
 */
import { hashBytes } from '../core/hash.ts'
import type { MetricDefinition } from './definition.ts'
import { formatDuration } from './duration.ts'
import { personId, personKindOf } from './plan-person.ts'
import { triggerId, windowId } from './window-text.ts'

/** A trigger counts the events that a metric wants: metrics of different conditions cannot share a table then. */
function countedId({ trigger, where }: MetricDefinition): string {
  if (trigger === null || where === null) return ''
  const bytes = new TextEncoder().encode(where)
  return `|where=${hashBytes(bytes, 0, bytes.length, 1).toString(16).padStart(8, '0')}`
}

/** Names a table by what makes it: it stays when other metrics come and go. `key` is the path of the events' key. */
export function tableId(metric: MetricDefinition, key = ''): string {
  const { by, where } = metric
  const kind = personKindOf(metric, key)
  return [
    `${dimensionsId(by)}${kind === null ? '' : personId(kind, where)}`,
    `${windowId(metric.window)}${triggerId(metric.trigger, metric.earlyMs)}${countedId(metric)}`,
    `late=${formatDuration(metric.allowedLatenessMs)}`,
    `retain=${formatDuration(metric.retainMs)}`,
  ].join('|')
}

/** Keys of maps may hold any character: no two lists of dimensions have one name, nor has a field called `total` that of none. */
function dimensionsId(by: readonly string[]): string {
  if (by.length === 0) return 'total'
  const id = by.map((path) => path.replace(/[\\+|]/g, '\\$&')).join('+')
  return id === 'total' ? '\\total' : id
}
