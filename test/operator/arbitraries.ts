/** Tables of all kinds, and what may happen to them, drawn at random. */
import fc from 'fast-check'
import type { WindowDefinition } from '../../src/job/definition.ts'
import type { Row } from '../exchange/support.ts'
import { accumulator, NUMBERS, tablePlan, WINDOW_MS } from './support.ts'

const dimensionSets = fc.constantFrom<readonly number[]>(
  [],
  [-1],
  [NUMBERS],
  [NUMBERS + 1, NUMBERS],
  [NUMBERS, -1],
  [-1, NUMBERS + 1, NUMBERS],
)

const accumulatorPlans = fc.oneof(
  fc.nat(3).map((predicate) => accumulator('count', predicate)),
  fc
    .tuple(fc.constantFrom('sum' as const, 'min' as const, 'max' as const), fc.nat(3))
    .map(([kind, predicate]) => accumulator(kind, predicate, 0)),
  fc.nat(3).map((predicate) => accumulator('sum', predicate, 1, true)),
  fc.nat(3).map((predicate) => accumulator('distinct', predicate)),
  fc.tuple(fc.nat(3), fc.nat(1)).map(([predicate, text]) => accumulator('distinct', predicate, NUMBERS + text)),
)

/** Windows of every kind that is made of panes or is one. Some leave gaps, some have panes shorter than slide and size. */
const windows: fc.Arbitrary<WindowDefinition> = fc
  .record({
    shape: fc.constantFrom<readonly ['tumbling' | 'sliding' | 'cumulate', number, number]>(
      ['tumbling', WINDOW_MS, 0],
      ['sliding', WINDOW_MS, 20],
      ['sliding', WINDOW_MS, 40],
      ['sliding', 60, WINDOW_MS],
      ['sliding', 50, 50],
      ['cumulate', WINDOW_MS, 25],
      ['cumulate', 200, 50],
    ),
    offsetMs: fc.constantFrom(0, 0, -30, 19),
  })
  .map(({ shape: [kind, sizeMs, stepMs], offsetMs }) => {
    const calendar = { offsetMs, timezone: 'UTC', time: 'event' } as const
    if (kind === 'sliding') return { kind, sizeMs, slideMs: stepMs, ...calendar }
    if (kind === 'cumulate') return { kind, sizeMs, stepMs, ...calendar }
    return { kind, sizeMs, ...calendar }
  })

/** Tables of all kinds. */
export const tablePlans = fc
  .record({
    dimensions: dimensionSets,
    accumulators: fc.array(accumulatorPlans, { minLength: 1, maxLength: 6 }),
    allowedLatenessMs: fc.constantFrom(0, 1, 50, 150, 1000),
    window: windows,
  })
  .map(({ dimensions, accumulators, allowedLatenessMs, window }) =>
    tablePlan(dimensions, accumulators, { allowedLatenessMs, window }),
  )

const noValue = { weight: 1, arbitrary: fc.constant(Number.NaN) }

/** Events over a few windows, with sums that are exact in any order. */
export const rows: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('', 'a', 'b', 'c', 'd', 'e', 'long key '.repeat(30)),
  timeMs: fc.integer({ min: -150, max: 450 }),
  mask: fc.nat(15),
  numbers: fc.tuple(
    fc.oneof({ weight: 5, arbitrary: fc.integer({ min: -1000, max: 1000 }) }, noValue),
    fc.oneof({ weight: 5, arbitrary: fc.integer({ min: -1000, max: 1000 }).map((n) => n / 8) }, noValue),
  ),
  texts: fc.tuple(fc.constantFrom('', 'web', 'ios', 'ä'), fc.constantFrom('', 'x', 'y', 'z'.repeat(200))),
})

export type Step =
  | { readonly rows: readonly Row[] }
  | { readonly watermark: number; readonly budget: number }
  | { readonly flush: number }

/** Batches, watermarks that rise, and flushes of single subtasks, in any order. */
export const steps: fc.Arbitrary<readonly Step[]> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ rows: fc.array(rows, { maxLength: 12 }) }) },
      {
        weight: 2,
        arbitrary: fc.record({ watermark: fc.integer({ min: -200, max: 700 }), budget: fc.constantFrom(1, 2, 4096) }),
      },
      { weight: 2, arbitrary: fc.record({ flush: fc.nat(3) }) },
    ),
    { maxLength: 14 },
  )
  .map((all) => {
    let last = -Infinity
    return all.filter((step) => {
      if (!('watermark' in step)) return true
      if (step.watermark <= last) return false
      last = step.watermark
      return true
    })
  })
