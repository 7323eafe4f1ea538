import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { intervalWindow, mostIntervals } from '../../src/job/person/stickiness.ts'
import { Stickiness } from '../../src/metrics/stickiness.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { DAY_MS, temporalPeriods, windowOf, zonedOf, zones } from './calendar.ts'
import { stickinessReference } from './retention-reference.ts'
import { givenBy, type TestEvent } from './support.ts'

type Interval = 'hour' | 'day' | 'week'

function stickiness(interval: Interval, period: 'week' | 'month', timezone: string): Stickiness {
  const window = windowOf(period, timezone)
  const intervals = createAssigner(intervalWindow(interval, window))
  return new Stickiness(mostIntervals(interval, window), createAssigner(window), intervals)
}

/** Events as they are kept. */
function keptBy(person: Stickiness, events: readonly TestEvent[]): TestEvent[] {
  return events.map((event) => ({ ...event, timeMs: person.keptTimeMs(event.timeMs) }))
}

const startMs = Date.UTC(2024, 0, 1)
const events = fc.array(
  fc.record({
    timeMs: fc.integer({ min: 60, max: 130 }).chain((day) =>
      // Also at midnight and near it.
      fc.oneof(fc.constant(0), fc.integer({ min: -7_200_000, max: DAY_MS })).map((ms) => startMs + day * DAY_MS + ms),
    ),
    bits: fc.constant(1),
    text: fc.constantFrom('', 'a'),
  }),
  { maxLength: 40 },
)

describe('stickiness', () => {
  it('is what the definition says, in every zone, of events that are kept by their interval', () => {
    const cases = fc.record({
      interval: fc.constantFrom<Interval>('day', 'week'),
      timezone: fc.constantFrom(...zones),
    })
    fc.assert(
      fc.property(cases, events, ({ interval, timezone }, list) => {
        const person = stickiness(interval, 'month', timezone)
        const intervalOf = (timeMs: number) => temporalPeriods(interval as 'day' | 'week', timezone).of(timeMs).startMs
        const wanted = stickinessReference(temporalPeriods('month', timezone).of, intervalOf, list)
        expect(givenBy(person, keptBy(person, list))).toEqual(wanted)
      }),
      { numRuns: 200 },
    )
  })
})

// The numbers are those of the section of docs/metrics.md.
describe('the definition of stickiness, case by case', () => {
  const at = (...instants: string[]): TestEvent[] =>
    instants.map((instant) => ({ timeMs: Date.parse(instant), bits: 1, text: '' }))
  const told = (person: Stickiness, list: readonly TestEvent[]) =>
    givenBy(person, keptBy(person, list)).map(
      (one) => `${new Date(one.startMs).toISOString().slice(0, 16)} ${one.label}`,
    )

  it('S1 counts a person once in a window, by the number of days on which they were active', () => {
    const list = at('2024-03-01T10:00Z', '2024-03-01T11:00Z', '2024-03-05T10:00Z', '2024-04-01T00:00Z')
    expect(told(stickiness('day', 'month', 'UTC'), list)).toEqual(['2024-03-01T00:00 2', '2024-04-01T00:00 1'])
  })

  it('S2 has days of the zone: midnight begins one, clocks that are set make them longer, half hours', () => {
    // Berlin, 31 March 2024, has 23 hours: 00:00 and 23:59 are one day, and the last of the month.
    const berlin = at('2024-03-30T23:00Z', '2024-03-31T21:59:59Z', '2024-03-31T22:00Z')
    expect(told(stickiness('day', 'month', 'Europe/Berlin'), berlin)).toEqual([
      '2024-02-29T23:00 1',
      '2024-03-31T22:00 1',
    ])
    const kolkata = at('2024-03-10T18:29:59Z', '2024-03-10T18:30Z')
    expect(told(stickiness('day', 'month', 'Asia/Kolkata'), kolkata)).toEqual(['2024-02-29T18:30 2'])
  })

  it('S3 has as many hours as a day has', () => {
    const hours = Array.from({ length: 25 }, (_, hour) => new Date(Date.UTC(2024, 9, 26, 22 + hour)).toISOString())
    expect(hours.map((hour) => zonedOf(Date.parse(hour), 'Europe/Berlin').day)).toEqual(Array(25).fill(27))
    const person = stickiness('hour', 'week', 'Europe/Berlin')
    expect(told(person, at(...hours))).toEqual(['2024-10-20T22:00 25'])
  })

  it('S4 has the part of a week that lies in the window as one of its weeks', () => {
    // Monday 29 January to Sunday 4 February 2024.
    const list = at('2024-01-29T12:00Z', '2024-01-31T12:00Z', '2024-02-01T12:00Z', '2024-02-05T12:00Z')
    expect(told(stickiness('week', 'month', 'UTC'), list)).toEqual(['2024-01-01T00:00 1', '2024-02-01T00:00 2'])
  })
})
