/**
 * Windows as authors write them, and which of them a record belongs to.
 *
 * Owns: the shapes and their checks. Where windows lie is the same as in declarative jobs, time zones included
 * (window/tumbling.ts, window/panes.ts). Windows are [startMs, endMs).
 */
import { MillraceError } from '../core/errors.ts'
import { greatestDivisor } from '../core/numbers.ts'
import type { CalendarWindows, CumulateWindow, SlidingWindow } from '../job/definition.ts'
import { isTimeZone } from '../job/timezone.ts'
import { createPanes, type PaneAssigner, type Span } from '../window/panes.ts'
import { DAY_MS } from '../window/time-zone.ts'
import { createTumbling, type WindowAssigner } from '../window/tumbling.ts'
import type { TimeDomain } from './keys.ts'
import { durationMs } from './state.ts'

/** Most windows of a record, and most panes of a window. */
const STEPS_MAX = 10_000
/** Panes whose windows are remembered. */
const SPANS_KEPT = 4096

/** A time, as `5m`, or in ms. */
export type Duration = string | number

/** The clock that windows go by: that of the events, which is usual, or the wall clock. */
interface WindowTime {
  readonly time?: TimeDomain
}

/** Windows of one length, side by side; whole days in a time zone are calendar days. */
export interface TumblingWindows extends WindowTime {
  readonly tumbling: Duration
  /** Shift of every boundary. */
  readonly offset?: Duration
  /** IANA zone; UTC unless given. */
  readonly timezone?: string
}

/** Windows of one length that begin every `every`. */
export interface SlidingWindows extends WindowTime {
  readonly sliding: Duration
  readonly every: Duration
  readonly offset?: Duration
  /** IANA zone; UTC unless given. */
  readonly timezone?: string
}

/** Windows that begin together every `cumulate` and end one `step` after the other. */
export interface CumulatingWindows extends WindowTime {
  readonly cumulate: Duration
  readonly step: Duration
  readonly offset?: Duration
  /** IANA zone; UTC unless given. */
  readonly timezone?: string
}

/** Records that follow each other within a gap. */
export interface SessionWindows extends WindowTime {
  readonly session: Duration
}

/** One window without end: only a trigger makes it fire. */
export interface GlobalWindows extends WindowTime {
  readonly global: true
}

/** Any kind of window. */
export type WindowSpec = TumblingWindows | SlidingWindows | CumulatingWindows | SessionWindows | GlobalWindows

/** A stretch of time, end exclusive; epoch ms. */
export interface WindowBounds {
  readonly startMs: number
  readonly endMs: number
}

/** Calls `take` for each window that a record at `timestampMs` belongs to, the earliest to end first. */
export type AssignWindows = (timestampMs: number, take: (startMs: number, endMs: number) => void) => void

/** The panes of windows that overlap. */
export interface PanePlan {
  readonly assigner: PaneAssigner
  /** The windows that the pane starting there is part of, the earliest to end first. */
  readonly windowsOf: (paneStartMs: number) => readonly Span[]
}

/** Windows, checked. */
export interface WindowPlan {
  readonly domain: TimeDomain
  /** Windows that touch become one. */
  readonly merging: boolean
  readonly global: boolean
  readonly assign: AssignWindows
  /** Set for windows that overlap: a record in several of them is in one pane. */
  readonly panes: PanePlan | null
  /** For people. */
  readonly text: string
}

/** Checks windows and makes their assigner. JOB_INVALID, naming the operator. */
export function planWindows(spec: WindowSpec, operator: string): WindowPlan {
  const domain = spec.time ?? 'event'
  if ('tumbling' in spec) {
    const sizeMs = durationMs(spec.tumbling, `tumbling of ${operator}`)
    const calendar = calendarOf(spec, sizeMs, [sizeMs], operator)
    return { ...plain(domain, createTumbling(sizeMs, calendar)), text: `tumbling ${spec.tumbling}` }
  }
  if ('sliding' in spec) {
    const sizeMs = durationMs(spec.sliding, `sliding of ${operator}`)
    const slideMs = durationMs(spec.every, `every of ${operator}`)
    const paneMs = greatestDivisor(sizeMs, slideMs)
    if (sizeMs / slideMs > STEPS_MAX) throw invalid(operator, 'a record would be in more than 10,000 windows')
    if (sizeMs / paneMs > STEPS_MAX) throw invalid(operator, 'a window would have more than 10,000 parts')
    const parts = slideMs % DAY_MS === 0 && paneMs !== slideMs ? [slideMs, paneMs] : [slideMs]
    const calendar = calendarOf(spec, slideMs, parts, operator)
    const windows = windowsOf(domain, { kind: 'sliding', sizeMs, slideMs, ...calendar })
    return { ...windows, text: `sliding ${spec.sliding} every ${spec.every}` }
  }
  if ('cumulate' in spec) {
    const sizeMs = durationMs(spec.cumulate, `cumulate of ${operator}`)
    const stepMs = durationMs(spec.step, `step of ${operator}`)
    if (sizeMs % stepMs !== 0) throw invalid(operator, 'cumulate must be a multiple of step')
    if (sizeMs / stepMs > STEPS_MAX) throw invalid(operator, 'a record would be in more than 10,000 windows')
    const calendar = calendarOf(spec, sizeMs, [sizeMs, stepMs], operator)
    const windows = windowsOf(domain, { kind: 'cumulate', sizeMs, stepMs, ...calendar })
    return { ...windows, text: `cumulate ${spec.cumulate} by ${spec.step}` }
  }
  if ('session' in spec) {
    const gapMs = durationMs(spec.session, `session of ${operator}`)
    const assign: AssignWindows = (timestampMs, take) => take(timestampMs, timestampMs + gapMs)
    return { domain, merging: true, global: false, assign, panes: null, text: `session ${spec.session}` }
  }
  const assign: AssignWindows = (_timestampMs, take) => take(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
  return { domain, merging: false, global: true, assign, panes: null, text: 'global' }
}

/** Windows side by side. */
function plain(domain: TimeDomain, windows: WindowAssigner): Omit<WindowPlan, 'text'> {
  const assign: AssignWindows = (timestampMs, take) => {
    windows.assign(timestampMs)
    take(windows.startMs, windows.endMs)
  }
  return { domain, merging: false, global: false, assign, panes: null }
}

/** Sliding and cumulating windows: of panes, unless each is one. */
function windowsOf(domain: TimeDomain, window: SlidingWindow | CumulateWindow): Omit<WindowPlan, 'text'> {
  const assigner = createPanes(window)
  if (assigner === null) return plain(domain, createTumbling(window.sizeMs, window))
  const spans = new Map<number, readonly Span[]>()
  const ofPane = (paneStartMs: number): readonly Span[] => {
    let found = spans.get(paneStartMs)
    if (found === undefined) {
      if (spans.size >= SPANS_KEPT) spans.clear()
      found = assigner.windowsOf(paneStartMs).toSorted((a, b) => a.endMs - b.endMs || a.startMs - b.startMs)
      spans.set(paneStartMs, found)
    }
    return found
  }
  const assign: AssignWindows = (timestampMs, take) => {
    assigner.assign(timestampMs)
    for (const { startMs, endMs } of ofPane(assigner.startMs)) take(startMs, endMs)
  }
  const panes = { assigner, windowsOf: ofPane }
  return { domain, merging: false, global: false, assign, panes }
}

/** Offset and zone, checked: the offset is shorter than `belowMs`; in a zone, `parts` must fit the day. */
function calendarOf(
  spec: { readonly offset?: Duration; readonly timezone?: string; readonly time?: TimeDomain },
  belowMs: number,
  parts: readonly number[],
  operator: string,
): CalendarWindows {
  const { timezone = 'UTC', time = 'event' } = spec
  const offsetMs = offsetOf(spec.offset, belowMs, operator)
  if (!isTimeZone(timezone)) throw invalid(operator, `there is no time zone ${JSON.stringify(timezone)}`)
  if (timezone !== 'UTC' && parts.some((ms) => ms % DAY_MS !== 0 && DAY_MS % ms !== 0))
    throw invalid(operator, 'in a time zone, a window is whole days or divides a day evenly')
  return { offsetMs, timezone, time }
}

function offsetOf(offset: Duration | undefined, sizeMs: number, operator: string): number {
  if (offset === undefined || offset === 0) return 0
  const negative = typeof offset === 'number' ? offset < 0 : offset.startsWith('-')
  const ms = durationMs(
    typeof offset === 'number' ? Math.abs(offset) : offset.replace(/^-/, ''),
    `offset of ${operator}`,
  )
  if (ms >= sizeMs) throw invalid(operator, 'the offset must be shorter than the window')
  return negative ? -ms : ms
}

function invalid(operator: string, why: string): MillraceError {
  return new MillraceError('JOB_INVALID', `the windows of ${operator} are not usable: ${why}`)
}
