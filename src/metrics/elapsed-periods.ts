/**
 * Periods counted from one instant: so many times a length, or so many months of a zone.
 *
 * A month later is the same date and time of day of the clock; where the month has no such date its last one, always
 * counted from the first date (31 January, 29 February, 31 March). Where clocks skip that time of day it is as much later,
 * and where they show it twice the first time: as Temporal adds months.
 */
import { DAY_MS, dayNumberOf, monthOf, type TimeZone } from '../window/time-zone.ts'

/** Periods from an instant on. */
export interface ElapsedPeriods {
  /** When period `index` begins. */
  startMs(fromMs: number, index: number): number
  /** The period that holds `timeMs`, which is not before `fromMs`. */
  indexOf(fromMs: number, timeMs: number): number
}

/** Periods of one length. */
export class ElapsedLengths implements ElapsedPeriods {
  readonly #lengthMs: number

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs
  }

  startMs(fromMs: number, index: number): number {
    return fromMs + index * this.#lengthMs
  }

  indexOf(fromMs: number, timeMs: number): number {
    return Math.floor((timeMs - fromMs) / this.#lengthMs)
  }
}

const HOUR_MS = 3_600_000
/** Hours whose offset is kept; then all are forgotten. */
const HOURS_MAX = 16_384

/** Months of a zone. */
export class ElapsedMonths implements ElapsedPeriods {
  readonly #zone: TimeZone
  /** By hour: the offset of all of it; NaN where that changes. */
  readonly #offsets = new Map<number, number>()

  constructor(zone: TimeZone) {
    this.#zone = zone
  }

  startMs(fromMs: number, index: number): number {
    if (index === 0) return fromMs
    const localMs = fromMs + this.#offsetMsAt(fromMs)
    const day = Math.floor(localMs / DAY_MS)
    const { year, month } = monthOf(day)
    const date = day - dayNumberOf(year, month, 1)
    const months = year * 12 + month - 1 + index
    const first = firstDayOf(months)
    const last = firstDayOf(months + 1) - 1
    return this.#instantOf(Math.min(first + date, last) * DAY_MS + localMs - day * DAY_MS)
  }

  indexOf(fromMs: number, timeMs: number): number {
    let index = this.#monthsAt(timeMs) - this.#monthsAt(fromMs)
    while (index > 0 && this.startMs(fromMs, index) > timeMs) index--
    return index
  }

  #monthsAt(timeMs: number): number {
    const { year, month } = monthOf(Math.floor((timeMs + this.#offsetMsAt(timeMs)) / DAY_MS))
    return year * 12 + month - 1
  }

  #instantOf(localMs: number): number {
    const offsetBefore = this.#offsetMsAt(localMs - DAY_MS)
    const before = localMs - offsetBefore
    if (this.#offsetMsAt(before) === offsetBefore) return before
    const offsetAfter = this.#offsetMsAt(localMs + DAY_MS)
    const after = localMs - offsetAfter
    return this.#offsetMsAt(after) === offsetAfter ? after : before
  }

  #offsetMsAt(timeMs: number): number {
    const hour = Math.floor(timeMs / HOUR_MS)
    let offset = this.#offsets.get(hour)
    if (offset === undefined) {
      const begin = this.#zone.offsetMsAt(hour * HOUR_MS)
      offset = begin === this.#zone.offsetMsAt((hour + 1) * HOUR_MS - 1) ? begin : Number.NaN
      if (this.#offsets.size >= HOURS_MAX) this.#offsets.clear()
      this.#offsets.set(hour, offset)
    }
    return Number.isNaN(offset) ? this.#zone.offsetMsAt(timeMs) : offset
  }
}

/** Day number of the first of a month, counted from that of year 0. */
function firstDayOf(months: number): number {
  const year = Math.floor(months / 12)
  return dayNumberOf(year, months - year * 12 + 1, 1)
}
