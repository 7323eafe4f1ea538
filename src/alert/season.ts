/** Where a window lies in the day or the week, by the clocks of a zone. */
import { MillraceError } from '../core/errors.ts'
import { DAY_MS, TimeZone } from '../window/time-zone.ts'

/** What repeats, and how finely it is told apart. */
export interface SeasonSpec {
  readonly period: 'day' | 'week'
  /** Length of a slot: 1 h by default. Divides the day; windows in one slot are alike. */
  readonly slotMs?: number
  /** IANA name; UTC by default. */
  readonly zone?: string
}

/** Slots of a period, counted from local midnight (of a Monday). */
export interface Season {
  readonly slots: number
  slotOf(windowStartMs: number): number
}

const HOUR_MS = 3_600_000
/** 1970-01-01 was a Thursday. */
const MONDAY_MS = 3 * DAY_MS

/** Throws JOB_INVALID for an unknown zone or a slot that does not divide the day. */
export function seasonOf({ period, slotMs = HOUR_MS, zone = 'UTC' }: SeasonSpec): Season {
  if (!(slotMs > 0 && DAY_MS % slotMs === 0))
    throw new MillraceError('JOB_INVALID', `a season's slot of ${slotMs} ms does not divide a day: give one that does`)
  const periodMs = period === 'day' ? DAY_MS : 7 * DAY_MS
  const local = zone === 'UTC' ? undefined : new TimeZone(zone)
  return {
    slots: periodMs / slotMs,
    slotOf(windowStartMs) {
      const shownMs = windowStartMs + (local?.offsetMsAt(windowStartMs) ?? 0) + MONDAY_MS
      return Math.floor((((shownMs % periodMs) + periodMs) % periodMs) / slotMs)
    },
  }
}
