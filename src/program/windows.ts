/**
 * Windows as authors write them, and which of them a record belongs to.
 *
 * Owns: the shapes, their checks, and the arithmetic of sliding and cumulating windows. Tumbling windows, with time
 * zones, are those of declarative jobs (window/tumbling.ts). Windows are [startMs, endMs).
 */
import { MillraceError } from '../core/errors.ts'
import { isTimeZone } from '../job/timezone.ts'
import { createTumbling, tumblingStartMs } from '../window/tumbling.ts'
import type { TimeDomain } from './keys.ts'
import { durationMs } from './state.ts'

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
}

/** Windows that begin together every `cumulate` and end one `step` after the other. */
export interface CumulatingWindows extends WindowTime {
  readonly cumulate: Duration
  readonly step: Duration
  readonly offset?: Duration
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

/** Windows, checked. */
export interface WindowPlan {
  readonly domain: TimeDomain
  /** Windows that touch become one. */
  readonly merging: boolean
  readonly global: boolean
  readonly assign: AssignWindows
  /** For people. */
  readonly text: string
}

/** Checks windows and makes their assigner. JOB_INVALID, naming the operator. */
export function planWindows(spec: WindowSpec, operator: string): WindowPlan {
  const domain = spec.time ?? 'event'
  if ('tumbling' in spec) {
    const sizeMs = durationMs(spec.tumbling, `tumbling of ${operator}`)
    const offsetMs = offsetOf(spec.offset, sizeMs, operator)
    const timezone = spec.timezone ?? 'UTC'
    if (!isTimeZone(timezone)) throw invalid(operator, `there is no time zone ${JSON.stringify(timezone)}`)
    const windows = createTumbling(sizeMs, { offsetMs, timezone, time: domain })
    const assign: AssignWindows = (timestampMs, take) => {
      windows.assign(timestampMs)
      take(windows.startMs, windows.endMs)
    }
    return { domain, merging: false, global: false, assign, text: `tumbling ${spec.tumbling}` }
  }
  if ('sliding' in spec) {
    const sizeMs = durationMs(spec.sliding, `sliding of ${operator}`)
    const everyMs = durationMs(spec.every, `every of ${operator}`)
    const offsetMs = offsetOf(spec.offset, everyMs, operator)
    if (sizeMs / everyMs > 10_000) throw invalid(operator, 'a record would be in more than 10,000 windows')
    return {
      domain,
      merging: false,
      global: false,
      assign: sliding(sizeMs, everyMs, offsetMs),
      text: `sliding ${spec.sliding} every ${spec.every}`,
    }
  }
  if ('cumulate' in spec) {
    const maxMs = durationMs(spec.cumulate, `cumulate of ${operator}`)
    const stepMs = durationMs(spec.step, `step of ${operator}`)
    if (maxMs % stepMs !== 0) throw invalid(operator, 'cumulate must be a multiple of step')
    if (maxMs / stepMs > 10_000) throw invalid(operator, 'a record would be in more than 10,000 windows')
    const offsetMs = offsetOf(spec.offset, maxMs, operator)
    return {
      domain,
      merging: false,
      global: false,
      assign: cumulating(maxMs, stepMs, offsetMs),
      text: `cumulate ${spec.cumulate} by ${spec.step}`,
    }
  }
  if ('session' in spec) {
    const gapMs = durationMs(spec.session, `session of ${operator}`)
    const assign: AssignWindows = (timestampMs, take) => take(timestampMs, timestampMs + gapMs)
    return { domain, merging: true, global: false, assign, text: `session ${spec.session}` }
  }
  const assign: AssignWindows = (_timestampMs, take) => take(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
  return { domain, merging: false, global: true, assign, text: 'global' }
}

function sliding(sizeMs: number, everyMs: number, offsetMs: number): AssignWindows {
  return (timestampMs, take) => {
    const last = tumblingStartMs(timestampMs, offsetMs, everyMs)
    const count = Math.ceil((last - (timestampMs - sizeMs)) / everyMs)
    for (let i = count - 1; i >= 0; i--) take(last - i * everyMs, last - i * everyMs + sizeMs)
  }
}

function cumulating(maxMs: number, stepMs: number, offsetMs: number): AssignWindows {
  return (timestampMs, take) => {
    const start = tumblingStartMs(timestampMs, offsetMs, maxMs)
    const first = start + (Math.floor((timestampMs - start) / stepMs) + 1) * stepMs
    for (let end = first; end <= start + maxMs; end += stepMs) take(start, end)
  }
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
