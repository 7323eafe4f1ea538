/**
 * Predicates of CEL on columns against the same predicates a row at a time, as the CEL runtime evaluates them. In this
 * process, over batches of the bench's events; no broker.
 */

import { compileProjection, reasonOf } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema } from '../../src/event/schema.ts'
import type { Predicate } from '../../src/job/plan.ts'
import { compilePredicates, type PredicateFilter } from '../../src/operator/filter.ts'
import { benchStream, drawEvent, encodeEvent, MAX_EVENT_BYTES, newEventDraw } from '../events.ts'
import type { Measure } from './measure.ts'

const BATCHES = 16
const SECONDS_EACH = 1
const ROUNDS = 3

const field = (path: string, number: number, type: 'string' | 'int64' | 'timestamp') => ({
  ...{ path, type },
  steps: [{ kind: 'field' as const, number }],
})
const schema: EventSchema = {
  message: 'millrace.v1.Event',
  time: field('occurred_at', 7, 'timestamp'),
  timeUnitMs: 1,
  key: field('person', 2, 'string'),
  columns: [
    { field: field('name', 5, 'string'), encoding: 'text' },
    { field: field('screen', 11, 'string'), encoding: 'text' },
    { field: field('revenue_minor', 12, 'int64'), encoding: 'number' },
  ],
}

/** One expression in both forms, as job/predicate.ts makes them. */
const cases: readonly { readonly name: string; readonly columns: Predicate; readonly row: Predicate }[] = [
  {
    name: 'number',
    columns: { op: 'compare', column: 2, relation: '>', value: 500 },
    row: { op: 'cel', source: 'c0 > 500', columns: [2] },
  },
  {
    name: 'text_and_number',
    columns: {
      op: 'and',
      of: [
        { op: 'text', column: 1, relation: 'in', values: ['/product/1', '/product/2', '/product/3'] },
        { op: 'compare', column: 2, relation: '>', value: 500 },
      ],
    },
    row: { op: 'cel', source: 'c0 in ["/product/1", "/product/2", "/product/3"] && c1 > 500', columns: [1, 2] },
  },
]

/** Nanoseconds an event of each form, and how many times faster columns are. */
export const cel: Measure = {
  id: 'cel',
  async run(context) {
    const batches = readBatches()
    const figures = cases.map(({ name, columns, row }) => {
      const filters = [compilePredicates([columns], schema), compilePredicates([row], schema)] as const
      const [a, b] = filters.map((filter) => batches.map((batch) => filter.evaluate(batch)).join(' '))
      if (a !== b) throw new Error(`${name}: columns take ${a} rows of the batches, rows ${b}`)
      const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
      for (let round = 0; round < ROUNDS; round++) {
        filters.forEach((filter, i) => {
          best[i] = Math.min(best[i]!, nsAnEvent(filter, batches))
        })
      }
      const [columnNs, rowNs] = best as [number, number]
      context.detail(JSON.stringify({ bench: 'cel', predicate: name, columns_ns: columnNs, rows_ns: rowNs }))
      return `${name}_ns=${columnNs.toFixed(1)}/${rowNs.toFixed(0)} ${name}_ratio=${(rowNs / columnNs).toFixed(0)}`
    })
    return { figures: figures.join(' '), remarks: [] }
  },
}

function readBatches(): readonly ScanBatch[] {
  const projection = compileProjection(schema)
  const draw = newEventDraw()
  const bytes = new Uint8Array(MAX_EVENT_BYTES)
  let k = 0
  return Array.from({ length: BATCHES }, () => {
    const batch = new ScanBatch(schema.columns)
    while (batch.rows < batch.capacity) {
      drawEvent(benchStream, k, draw)
      const end = encodeEvent(benchStream, k++, draw, bytes, 0)
      const problem = projection.decode(bytes, 0, end, batch)
      if (problem !== 0) throw new Error(`event ${k}: ${reasonOf(problem)}`)
    }
    return batch
  })
}

function nsAnEvent(filter: PredicateFilter, batches: readonly ScanBatch[]): number {
  const endMs = performance.now() + SECONDS_EACH * 1000
  const startMs = performance.now()
  let events = 0
  while (performance.now() < endMs) {
    for (const batch of batches) {
      filter.evaluate(batch)
      events += batch.rows
    }
  }
  return ((performance.now() - startMs) * 1e6) / events
}
