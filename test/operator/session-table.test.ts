import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Row } from '../exchange/support.ts'
import { GAP_MS, SessionCluster, SessionReference, sessionPlan, sortedSessions } from './session-support.ts'
import { accumulator, NUMBERS, sortedMap } from './support.ts'

const accumulators = fc.oneof(
  fc.nat(3).map((predicate) => accumulator('count', predicate)),
  fc
    .tuple(fc.constantFrom('sum' as const, 'min' as const, 'max' as const), fc.nat(3))
    .map(([kind, predicate]) => accumulator(kind, predicate, 0)),
  fc.nat(3).map((predicate) => accumulator('sum', predicate, 1, true)),
  fc.nat(3).map((predicate) => accumulator('distinct', predicate)),
  fc.tuple(fc.nat(3), fc.nat(1)).map(([predicate, text]) => accumulator('distinct', predicate, NUMBERS + text)),
)

const plans = fc
  .record({
    dimensions: fc.constantFrom<readonly number[]>([-1], [NUMBERS, -1]),
    accumulators: fc.array(accumulators, { minLength: 1, maxLength: 4 }),
    allowedLatenessMs: fc.constantFrom(0, 1, 5, GAP_MS, 25, 1000),
  })
  .map(({ dimensions, accumulators: all, allowedLatenessMs }) => sessionPlan(dimensions, all, { allowedLatenessMs }))

const noValue = { weight: 1, arbitrary: fc.constant(Number.NaN) }

const rows: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('', 'a', 'b', 'long key '.repeat(30)),
  timeMs: fc.integer({ min: -60, max: 120 }),
  mask: fc.nat(15),
  numbers: fc.tuple(
    fc.oneof({ weight: 5, arbitrary: fc.integer({ min: -1000, max: 1000 }) }, noValue),
    fc.oneof({ weight: 5, arbitrary: fc.integer({ min: -1000, max: 1000 }).map((n) => n / 8) }, noValue),
  ),
  texts: fc.tuple(fc.constantFrom('', 'web', 'ä'), fc.constantFrom('', 'x', 'y', 'z'.repeat(200))),
})

type Step =
  | { readonly rows: readonly Row[] }
  | { readonly watermark: number; readonly budget: number }
  | { readonly restore: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ rows: fc.array(rows, { maxLength: 12 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({ watermark: fc.integer({ min: -80, max: 160 }), budget: fc.constantFrom(1, 2, 4096) }),
    },
    { weight: 1, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 4 }) }) },
  ),
  { maxLength: 20 },
)

describe('events into sessions', () => {
  it('give what the slow way gives, in any order, with bridges, late ones, and restores at any parallelism', () => {
    fc.assert(
      fc.property(plans, steps, fc.integer({ min: 1, max: 3 }), (plan, script, parallelism) => {
        let cluster = new SessionCluster(plan, parallelism)
        const reference = new SessionReference(plan)
        let late = 0
        for (const step of [...script, { watermark: Infinity, budget: 3 }]) {
          if ('restore' in step) {
            const restored = cluster.restore(step.restore)
            late += cluster.lateEvents
            cluster = restored
            continue
          }
          let expected: ReturnType<SessionReference['apply']>
          if ('rows' in step) {
            cluster.apply(step.rows)
            expected = reference.apply(step.rows)
          } else {
            if (step.watermark <= cluster.watermarkMs) continue
            cluster.advance(step.watermark, step.budget)
            expected = reference.advance(step.watermark)
          }
          expect(sortedSessions(cluster.takeResults())).toEqual(sortedSessions(expected))
          // Two of one start cannot be told apart by name.
          fc.pre(!reference.sharesStart)
          expect(sortedMap(cluster.values())).toEqual(sortedMap(reference.values()))
        }
        expect(late + cluster.lateEvents).toBe(reference.lateEvents)
        for (const { table } of cluster.subtasks) {
          expect(table.sessions.table.live).toBe(0)
          for (const set of table.sessions.sets) expect(set?.live ?? 0).toBe(0)
        }
        cluster.release()
      }),
      { numRuns: 1000 },
    )
  })
})
