/** The metrics of a job document: their kinds and what belongs to each. Windows: job/parse-window.ts. */
import { jobDefaults as defaults } from './defaults.ts'
import type { MetricDefinition, MetricKind } from './definition.ts'
import { readFunnel, readLifecycle } from './parse-person.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import { readTrigger, readWindow } from './parse-window.ts'
import { readRetention } from './person/retention.ts'
import { readStickiness } from './person/stickiness.ts'
import { BOUNDS_MAX, DD_ERROR_MAX, DD_ERROR_MIN, HLL_PRECISION_MAX, hllError, TOP_MAX } from './sketch-limits.ts'

const metricKinds = [
  'count',
  'sum',
  'min',
  'max',
  'avg',
  'distinct',
  'activeUsers',
  'approxDistinct',
  'quantile',
  'topK',
  'first',
  'last',
  'variance',
  'stddev',
  'histogram',
  'funnel',
  'lifecycle',
  'retention',
  'stickiness',
] as const

/** Kinds of which everything has a default. */
const bareKinds: ReadonlySet<string> = new Set([
  'count',
  'activeUsers',
  'approxDistinct',
  'lifecycle',
  'retention',
  'stickiness',
])

/** Reads one metric. */
export function readMetric(reader: MappingReader): MetricDefinition {
  const id = reader.text('id')
  const description = reader.text('description', '')
  const kind = reader.only(metricKinds, 'kind of metric')
  let metric: MetricKind = { kind: 'count' }
  if (kind !== undefined) {
    const of = reader.mapping(kind, bareKinds.has(kind))
    metric = readKind(kind, of)
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

function readKind(kind: (typeof metricKinds)[number], of: MappingReader): MetricKind {
  switch (kind) {
    case 'count':
    case 'activeUsers':
      return { kind }
    case 'approxDistinct': {
      const error = of.number('error', defaults.metric.distinctError, hllError(HLL_PRECISION_MAX), 1, true)
      return { kind, field: of.text('field', ''), error }
    }
    case 'quantile': {
      const field = of.text('field')
      if (!of.has('q')) of.problem('q', 'is missing: which quantile, as 0.5 for the median or 0.95')
      const q = of.number('q', 0.5, 0, 1, true)
      return {
        kind,
        field,
        q,
        error: of.number('error', defaults.metric.quantileError, DD_ERROR_MIN, DD_ERROR_MAX, true),
      }
    }
    case 'topK': {
      const field = of.text('field')
      if (!of.has('k')) of.problem('k', `is missing: how many, 1 to ${TOP_MAX}`)
      return { kind, field, k: of.number('k', 10, 1, TOP_MAX) }
    }
    case 'variance':
    case 'stddev':
      return { kind, field: of.text('field'), sample: of.flag('sample', false) }
    case 'funnel':
      return readFunnel(of)
    case 'lifecycle':
      return readLifecycle(of)
    case 'retention':
      return readRetention(of)
    case 'stickiness':
      return readStickiness(of)
    case 'histogram':
      return { kind, field: of.text('field'), bounds: readBounds(of) }
    default:
      return { kind, field: of.text('field') }
  }
}

function readBounds(of: MappingReader): number[] {
  const bounds = of.list('bounds').slice(0, BOUNDS_MAX + 1)
  if (bounds.length === 0) of.problem('bounds', 'is missing: where buckets begin, as [10, 100, 1000]')
  if (bounds.length > BOUNDS_MAX) of.problem('bounds', `has more than ${BOUNDS_MAX} bounds`)
  return bounds.slice(0, BOUNDS_MAX).map((bound, i) => {
    const before = bounds[i - 1]
    if (typeof bound === 'number' && Number.isFinite(bound)) {
      if (typeof before !== 'number' || before < bound) return bound
      of.problems.push({ path: [...of.path, 'bounds', i], message: `must be greater than the bound before, ${before}` })
    } else {
      of.problems.push({ path: [...of.path, 'bounds', i], message: `must be a number, not ${describe(bound)}` })
    }
    return 0
  })
}
