/** Overlapping windows in time zones around changes of clocks, through tables: against Temporal and the slow way. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WindowDefinition } from '../../src/job/definition.ts'
import type { Row } from '../exchange/support.ts'
import { rows as anyRows } from './arbitraries.ts'
import { nameOf, Reference, type Result, type WindowsOf } from './reference.ts'
import { accumulator, Cluster, lateOf, NUMBERS, sorted, sortedMap, tablePlan, valuesOf } from './support.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Zones, and middays on which their clocks change. */
const changes: readonly (readonly [string, number])[] = [
  ['Europe/Berlin', Date.UTC(2024, 2, 31, 11)],
  ['Europe/Berlin', Date.UTC(2024, 9, 27, 11)],
  ['America/New_York', Date.UTC(2024, 2, 10, 16)],
  ['America/New_York', Date.UTC(2024, 10, 3, 17)],
  ['Australia/Lord_Howe', Date.UTC(2024, 3, 7, 1)],
  ['Australia/Lord_Howe', Date.UTC(2024, 9, 6, 1)],
  ['Asia/Kolkata', Date.UTC(2024, 5, 1, 6)],
  // Midnight is skipped: the day starts at one.
  ['Africa/Cairo', Date.UTC(2024, 3, 26, 9)],
  ['America/Santiago', Date.UTC(2024, 8, 8, 15)],
  ['America/Sao_Paulo', Date.UTC(2018, 10, 4, 14)],
  // Midnight comes twice; the clock is set back to the day before.
  ['America/Havana', Date.UTC(2024, 10, 3, 17)],
  ['America/Santiago', Date.UTC(2024, 3, 7, 15)],
]

/** Kind, size, and slide or step. */
type Shape = readonly ['sliding' | 'cumulate', number, number]
const shapes: readonly Shape[] = [
  ['sliding', 7 * DAY_MS, DAY_MS],
  ['sliding', 2 * DAY_MS, DAY_MS],
  ['sliding', DAY_MS, HOUR_MS],
  ['sliding', 12 * HOUR_MS, 6 * HOUR_MS],
  ['cumulate', DAY_MS, HOUR_MS],
  ['cumulate', DAY_MS, 6 * HOUR_MS],
  ['cumulate', 7 * DAY_MS, DAY_MS],
]

function definitionOf([kind, sizeMs, stepMs]: Shape, timezone: string): WindowDefinition {
  const rest = { sizeMs, offsetMs: 0, timezone, time: 'event' } as const
  return kind === 'sliding' ? { kind, slideMs: stepMs, ...rest } : { kind, stepMs, ...rest }
}

/** The windows as the specification says them, by Temporal's calendar. */
function windowsBy([kind, sizeMs, stepMs]: Shape, zone: string): WindowsOf {
  const midnight = (date: Temporal.PlainDate) => date.toZonedDateTime(zone).epochMilliseconds
  const dateOf = (timeMs: number) =>
    Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(zone).toPlainDate()
  /** Boundaries of a day: each step counted from its midnight, and the next midnight. */
  const boundaries = (date: Temporal.PlainDate): number[] => {
    const endMs = midnight(date.add({ days: 1 }))
    // A step of a day is a day of the calendar, however long.
    if (stepMs === DAY_MS) return [midnight(date), endMs]
    const found: number[] = []
    for (let atMs = midnight(date); atMs < endMs; atMs += stepMs) found.push(atMs)
    return [...found, endMs]
  }
  const days = (count: number) => Array.from({ length: count }, (_, i) => i)
  if (stepMs === DAY_MS && kind === 'sliding')
    return (timeMs) =>
      days(sizeMs / DAY_MS).map((before) => {
        const first = dateOf(timeMs).subtract({ days: before })
        return { startMs: midnight(first), endMs: midnight(first.add({ days: sizeMs / DAY_MS })) }
      })
  if (kind === 'sliding')
    return (timeMs) => {
      const first = dateOf(timeMs).subtract({ days: 3 })
      const all = [...new Set(days(7).flatMap((day) => boundaries(first.add({ days: day }))))]
      const endOf = (startMs: number) => all.find((boundary) => boundary > startMs + sizeMs - 1) ?? Number.NaN
      return all
        .map((startMs) => ({ startMs, endMs: endOf(startMs) }))
        .filter(({ startMs, endMs }) => startMs <= timeMs && timeMs < endMs)
    }
  const epoch = Temporal.PlainDate.from('1970-01-01')
  return (timeMs) => {
    const length = sizeMs / DAY_MS
    const since = epoch.until(dateOf(timeMs), { largestUnit: 'days' }).days % length
    const first = dateOf(timeMs).subtract({ days: since })
    const ends = days(length).flatMap((day) => boundaries(first.add({ days: day })).slice(1))
    return ends.filter((endMs) => endMs > timeMs).map((endMs) => ({ startMs: midnight(first), endMs }))
  }
}

type Step =
  | { readonly rows: readonly Row[] }
  | { readonly watermark: number; readonly budget: number }
  | { readonly restore: number }

/** Events over four days around an instant, in steps of seven minutes and a bit, so that hours are met. */
const near = (aroundMs: number) => fc.integer({ min: -400, max: 400 }).map((n) => aroundMs + n * 450_000)

const cases = fc
  .record({ change: fc.constantFrom(...changes), shape: fc.constantFrom(...shapes) })
  .chain(({ change: [zone, aroundMs], shape }) =>
    fc.record({
      zone: fc.constant(zone),
      shape: fc.constant(shape),
      keyed: fc.boolean(),
      allowedLatenessMs: fc.constantFrom(0, 1, HOUR_MS, 30 * HOUR_MS, 30 * DAY_MS),
      parallelism: fc.integer({ min: 1, max: 3 }),
      steps: fc.array(
        fc.oneof<fc.Arbitrary<Step>[]>(
          {
            weight: 5,
            arbitrary: fc.record({
              rows: fc.array(
                fc.tuple(anyRows, near(aroundMs)).map(([row, timeMs]) => ({ ...row, timeMs })),
                { maxLength: 10 },
              ),
            }),
          } as never,
          {
            weight: 3,
            arbitrary: fc.record({ watermark: near(aroundMs), budget: fc.constantFrom(1, 2, 4096) }),
          } as never,
          { weight: 1, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 4 }) }) } as never,
        ),
        { maxLength: 14 },
      ),
    }),
  )

const accumulators = [
  accumulator('count', 0),
  accumulator('count', 1),
  accumulator('sum', 0, 0),
  accumulator('max', 1, 1),
  accumulator('distinct', 0, NUMBERS),
]

describe('overlapping windows around changes of clocks', () => {
  it('give what the calendar says: on time once, corrected, late ones counted, over restores at any parallelism', () => {
    fc.assert(
      fc.property(cases, ({ zone, shape, keyed, allowedLatenessMs, parallelism, steps }) => {
        const window = definitionOf(shape, zone)
        const plan = tablePlan(keyed ? [-1] : [NUMBERS], accumulators, { window, allowedLatenessMs, retainMs: 1e12 })
        const reference = new Reference(plan, NUMBERS, windowsBy(shape, zone))
        let cluster = new Cluster(plan, parallelism, !keyed)
        let lateEvents = 0
        const results: Result[] = []
        for (const step of [...steps, { watermark: Infinity, budget: 3 }]) {
          let due: Result[]
          if ('rows' in step) {
            cluster.apply(step.rows)
            due = reference.apply(step.rows)
          } else if ('watermark' in step) {
            if (step.watermark <= cluster.watermarkMs) continue
            cluster.advance(step.watermark, step.budget)
            due = reference.advance(step.watermark)
          } else {
            for (let i = 0; i < cluster.parallelism; i++) cluster.flush(i)
            results.push(...cluster.takeResults())
            lateEvents += cluster.lateEvents
            cluster = cluster.restore(step.restore)
            continue
          }
          const left = cluster.takeResults()
          results.push(...left)
          // Through merges corrections come when partials do.
          if (keyed) expect(sorted(left)).toEqual(sorted(due))
        }
        expect(lateEvents + cluster.lateEvents).toBe(reference.lateEvents)
        if (keyed) expect(sortedMap(lateOf(cluster.tables))).toEqual(sortedMap(reference.late))
        const last = new Map<string, readonly number[]>()
        for (const result of results) last.set(nameOf(result), result.values)
        expect(sortedMap(last)).toEqual(sortedMap(reference.values()))
        expect(sortedMap(valuesOf(cluster.tables))).toEqual(sortedMap(reference.values()))
        cluster.release()
      }),
      { numRuns: 150 },
    )
  })
})
