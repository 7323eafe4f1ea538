/** The windows and triggers of a job document. */
import { jobDefaults as defaults } from './defaults.ts'
import type { TriggerDefinition, WindowDefinition } from './definition.ts'
import type { MappingReader } from './parse-reader.ts'
import { calendarPeriods } from './presets.ts'

const windowKinds = ['tumbling', 'calendar', 'sliding', 'cumulate', 'session', 'global'] as const

/**
 * Reads `window` of a metric; a tumbling window of 1 ms stands in for one that cannot be read. `zone` is that of windows
 * that name none; `fallback`, the windows of a metric that has no `window`, or why it needs one.
 */
export function readWindow(
  metric: MappingReader,
  zone: string = defaults.metric.timezone,
  fallback: WindowDefinition | string = 'is missing, as window: { tumbling: 1m }',
): WindowDefinition {
  const missing: WindowDefinition = { kind: 'tumbling', sizeMs: 1, offsetMs: 0, timezone: 'UTC', time: 'event' }
  if (!metric.has('window')) {
    if (typeof fallback !== 'string') return fallback
    metric.problem('window', fallback)
    return missing
  }
  const reader = metric.mapping('window')
  const kind = reader.only(windowKinds, 'kind of window')
  const timezone = reader.text('timezone', kind === 'global' ? defaults.metric.timezone : zone)
  const time = reader.choice('time', ['event', 'processing'], 'event')
  if (kind === undefined) return missing
  let window: WindowDefinition
  if (kind === 'global') {
    reader.mapping(kind, true).finish()
    window = { kind, timezone, time }
  } else if (kind === 'calendar') {
    if (!reader.has(kind) || reader.raw(kind) === '') reader.problem(kind, 'must be day, week or month')
    const period = reader.choice(kind, ['day', 'week', 'month'], 'day')
    window = { kind: 'tumbling', ...calendarPeriods[period], timezone, time }
  } else if (kind === 'session') {
    window = { kind, gapMs: reader.duration(kind, undefined, 1), timezone, time }
  } else {
    const sizeMs = reader.duration(kind, undefined, 1)
    const calendar = { offsetMs: reader.duration('offset', 0, Number.NEGATIVE_INFINITY), timezone, time }
    if (kind === 'sliding') window = { kind, sizeMs, slideMs: reader.duration('slide', undefined, 1), ...calendar }
    else if (kind === 'cumulate') window = { kind, sizeMs, stepMs: reader.duration('step', undefined, 1), ...calendar }
    else window = { kind, sizeMs, ...calendar }
  }
  reader.finish()
  return window
}

/** Reads `trigger` of a metric. */
export function readTrigger(metric: MappingReader): TriggerDefinition | null {
  if (!metric.has('trigger') || metric.raw('trigger') === null) return null
  const reader = metric.mapping('trigger')
  if (!reader.has('count')) reader.problem('count', 'is missing, as trigger: { count: 100 }')
  const trigger = { count: reader.number('count', 1, 1, Number.MAX_SAFE_INTEGER), purge: reader.flag('purge', false) }
  reader.finish()
  return trigger
}
