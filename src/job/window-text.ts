/** Windows in words: for people, and as part of the name of the state that they have. */
import type { TriggerDefinition, WindowDefinition } from './definition.ts'
import { formatDuration } from './duration.ts'

/** Length of a window, ms; 0 where windows have no length of their own (session, global). */
export function windowSizeMs(window: WindowDefinition): number {
  return 'sizeMs' in window ? window.sizeMs : 0
}

/** What a kind has beside its length: the slide, the step or the gap, ms; 0 for none. */
export function windowStepMs(window: WindowDefinition): number {
  switch (window.kind) {
    case 'sliding':
      return window.slideMs
    case 'cumulate':
      return window.stepMs
    case 'session':
      return window.gapMs
    default:
      return 0
  }
}

/** Shift of the boundaries, ms; 0 where there are none to shift. */
export function windowOffsetMs(window: WindowDefinition): number {
  return 'offsetMs' in window ? window.offsetMs : 0
}

/** A window for people: `1h`, `1d Europe/Berlin`, `1h +15m`, `1m every 5s`, `up to 1d by 1h`, `session 30m`, `global`. */
export function describeWindow(window: WindowDefinition): string {
  const offsetMs = windowOffsetMs(window)
  const offset = offsetMs === 0 ? '' : ` ${offsetMs < 0 ? '-' : '+'}${formatDuration(Math.abs(offsetMs))}`
  const zone = window.timezone === 'UTC' ? '' : ` ${window.timezone}`
  const clock = window.time === 'processing' ? ' processing time' : ''
  return `${describeKind(window)}${offset}${zone}${clock}`
}

function describeKind(window: WindowDefinition): string {
  switch (window.kind) {
    case 'tumbling':
      return window.unit ?? formatDuration(window.sizeMs)
    case 'sliding':
      return `${formatDuration(window.sizeMs)} every ${formatDuration(window.slideMs)}`
    case 'cumulate':
      return `up to ${formatDuration(window.sizeMs)} by ${formatDuration(window.stepMs)}`
    case 'session':
      return `session ${formatDuration(window.gapMs)}`
    case 'global':
      return 'global'
  }
}

/** The part of a table's id that its windows make. It names state: what it gives for a window must not change. */
export function windowId(window: WindowDefinition): string {
  const stepMs = windowStepMs(window)
  const offsetMs = windowOffsetMs(window)
  const unit = window.kind === 'tumbling' ? window.unit : undefined
  const sizes = unit === undefined ? [windowSizeMs(window), stepMs].filter((ms) => ms > 0).map(formatDuration) : [unit]
  const offset = offsetMs === 0 ? '' : `${offsetMs > 0 ? '+' : '-'}${formatDuration(Math.abs(offsetMs))}`
  const clock = window.time === 'processing' ? '|processing' : ''
  return `${[window.kind, ...sizes].join(':')}${offset}@${window.timezone}${clock}`
}

/** The part of a table's id that its trigger and early results make; empty for none. */
export function triggerId(trigger: TriggerDefinition | null, earlyMs: number): string {
  const parts: string[] = []
  if (trigger !== null) parts.push(`|count=${trigger.count}${trigger.purge ? 'purge' : ''}`)
  if (earlyMs > 0) parts.push(`|early=${formatDuration(earlyMs)}`)
  return parts.join('')
}
