import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Sessions, type SessionsShape } from '../../src/metrics/sessions.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { KnownWindows } from '../../src/window/known-windows.ts'
import { DAY_MS, type Period, temporalPeriods, windowOf, zones } from './calendar.ts'
import { sessionsReference } from './sessions-reference.ts'
import { type Given, givenBy, sortEvents, type TestEvent } from './support.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

interface Case extends SessionsShape {
  readonly period: Period | 'hour'
  readonly timezone: string
}

const ga4: Case = {
  ...{ gapMs: 30 * MINUTE, maxDurationMs: DAY_MS, cutAtMidnight: false, engagedAfterMs: 10_000, bounce: 'ga4' },
  ...{ bucketsMs: [10_000, HOUR], period: 'day', timezone: 'UTC' },
}

function sessions({ period, timezone, ...shape }: Case): Sessions {
  const window =
    period === 'hour'
      ? ({ kind: 'tumbling', sizeMs: HOUR, offsetMs: 0, timezone, time: 'event' } as const)
      : windowOf(period, timezone)
  const known = (of: typeof window) => new KnownWindows(createAssigner(of))
  return new Sessions(shape, known(window), known(windowOf('day', timezone)))
}

function reference(shape: Case, events: readonly TestEvent[]): Given[] {
  const days = temporalPeriods('day', shape.timezone)
  if (shape.period !== 'hour')
    return sessionsReference(shape, temporalPeriods(shape.period, shape.timezone).of, days.of, events)
  // Hours of a zone begin with its midnight, and the last one ends with the day.
  const hourOf = (timeMs: number) => {
    const day = days.of(timeMs)
    const startMs = day.startMs + Math.floor((timeMs - day.startMs) / HOUR) * HOUR
    return { startMs, endMs: Math.min(startMs + HOUR, day.endMs) }
  }
  return sessionsReference(shape, hourOf, days.of, events)
}

/** Sessions of one window and text add up. */
function added(given: readonly Given[]): Given[] {
  const rows = new Map<string, Given>()
  for (const one of given) {
    const name = JSON.stringify([one.startMs, one.text])
    const before = rows.get(name)
    rows.set(
      name,
      before === undefined ? one : { ...one, values: one.values.map((value, i) => value + before.values[i]!) },
    )
  }
  return [...rows.values()]
}

const baseMs = Date.UTC(2024, 0, 1)
const VIEW = 3
const ACT = 5

/** Numbers of the first row by name: of windows of one day. */
function told(shape: Case, list: readonly (readonly [timeMs: number, bits?: number, text?: string])[]) {
  const events = list.map(([timeMs, bits = VIEW, text = '']) => ({ timeMs, bits, text }))
  return added(givenBy(sessions(shape), events)).map(({ startMs, text, values }) => {
    const [count, persons, views, bounces, engaged, durationMs, ...buckets] = values
    return { startMs, text, count, persons, views, bounces, engaged, durationMs, buckets }
  })
}

const cases: fc.Arbitrary<Case> = fc.record({
  period: fc.constantFrom<Case['period']>('hour', 'day', 'week', 'month'),
  timezone: fc.constantFrom(...zones),
  gapMs: fc.constantFrom(30 * MINUTE, 3 * HOUR, 14 * HOUR),
  maxDurationMs: fc.constantFrom(14 * HOUR, DAY_MS, 3 * DAY_MS),
  cutAtMidnight: fc.boolean(),
  engagedAfterMs: fc.constantFrom(10_000, HOUR),
  bounce: fc.constantFrom('ga4', 'posthog', 'plausible', 'matomo'),
  bucketsMs: fc.constant([10_000, HOUR]),
})

/** A person's events, each some time behind the one before: chains without a pause for days come, and ties. */
const events: fc.Arbitrary<TestEvent[]> = fc
  .tuple(
    fc.constantFrom(88, 299, 303, 0).chain((day) => fc.integer({ min: 0, max: DAY_MS }).map((ms) => day * DAY_MS + ms)),
    fc.array(
      fc.record({
        afterMs: fc.oneof(
          fc.constantFrom(0, 1, 30 * MINUTE, 30 * MINUTE + 1, 3 * HOUR, 14 * HOUR, 10_000),
          fc.integer({ min: 0, max: HOUR }),
          fc.integer({ min: 0, max: 20 * HOUR }),
          { weight: 8, arbitrary: fc.integer({ min: 2 * HOUR, max: 14 * HOUR }) },
        ),
        bits: fc.constantFrom(1, VIEW, ACT, 7),
        text: fc.constantFrom('', 'a'),
      }),
      { maxLength: 30 },
    ),
  )
  .map(([firstMs, list]) => {
    let timeMs = baseMs + firstMs
    return list.map(({ afterMs, bits, text }) => {
      timeMs += afterMs
      return { timeMs, bits, text }
    })
  })

describe('sessions', () => {
  it('are what the definition says, in every zone, for hours, days, weeks and months', () => {
    fc.assert(
      fc.property(cases, events, (shape, list) => {
        expect(added(givenBy(sessions(shape), list))).toEqual(reference(shape, list))
      }),
      { numRuns: 400 },
    )
  })

  it('are the same of events no further back than is said, and no further ahead', () => {
    fc.assert(
      fc.property(cases, events, fc.nat(), (shape, list, any) => {
        fc.pre(list.length > 0)
        const person = sessions(shape)
        const windows = reference(shape, list).map((one) => one.startMs)
        const fromMs = windows[any % windows.length]!
        const keepMs = person.keepFromMs(fromMs)
        const kept = list.filter(({ timeMs }) => timeMs >= keepMs)
        const whole = reference(shape, list)
        expect(added(givenBy(person, kept, fromMs))).toEqual(whole.filter((one) => one.startMs >= fromMs))
        const seen = list.filter(({ timeMs }) => timeMs <= person.looksToMs(fromMs))
        const before = whole.filter((one) => one.startMs < fromMs)
        expect(added(givenBy(person, seen, Number.NEGATIVE_INFINITY, fromMs))).toEqual(before)
      }),
      { numRuns: 400 },
    )
  })

  it('change in no window but those that are said, whatever event comes or goes', () => {
    fc.assert(
      fc.property(cases, events, fc.nat(), fc.boolean(), (shape, list, any, walks) => {
        fc.pre(list.length > 0)
        const person = sessions(shape)
        const at = any % list.length
        const event = list[at]!
        const rest = list.filter((_, i) => i !== at)
        const sorted = sortEvents(any % 2 === 0 ? rest : list).reverse()
        const walk = (fromMs: number, toMs: number, visit: (timeMs: number, bits: number) => boolean) => {
          for (const { timeMs, bits } of sorted) if (timeMs >= fromMs && timeMs <= toMs && !visit(timeMs, bits)) return
        }
        const fromMs = person.changesFromMs(event.timeMs, event.bits, walks ? walk : null)
        const toMs = person.changesToMs(event.timeMs)
        const others = (given: Given[]) => given.filter(({ startMs }) => startMs < fromMs || startMs >= toMs)
        expect(others(reference(shape, list))).toEqual(others(reference(shape, rest)))
      }),
      { numRuns: 400 },
    )
  })

  it('N1: count whole in the window in which they start, over midnight too', () => {
    const midnightMs = baseMs + DAY_MS
    expect(told(ga4, [[midnightMs - MINUTE], [midnightMs + 20 * MINUTE], [midnightMs + 21 * MINUTE]])).toMatchObject([
      { startMs: baseMs, count: 1, persons: 1, views: 3, durationMs: 22 * MINUTE },
    ])
  })

  it('N2: go on over a pause of exactly the gap, and no longer', () => {
    expect(told(ga4, [[baseMs], [baseMs + 30 * MINUTE]])).toMatchObject([{ count: 1, durationMs: 30 * MINUTE }])
    expect(told(ga4, [[baseMs], [baseMs + 30 * MINUTE + 1]])).toMatchObject([{ count: 2, durationMs: 0 }])
  })

  it('N3: end when the greatest duration is reached, and the next event begins another', () => {
    const shape = { ...ga4, gapMs: HOUR, maxDurationMs: 2 * HOUR }
    const times = [0, 1, 2, 3].map((hour): [number] => [baseMs + hour * HOUR])
    expect(told(shape, times)).toMatchObject([{ count: 2, durationMs: 2 * HOUR }])
    // Reached exactly, at one instant several times: all belong to the session.
    expect(told(shape, [...times.slice(0, 3), [baseMs + 2 * HOUR, ACT]])).toMatchObject([
      { count: 1, durationMs: 2 * HOUR },
    ])
    expect(told(shape, [...times.slice(0, 3), [baseMs + 2 * HOUR + 1]])).toMatchObject([
      { count: 2, durationMs: 2 * HOUR },
    ])
  })

  it('N4: are cut at the midnight of the zone where that is asked for, of days of any length', () => {
    const shape: Case = { ...ga4, cutAtMidnight: true, timezone: 'Asia/Kolkata' }
    const midnightMs = Date.UTC(2024, 0, 1, 18, 30)
    const around: [number][] = [[midnightMs - 1], [midnightMs]]
    expect(told(shape, around)).toMatchObject([
      { startMs: midnightMs - DAY_MS, count: 1 },
      { startMs: midnightMs, count: 1 },
    ])
    expect(told({ ...shape, cutAtMidnight: false }, around)).toMatchObject([{ startMs: midnightMs - DAY_MS, count: 1 }])
    // A day of 23 hours, and one of 25.
    for (const [date, hours] of [
      ['2024-03-31', 23],
      ['2024-10-27', 25],
    ] as const) {
      const startMs = Date.parse(`${date}T00:00:00Z`) - (hours === 23 ? HOUR : 2 * HOUR)
      const endMs = startMs + hours * HOUR
      const berlin: Case = { ...shape, timezone: 'Europe/Berlin' }
      expect(told(berlin, [[startMs], [endMs - 1], [endMs]])).toMatchObject([
        { startMs, count: 2 },
        { startMs: endMs, count: 1 },
      ])
    }
  })

  it('N5: begin anew at a midnight before which there was no pause for a day', () => {
    // From 10:00 on something every half hour, for three days: cut after a day, then at each midnight.
    const startMs = baseMs + 10 * HOUR
    const restless = Array.from({ length: 3 * 48 }, (_, i): [number] => [startMs + i * 30 * MINUTE])
    expect(told(ga4, restless)).toMatchObject([
      { startMs: baseMs, count: 1, durationMs: DAY_MS },
      { startMs: baseMs + DAY_MS, count: 1 },
      { startMs: baseMs + 2 * DAY_MS, count: 1 },
      { startMs: baseMs + 3 * DAY_MS, count: 1 },
    ])
  })

  it('N6: last from the first to the last event, so one event alone lasts 0', () => {
    expect(told(ga4, [[baseMs], [baseMs + HOUR], [baseMs + 80 * MINUTE]])).toMatchObject([
      { count: 2, durationMs: 20 * MINUTE, buckets: [1, 1, 0] },
    ])
  })

  it('N7: are engaged from ten seconds on, by an interaction, or by two views', () => {
    const engaged = (list: Parameters<typeof told>[1]) => told(ga4, list)[0]!.engaged
    expect(engaged([[baseMs]])).toBe(0)
    expect(engaged([[baseMs], [baseMs + 9999, 1]])).toBe(0)
    expect(engaged([[baseMs], [baseMs + 10_000, 1]])).toBe(1)
    expect(engaged([[baseMs], [baseMs, ACT]])).toBe(1)
    // Two equal views are two.
    expect(engaged([[baseMs], [baseMs]])).toBe(1)
  })

  it.each([
    ['one view', [[0]], { ga4: 1, posthog: 1, plausible: 1, matomo: 1 }],
    [
      'one view, and something else within ten seconds',
      [[0], [9999, 1]],
      { ga4: 1, posthog: 1, plausible: 1, matomo: 1 },
    ],
    ['one view, and something else after', [[0], [10_000, 1]], { ga4: 0, posthog: 0, plausible: 1, matomo: 1 }],
    ['one view and an interaction', [[0], [1, ACT]], { ga4: 0, posthog: 0, plausible: 0, matomo: 1 }],
    ['two views', [[0], [1]], { ga4: 0, posthog: 0, plausible: 0, matomo: 0 }],
    ['no view', [[0, 1]], { ga4: 1, posthog: 0, plausible: 0, matomo: 0 }],
  ] as const)('N8: bounce by the definition of a product: %s', (_name, list, expected) => {
    const of = (bounce: SessionsShape['bounce']) =>
      told(
        { ...ga4, bounce },
        list.map(([ms, bits]) => [baseMs + ms, bits ?? VIEW] as const),
      )[0]!.bounces
    expect({ ga4: of('ga4'), posthog: of('posthog'), plausible: of('plausible'), matomo: of('matomo') }).toEqual(
      expected,
    )
  })

  it('N9: have the dimensions of their first event, and count a person once a group', () => {
    const list: [number, number, string][] = [
      [baseMs, VIEW, 'b'],
      [baseMs, VIEW, 'a'],
      [baseMs + 1, VIEW, 'b'],
      [baseMs + 2 * HOUR, VIEW, 'b'],
      [baseMs + 4 * HOUR, VIEW, 'a'],
    ]
    expect(told(ga4, list)).toMatchObject([
      { text: 'a', count: 2, persons: 1, views: 4 },
      { text: 'b', count: 1, persons: 1, views: 1 },
    ])
  })
})
