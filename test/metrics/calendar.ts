/// <reference lib="esnext.temporal" />
/** Calendar periods by Temporal, for references. */
import type { TumblingWindow } from '../../src/job/definition.ts'
import type { Periods } from './retention-reference.ts'

export const DAY_MS = 86_400_000

export type Period = 'day' | 'week' | 'month'

/** Zones with clocks of their own: set by an hour, by half of one, not at all; half hours; midnights that are skipped. */
export const zones = [
  'UTC',
  'Europe/Berlin',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'America/Santiago',
]

/** The windows of a period. */
export function windowOf(period: Period, timezone: string): TumblingWindow {
  const calendar = { kind: 'tumbling', timezone, time: 'event' } as const
  if (period === 'day') return { ...calendar, sizeMs: DAY_MS, offsetMs: 0 }
  if (period === 'week') return { ...calendar, sizeMs: 7 * DAY_MS, offsetMs: 4 * DAY_MS }
  return { ...calendar, sizeMs: 31 * DAY_MS, offsetMs: 0, unit: 'month' }
}

/** The zone's own date and time of an instant. */
export function zonedOf(timeMs: number, timezone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(timezone)
}

/** Periods of a zone, by Temporal. */
export function temporalPeriods(period: Period, timezone: string): Periods {
  const dateOf = (timeMs: number): Temporal.PlainDate => zonedOf(timeMs, timezone).toPlainDate()
  const startOf = (day: Temporal.PlainDate): number => day.toZonedDateTime(timezone).epochMilliseconds
  const unit = `${period}s` as const
  const firstOf = (date: Temporal.PlainDate): Temporal.PlainDate =>
    period === 'day' ? date : period === 'week' ? date.subtract({ days: date.dayOfWeek - 1 }) : date.with({ day: 1 })
  return {
    of: (timeMs) => {
      const first = firstOf(dateOf(timeMs))
      return { startMs: startOf(first), endMs: startOf(first.add({ [unit]: 1 })) }
    },
    between: (fromMs, toMs) => firstOf(dateOf(fromMs)).until(firstOf(dateOf(toMs)), { largestUnit: unit })[unit],
    elapsed: (fromMs, toMs) => {
      if (period !== 'month') return Math.floor((toMs - fromMs) / (period === 'day' ? DAY_MS : 7 * DAY_MS))
      let months = 0
      while (zonedOf(fromMs, timezone).add({ months: months + 1 }).epochMilliseconds <= toMs) months++
      return months
    },
  }
}
