/**
 * Tumbling windows: which window a timestamp falls in.
 *
 * Windows are [startMs, endMs). In UTC they are arithmetic (Flink's TimeWindow.getWindowStartWithOffset). In a time zone
 * they follow the calendar: windows of whole days run from local midnight to local midnight, so a day of 23 or 25 hours
 * is a day; shorter windows are counted from each local midnight and the last one of a day ends with it. The panes of
 * other windows (window/panes.ts) lie as tumbling windows do.
 */
import type { CalendarWindows } from '../job/definition.ts'
import { DAY_MS, dayNumberOf, monthOf, TimeZone } from './time-zone.ts'

/** Puts timestamps into windows, or panes. `assign` leaves its answer in the fields, so that a row costs no object. */
export interface WindowAssigner {
  startMs: number
  endMs: number
  /** End of the last window that the state of [startMs, endMs) is part of: its own for windows, later for panes. */
  lastEndMs: number
  /** Finds the window of `timestampMs` and sets `startMs` and `endMs`. */
  assign(timestampMs: number): void
}

/** Start of the tumbling window of `timestampMs`, for any offset in (-sizeMs, sizeMs) and negative timestamps. */
export function tumblingStartMs(timestampMs: number, offsetMs: number, sizeMs: number): number {
  const remainder = (timestampMs - offsetMs) % sizeMs
  return remainder < 0 ? timestampMs - (remainder + sizeMs) : timestampMs - remainder
}

/** Puts timestamps into tumbling windows of `sizeMs` on the calendar that a definition asks for. */
export function createTumbling(sizeMs: number, calendar: CalendarWindows): WindowAssigner {
  if (calendar.timezone === 'UTC') return new FixedTumbling(sizeMs, calendar.offsetMs)
  const zone = new TimeZone(calendar.timezone)
  return sizeMs % DAY_MS === 0
    ? new CalendarDays(zone, sizeMs / DAY_MS, calendar.offsetMs)
    : new PartsOfDay(zone, sizeMs, delayOfParts(sizeMs, calendar.offsetMs))
}

/** How much later than midnight the first part of a day starts, for parts of `sizeMs` and an offset of any sign. */
export function delayOfParts(sizeMs: number, offsetMs: number): number {
  return offsetMs - tumblingStartMs(offsetMs, 0, sizeMs)
}

/** Puts timestamps into the months of a zone. */
export function createMonths(timezone: string): WindowAssigner {
  return new CalendarMonths(new TimeZone(timezone))
}

class FixedTumbling implements WindowAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #sizeMs: number
  readonly #offsetMs: number

  constructor(sizeMs: number, offsetMs: number) {
    this.#sizeMs = sizeMs
    this.#offsetMs = offsetMs
  }

  assign(timestampMs: number): void {
    this.startMs = tumblingStartMs(timestampMs, this.#offsetMs, this.#sizeMs)
    this.endMs = this.startMs + this.#sizeMs
    this.lastEndMs = this.endMs
  }
}

/** Whole days. The offset's whole days shift which day a window starts on; its rest delays every local midnight. */
class CalendarDays implements WindowAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #zone: TimeZone
  readonly #days: number
  readonly #offsetDays: number
  readonly #delayMs: number

  constructor(zone: TimeZone, days: number, offsetMs: number) {
    this.#zone = zone
    this.#days = days
    this.#offsetDays = Math.floor(offsetMs / DAY_MS)
    this.#delayMs = offsetMs - this.#offsetDays * DAY_MS
  }

  assign(timestampMs: number): void {
    const day = this.#zone.dayAt(timestampMs - this.#delayMs)
    const first = tumblingStartMs(day, this.#offsetDays, this.#days)
    this.startMs = this.#zone.dayStartMs(first) + this.#delayMs
    this.endMs = this.#zone.dayStartMs(first + this.#days) + this.#delayMs
    this.lastEndMs = this.endMs
  }
}

/** Months, from the local midnight of one first day to that of the next. */
class CalendarMonths implements WindowAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #zone: TimeZone

  constructor(zone: TimeZone) {
    this.#zone = zone
  }

  assign(timestampMs: number): void {
    if (timestampMs >= this.startMs && timestampMs < this.endMs) return
    const { year, month } = monthOf(this.#zone.dayAt(timestampMs))
    this.startMs = this.#zone.dayStartMs(dayNumberOf(year, month, 1))
    this.endMs = this.#zone.dayStartMs(month === 12 ? dayNumberOf(year + 1, 1, 1) : dayNumberOf(year, month + 1, 1))
    this.lastEndMs = this.endMs
  }
}

/** Windows shorter than a day, counted from each local midnight, which is delayed. */
export class PartsOfDay implements WindowAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #zone: TimeZone
  readonly #sizeMs: number
  readonly #delayMs: number

  /** `delayMs` is at least 0 and below a day. */
  constructor(zone: TimeZone, sizeMs: number, delayMs: number) {
    this.#zone = zone
    this.#sizeMs = sizeMs
    this.#delayMs = delayMs
  }

  assign(timestampMs: number): void {
    const day = this.#zone.dayAt(timestampMs - this.#delayMs)
    const firstMs = this.#zone.dayStartMs(day) + this.#delayMs
    this.startMs = firstMs + Math.floor((timestampMs - firstMs) / this.#sizeMs) * this.#sizeMs
    this.endMs = Math.min(this.startMs + this.#sizeMs, this.#zone.dayStartMs(day + 1) + this.#delayMs)
    this.lastEndMs = this.endMs
  }
}
