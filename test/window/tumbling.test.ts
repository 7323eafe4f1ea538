/// <reference lib="esnext.temporal" />
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMonths, createTumbling, tumblingStartMs } from '../../src/window/tumbling.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** timestamp, offset, size, start: TimeWindow.getWindowStartWithOffset of Flink 2.2.1. */
const startsOfFlink: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 7, 0],
  [6, 0, 7, 0],
  [7, 0, 7, 7],
  [-1, 0, 7, -7],
  [-7, 0, 7, -7],
  [-8, 0, 7, -14],
  [1, 3, 7, -4],
  [3, 3, 7, 3],
  [2, 3, 7, -4],
  [9, 3, 7, 3],
  [-4, 3, 7, -4],
  [-5, 3, 7, -11],
  [1, -2, 7, -2],
  [5, -2, 7, 5],
  [-2, -2, 7, -2],
  [-3, -2, 7, -9],
  [1766000000123, -28800000, 86400000, 1765987200000],
  [-1766000000123, 28800000, 86400000, -1766073600000],
]

const timestamps = fc.oneof(fc.integer({ min: -100, max: 100 }), fc.integer({ min: -8.64e15, max: 8.64e15 }))
const sizesAndOffsets = fc
  .oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 400 * DAY_MS }))
  .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 1 - size, max: size - 1 })))

/** The largest offset + k * size at or below the timestamp, in exact integers. */
function reference(timestamp: number, offset: number, size: number): number {
  const [t, o, s] = [BigInt(timestamp), BigInt(offset), BigInt(size)]
  return Number(t - ((((t - o) % s) + s) % s))
}

describe('tumblingStartMs', () => {
  it.each(startsOfFlink)('timestamp %i, offset %i, size %i: %i, as in Flink', (timestamp, offset, size, start) => {
    expect(tumblingStartMs(timestamp, offset, size) + 0).toBe(start)
  })

  it('is the last boundary at or before the timestamp, negative timestamps and offsets included', () => {
    fc.assert(
      fc.property(timestamps, sizesAndOffsets, (timestamp, [size, offset]) => {
        expect(tumblingStartMs(timestamp, offset, size) + 0).toBe(reference(timestamp, offset, size) + 0)
      }),
      { numRuns: 2000 },
    )
  })
})

const sizes = fc.oneof(
  fc.constantFrom(60_000, 15 * 60_000, HOUR_MS, 8 * HOUR_MS),
  fc.integer({ min: 1, max: 40 }).map((days) => days * DAY_MS),
)
const zones = [
  'UTC',
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'America/Nuuk',
  'America/St_Johns',
  'Pacific/Apia',
] as const

/** Instants within a day and a half of a change of the clocks, which is where calendars go wrong, and others. */
const nearChanges = fc
  .tuple(
    fc.constantFrom(
      '2024-03-31T01:00Z',
      '2024-10-27T01:00Z',
      '2018-11-04T03:00Z',
      '2018-02-18T02:00Z',
      '2024-04-06T15:00Z',
      '2024-10-05T15:30Z',
      '2006-10-29T02:31Z',
      '2006-04-02T03:31Z',
      '2011-12-30T10:00Z',
    ),
    fc.oneof(
      fc.integer({ min: -2 * HOUR_MS, max: 2 * HOUR_MS }),
      fc.integer({ min: -36 * HOUR_MS, max: 36 * HOUR_MS }),
    ),
  )
  .map(([instant, near]) => Temporal.Instant.from(instant).epochMilliseconds + near)
const instants = fc.oneof(nearChanges, fc.integer({ min: Date.parse('1900-01-01'), max: Date.parse('2080-01-01') }))

describe.each(zones)('windows in %s', (timezone) => {
  it('partition time: every timestamp is in its window, and neighbours touch', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: -99, max: 99 }),
        fc.array(instants, { minLength: 1, maxLength: 8 }),
        (sizeMs, percent, at) => {
          const offsetMs = Math.round((sizeMs * percent) / 100)
          const assigner = createTumbling(sizeMs, { offsetMs, timezone, time: 'event' })
          for (const timestamp of at) {
            assigner.assign(timestamp)
            const { startMs, endMs } = assigner
            expect(startMs <= timestamp && timestamp < endMs).toBe(true)
            // Both ends give the same window: one window a start, whichever element came first.
            for (const inside of [startMs, endMs - 1]) {
              assigner.assign(inside)
              expect([assigner.startMs, assigner.endMs]).toEqual([startMs, endMs])
            }
            assigner.assign(startMs - 1)
            expect(assigner.endMs).toBe(startMs)
            assigner.assign(endMs)
            expect(assigner.startMs).toBe(endMs)
          }
        },
      ),
      { numRuns: 100 },
    )
  })
})

/** Starts of windows by the calendar of Temporal. */
function windowOf(
  timezone: string,
  sizeMs: number,
  offsetMs: number,
  timestamp: number,
): { startMs: number; endMs: number } {
  const epoch = new Temporal.PlainDate(1970, 1, 1)
  const startOf = (day: number) => epoch.add({ days: day }).toZonedDateTime(timezone).epochMilliseconds
  const offsetDays = Math.floor(offsetMs / DAY_MS)
  const delay = offsetMs - offsetDays * DAY_MS
  const days = sizeMs / DAY_MS
  // Walks from well before the timestamp: slow, and without any arithmetic to get wrong.
  let start = tumblingStartMs(Math.floor(timestamp / DAY_MS) - 3 * days, offsetDays, days)
  while (startOf(start + days) + delay <= timestamp) start += days
  return { startMs: startOf(start) + delay, endMs: startOf(start + days) + delay }
}

describe('windows of whole days', () => {
  it.each(zones.slice(1))('follow the calendar of %s', (timezone) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: -9, max: 9 }),
        fc.nat(DAY_MS - 1),
        instants,
        (days, offsetDays, delay, at) => {
          const sizeMs = days * DAY_MS
          const offsetMs =
            (offsetDays % days) * DAY_MS + (days > 1 && Math.abs(offsetDays % days) === days - 1 ? 0 : delay)
          const assigner = createTumbling(sizeMs, { offsetMs, timezone, time: 'event' })
          assigner.assign(at)
          expect({ startMs: assigner.startMs, endMs: assigner.endMs }).toEqual(windowOf(timezone, sizeMs, offsetMs, at))
        },
      ),
      { numRuns: 80 },
    )
  })

  it('have 23 and 25 hours when clocks change', () => {
    const assigner = createTumbling(DAY_MS, { offsetMs: 0, timezone: 'Europe/Berlin', time: 'event' })
    assigner.assign(Date.parse('2024-03-31T12:00Z'))
    expect(assigner.endMs - assigner.startMs).toBe(23 * HOUR_MS)
    assigner.assign(Date.parse('2024-10-27T12:00Z'))
    expect(assigner.endMs - assigner.startMs).toBe(25 * HOUR_MS)
    expect(assigner.startMs).toBe(Date.parse('2024-10-26T22:00Z'))
  })
})

describe('windows that divide a day', () => {
  const windowsOf = (timezone: string, sizeMs: number, offsetMs: number, fromMs: number, toMs: number) => {
    const assigner = createTumbling(sizeMs, { offsetMs, timezone, time: 'event' })
    const found: number[] = []
    for (let at = fromMs; at < toMs; at = assigner.endMs) {
      assigner.assign(at)
      found.push((assigner.endMs - assigner.startMs) / HOUR_MS)
    }
    return found
  }

  it('start anew at each local midnight: the last one of a day ends with it', () => {
    const day = (zone: string, date: string) => {
      const start = Temporal.PlainDate.from(date).toZonedDateTime(zone)
      return [start.epochMilliseconds, start.add({ days: 1 }).epochMilliseconds] as const
    }
    expect(windowsOf('Europe/Berlin', 8 * HOUR_MS, 0, ...day('Europe/Berlin', '2024-03-31'))).toEqual([8, 8, 7])
    expect(windowsOf('Europe/Berlin', 8 * HOUR_MS, 0, ...day('Europe/Berlin', '2024-10-27'))).toEqual([8, 8, 8, 1])
    expect(windowsOf('Australia/Lord_Howe', 12 * HOUR_MS, 0, ...day('Australia/Lord_Howe', '2024-10-06'))).toEqual([
      12, 11.5,
    ])
    expect(windowsOf('Asia/Kolkata', HOUR_MS, 0, ...day('Asia/Kolkata', '2024-03-31'))).toHaveLength(24)
  })

  it('go on where a clock is set back over midnight: the day that has begun does not end again', () => {
    // In St. John's clocks went from 00:01 back to 23:01 of the day before.
    const [start, end] = [Date.parse('2006-10-28T00:00-02:30'), Date.parse('2006-10-30T00:00-03:30')]
    const hours = windowsOf('America/St_Johns', 8 * HOUR_MS, 0, start, end)
    expect(hours).toEqual([8, 8, 8, 8, 8, 8, 1])
    const assigner = createTumbling(HOUR_MS, { offsetMs: 0, timezone: 'America/St_Johns', time: 'event' })
    assigner.assign(Date.parse('2006-10-28T23:30-03:30'))
    expect(assigner.startMs).toBe(Date.parse('2006-10-29T00:00-02:30'))
  })

  it('are shifted by an offset in a zone as they are in UTC', () => {
    const assigner = createTumbling(HOUR_MS, { offsetMs: -900_000, timezone: 'Asia/Kolkata', time: 'event' })
    assigner.assign(Date.parse('2024-05-05T12:00+05:30'))
    expect(assigner.startMs).toBe(Date.parse('2024-05-05T11:45+05:30'))
    expect(assigner.endMs).toBe(Date.parse('2024-05-05T12:45+05:30'))
  })
})

describe('months', () => {
  it('run from the local midnight of one first day to that of the next, in every zone', () => {
    const zones = ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Pacific/Apia']
    fc.assert(
      fc.property(fc.constantFrom(...zones), fc.integer({ min: -4e12, max: 8e12 }), (zone, timeMs) => {
        const months = createMonths(zone)
        months.assign(timeMs)
        const date = Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone).toPlainDate()
        const first = date.with({ day: 1 })
        const startOf = (day: Temporal.PlainDate) => day.toZonedDateTime(zone).epochMilliseconds
        expect([months.startMs, months.endMs]).toEqual([startOf(first), startOf(first.add({ months: 1 }))])
      }),
      { numRuns: 500 },
    )
  })
})
