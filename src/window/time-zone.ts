/**
 * Local days of an IANA time zone, in epoch milliseconds.
 *
 * Owns: when a local day starts. Day numbers count local calendar days from 1970-01-01 (day 0). A day is what the
 * calendar says: 23, 24 or 25 hours, or, where a zone skips midnight, it starts at the first instant that has its date.
 *
 * The rules come from the runtime's own time-zone data through Intl, which costs microseconds a call: callers cache
 * windows, this file caches day starts.
 */
import { MillraceError } from '../core/errors.ts'
import { TIME_MS_MAX } from '../core/limits.ts'

/** Milliseconds of a day of 24 hours. */
export const DAY_MS = 86_400_000

/** No zone's local time differs from UTC by more than this. */
const OFFSET_MS_MAX = 26 * 3_600_000

const DAY_STARTS_CACHED_MAX = 8192

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar; `month` is 1..12. */
export function dayNumberOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** Year and month (1..12) of a day number: the other way around. */
export function monthOf(dayNumber: number): { readonly year: number; readonly month: number } {
  const shifted = dayNumber + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month }
}

/** Local days of one zone. */
export class TimeZone {
  readonly name: string
  readonly #format: Intl.DateTimeFormat
  readonly #dayStarts = new Map<number, number>()

  /** Throws JOB_INVALID when the runtime knows no such zone. */
  constructor(name: string) {
    try {
      this.#format = new Intl.DateTimeFormat('en-US', {
        timeZone: name,
        // Proleptic, as iso8601, which leaves the era out and so cannot tell years before Christ.
        calendar: 'gregory',
        numberingSystem: 'latn',
        hourCycle: 'h23',
        era: 'short',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })
    } catch (cause) {
      throw new MillraceError('JOB_INVALID', `no time zone '${name}': use an IANA name such as Europe/Berlin`, {
        cause,
      })
    }
    this.name = name
  }

  /** Local time minus UTC at an instant, in whole seconds as ms (zones before about 1900 had odd seconds). */
  offsetMsAt(instantMs: number): number {
    // The ends of a window around the first or last instant lie outside the calendar: the offset there is taken on.
    const wholeSecondMs = Math.floor(Math.min(Math.max(instantMs, -TIME_MS_MAX), TIME_MS_MAX) / 1000) * 1000
    let year = 0
    let month = 0
    let day = 0
    let secondOfDay = 0
    let beforeChrist = false
    for (const { type, value } of this.#format.formatToParts(wholeSecondMs)) {
      if (type === 'year') year = Number(value)
      else if (type === 'month') month = Number(value)
      else if (type === 'day') day = Number(value)
      else if (type === 'hour') secondOfDay += Number(value) * 3600
      else if (type === 'minute') secondOfDay += Number(value) * 60
      else if (type === 'second') secondOfDay += Number(value)
      else if (type === 'era') beforeChrist = value.startsWith('B')
    }
    if (beforeChrist) year = 1 - year
    return dayNumberOf(year, month, day) * DAY_MS + secondOfDay * 1000 - wholeSecondMs
  }

  /** The number of the date that clocks show at `instantMs`. Not monotonic: a clock may be set back over midnight. */
  dayNumberAt(instantMs: number): number {
    return Math.floor((instantMs + this.offsetMsAt(instantMs)) / DAY_MS)
  }

  /**
   * The number of the local day whose span holds `instantMs`: days in a row, without gap or overlap. It is the date that
   * clocks show, but where a clock is set back over midnight: a day that has begun does not end again.
   */
  dayAt(instantMs: number): number {
    let day = this.dayNumberAt(instantMs)
    while (instantMs < this.dayStartMs(day)) day--
    while (instantMs >= this.dayStartMs(day + 1)) day++
    return day
  }

  /** The instant at which local day `dayNumber` starts, epoch ms. */
  dayStartMs(dayNumber: number): number {
    const known = this.#dayStarts.get(dayNumber)
    if (known !== undefined) return known
    const start = this.#findDayStartMs(dayNumber)
    if (this.#dayStarts.size >= DAY_STARTS_CACHED_MAX) this.#dayStarts.clear()
    this.#dayStarts.set(dayNumber, start)
    return start
  }

  #findDayStartMs(dayNumber: number): number {
    const utcMidnight = dayNumber * DAY_MS
    // Almost always midnight exists and the offset an hour before is the offset then.
    const guess = utcMidnight - this.offsetMsAt(utcMidnight - this.offsetMsAt(utcMidnight))
    if (this.dayNumberAt(guess) === dayNumber && this.dayNumberAt(guess - 1) === dayNumber - 1) return guess
    // Midnight is skipped, or the clock is set near it: the first instant whose date is this day or later.
    let before = utcMidnight - OFFSET_MS_MAX
    let after = utcMidnight + OFFSET_MS_MAX
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2)
      if (this.dayNumberAt(middle) >= dayNumber) after = middle
      else before = middle
    }
    return after
  }
}
