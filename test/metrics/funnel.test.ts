import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Funnel, type FunnelShape } from '../../src/metrics/funnel.ts'
import type { EventsBefore } from '../../src/metrics/timeline.ts'
import { createTumbling } from '../../src/window/tumbling.ts'
import { funnelReference } from './funnel-reference.ts'
import { eventsOf, givenBy, sortEvents, type TestEvent } from './support.ts'

const WINDOW_MS = 10
const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const

function funnel(shape: FunnelShape): Funnel {
  return new Funnel(shape, createTumbling(WINDOW_MS, calendar), 1)
}

const shapes: fc.Arbitrary<FunnelShape> = fc.record({
  steps: fc.integer({ min: 2, max: 4 }),
  order: fc.constantFrom('sequential', 'strict', 'any'),
  withinMs: fc.integer({ min: 0, max: 20 }),
  exclude: fc.array(
    fc
      .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 }))
      .map(([from, more]) => ({ from, to: from + more })),
    { maxLength: 1 },
  ),
  attribution: fc.constantFrom<FunnelShape['attribution']>('first', 'last', 1, 2),
  bucketsMs: fc.constantFrom([1, 5], [3]),
})

const plain: FunnelShape = {
  ...{ steps: 3, order: 'sequential', withinMs: 20, exclude: [], attribution: 'first', bucketsMs: [5] },
}

function event(timeMs: number, bits: number, text = ''): TestEvent {
  return { timeMs, bits, text }
}

/** The persons of each step of the only window: how deep the only person came. */
function depthOf(shape: FunnelShape, events: readonly TestEvent[]): number {
  return givenBy(funnel(shape), events).reduce((depth, { values }) => depth + values[2]!, 0)
}

describe('funnels', () => {
  it('are what the definition says, for ties, duplicates, repeated steps and exclusions', () => {
    fc.assert(
      fc.property(shapes, eventsOf(5, 25, 7), (shape, events) => {
        const bits = 2 ** (shape.steps + shape.exclude.length) - 1
        // Strict ones see every event, so one that is no step has some bit too.
        const seen = shape.order === 'strict' ? bits + 1 : 0
        const own = events.map((one) => ({ ...one, bits: (one.bits & bits) | seen })).filter((one) => one.bits !== 0)
        expect(givenBy(funnel(shape), own)).toEqual(funnelReference(shape, WINDOW_MS, own))
      }),
      { numRuns: 2500 },
    )
  })

  it('give the same for a part of time as for all of it', () => {
    fc.assert(
      fc.property(shapes, eventsOf(4, 60, 12), fc.integer({ min: 0, max: 6 }), (shape, events, at) => {
        const person = funnel(shape)
        const boundaryMs = at * WINDOW_MS
        // What windows before and behind a boundary look at, and no more.
        const before = events.filter(({ timeMs }) => timeMs <= person.looksToMs(boundaryMs))
        const behind = events.filter(({ timeMs }) => timeMs >= person.keepFromMs(boundaryMs))
        const parts = [
          ...givenBy(person, before, Number.NEGATIVE_INFINITY, boundaryMs),
          ...givenBy(person, behind, boundaryMs),
        ]
        expect(parts).toEqual(givenBy(person, events))
      }),
      { numRuns: 1000 },
    )
  })

  it('change by one event only where it is said that they may', () => {
    const events = fc.array(
      fc.record({
        timeMs: fc.integer({ min: 0, max: 60 }),
        bits: fc.oneof(fc.constantFrom(1, 2, 4, 8), fc.integer({ min: 1, max: 15 })),
        text: fc.constantFrom('', 'a'),
      }),
      { maxLength: 14 },
    )
    let nothing = 0
    fc.assert(
      fc.property(shapes, events, events, fc.boolean(), (shape, others, [more], walks) => {
        if (more === undefined) return
        const person = funnel(shape)
        const before: EventsBefore = (fromMs, toMs, visit) => {
          const inReach = sortEvents(others).filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs)
          for (const one of inReach.reverse()) if (!visit(one.timeMs, one.bits)) return
        }
        const fromMs = person.changesFromMs(more.timeMs, more.bits, walks ? before : null)
        const toMs = person.changesToMs(more.timeMs)
        const outside = (given: ReturnType<typeof givenBy>) =>
          given.filter(({ startMs }) => startMs < fromMs || startMs >= toMs)
        if (fromMs === Infinity) nothing++
        expect(outside(givenBy(person, [...others, more]))).toEqual(outside(givenBy(person, others)))
      }),
      { numRuns: 2000 },
    )
    expect(nothing).toBeGreaterThan(50)
  })
})

// The numbers are those of the sections of docs/metrics.md.
describe('the definition of a funnel, case by case', () => {
  it('F1 takes a window from the first step, in elapsed time, both ends included', () => {
    expect(depthOf(plain, [event(0, 1), event(15, 2), event(20, 4)])).toBe(3)
    expect(depthOf(plain, [event(0, 1), event(15, 2), event(21, 4)])).toBe(2)
  })

  it('F2 counts events at one instant, in either order', () => {
    expect(depthOf(plain, [event(5, 4), event(5, 2), event(5, 1)])).toBe(3)
  })

  it('F3 wants an event of its own for each step, also for steps with the same condition', () => {
    expect(depthOf(plain, [event(5, 7)])).toBe(1)
    expect(depthOf(plain, [event(5, 7), event(5, 7), event(5, 7)])).toBe(3)
    expect(depthOf({ ...plain, steps: 2 }, [event(5, 3), event(6, 1)])).toBe(1)
    expect(depthOf({ ...plain, steps: 2 }, [event(5, 3), event(6, 2)])).toBe(2)
  })

  it('F4 lets other events lie between steps, unless it is strict', () => {
    const events = [event(0, 1 | 8), event(1, 8), event(2, 2 | 8), event(3, 4 | 8)]
    expect(depthOf(plain, events)).toBe(3)
    expect(depthOf({ ...plain, order: 'strict' }, events)).toBe(1)
    expect(depthOf({ ...plain, order: 'strict' }, [events[0]!, events[2]!, events[3]!])).toBe(3)
    // At the instant of a step, an event that is none came before the first or after the last.
    expect(depthOf({ ...plain, order: 'strict' }, [...events.filter((_, i) => i !== 1), event(0, 8)])).toBe(3)
    expect(depthOf({ ...plain, order: 'strict' }, [...events.filter((_, i) => i !== 1), event(2, 8)])).toBe(2)
  })

  it('F5 counts steps in any order where that is asked, from the first of them on', () => {
    const any = { ...plain, order: 'any' } as const
    const first = (events: readonly TestEvent[]) =>
      givenBy(funnel(any), events, 0, WINDOW_MS).map(({ values }) => values[2])
    expect(first([event(0, 4), event(1, 1), event(20, 2)])).toEqual([1, 1, 1])
    expect(first([event(0, 4), event(1, 1), event(21, 2)])).toEqual([1, 1, 0])
    // Every event of a step begins an attempt: the person enters again in the window of a later one.
    expect(givenBy(funnel(any), [event(0, 4), event(10, 1)], WINDOW_MS).map(({ values }) => values[2])).toEqual([
      1, 0, 0,
    ])
  })

  it('F6 drops an attempt in which the exclusion happens between its steps, entry and all', () => {
    const shape = { ...plain, exclude: [{ from: 1, to: 3 }] }
    expect(givenBy(funnel(shape), [event(0, 1), event(1, 2), event(2, 8), event(3, 4)])).toEqual([])
    expect(depthOf(shape, [event(0, 1), event(1, 2), event(3, 4), event(4, 8)])).toBe(3)
    // Not reached: up to the end of the window, and not beyond.
    expect(givenBy(funnel(shape), [event(0, 1), event(20, 8)])).toEqual([])
    expect(depthOf(shape, [event(0, 1), event(21, 8)])).toBe(1)
    // At the instant of a step it may have come before the one, or after the other.
    expect(depthOf(shape, [event(0, 1), event(0, 8), event(1, 2), event(3, 4), event(3, 8)])).toBe(3)
  })

  it('F7 counts a person once a window, with the deepest attempt, and of those the first', () => {
    const given = givenBy(funnel({ ...plain, steps: 2 }), [
      ...[event(1, 1, 'a'), event(2, 1, 'b'), event(6, 2, 'b'), event(8, 1, 'c'), event(9, 2, 'c')],
    ])
    expect(given).toEqual([
      { startMs: 0, label: '1', text: 'a', values: [1, 1, 1, 0, 1, 0] },
      { startMs: 0, label: '2', text: 'a', values: [1, 1, 1, 5, 0, 1] },
    ])
  })

  it('F8 counts it in every window that an attempt begins in', () => {
    const given = givenBy(funnel({ ...plain, steps: 2 }), [event(9, 1), event(11, 1), event(12, 2)])
    expect(given.map(({ startMs, label, values }) => [startMs, label, values[2]])).toEqual([
      ...[
        [0, '1', 1],
        [0, '2', 1],
      ],
      ...[
        [10, '1', 1],
        [10, '2', 1],
      ],
    ])
  })

  it('F9 counts it under the texts of the first event, the last step reached, or one step', () => {
    const events = [event(0, 1, 'a'), event(1, 2, 'b'), event(2, 4, 'c')]
    const textOf = (attribution: FunnelShape['attribution'], list = events) => [
      ...new Set(givenBy(funnel({ ...plain, attribution }), list).map(({ text }) => text)),
    ]
    expect(textOf('first')).toEqual(['a'])
    expect(textOf('last')).toEqual(['c'])
    expect(textOf('last', events.slice(0, 2))).toEqual(['b'])
    expect(textOf(2)).toEqual(['b'])
    expect(textOf(3, events.slice(0, 2))).toEqual([''])
  })
})
