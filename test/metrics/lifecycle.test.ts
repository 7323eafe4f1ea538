/// <reference lib="esnext.temporal" />
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TumblingWindow } from '../../src/job/definition.ts'
import { Lifecycle } from '../../src/metrics/lifecycle.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { lifecycleReference } from './lifecycle-reference.ts'
import { type Given, givenBy, type TestEvent } from './support.ts'

const DAY_MS = 86_400_000

type Period = 'day' | 'week' | 'month'

function windowOf(period: Period, timezone: string): TumblingWindow {
  const calendar = { kind: 'tumbling', timezone, time: 'event' } as const
  if (period === 'day') return { ...calendar, sizeMs: DAY_MS, offsetMs: 0 }
  if (period === 'week') return { ...calendar, sizeMs: 7 * DAY_MS, offsetMs: 4 * DAY_MS }
  return { ...calendar, sizeMs: 31 * DAY_MS, offsetMs: 0, unit: 'month' }
}

/** First dates of the period of an instant and of the one behind, by Temporal. */
function periodOf(period: Period, timezone: string, timeMs: number): { startMs: number; endMs: number } {
  const date = Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(timezone).toPlainDate()
  const first =
    period === 'day' ? date : period === 'week' ? date.subtract({ days: date.dayOfWeek - 1 }) : date.with({ day: 1 })
  const next = first.add(period === 'day' ? { days: 1 } : period === 'week' ? { days: 7 } : { months: 1 })
  const startOf = (day: Temporal.PlainDate) => day.toZonedDateTime(timezone).epochMilliseconds
  return { startMs: startOf(first), endMs: startOf(next) }
}

/** The definition, with the periods of Temporal. */
function reference(period: Period, timezone: string, lookbackMs: number, events: readonly TestEvent[]): Given[] {
  return lifecycleReference((timeMs) => periodOf(period, timezone, timeMs), lookbackMs, events)
}

function lifecycle(period: Period, timezone: string, lookbackMs: number): Lifecycle {
  return new Lifecycle(lookbackMs, createAssigner(windowOf(period, timezone)))
}

const zones = ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Sao_Paulo']
const startMs = Date.UTC(2024, 0, 1)

const events = fc.array(
  fc.record({
    timeMs: fc.integer({ min: 0, max: 400 }).chain((day) =>
      // Also at midnight and near it.
      fc.oneof(fc.constant(0), fc.integer({ min: -7_200_000, max: DAY_MS })).map((ms) => startMs + day * DAY_MS + ms),
    ),
    bits: fc.constant(1),
    text: fc.constantFrom('', 'a'),
  }),
  { maxLength: 25 },
)

const cases = fc.record({
  period: fc.constantFrom<Period>('day', 'week', 'month'),
  timezone: fc.constantFrom(...zones),
  lookbackMs: fc.constantFrom(DAY_MS, 10 * DAY_MS, 90 * DAY_MS),
})

describe('lifecycle', () => {
  it('is what the definition says, in every zone, for days, weeks and months', () => {
    fc.assert(
      fc.property(cases, events, ({ period, timezone, lookbackMs }, list) => {
        const given = givenBy(lifecycle(period, timezone, lookbackMs), list)
        expect(given).toEqual(reference(period, timezone, lookbackMs, list))
      }),
      { numRuns: 500 },
    )
  })

  it('is the same of events that are kept by their period, and no further back than is said', () => {
    fc.assert(
      fc.property(cases, events, fc.integer({ min: 0, max: 400 }), ({ period, timezone, lookbackMs }, list, day) => {
        const person = lifecycle(period, timezone, lookbackMs)
        const openFromMs = person.keptTimeMs(startMs + day * DAY_MS)
        const keepMs = person.keepFromMs(openFromMs)
        const kept = list
          .map((one) => ({ ...one, timeMs: person.keptTimeMs(one.timeMs) }))
          .filter(({ timeMs }) => timeMs >= keepMs)
        const whole = reference(period, timezone, lookbackMs, list).filter((one) => one.startMs >= openFromMs)
        expect(givenBy(person, kept, openFromMs)).toEqual(whole)
      }),
      { numRuns: 500 },
    )
  })
})

// The numbers are those of the sections of docs/metrics.md.
describe('the definition of lifecycle, case by case', () => {
  const at = (...days: string[]): TestEvent[] =>
    days.map((day) => ({ timeMs: Date.parse(day.includes('T') ? day : `${day}T12:00:00Z`), bits: 1, text: '' }))
  const told = (given: readonly Given[]) => given.map((one) => `${new Date(one.startMs).toISOString()} ${one.label}`)

  it('L1 tells new, returning, resurrecting and dormant by days in a row', () => {
    const days = givenBy(lifecycle('day', 'UTC', 90 * DAY_MS), at('2024-03-01', '2024-03-02', '2024-03-04'))
    expect(told(days).map((one) => one.slice(5, 10) + one.slice(24))).toEqual([
      ...['03-01 new', '03-02 returning', '03-03 dormant', '03-04 resurrecting', '03-05 dormant'],
    ])
  })

  it('L2 has a person new again who was not seen within the lookback', () => {
    const given = givenBy(lifecycle('day', 'UTC', 10 * DAY_MS), at('2024-03-01', '2024-03-11', '2024-03-22'))
    expect(
      told(given)
        .filter((one) => !one.endsWith('dormant'))
        .map((one) => one.slice(25)),
    ).toEqual([...['new', 'resurrecting', 'new']])
  })

  it('L3 has calendar days of the zone: 23 hours when clocks go forward, from half past where a zone says so', () => {
    // Berlin, 2024-03-31: 23:30 of Saturday, Sunday, 00:30 of Monday.
    const berlin = at('2024-03-30T22:30:00Z', '2024-03-31T12:00:00Z', '2024-03-31T22:30:00Z')
    expect(told(givenBy(lifecycle('day', 'Europe/Berlin', 90 * DAY_MS), berlin))).toEqual([
      '2024-03-29T23:00:00.000Z new',
      '2024-03-30T23:00:00.000Z returning',
      '2024-03-31T22:00:00.000Z returning',
      '2024-04-01T22:00:00.000Z dormant',
    ])
    // Kolkata: midnight is 18:30 UTC.
    const kolkata = at('2024-03-30T18:29:59Z', '2024-03-30T18:30:00Z')
    expect(told(givenBy(lifecycle('day', 'Asia/Kolkata', 90 * DAY_MS), kolkata))).toEqual([
      '2024-03-29T18:30:00.000Z new',
      '2024-03-30T18:30:00.000Z returning',
      '2024-03-31T18:30:00.000Z dormant',
    ])
  })

  it('L4 has months of every length, and weeks from Monday', () => {
    const months = at('2024-01-31T23:59:59Z', '2024-02-29T00:00:00Z', '2024-04-01T00:00:00Z')
    expect(told(givenBy(lifecycle('month', 'UTC', 90 * DAY_MS), months))).toEqual([
      '2024-01-01T00:00:00.000Z new',
      '2024-02-01T00:00:00.000Z returning',
      '2024-03-01T00:00:00.000Z dormant',
      '2024-04-01T00:00:00.000Z resurrecting',
      '2024-05-01T00:00:00.000Z dormant',
    ])
    const weeks = at('2024-03-03T23:59:59Z', '2024-03-04T00:00:00Z')
    expect(told(givenBy(lifecycle('week', 'UTC', 90 * DAY_MS), weeks))).toEqual([
      '2024-02-26T00:00:00.000Z new',
      '2024-03-04T00:00:00.000Z returning',
      '2024-03-11T00:00:00.000Z dormant',
    ])
  })
})
