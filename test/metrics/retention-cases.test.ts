/** The definition of retention, case by case. The numbers are those of the section of docs/metrics.md. */
import { describe, expect, it } from 'vitest'
import { retentionSettleMs } from '../../src/job/person/retention.ts'
import { elapsedPeriods } from '../../src/metrics/period-functions.ts'
import { Retention } from '../../src/metrics/retention.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { DAY_MS, type Period, windowOf } from './calendar.ts'
import type { RetentionCase } from './retention-reference.ts'
import { givenBy, type TestEvent } from './support.ts'

const usual: RetentionCase = { periods: 3, mode: 'on', cohort: 'first', clock: 'calendar', lookbackMs: 90 * DAY_MS }

/** Events at these instants; those with a leading `s` are starts alone, with `r` returns alone. */
function at(...instants: string[]): TestEvent[] {
  return instants.map((instant) => ({
    timeMs: Date.parse(instant.replace(/^[sr]/, '')),
    bits: instant.startsWith('s') ? 1 : instant.startsWith('r') ? 2 : 3,
    text: '',
  }))
}

/** `cohort: periods in which the person is there`, by the start of the cohort's window. */
function told(
  events: readonly TestEvent[],
  change: Partial<RetentionCase>,
  period: Period,
  timezone = 'UTC',
): string[] {
  const shape = { ...usual, ...change }
  const window = windowOf(period, timezone)
  const elapsed = shape.clock === 'elapsed' ? elapsedPeriods(window) : null
  const settleMs = retentionSettleMs(shape, window)
  const person = new Retention({ ...shape, settleMs }, createAssigner(window), elapsed, true)
  const cohorts = new Map<string, string[]>()
  for (const { startMs, label, values } of givenBy(person, events)) {
    const name = new Date(startMs).toISOString().slice(0, 16)
    const list = cohorts.get(name) ?? []
    if (values[2] === 1) list.push(label)
    cohorts.set(name, list)
  }
  return [...cohorts].map(([name, labels]) => `${name}: ${labels.sort().join(' ')}`)
}

describe('the definition of retention, case by case', () => {
  it('R1 counts persons by period behind the cohort: in that one, or in it or a later one', () => {
    const events = at('2024-03-01T10:00Z', '2024-03-02T23:00Z', '2024-03-04T01:00Z')
    expect(told(events, {}, 'day')).toEqual(['2024-03-01T00:00: 0 1 3'])
    expect(told(events, { mode: 'onOrAfter' }, 'day')).toEqual(['2024-03-01T00:00: 0 1 2 3'])
    // What lies behind the last period is none.
    const late = at('2024-03-01T10:00Z', '2024-03-05T10:00Z')
    expect(told(late, { mode: 'onOrAfter' }, 'day')).toEqual(['2024-03-01T00:00: 0'])
  })

  it('R2 has a person in the cohort of their first start, or in each with one; first within the lookback', () => {
    const events = at('2024-03-01T10:00Z', '2024-03-02T10:00Z')
    expect(told(events, { cohort: 'recurring' }, 'day')).toEqual(['2024-03-01T00:00: 0 1', '2024-03-02T00:00: 0'])
    expect(told(events, {}, 'day')).toEqual(['2024-03-01T00:00: 0 1'])
    const gone = at('2024-03-01T10:00Z', '2024-03-11T00:00Z', '2024-03-22T00:00Z')
    expect(told(gone, { lookbackMs: 10 * DAY_MS }, 'day')).toEqual(['2024-03-01T00:00: 0', '2024-03-22T00:00: 0'])
  })

  it('R3 counts what is start and return, and a return of the same period, in period 0 only', () => {
    expect(told(at('2024-03-01T10:00Z'), {}, 'day')).toEqual(['2024-03-01T00:00: 0'])
    expect(told(at('s2024-03-01T10:00Z', 'r2024-03-01T11:00Z'), {}, 'day')).toEqual(['2024-03-01T00:00: 0'])
    expect(told(at('r2024-03-01T10:00Z', 's2024-03-02T10:00Z'), {}, 'day')).toEqual(['2024-03-02T00:00: 0'])
  })

  it('R4 has midnight in the day that it begins', () => {
    const events = at('s2024-03-01T23:59:59.999Z', 'r2024-03-02T00:00Z')
    expect(told(events, {}, 'day')).toEqual(['2024-03-01T00:00: 0 1'])
    expect(told(at('s2024-03-02T00:00Z', 'r2024-03-02T23:59:59.999Z'), {}, 'day')).toEqual(['2024-03-02T00:00: 0'])
  })

  it('R5 follows the calendar of the zone: days of 23 and 25 hours, half hours', () => {
    // Berlin, 31 March 2024: 23 hours. 30 hours lie between the start and the second day after it.
    const spring = at('s2024-03-30T22:59:59Z', 'r2024-03-31T22:00Z')
    expect(told(spring, {}, 'day', 'Europe/Berlin')).toEqual(['2024-03-29T23:00: 0 2'])
    // Berlin, 27 October 2024: 25 hours, from 22:00 to 23:00 UTC.
    const autumn = at('s2024-10-26T22:00Z', 'r2024-10-27T22:59:59.999Z')
    expect(told(autumn, {}, 'day', 'Europe/Berlin')).toEqual(['2024-10-26T22:00: 0'])
    const kolkata = at('s2024-03-30T18:29:59Z', 'r2024-03-30T18:30Z')
    expect(told(kolkata, {}, 'day', 'Asia/Kolkata')).toEqual(['2024-03-29T18:30: 0 1'])
    // Lord Howe, 7 April 2024: clocks go back by half an hour, so the day has 24.5.
    const howe = at('s2024-04-06T13:00Z', 'r2024-04-07T13:29:59Z', 'r2024-04-07T13:30Z')
    expect(told(howe, {}, 'day', 'Australia/Lord_Howe')).toEqual(['2024-04-06T13:00: 0 1'])
  })

  it('R6 counts elapsed days as 24 hours since the start, whatever clocks do', () => {
    const elapsed = { clock: 'elapsed' } as const
    const events = at('s2024-03-01T20:00Z', 'r2024-03-02T19:59:59.999Z')
    expect(told(events, elapsed, 'day')).toEqual(['2024-03-01T00:00: 0'])
    expect(told(events, {}, 'day')).toEqual(['2024-03-01T00:00: 0 1'])
    expect(told(at('s2024-03-01T20:00Z', 'r2024-03-02T20:00Z'), elapsed, 'day')).toEqual(['2024-03-01T00:00: 0 1'])
    // Over the night of 23 hours, the same time of day is not yet 24 hours later.
    const spring = at('s2024-03-30T11:00Z', 'r2024-03-31T10:00Z', 'r2024-04-01T11:00Z')
    expect(told(spring, elapsed, 'day', 'Europe/Berlin')).toEqual(['2024-03-29T23:00: 0 2'])
  })

  it('R7 has an elapsed month end on the same date, or on the last of the month; counted from the first date', () => {
    const of = (...events: string[]) => told(at(...events), { clock: 'elapsed' }, 'month')
    expect(of('s2024-01-31T12:00Z', 'r2024-02-29T11:59:59Z')).toEqual(['2024-01-01T00:00: 0'])
    expect(of('s2024-01-31T12:00Z', 'r2024-02-29T12:00Z')).toEqual(['2024-01-01T00:00: 0 1'])
    expect(of('s2023-01-31T12:00Z', 'r2023-02-28T12:00Z')).toEqual(['2023-01-01T00:00: 0 1'])
    // Not from 29 February: a month later is 31 March again.
    expect(of('s2024-01-31T12:00Z', 'r2024-03-31T11:59:59Z')).toEqual(['2024-01-01T00:00: 0 1'])
    expect(of('s2024-01-31T12:00Z', 'r2024-03-31T12:00Z')).toEqual(['2024-01-01T00:00: 0 2'])
  })

  it('R8 has calendar months of every length, and weeks from Monday', () => {
    const months = at('s2024-01-31T23:59:59Z', 'r2024-02-29T23:59:59Z', 'r2024-03-01T00:00Z')
    expect(told(months, {}, 'month')).toEqual(['2024-01-01T00:00: 0 1 2'])
    expect(told(at('s2024-03-03T23:59:59Z', 'r2024-03-04T00:00Z'), {}, 'week')).toEqual(['2024-02-26T00:00: 0 1'])
  })

  it('R9 counts a person under the texts of the first start of the cohort; of several at once, of a fixed one', () => {
    const window = windowOf('day', 'UTC')
    const person = new Retention({ ...usual, settleMs: 3 * DAY_MS }, createAssigner(window), null, true)
    const event = (instant: string, bits: number, text: string) => ({ timeMs: Date.parse(instant), bits, text })
    const textsOf = (list: readonly TestEvent[]) => new Set(givenBy(person, list).map(({ text }) => text))
    const ios = event('2024-03-01T10:00Z', 1, 'ios')
    expect(textsOf([ios, event('2024-03-01T09:00Z', 2, 'tv'), event('2024-03-02T09:00Z', 3, 'web')])).toEqual(
      new Set(['ios']),
    )
    expect(textsOf([ios, event('2024-03-01T09:00Z', 3, 'web')])).toEqual(new Set(['web']))
    // Texts are compared with their lengths before them.
    for (const bits of [1, 3]) {
      const others = ['android', 'tv'].map((text) => event('2024-03-01T10:00Z', bits, text))
      expect(textsOf([ios, ...others])).toEqual(new Set(['tv']))
      expect(textsOf([...others, ios])).toEqual(new Set(['tv']))
    }
  })
})
