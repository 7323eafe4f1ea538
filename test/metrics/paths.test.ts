import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Paths } from '../../src/metrics/paths.ts'
import { Contributions, Timeline } from '../../src/metrics/timeline.ts'
import { dimensionTexts, groupKeyOf } from '../../src/operator/group-key.ts'
import { createAssigner } from '../../src/window/assigner.ts'
import { KnownWindows } from '../../src/window/known-windows.ts'
import { DAY_MS, type Period, temporalPeriods, windowOf, zones } from './calendar.ts'
import { type PathEvent, type PathsRule, pathsReference, type Transition } from './paths-reference.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const baseMs = Date.UTC(2024, 0, 1)

interface Case extends PathsRule {
  readonly period: Period
  readonly timezone: string
}

const posthog: Case = {
  ...{ gapMs: 30 * MINUTE, maxDurationMs: DAY_MS, steps: 5, collapse: true },
  ...{ period: 'day', timezone: 'UTC' },
}

function paths({ period, timezone, ...shape }: Case): Paths {
  const known = (of: Period) => new KnownWindows(createAssigner(windowOf(of, timezone)))
  return new Paths({ ...shape, cutAtMidnight: false }, known(period), known('day'), 1)
}

function reference({ period, timezone, ...rule }: Case, events: readonly PathEvent[]): Transition[] {
  const periods = (of: Period) => temporalPeriods(of, timezone).of
  return sorted(pathsReference(rule, periods(period), periods('day'), events))
}

function timelineOf(events: readonly PathEvent[]): Timeline {
  const rows = new Map<string, { event: PathEvent; texts: Uint8Array; copies: number }>()
  for (const event of events) {
    const texts = groupKeyOf([Buffer.from(event.text), Buffer.from(event.of)])
    const name = `${event.timeMs} ${Buffer.from(texts).toString('hex')}`
    const row = rows.get(name) ?? { event, texts, copies: 0 }
    row.copies++
    rows.set(name, row)
  }
  const list = [...rows.values()]
  list.sort((a, b) => a.event.timeMs - b.event.timeMs || Buffer.compare(a.texts, b.texts))
  const timeline = new Timeline()
  for (const { event, texts, copies } of list) timeline.add(event.timeMs, 1, copies, texts, 0, texts.length)
  return timeline
}

function givenBy(person: Paths, events: readonly PathEvent[], fromMs = -Infinity, toMs = Infinity): Transition[] {
  const into = new Contributions(person.entryWidth)
  person.contribute(timelineOf(events), fromMs, toMs, into)
  const given = Array.from({ length: into.count }, (_, i) => {
    const at = into.textsAt[i]!
    const [text, step, from, to] = dimensionTexts(into.bytes.subarray(at, at + into.textsLength[i]!), 4)
    return { startMs: into.startMs[i]!, text: text!, step: step!, from: from!, to: to! }
  })
  return sorted(given)
}

function sorted(list: readonly Transition[]): Transition[] {
  const name = ({ startMs, text, step, from, to }: Transition) => JSON.stringify([startMs + 1e15, text, step, from, to])
  return [...list].sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0))
}

/** `1 a>b` of each transition, of events `value` at so many ms behind the first. */
function told(shape: Case, list: readonly (readonly [ms: number, of: string, text?: string])[]): string[] {
  const events = list.map(([ms, of, text = '']) => ({ timeMs: baseMs + ms, bits: 1, of, text }))
  return givenBy(paths(shape), events).map(({ step, from, to }) => `${step} ${from}>${to}`)
}

const cases: fc.Arbitrary<Case> = fc.record({
  period: fc.constantFrom<Period>('day', 'week', 'month'),
  timezone: fc.constantFrom(...zones),
  gapMs: fc.constantFrom(30 * MINUTE, 3 * HOUR, 14 * HOUR),
  maxDurationMs: fc.constantFrom(14 * HOUR, DAY_MS, 3 * DAY_MS),
  steps: fc.integer({ min: 1, max: 12 }),
  collapse: fc.boolean(),
})

/** Also texts of which the shorter comes later in the order of bytes, and ones whose length takes two bytes. */
const values = fc.constantFrom('', 'a', 'b', 'b', 'ab', 'é', `a${'z'.repeat(130)}`)

const events: fc.Arbitrary<PathEvent[]> = fc
  .tuple(
    fc.constantFrom(88, 299, 303, 0).chain((day) => fc.integer({ min: 0, max: DAY_MS }).map((ms) => day * DAY_MS + ms)),
    fc.array(
      fc.record({
        afterMs: fc.oneof(
          { weight: 3, arbitrary: fc.constant(0) },
          fc.constantFrom(1, 30 * MINUTE, 30 * MINUTE + 1, 3 * HOUR, 14 * HOUR),
          fc.integer({ min: 0, max: HOUR }),
          { weight: 3, arbitrary: fc.integer({ min: 2 * HOUR, max: 14 * HOUR }) },
        ),
        of: values,
        text: values,
      }),
      { maxLength: 30 },
    ),
  )
  .map(([firstMs, list]) => {
    let timeMs = baseMs + firstMs
    return list.map(({ afterMs, of, text }) => {
      timeMs += afterMs
      return { timeMs, bits: 1, of, text }
    })
  })

describe('paths', () => {
  it('are what the definition says, in every zone, for days, weeks and months', () => {
    fc.assert(
      fc.property(cases, events, (shape, list) => {
        expect(givenBy(paths(shape), list)).toEqual(reference(shape, list))
      }),
      { numRuns: 600 },
    )
  })

  it('are the same of events no further back than is said, and no further ahead', () => {
    fc.assert(
      fc.property(cases, events, fc.nat(), (shape, list, any) => {
        fc.pre(list.length > 0)
        const person = paths(shape)
        const { startMs: fromMs } = temporalPeriods(shape.period, shape.timezone).of(list[any % list.length]!.timeMs)
        const whole = reference(shape, list)
        const kept = list.filter(({ timeMs }) => timeMs >= person.keepFromMs(fromMs))
        expect(givenBy(person, kept, fromMs)).toEqual(whole.filter((one) => one.startMs >= fromMs))
        const seen = list.filter(({ timeMs }) => timeMs <= person.looksToMs(fromMs))
        expect(givenBy(person, seen, -Infinity, fromMs)).toEqual(whole.filter((one) => one.startMs < fromMs))
      }),
      { numRuns: 300 },
    )
  })

  it('change in no window but those that are said, whatever event comes or goes', () => {
    fc.assert(
      fc.property(cases, events, fc.nat(), (shape, list, any) => {
        fc.pre(list.length > 0)
        const person = paths(shape)
        const event = list[any % list.length]!
        const rest = list.filter((one) => one !== event)
        const fromMs = person.changesFromMs(event.timeMs, 1, null)
        const toMs = person.changesToMs(event.timeMs)
        const others = (of: readonly PathEvent[]) =>
          reference(shape, of).filter(({ startMs }) => startMs < fromMs || startMs >= toMs)
        expect(others(rest)).toEqual(others(list))
      }),
      { numRuns: 300 },
    )
  })

  it('P1: go from each value to the next, as often as persons do', () => {
    const visit = (at: number) =>
      [
        [at, 'home'],
        [at + 1, 'cart'],
        [at + 2, 'home'],
      ] as const
    expect(told(posthog, [...visit(0), ...visit(2 * HOUR)])).toEqual([
      ...['1 home>cart', '1 home>cart', '2 cart>home', '2 cart>home'],
    ])
    expect(told(posthog, [[0, 'home']])).toEqual([])
  })

  it('P2: begin again after a pause longer than the gap, and after the greatest duration', () => {
    expect(
      told(posthog, [
        [0, 'a'],
        [30 * MINUTE, 'b'],
      ]),
    ).toEqual(['1 a>b'])
    expect(
      told(posthog, [
        [0, 'a'],
        [30 * MINUTE + 1, 'b'],
      ]),
    ).toEqual([])
    const short = { ...posthog, maxDurationMs: 30 * MINUTE }
    expect(
      told(short, [
        [0, 'a'],
        [30 * MINUTE, 'b'],
        [30 * MINUTE + 1, 'c'],
      ]),
    ).toEqual(['1 a>b'])
  })

  it('P3: are of the first steps of a session', () => {
    const list = ['a', 'b', 'c', 'd'].map((of, i) => [i, of] as const)
    expect(told({ ...posthog, steps: 2 }, list)).toEqual(['1 a>b', '2 b>c'])
  })

  it('P4: take equal values in a row as one, or each by itself', () => {
    const list = [
      [0, 'a'],
      [1, 'a'],
      [2, 'b'],
      [2, 'b'],
      [3, 'a'],
    ] as const
    expect(told(posthog, list)).toEqual(['1 a>b', '2 b>a'])
    expect(told({ ...posthog, collapse: false }, list)).toEqual(['1 a>a', '2 a>b', '3 b>b', '4 b>a'])
  })

  it('P5: take events of one instant in the order of their values, byte by byte', () => {
    expect(
      told(posthog, [
        [0, 'b', 'x'],
        [0, 'ab', 'z'],
        [0, 'a', 'y'],
      ]),
    ).toEqual(['1 a>ab', '2 ab>b'])
  })

  it('P6: count whole in the window in which the session starts, by the dimensions of its first event', () => {
    const midnightMs = baseMs + DAY_MS
    const at = (ms: number, of: string, text: string) => ({ timeMs: midnightMs + ms, bits: 1, of, text })
    const list = [at(-1, 'a', 'web'), at(-1, 'a', 'ios'), at(0, 'b', 'android'), at(1, 'c', 'android')]
    expect(givenBy(paths(posthog), list)).toEqual([
      { startMs: baseMs, text: 'ios', step: '1', from: 'a', to: 'b' },
      { startMs: baseMs, text: 'ios', step: '2', from: 'b', to: 'c' },
    ])
  })

  it('P7: have the empty text as a value like any other', () => {
    expect(
      told(posthog, [
        [0, 'a'],
        [1, ''],
        [2, 'a'],
      ]),
    ).toEqual(['1 a>', '2 >a'])
  })
})
