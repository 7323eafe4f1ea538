/** Whether metrics about persons make sense. */
import type { MetricDefinition } from './definition.ts'
import { formatDuration } from './duration.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { validateLifetimeValue } from './person/lifetime-value.ts'
import { validatePaths } from './person/paths.ts'
import { validateRetention } from './person/retention.ts'
import { validateSessions } from './person/sessions.ts'
import { validateStickiness } from './person/stickiness.ts'
import { type FunnelKind, isPersonKind, ownDimensions, personName } from './person-definition.ts'

/** Tells every mistake of a metric about persons but those of its conditions. `key` is the path of the event's key. */
export function validatePerson(metric: MetricDefinition, key: string, path: DocumentPath, report: Report): void {
  const { kind, window, by } = metric
  if (!isPersonKind(kind)) return
  const what = personName(kind)
  if (window.kind !== 'tumbling')
    report([...path, 'window'], `${what} has windows side by side: use tumbling, or calendar: day, week or month`)
  if (window.time === 'processing') report([...path, 'window', 'time'], `${what} is of event time: leave it out`)
  if (metric.maxGroups !== undefined && ownDimensions(kind).length > 0)
    report([...path, 'maxGroups'], `${what} has groups of its own in each group, so they have no rest: leave it out`)
  by.forEach((dimension, i) => {
    const at = [...path, 'by', i]
    if (dimension === key) report(at, `${what} counts persons: it cannot be by "${key}", which is the person`)
    else if (ownDimensions(kind).includes(dimension))
      report(at, `"${dimension}" is a dimension that ${what} makes itself`)
  })
  if (kind.kind === 'funnel') {
    validateFunnel(kind, [...path, 'funnel'], report)
    const settledMs = kind.withinMs + metric.allowedLatenessMs
    if (metric.retainMs <= settledMs)
      report(
        [...path, 'retain'],
        `must be longer than ${formatDuration(settledMs)}, "within" and the lateness: values would be gone when they are final`,
      )
  } else if (kind.kind === 'retention') validateRetention(kind, metric, path, report)
  else if (kind.kind === 'lifetimeValue') validateLifetimeValue(kind, metric, path, report)
  else if (kind.kind === 'sessions') validateSessions(kind, metric, path, report)
  else if (kind.kind === 'paths') validatePaths(kind, metric, key, path, report)
  else if (kind.kind === 'stickiness') validateStickiness(kind, window, path, report)
  else if (window.kind === 'tumbling' && kind.lookbackMs < window.sizeMs)
    report(
      [...path, 'lifecycle', 'lookback'],
      `must be as long as a period at least, ${formatDuration(window.sizeMs)}: else nobody would resurrect`,
    )
}

function validateFunnel(kind: FunnelKind, path: DocumentPath, report: Report): void {
  const { steps, exclude, attribution, attributionStep } = kind
  exclude.forEach(({ from, to }, i) => {
    if (to > steps.length) report([...path, 'exclude', i, 'to'], `there is no step ${to}: there are ${steps.length}`)
    else if (from >= to) report([...path, 'exclude', i, 'from'], `must be a step before ${to}`)
  })
  const at = [...path, 'attributionStep']
  if (attribution !== 'step') {
    if (attributionStep !== 0) report(at, 'says which step, with attribution: step')
  } else if (attributionStep === 0) report(at, `is missing: which step, 1 to ${steps.length}`)
  else if (attributionStep > steps.length) report(at, `there is no step ${attributionStep}: there are ${steps.length}`)
}
