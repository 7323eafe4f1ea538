/**
 * Stickiness in a job: how it is read, what is refused, and what its intervals are.
 *
 * Does not own: what it computes (src/metrics/stickiness.ts). The definition is in docs/metrics.md. Pure.
 */
import type { WindowDefinition } from '../definition.ts'
import { formatDuration } from '../duration.ts'
import type { DocumentPath, MappingReader, Report } from '../parse-reader.ts'
import { type StickinessInterval, type StickinessKind, stickinessIntervals } from './kinds.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const sizesMs = { hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS } as const

/** Most intervals of a window. */
export const INTERVALS_MAX = 400

/** Reads a stickiness. */
export function readStickiness(of: MappingReader): StickinessKind {
  return { kind: 'stickiness', interval: of.choice('interval', stickinessIntervals, 'day') }
}

/** The intervals as windows: of the zone of `window`, and where they are days or hours beginning with it. */
export function intervalWindow(interval: StickinessInterval, window: WindowDefinition): WindowDefinition {
  const { timezone } = window
  const offsetMs = 'offsetMs' in window ? window.offsetMs : 0
  const sizeMs = sizesMs[interval]
  // Day 0 was a Thursday, and weeks begin on Monday; weeks of a length begin as they do.
  const weekMs =
    window.kind === 'tumbling' && window.unit === undefined && window.sizeMs % sizeMs === 0 ? 0 : 4 * DAY_MS
  const shiftMs = interval === 'week' ? offsetMs + weekMs : offsetMs
  return { kind: 'tumbling', sizeMs, offsetMs: shiftMs % sizeMs, timezone, time: 'event' }
}

/** Intervals that a window may touch. */
export function mostIntervals(interval: StickinessInterval, window: WindowDefinition): number {
  const windowMs = 'sizeMs' in window ? window.sizeMs : 0
  const sizeMs = sizesMs[interval]
  // A day may have three hours more; a week may lie in two windows.
  const more = interval === 'hour' ? (window.timezone === 'UTC' ? 0 : 3) : windowMs % sizeMs === 0 ? 0 : 1
  return Math.ceil(windowMs / sizeMs) + (interval === 'day' ? 0 : more)
}

/** Tells what is wrong with a stickiness of windows side by side. */
export function validateStickiness(
  { interval }: StickinessKind,
  window: WindowDefinition,
  path: DocumentPath,
  report: Report,
): void {
  const windowMs = 'sizeMs' in window ? window.sizeMs : 0
  const sizeMs = sizesMs[interval]
  const at = [...path, 'stickiness', 'interval']
  if (windowMs <= sizeMs)
    report(at, `must be shorter than the window, ${formatDuration(windowMs)}: every person would be active on one`)
  else if (interval !== 'week' && windowMs % sizeMs !== 0)
    report(at, `must divide the window, ${formatDuration(windowMs)}, into whole ${interval}s`)
  else if (mostIntervals(interval, window) > INTERVALS_MAX)
    report(at, `must be longer: a window would have more than ${INTERVALS_MAX} of them`)
}
