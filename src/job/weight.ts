/**
 * Weights in a job definition: whether its metrics can take events back.
 *
 * Owns: which metrics can, and what to do instead. Does not own: what a weight does to state (operator/), reading it from
 * events (runtime/source-subtask). Pure. The rules are those of operator/accumulators `inverts`, said to who writes a job.
 */
import { isInteger } from '../event/schema.ts'
import type { MetricDefinition } from './definition.ts'
import type { EventDefinition } from './event-definition.ts'
import type { EventScope } from './event-scope.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { personKindOf } from './plan-person.ts'

/** Every mistake of sense that a weight makes; `scope` is null where nobody knows the event's fields. */
export function validateWeight(
  event: EventDefinition,
  metrics: readonly MetricDefinition[],
  scope: EventScope | null,
  report: Report,
): void {
  if (event.weight === undefined) return
  const resolved = scope?.resolve(event.weight)
  if (resolved?.ok === false) report(['event', 'weight'], resolved.problem)
  else if (resolved !== undefined && !isInteger(resolved.field.type))
    report(['event', 'weight'], `a weight is an integer, 1 or -1; "${event.weight}" is ${resolved.field.type}`)
  metrics.forEach((metric, i) => {
    const problem = weightProblem(metric, event.key)
    if (problem !== null)
      report(problem.at === '' ? ['metrics', i] : (['metrics', i, problem.at] as DocumentPath), problem.message)
  })
}

interface WeightProblem {
  readonly at: string
  readonly message: string
}

/** Why a metric of a job with weights cannot be; null when it can. */
function weightProblem(metric: MetricDefinition, key: string): WeightProblem | null {
  const { kind, window, trigger, by } = metric
  const cannot = (at: string, what: string, instead: string): WeightProblem => ({
    at,
    message: `${what} cannot take events back, and the job has event.weight: ${instead}`,
  })
  if (kind.kind === 'ratio' || personKindOf(metric, key) !== null) return null
  if (window.time === 'processing')
    return cannot('window', 'a window of processing time', 'it would take them out of another window; use event time')
  if (window.kind === 'session')
    return cannot(
      'window',
      'a session window',
      'use the metric "sessions", which is by person, or leave the weight out',
    )
  if (trigger !== null) return cannot('window', 'a window with a count', 'use a window of time')
  switch (kind.kind) {
    case 'min':
    case 'max':
    case 'first':
    case 'last':
    case 'topK':
      return cannot(kind.kind, kind.kind, 'put it into a job without')
    case 'approxDistinct':
      return cannot(kind.kind, kind.kind, 'use distinct, or put it into a job without')
    case 'distinct':
    case 'activeUsers':
      if ('exactUpTo' in kind)
        return cannot(kind.kind, 'a count of different values that becomes an estimate', 'leave exactUpTo out')
      if (window.kind === 'tumbling') return null
      return cannot('window', `${kind.kind} in windows that overlap`, 'use tumbling, or calendar: day, week or month')
    case 'variance':
    case 'stddev':
      if (by.includes(key)) return null
      return cannot(kind.kind, `${kind.kind} that is not by "${key}"`, 'use sum and avg, or put it into a job without')
    default:
      return null
  }
}
