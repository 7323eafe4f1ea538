/// <reference lib="esnext.temporal" />
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DAY_MS, dayNumberOf, TimeZone } from '../../src/window/time-zone.ts'

const HOUR_MS = 3_600_000

/** The start of a local day by the oracle: Temporal, which shares nothing with Intl.DateTimeFormat's text. */
function startOfDay(zone: string, dayNumber: number): number {
  return new Temporal.PlainDate(1970, 1, 1).add({ days: dayNumber }).toZonedDateTime(zone).epochMilliseconds
}

const numberOf = (date: string) => new Temporal.PlainDate(1970, 1, 1).until(Temporal.PlainDate.from(date)).days

/** Length of a local day in hours, by us. */
function hoursOf(zone: string, date: string): number {
  const days = new TimeZone(zone)
  const day = numberOf(date)
  return (days.dayStartMs(day + 1) - days.dayStartMs(day)) / HOUR_MS
}

const localStart = (zone: string, date: string) => new TimeZone(zone).dayStartMs(numberOf(date))

describe('days of odd lengths', () => {
  it.each([
    ['Europe/Berlin', '2024-03-31', 23],
    ['Europe/Berlin', '2024-10-27', 25],
    ['Europe/Berlin', '2024-06-01', 24],
    ['Australia/Lord_Howe', '2024-04-07', 24.5],
    ['Australia/Lord_Howe', '2024-10-06', 23.5],
    ['America/Sao_Paulo', '2018-11-04', 23],
    ['America/Sao_Paulo', '2018-02-17', 25],
    ['America/Nuuk', '2024-03-30', 23],
    ['America/Nuuk', '2024-10-26', 25],
    ['America/Nuuk', '2023-03-25', 23],
    ['Asia/Kolkata', '2024-03-31', 24],
    ['Pacific/Apia', '2011-12-30', 0],
    ['Pacific/Apia', '2011-12-29', 24],
    ['America/St_Johns', '2006-10-28', 24 + 1 / 60 - 1 / 60],
    ['Pacific/Kwajalein', '1993-08-21', 0],
  ])('%s, %s: %d hours', (zone, date, hours) => {
    expect(hoursOf(zone, date)).toBeCloseTo(hours, 9)
  })

  it('start at the first instant with their date where midnight is skipped', () => {
    // 00:00 -03 became 01:00 -02.
    expect(localStart('America/Sao_Paulo', '2018-11-04')).toBe(Date.parse('2018-11-04T01:00:00-02:00'))
    expect(localStart('Asia/Kolkata', '2024-07-01')).toBe(Date.parse('2024-06-30T18:30:00Z'))
    expect(localStart('Asia/Beirut', '2022-03-27')).toBe(Date.parse('2022-03-26T22:00:00Z'))
    expect(localStart('Africa/Cairo', '2024-04-26')).toBe(Date.parse('2024-04-25T22:00:00Z'))
  })

  it('start once where a clock is set back over midnight: the first time it is midnight', () => {
    // At 00:01 clocks went back to 23:01 of the day before.
    const zone = new TimeZone('America/St_Johns')
    const sunday = numberOf('2006-10-29')
    const midnight = zone.dayStartMs(sunday)
    expect(midnight).toBe(Date.parse('2006-10-29T00:00:00-02:30'))
    expect(zone.dayNumberAt(midnight + 2 * 60_000)).toBe(sunday - 1)
    for (const after of [0, 60_000, 2 * 60_000, HOUR_MS, 2 * HOUR_MS]) expect(zone.dayAt(midnight + after)).toBe(sunday)
    expect(zone.dayAt(midnight - 1)).toBe(sunday - 1)
  })
})

const zones = [
  'UTC',
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Nuuk',
  'America/Havana',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Asia/Beirut',
  'Asia/Gaza',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Pacific/Kwajalein',
  'Antarctica/Troll',
]
// 1880 to 2090: zones as they were, with their odd seconds, and as the rules will have it.
const dayNumbers = fc.integer({ min: -32_872, max: 43_830 })

describe('local days against Temporal', () => {
  it.each(zones)('start when it says, in %s', (zone) => {
    const days = new TimeZone(zone)
    fc.assert(
      fc.property(dayNumbers, (day) => {
        expect(days.dayStartMs(day)).toBe(startOfDay(zone, day))
      }),
      { numRuns: 150 },
    )
  })

  it.each(zones)('start when it says around every change of the clocks from 1990 to 2030, in %s', (zone) => {
    const days = new TimeZone(zone)
    const end = Temporal.Instant.from('2030-01-01T00:00Z').epochMilliseconds
    let at = Temporal.Instant.from('1990-01-01T00:00Z').toZonedDateTimeISO(zone)
    for (;;) {
      const next = at.getTimeZoneTransition('next')
      if (next === null || next.epochMilliseconds > end) break
      at = next
      const day = numberOf(at.toPlainDate().toString())
      for (let d = day - 2; d <= day + 2; d++) expect([d, days.dayStartMs(d)]).toEqual([d, startOfDay(zone, d)])
    }
  })

  it('have the offset that it says', () => {
    const instants = fc.integer({ min: Date.parse('1850-01-01'), max: Date.parse('2100-01-01') })
    fc.assert(
      fc.property(fc.constantFrom(...zones), instants, (zone, instant) => {
        const zoned = Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(zone)
        expect(new TimeZone(zone).offsetMsAt(instant)).toBe(zoned.offsetNanoseconds / 1e6)
      }),
      { numRuns: 300 },
    )
  })

  it('are in a row: each instant is in the day whose span holds it', () => {
    const instants = fc.integer({ min: Date.parse('1880-01-01'), max: Date.parse('2090-01-01') })
    fc.assert(
      fc.property(fc.constantFrom(...zones), instants, (name, instant) => {
        const zone = new TimeZone(name)
        const day = zone.dayAt(instant)
        expect(zone.dayStartMs(day)).toBeLessThanOrEqual(instant)
        expect(zone.dayStartMs(day + 1)).toBeGreaterThan(instant)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the ends of the calendar', () => {
  it.each(['Europe/Berlin', 'Pacific/Kiritimati', 'America/Sao_Paulo'])('are days like others in %s', (name) => {
    const zone = new TimeZone(name)
    for (const instant of [-8.64e15, -8.64e15 + 1, 8.64e15 - 1, 8.64e15]) {
      const day = zone.dayAt(instant)
      expect(zone.dayStartMs(day)).toBeLessThanOrEqual(instant)
      expect(zone.dayStartMs(day + 1)).toBeGreaterThan(instant)
      expect(zone.dayStartMs(day + 1) - zone.dayStartMs(day)).toBe(DAY_MS)
    }
  })

  it('lie beyond the birth of Christ too', () => {
    const zone = new TimeZone('Europe/Berlin')
    for (const date of ['-000001-12-31', '0000-01-01', '0000-02-29', '0001-01-01', '-010000-06-01']) {
      expect(zone.dayStartMs(numberOf(date))).toBe(startOfDay('Europe/Berlin', numberOf(date)))
    }
  })
})

describe('dayNumberOf', () => {
  it('counts days as Temporal does', () => {
    fc.assert(
      fc.property(fc.integer({ min: -90_000_000, max: 90_000_000 }), (days) => {
        const { year, month, day } = new Temporal.PlainDate(1970, 1, 1).add({ days })
        expect(dayNumberOf(year, month, day)).toBe(days)
      }),
    )
  })
})

describe('TimeZone', () => {
  it('refuses a name that the runtime does not know', () => {
    expect(() => new TimeZone('Europe/Atlantis')).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
  })

  it('gives the same answers when its cache has been emptied', () => {
    const zone = new TimeZone('Europe/Berlin')
    const first = zone.dayStartMs(19_813)
    for (let day = 0; day < 8200; day++) zone.dayStartMs(day)
    expect(zone.dayStartMs(19_813)).toBe(first)
  })
})
