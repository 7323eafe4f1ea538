/** The windows and triggers of a job document. */
import { jobDefaults as defaults } from './defaults.ts'
import type { TriggerDefinition, WindowDefinition } from './definition.ts'
import type { MappingReader } from './parse-reader.ts'

const windowKinds = ['tumbling', 'calendar', 'sliding', 'cumulate', 'session', 'global'] as const

const DAY_MS = 86_400_000

/** Calendar periods as windows: day 0 was a Thursday, and weeks begin on Monday. */
const periods = {
  day: { sizeMs: DAY_MS, offsetMs: 0 },
  week: { sizeMs: 7 * DAY_MS, offsetMs: 4 * DAY_MS },
  month: { sizeMs: 31 * DAY_MS, offsetMs: 0, unit: 'month' },
} as const

/** Reads `window` of a metric; a tumbling window of 1 ms stands in for one that cannot be read. */
export function readWindow(metric: MappingReader): WindowDefinition {
  const missing: WindowDefinition = { kind: 'tumbling', sizeMs: 1, offsetMs: 0, timezone: 'UTC', time: 'event' }
  if (!metric.has('window')) {
    metric.problem('window', 'is missing, as window: { tumbling: 1m }')
    return missing
  }
  const reader = metric.mapping('window')
  const kind = reader.only(windowKinds, 'kind of window')
  const timezone = reader.text('timezone', defaults.metric.timezone)
  const time = reader.choice('time', ['event', 'processing'], 'event')
  if (kind === undefined) return missing
  let window: WindowDefinition
  if (kind === 'global') {
    reader.mapping(kind, true).finish()
    window = { kind, timezone, time }
  } else if (kind === 'calendar') {
    if (!reader.has(kind) || reader.raw(kind) === '') reader.problem(kind, 'must be day, week or month')
    const period = reader.choice(kind, ['day', 'week', 'month'], 'day')
    window = { kind: 'tumbling', ...periods[period], timezone, time }
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
