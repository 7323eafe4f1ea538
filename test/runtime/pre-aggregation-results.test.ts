/** Rows folded before the exchange change no result: several tables at once, with late events, with and without. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Combiner } from '../../src/exchange/combiner.ts'
import { EventBatch, layOutEventBatch } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import type { AccumulatorPlan, JobPlan, TablePlan } from '../../src/job/plan.ts'
import { layOutAccumulators, readAccumulator } from '../../src/operator/accumulators.ts'
import { EventAggregator } from '../../src/operator/aggregate-events.ts'
import { dimensionTexts } from '../../src/operator/group-key.ts'
import { visitRows } from '../../src/operator/open-rows.ts'
import { SliceList } from '../../src/operator/slices.ts'
import { combinerPlan } from '../../src/runtime/pre-aggregation.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { createPanes } from '../../src/window/panes.ts'
import { fillScan, newScan, type Row, recordingChannels } from '../exchange/support.ts'
import { accumulator, tablePlan } from '../operator/support.ts'

const NUMBERS = 3
const TEXTS = 2
const texts = [NUMBERS, NUMBERS + 1] as const

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const windows: fc.Arbitrary<TablePlan['window']> = fc.constantFrom(
  { kind: 'tumbling', sizeMs: 100, ...calendar },
  { kind: 'sliding', sizeMs: 100, slideMs: 40, ...calendar },
  { kind: 'sliding', sizeMs: 30, slideMs: 70, ...calendar },
  { kind: 'cumulate', sizeMs: 100, stepMs: 20, ...calendar },
)
const predicate = fc.constantFrom(0, 1)
const tables = fc.array(
  fc.record({
    dimensions: fc.constantFrom<number[][]>([], [texts[0]], [...texts], [-1], [texts[1], -1]),
    window: windows,
    allowedLatenessMs: fc.constantFrom(0, 30),
    predicates: fc.tuple(predicate, predicate, predicate, predicate),
  }),
  { minLength: 1, maxLength: 3 },
)
const number = fc.constantFrom(Number.NaN, 1, -3, 7)
const row: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('a', 'b'),
  timeMs: fc.integer({ min: -50, max: 150 }),
  mask: fc.nat(3),
  numbers: fc.tuple(number, number, number),
  texts: fc.tuple(fc.constantFrom('web', ''), fc.constantFrom('x', 'y')),
})
/** Scans, and the watermark after each. */
const scans = fc.array(
  fc.record({
    rows: fc.array(row, { minLength: 1, maxLength: 200, size: 'max' }),
    watermarkMs: fc.integer({ min: -50, max: 100 }),
  }),
  { minLength: 1, maxLength: 4 },
)

const accumulatorsOf = ([a, b, c, d]: readonly number[]): AccumulatorPlan[] => [
  accumulator('count', 0),
  accumulator('count', 1),
  accumulator('sum', a!, 0),
  accumulator('min', b!, 1),
  accumulator('max', c!, 2),
  accumulator('distinct', d!, texts[1]),
]

/** What tables have, how many rows were late for each window, and how many were applied; and the rows that crossed. */
function outcome(
  plans: readonly TablePlan[],
  all: readonly { rows: readonly Row[]; watermarkMs: number }[],
  folds: boolean,
) {
  const plan = { definition: { preAggregation: true, late: null }, tables: plans } as unknown as JobPlan
  const combiner = folds ? new Combiner(combinerPlan(plan)!) : null
  const layout = layOutEventBatch(NUMBERS, TEXTS, false, folds)
  const { channels, sent } = recordingChannels(1, 8, layout.byteLength)
  const output = new KeyedOutput(layout, { numbers: [0, 1, 2], texts: [...texts] }, channels, 16)
  const pool = new PagePool()
  const parts = plans.map((table) => {
    const laidOut = layOutAccumulators(
      table,
      (column) => column,
      (column) => column - NUMBERS,
      pool,
    )
    const members = table.accumulators.map(({ kind }) => kind === 'distinct')
    const slices = new SliceList(pool, laidOut.initial, members, createPanes(table.window))
    const dimensions = table.dimensions.map((column) => (column < 0 ? -1 : column - NUMBERS))
    return { table, laidOut, slices, aggregator: new EventAggregator(table, dimensions, laidOut, slices, false) }
  })
  const found = new Map<string, number>()
  const count = (name: readonly unknown[], events: number) =>
    found.set(JSON.stringify(name), (found.get(JSON.stringify(name)) ?? 0) + events)
  const scan = newScan(NUMBERS, TEXTS)
  let crossed = 0
  let watermarkMs = -Infinity
  for (const { rows, watermarkMs: next } of all) {
    fillScan(scan, rows)
    combiner?.combine(scan)
    output.write(scan, null, combiner?.counts ?? null)
    output.flush()
    for (const { message } of sent.splice(0)) {
      const { buffer } = message as BatchMessage
      const batch = new EventBatch(layout, buffer)
      crossed += batch.rows
      const events = (at: number) => batch.count?.[at] ?? 1
      parts.forEach(({ aggregator }, index) => {
        const accepted = new Uint8Array(2048)
        aggregator.apply(batch, watermarkMs, accepted, (at, start, end, bits) => {
          count(['late', index, start, end, bits], events(at))
        })
        for (let at = 0; at < batch.rows; at++) count(['applied', index], accepted[at]! * events(at))
      })
      channels.onCredit(0, buffer)
    }
    watermarkMs = Math.max(watermarkMs, next)
  }
  const values: string[] = []
  parts.forEach(({ table, laidOut, slices }, index) => {
    for (const slice of slices.slices) {
      visitRows(slice, slice.groups, 0, (start, end, key, _revision, _change, f64, at) => {
        const numbers = table.accumulators.map((_, i) => String(readAccumulator(laidOut, f64, at, i)))
        values.push(JSON.stringify([index, start, end, dimensionTexts(key, table.dimensions.length), numbers]))
        return true
      })
    }
  })
  return { values: values.sort(), counts: [...found].sort(), crossed }
}

describe('rows folded before the exchange', () => {
  it('change no value, no late count and no count of events, whatever the tables', () => {
    let folded = 0
    fc.assert(
      fc.property(tables, scans, (shapes, all) => {
        const plans = shapes.map(({ dimensions, predicates, ...change }, i) =>
          tablePlan(dimensions, accumulatorsOf(predicates), { id: `t${i}`, ...change }),
        )
        const { crossed, ...plain } = outcome(plans, all, false)
        const { crossed: fewer, ...found } = outcome(plans, all, true)
        expect(found).toEqual(plain)
        folded += crossed - fewer
      }),
      { numRuns: 60 },
    )
    expect(folded).toBeGreaterThan(500)
  })
})
