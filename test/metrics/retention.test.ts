import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { retentionSettleMs } from '../../src/job/person/retention.ts'
import { elapsedPeriods } from '../../src/metrics/period-functions.ts'
import { Retention } from '../../src/metrics/retention.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { KnownWindows } from '../../src/window/known-windows.ts'
import { DAY_MS, type Period, temporalPeriods, windowOf, zones } from './calendar.ts'
import { type RetentionCase, retentionReference } from './retention-reference.ts'
import { type Given, givenBy, type TestEvent } from './support.ts'

interface Case extends RetentionCase {
  readonly period: Period
  readonly timezone: string
}

function retention(shape: Case, hasTexts = true): Retention {
  const window = windowOf(shape.period, shape.timezone)
  const settleMs = retentionSettleMs(shape, window)
  const elapsed = shape.clock === 'elapsed' ? elapsedPeriods(window) : null
  return new Retention({ ...shape, settleMs }, new KnownWindows(createAssigner(window)), elapsed, hasTexts)
}

function reference(shape: Case, events: readonly TestEvent[]): Given[] {
  return retentionReference(shape, temporalPeriods(shape.period, shape.timezone), events)
}

const startMs = Date.UTC(2024, 0, 1)

const cases: fc.Arbitrary<Case> = fc.record({
  period: fc.constantFrom<Period>('day', 'week', 'month'),
  timezone: fc.constantFrom(...zones),
  periods: fc.integer({ min: 1, max: 8 }),
  mode: fc.constantFrom('on', 'onOrAfter'),
  cohort: fc.constantFrom('first', 'recurring'),
  clock: fc.constantFrom('calendar', 'elapsed'),
  lookbackMs: fc.constantFrom(DAY_MS, 10 * DAY_MS, 90 * DAY_MS),
})

/** Days near each other, and near changes of clocks; at midnights, at the same time of day, and anywhere. */
const events = fc.array(
  fc.record({
    timeMs: fc
      .oneof(fc.integer({ min: 80, max: 100 }), fc.integer({ min: 290, max: 315 }), fc.integer({ min: 0, max: 400 }))
      .chain((day) =>
        fc
          .oneof(fc.constantFrom(0, 43_200_000, 43_199_999), fc.integer({ min: -50_400_000, max: DAY_MS }))
          .map((ms) => startMs + day * DAY_MS + ms),
      ),
    bits: fc.integer({ min: 1, max: 3 }),
    text: fc.constantFrom('', 'a'),
  }),
  { maxLength: 25 },
)

describe('retention', () => {
  it('is what the definition says, in every zone, for days, weeks and months, by both clocks', () => {
    fc.assert(
      fc.property(cases, events, (shape, list) => {
        expect(givenOf(retention(shape), list)).toEqual(reference(shape, list))
      }),
      { numRuns: 300 },
    )
  })

  it('is the same of events that are kept by their period, and no further back than is said', () => {
    fc.assert(
      fc.property(cases, events, fc.integer({ min: 0, max: 400 }), (shape, texts, day) => {
        const person = retention(shape, false)
        const list = texts.map((event) => ({ ...event, text: '' }))
        const openFromMs = temporalPeriods(shape.period, shape.timezone).of(startMs + day * DAY_MS).startMs
        const keepMs = person.keepFromMs(openFromMs)
        const kept = list
          .filter(({ timeMs, bits }) => !person.isTooLate(timeMs, bits, openFromMs))
          .map((one) => ({ ...one, timeMs: person.keptTimeMs(one.timeMs) }))
          .filter(({ timeMs }) => timeMs >= keepMs)
        const whole = reference(shape, list).filter((one) => one.startMs >= openFromMs)
        expect(givenOf(person, kept, openFromMs)).toEqual(whole)
      }),
      { numRuns: 200 },
    )
  })

  it('looks no further ahead than it says', () => {
    fc.assert(
      fc.property(cases, events, fc.integer({ min: 0, max: 400 }), (shape, list, day) => {
        const person = retention(shape)
        const { endMs } = temporalPeriods(shape.period, shape.timezone).of(startMs + day * DAY_MS)
        const seen = list.filter(({ timeMs }) => timeMs <= person.looksToMs(endMs))
        const whole = reference(shape, list).filter((one) => one.startMs < endMs)
        expect(givenOf(person, seen, Number.NEGATIVE_INFINITY, endMs)).toEqual(whole)
      }),
      { numRuns: 200 },
    )
  })
})

/** One row a window, group and period: entries of a person's cohort and of the periods in which they returned add up. */
function givenOf(person: Retention, list: readonly TestEvent[], fromMs?: number, toMs?: number): Given[] {
  const rows = new Map<string, Given>()
  for (const given of givenBy(person, list, fromMs, toMs)) {
    const name = JSON.stringify([given.startMs, given.label, given.text])
    const before = rows.get(name)
    const values = before === undefined ? given.values : given.values.map((value, i) => value + before.values[i]!)
    rows.set(name, { ...given, values })
  }
  return [...rows.values()]
}
