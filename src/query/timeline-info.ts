/** What the timelines of a table about persons are, in words. Pure. */
import type { JobPlan, MetricPlan } from '../job/plan.ts'
import type { MetricInfo } from './metric-info.ts'
import type { TimelineInfo } from './view-port.ts'

/** Of the table of `metric`; null where that is not about persons. */
export function timelineInfo(
  { tables, schema }: JobPlan,
  metric: MetricPlan,
  { kind }: MetricInfo,
): TimelineInfo | null {
  const { person, dimensions, dimensionNames, shares, id } = tables[metric.table]!
  if (person === undefined) return null
  const texts = dimensions.flatMap((column, i) => (column === -2 ? [] : [dimensionNames[i]!]))
  if (person.kind === 'paths') texts.push(schema.columns[person.of]?.field.path ?? '')
  return { name: shares ?? id, conditions: conditionsOf(person.kind, kind), dimensions: texts }
}

/** In the order of the bits of events (metrics/person-function.ts `personPredicates`). */
function conditionsOf(person: string, kind: MetricInfo['kind']): readonly string[] {
  switch (person) {
    case 'funnel':
      if (kind.kind !== 'funnel') return []
      return [
        ...kind.steps.map(({ where }, i) => `step ${i + 1}: ${where}`),
        ...kind.exclude.map(({ where }) => `excluded: ${where}`),
        'any event',
      ]
    case 'retention':
      return ['start', 'return']
    case 'lifetimeValue':
      return ['start', 'money']
    case 'sessions':
      return ['event', 'view', 'interaction']
    default:
      return ['active']
  }
}
