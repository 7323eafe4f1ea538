/** The metrics of a job document: their kinds and what belongs to each. Windows: job/parse-window.ts. */
import { jobDefaults as defaults } from './defaults.ts'
import type { MetricDefinition, MetricKind, OfDistinct, WindowDefinition } from './definition.ts'
import { readMoney } from './parse-money.ts'
import { readFunnel, readLifecycle } from './parse-person.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import { readTrigger, readWindow } from './parse-window.ts'
import { readLifetimeValue } from './person/lifetime-value.ts'
import { readPaths } from './person/paths.ts'
import { readRetention } from './person/retention.ts'
import { readSessions } from './person/sessions.ts'
import { readStickiness } from './person/stickiness.ts'
import { activeSpans, type ChosenPreset, type JobWideDefaults, presetFor, presetsOf, readPreset } from './presets.ts'
import { ratioDefinition, readRatio } from './ratio.ts'
import {
  BOUNDS_MAX,
  DD_ERROR_MAX,
  DD_ERROR_MIN,
  EXACT_MAX,
  HLL_PRECISION_MAX,
  hllError,
  TOP_MAX,
} from './sketch-limits.ts'

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
  'ratio',
  'lifetimeValue',
  'sessions',
  'paths',
] as const

/** Kinds of which everything has a default. */
const bareKinds: ReadonlySet<string> = new Set([
  'count',
  'activeUsers',
  'approxDistinct',
  'lifecycle',
  'retention',
  'stickiness',
  'sessions',
])

/** Most groups of a window that an answer may be capped at. */
const GROUPS_MAX = 10_000

/** Reads one metric; `job` is what its job says for all of them. */
export function readMetric(reader: MappingReader, job: JobWideDefaults): MetricDefinition {
  const id = reader.text('id')
  const description = reader.text('description', '')
  const kind = reader.only(metricKinds, 'kind of metric')
  const preset = choosePreset(reader, job, kind)
  let metric: MetricKind = { kind: 'count' }
  let windows: WindowDefinition | string | undefined
  if (kind !== undefined) {
    const of = reader.mapping(kind, bareKinds.has(kind))
    if (kind === 'activeUsers') windows = readSpan(of, preset, job.timezone)
    metric = readKind(kind, of, preset)
    of.finish()
  } else {
    for (const known of metricKinds) reader.has(known)
  }
  if (metric.kind === 'ratio') {
    reader.finish()
    return ratioDefinition(id, description, metric)
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
    ...(reader.has('maxGroups') ? { maxGroups: reader.number('maxGroups', 1, 1, GROUPS_MAX) } : {}),
    ...(preset === null || kind === undefined || !presetsOf(kind).includes(preset.name) ? {} : { preset: preset.name }),
    window: readWindow(reader, job.timezone, windows),
    trigger: readTrigger(reader),
    earlyMs: reader.duration('early', 0),
    allowedLatenessMs: reader.duration('allowedLateness', defaults.metric.allowedLatenessMs),
    retainMs: reader.duration('retain', defaults.metric.retainMs, 1),
  }
  reader.finish()
  return definition
}

/** The preset of a metric: its own, or the job's. */
function choosePreset(reader: MappingReader, job: JobWideDefaults, kind: string | undefined): ChosenPreset | null {
  const own = readPreset(reader)
  const name = own ?? job.preset
  if (own === null || kind === undefined) return name === null ? null : { name, own: false }
  const able = presetsOf(kind)
  if (!able.includes(own))
    reader.problem(
      'preset',
      `${own} has no definition of ${kind} here${able.length === 0 ? ', nor has another' : `: ${able.join(', ')} have`}`,
    )
  return { name: own, own: true }
}

/** The windows that a preset gives to active users `over` a span; or why a window must be written. */
function readSpan(of: MappingReader, preset: ChosenPreset | null, timezone: string): WindowDefinition | string {
  const example = 'window: { calendar: day }, or preset: posthog with activeUsers: { over: month }'
  const value = of.raw('over')
  if (value === undefined || value === '') return `needs windows: ${example}`
  const span = of.choice('over', activeSpans, 'day')
  if (preset === null) return `needs windows, or a preset that says which "over: ${span}" means: ${example}`
  const window = presetFor(preset, 'activeUsers')?.[span]
  if (window === undefined) return `needs windows: ${preset.name} has no definition of active users over "${span}" here`
  const rest = { timezone, time: 'event' } as const
  return 'slideMs' in window ? { kind: 'sliding', ...window, ...rest } : { kind: 'tumbling', ...window, ...rest }
}

function readKind(kind: (typeof metricKinds)[number], of: MappingReader, preset: ChosenPreset | null): MetricKind {
  switch (kind) {
    case 'count':
      return { kind }
    case 'activeUsers':
      return { kind, ...readExactness(of) }
    case 'approxDistinct': {
      const error = of.number('error', defaults.metric.distinctError, hllError(HLL_PRECISION_MAX), 1, true)
      return { kind, field: of.text('field', ''), error, ...readExactUpTo(of) }
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
        ...readMoney(of),
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
      return readFunnel(of, presetFor(preset, 'funnel'))
    case 'lifecycle':
      return readLifecycle(of)
    case 'retention':
      return readRetention(of)
    case 'lifetimeValue':
      return readLifetimeValue(of)
    case 'stickiness':
      return readStickiness(of)
    case 'sessions':
      return readSessions(of, presetFor(preset, 'sessions'))
    case 'paths':
      return readPaths(of)
    case 'ratio':
      return readRatio(of)
    case 'sum':
    case 'min':
    case 'max':
    case 'avg':
      return { kind, field: of.text('field'), ...readMoney(of) }
    case 'histogram':
      return { kind, field: of.text('field'), bounds: readBounds(of) }
    default:
      return { kind, field: of.text('field') }
  }
}

/** Up to which number persons are counted exactly, and the error beyond; nothing where they always are. */
function readExactness(of: MappingReader): OfDistinct & { readonly error?: number } {
  const error = of.number('error', defaults.metric.distinctError, hllError(HLL_PRECISION_MAX), 1, true)
  const exact = readExactUpTo(of)
  if (exact.exactUpTo !== undefined) return { ...exact, error }
  if (of.has('error')) of.problem('error', 'is that of what is beyond exactUpTo: without it every number is exact')
  return {}
}

function readExactUpTo(of: MappingReader): OfDistinct {
  const exactUpTo = of.number('exactUpTo', 0, 1, EXACT_MAX)
  return exactUpTo === 0 ? {} : { exactUpTo }
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
