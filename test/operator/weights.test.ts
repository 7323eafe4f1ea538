/** Events that are taken back: rows of weight -1. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import type { AccumulatorPlan } from '../../src/job/plan.ts'
import { type Accumulators, layOutAccumulators } from '../../src/operator/accumulators.ts'
import { EventAggregator } from '../../src/operator/aggregate-events.ts'
import { readMetric } from '../../src/operator/read-metric.ts'
import { SliceList } from '../../src/operator/slices.ts'
import { ROW_HEADER_F64 } from '../../src/state/keyed-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { accumulator, tablePlan } from './support.ts'

const layout = layOutEventBatch(1, 0, false, false, true)

/** The columns of the one group of a table after these numbers, each with its weight. */
function tableAfter(
  plans: readonly AccumulatorPlan[],
  numbers: readonly (readonly [number, number])[],
  { keyed = true } = {},
) {
  const pool = new PagePool()
  const plan = tablePlan([], plans, { keyed })
  const accumulators = layOutAccumulators(
    plan,
    () => 0,
    () => 0,
    pool,
  )
  const slices = new SliceList(
    pool,
    accumulators.initial,
    plans.map(({ kind }) => kind === 'distinct'),
  )
  const aggregator = new EventAggregator(plan, [], accumulators, slices, true)
  const batch = new EventBatch(layout, new ArrayBuffer(layout.byteLength))
  batch.clear()
  numbers.forEach(([value, weight], row) => {
    batch.header[0] = row + 1
    batch.timeMs[row] = 1
    batch.mask[row] = 1
    batch.numbers[0]![row] = value
    batch.weight![row] = weight
  })
  aggregator.apply(batch, -Infinity, new Uint8Array(ROWS_MAX), () => undefined)
  const page = slices.slices[0]?.groups.rows.pages[0]
  return { accumulators, f64: page?.f64 ?? new Float64Array(64) }
}

const inverting: readonly AccumulatorPlan[] = [
  accumulator('count', 0),
  accumulator('sum', 0, 0),
  accumulator('sum', 0, 0, true),
  accumulator('values', 0, 0),
  accumulator('moments', 0, 0),
  { ...accumulator('quantiles', 0, 0), error: 0.01 },
  { ...accumulator('histogram', 0, 0), bounds: [-10, 0, 10] },
]

const metric = { id: 'm', table: 0, predicate: 0, events: 0, integer: false }

function values(accumulators: Accumulators, f64: Float64Array): number[] {
  const read = (of: Parameters<typeof readMetric>[0]['read']) =>
    readMetric({ ...metric, read: of }, accumulators, f64, ROW_HEADER_F64)
  return [
    ...[0, 1, 2, 3].map((of) => read({ kind: 'value', of })),
    ...[0, 0.5, 1].map((q) => read({ kind: 'quantile', of: 5, q })),
    read({ kind: 'histogram', of: 6 }),
    Math.round(read({ kind: 'variance', of: 4, sample: false, root: false }) * 1e6),
  ]
}

const numbers = fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 40 })

describe('weights', () => {
  it('of -1 take back what was given, in every kind that says so', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 40 }),
        numbers,
        (kept, gone) => {
          const plus = (all: readonly number[]) => all.map((value) => [value, 1] as const)
          const minus = gone.map((value) => [value, -1] as const)
          const found = tableAfter(inverting, [...plus(gone), ...plus(kept), ...minus])
          const wanted = tableAfter(inverting, plus(kept))
          expect(values(found.accumulators, found.f64)).toEqual(values(wanted.accumulators, wanted.f64))
        },
      ),
    )
  })

  it('are refused by a table with a kind that cannot', () => {
    const cannot = [
      accumulator('min', 0, 0),
      accumulator('last', 0, 0),
      accumulator('distinct', 0),
      { ...accumulator('approxDistinct', 0), precision: 10 },
    ]
    for (const plan of cannot) expect(() => tableAfter([plan], [[1, 1]])).toThrow(/cannot take events back/)
  })

  it('are refused by variances that are sent on as partials: one number for another would be no number', () => {
    const moments = accumulator('moments', 0, 0)
    expect(() => tableAfter([moments], [[1, 1]], { keyed: false })).toThrow(/cannot take events back/)
    // Why: what is sent on after these two is what is sent on after nothing.
    const { f64 } = tableAfter(
      [moments],
      [
        [5, -1],
        [7, 1],
      ],
    )
    expect([0, 1, 2].map((column) => f64[ROW_HEADER_F64 + column])).toEqual([0, 0, 0])
  })
})
