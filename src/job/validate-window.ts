/** Whether the windows of a metric make sense. */
import { greatestDivisor } from '../core/numbers.ts'
import type { CumulateWindow, MetricDefinition, SlidingWindow, TumblingWindow } from './definition.ts'
import { formatDuration } from './duration.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { isTimeZone } from './timezone.ts'

const DAY_MS = 86_400_000

/** Most windows of an event, and most panes of a window. */
export const WINDOW_STEPS_MAX = 10_000

/** Shortest cadence of early results. */
const EARLY_MS_MIN = 100

/** Shortest pane of processing time: subtasks look at the clock about this often. */
const CLOCK_PANE_MS_MIN = 10

/** Tells every mistake of `metric.window`, `trigger` and `early`. `key` is the path of the event's key. */
export function validateWindow(metric: MetricDefinition, key: string, path: DocumentPath, report: Report): void {
  const { window } = metric
  const at = [...path, 'window']
  if (!isTimeZone(window.timezone))
    report([...at, 'timezone'], `there is no time zone "${window.timezone}"; use an IANA name, as Europe/Berlin`)
  const inZone = window.timezone !== 'UTC' && isTimeZone(window.timezone)
  switch (window.kind) {
    case 'tumbling':
      if (validateLength(window, at, report)) validateOffset(window.offsetMs, window.sizeMs, 'window', at, report)
      if (inZone) validateCalendar(window.sizeMs, [...at, 'tumbling'], report)
      validateClock(metric, window.sizeMs, path, report)
      break
    case 'sliding':
      if (validateLength(window, at, report)) validateSliding(window, inZone, at, report)
      validateClock(metric, greatestDivisor(window.sizeMs, window.slideMs), path, report)
      break
    case 'cumulate':
      if (validateLength(window, at, report)) validateCumulate(window, inZone, at, report)
      validateClock(metric, window.stepMs, path, report)
      break
    case 'session':
      validateSession(metric, key, path, report)
      break
    case 'global':
      validateGlobal(metric, key, path, report)
  }
  if (metric.maxGroups !== undefined && metric.by.length === 0)
    report([...path, 'maxGroups'], 'is about groups, of which there is one without dimensions: add some by `by`')
  if (metric.trigger !== null && window.kind !== 'global')
    report([...path, 'trigger'], 'only global windows have a trigger: others give results by time, or early ones')
  if (metric.earlyMs !== 0 && metric.earlyMs < EARLY_MS_MIN)
    report([...path, 'early'], `must be at least ${formatDuration(EARLY_MS_MIN)}, or 0 for no early results`)
}

function validateSession(metric: MetricDefinition, key: string, path: DocumentPath, report: Report): void {
  const at = [...path, 'window']
  if (!metric.by.includes(key))
    report(
      [...path, 'by'],
      `sessions are of one key: add it to the dimensions, as by: [${[key, ...metric.by].join(', ')}]`,
    )
  if (metric.window.time === 'processing')
    report([...at, 'time'], 'sessions are of event time: processing time is not part of this version')
  if (metric.earlyMs > 0)
    report([...path, 'early'], 'sessions have no early results in this version; queries show open sessions at any time')
}

function validateGlobal(metric: MetricDefinition, key: string, path: DocumentPath, report: Report): void {
  const { window, trigger } = metric
  const at = [...path, 'window']
  if (window.time === 'processing') report([...at, 'time'], 'a global window has no time: leave it out')
  if (window.timezone !== 'UTC') report([...at, 'timezone'], 'a global window has no boundaries: leave it out')
  if (metric.allowedLatenessMs > 0)
    report([...path, 'allowedLateness'], 'has no meaning in a global window, for which nothing is late: leave it out')
  if (trigger === null) return
  if (!metric.by.includes(key))
    report(
      [...path, 'by'],
      `a trigger counts the events of one key: add it to the dimensions, as by: [${[key, ...metric.by].join(', ')}]`,
    )
  if (metric.earlyMs > 0) report([...path, 'early'], 'a trigger says when there are results: leave out one of the two')
  const { kind } = metric
  const isExact = kind.kind === 'distinct' || (kind.kind === 'activeUsers' && kind.exactUpTo === undefined)
  if (trigger.purge && isExact)
    report(
      [...path, 'trigger', 'purge'],
      'exact distincts are not purged in this version: use approxDistinct, or purge: false',
    )
}

function validateSliding(window: SlidingWindow, inZone: boolean, at: DocumentPath, report: Report): void {
  const { sizeMs, slideMs, offsetMs } = window
  validateOffset(offsetMs, slideMs, 'slide', at, report)
  const paneMs = greatestDivisor(sizeMs, slideMs)
  if (sizeMs / slideMs > WINDOW_STEPS_MAX)
    report([...at, 'slide'], `each event would be in more than ${WINDOW_STEPS_MAX} windows: use a longer slide`)
  else if (sizeMs / paneMs > WINDOW_STEPS_MAX)
    report(
      [...at, 'slide'],
      `a window would have more than ${WINDOW_STEPS_MAX} parts of ${formatDuration(paneMs)}, which is the longest that ` +
        'divides size and slide: use a slide that divides the size, or nearly',
    )
  if (!inZone) return
  validateCalendar(slideMs, [...at, 'slide'], report)
  if (paneMs !== slideMs && slideMs % DAY_MS === 0) validateCalendar(paneMs, [...at, 'sliding'], report)
}

function validateCumulate(window: CumulateWindow, inZone: boolean, at: DocumentPath, report: Report): void {
  const { sizeMs, stepMs, offsetMs } = window
  validateOffset(offsetMs, sizeMs, 'window', at, report)
  if (sizeMs % stepMs !== 0) report([...at, 'step'], `must divide the window (${formatDuration(sizeMs)}) evenly`)
  else if (sizeMs / stepMs > WINDOW_STEPS_MAX)
    report([...at, 'step'], `makes more than ${WINDOW_STEPS_MAX} windows of each event: use a longer step`)
  if (!inZone) return
  validateCalendar(sizeMs, [...at, 'cumulate'], report)
  validateCalendar(stepMs, [...at, 'step'], report)
}

function validateClock(metric: MetricDefinition, paneMs: number, path: DocumentPath, report: Report): void {
  if (metric.window.time !== 'processing') return
  if (metric.allowedLatenessMs > 0)
    report([...path, 'allowedLateness'], 'has no meaning in processing time, in which nothing is late: leave it out')
  if (paneMs < CLOCK_PANE_MS_MIN)
    report(
      [...path, 'window', metric.window.kind],
      `in processing time, windows and their steps are at least ${formatDuration(CLOCK_PANE_MS_MIN)}`,
    )
}

function validateLength(
  window: TumblingWindow | SlidingWindow | CumulateWindow,
  at: DocumentPath,
  report: Report,
): boolean {
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
