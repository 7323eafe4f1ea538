/** The metrics of a job document: their kinds and what belongs to each. Windows: job/parse-window.ts. */
import { jobDefaults as defaults } from './defaults.ts'
import type { MetricDefinition, MetricKind } from './definition.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import { readTrigger, readWindow } from './parse-window.ts'

const metricKinds = ['count', 'sum', 'min', 'max', 'avg', 'distinct', 'activeUsers'] as const

/** Reads one metric. */
export function readMetric(reader: MappingReader): MetricDefinition {
  const id = reader.text('id')
  const description = reader.text('description', '')
  const kind = reader.only(metricKinds, 'kind of metric')
  let metric: MetricKind = { kind: 'count' }
  if (kind === 'count' || kind === 'activeUsers') {
    reader.mapping(kind, true).finish()
    metric = { kind }
  } else if (kind !== undefined) {
    const of = reader.mapping(kind)
    metric = { kind, field: of.text('field') }
    of.finish()
  } else {
    for (const known of metricKinds) reader.has(known)
  }
  const by = reader.list('by').map((path, i) => {
    if (typeof path === 'string' && path !== '') return path
    reader.problems.push({
      path: [...reader.path, 'by', i],
      message: `must be the path of a field, not ${describe(path)}`,
    })
    return ''
  })
  const definition: MetricDefinition = {
    id,
    description,
    kind: metric,
    where: reader.text('where', '').trim() === '' ? null : reader.text('where', ''),
    by,
    window: readWindow(reader),
    trigger: readTrigger(reader),
    earlyMs: reader.duration('early', 0),
    allowedLatenessMs: reader.duration('allowedLateness', defaults.metric.allowedLatenessMs),
    retainMs: reader.duration('retain', defaults.metric.retainMs, 1),
  }
  reader.finish()
  return definition
}
