/** Whether the windows of a metric make sense. */
import type { MetricDefinition, SlidingWindow, TumblingWindow } from './definition.ts'
import { formatDuration } from './duration.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { isTimeZone } from './timezone.ts'

const DAY_MS = 86_400_000

/** Most steps of a sliding or cumulating window: each event would be part of so many results. */
export const WINDOW_STEPS_MAX = 10_000

/** Tells every mistake of `metric.window`, `trigger` and `early`. */
export function validateWindow(metric: MetricDefinition, path: DocumentPath, report: Report): void {
  const { window } = metric
  const at = [...path, 'window']
  if (!isTimeZone(window.timezone))
    report([...at, 'timezone'], `there is no time zone "${window.timezone}"; use an IANA name, as Europe/Berlin`)
  const inZone = window.timezone !== 'UTC' && isTimeZone(window.timezone)
  switch (window.kind) {
    case 'tumbling':
      if (validateLength(window, at, report)) validateOffset(window.offsetMs, window.sizeMs, 'window', at, report)
      if (inZone) validateCalendar(window.sizeMs, [...at, 'tumbling'], report)
      return
    default:
      report([...at, window.kind], `${window.kind} windows are not part of this version`)
  }
}

function validateLength(window: TumblingWindow | SlidingWindow, at: DocumentPath, report: Report): boolean {
  if (window.sizeMs > 0) return true
  report([...at, window.kind], 'must be longer than zero')
  return false
}

function validateOffset(offsetMs: number, belowMs: number, what: string, at: DocumentPath, report: Report): void {
  if (Math.abs(offsetMs) >= belowMs)
    report([...at, 'offset'], `must be shorter than the ${what} (${formatDuration(belowMs)})`)
}

function validateCalendar(ms: number, at: DocumentPath, report: Report): void {
  if (ms > 0 && ms % DAY_MS !== 0 && DAY_MS % ms !== 0)
    report(at, 'in a time zone, a window is whole days or divides a day evenly')
}
