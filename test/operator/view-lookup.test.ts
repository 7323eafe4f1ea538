/** A group of which every dimension is known is looked up: the answer is that of a search, without its work. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricPlan, TablePlan } from '../../src/job/plan.ts'
import type { FiringTable } from '../../src/operator/firing-table.ts'
import { queryTable } from '../../src/operator/view.ts'
import { keyTest } from '../../src/operator/view-filter.ts'
import type { ViewQuery } from '../../src/operator/view-rows.ts'
import type { Row } from '../exchange/support.ts'
import { SessionCluster } from './session-support.ts'
import { accumulator, Cluster, NUMBERS, tablePlan } from './support.ts'

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const windows: readonly TablePlan['window'][] = [
  { kind: 'tumbling', sizeMs: 100, ...calendar },
  { kind: 'sliding', sizeMs: 100, slideMs: 50, ...calendar },
  { kind: 'cumulate', sizeMs: 100, stepMs: 25, ...calendar },
  { kind: 'session', gapMs: 10, timezone: 'UTC', time: 'event' },
]
const accumulators = [accumulator('count', 0), accumulator('distinct', 0, NUMBERS + 1)]
const metric: MetricPlan = { id: 'm', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 1 }, integer: true }
const everything: ViewQuery = {
  metric: 0,
  fromMs: -Infinity,
  toMs: Infinity,
  filter: [],
  sinceChange: [],
  rowsMax: 10_000,
}
const about = { operator: 'window', subtask: 0, watermarkMs: 0 } as const

const row: fc.Arbitrary<Row> = fc.record({
  key: fc.constantFrom('a', 'b', 'ab', 'c'),
  timeMs: fc.integer({ min: 0, max: 300 }),
  mask: fc.constant(1),
  numbers: fc.constant([0, 0]),
  texts: fc.tuple(fc.constantFrom('web', ''), fc.constantFrom('x', 'y', 'z')),
})

function tableOf(window: TablePlan['window'], dimensions: readonly number[], batches: readonly (readonly Row[])[]) {
  const plan = tablePlan(dimensions, accumulators, { window, allowedLatenessMs: 30 })
  const cluster = window.kind === 'session' ? new SessionCluster(plan, 1) : new Cluster(plan, 1, false)
  batches.forEach((rows, i) => {
    cluster.apply(rows)
    cluster.advance(i * 40, 4096)
  })
  return (cluster instanceof Cluster ? cluster.windows : cluster.subtasks)[0]!.table as FiringTable
}

function answer(table: FiringTable, query: Partial<ViewQuery>): string[] {
  const found = queryTable(table, metric, { ...everything, ...query }, -1, about)
  expect(found.truncated).toBe(false)
  const rows = Array.from({ length: found.count }, (_, i) =>
    JSON.stringify([
      found.windowStartMs[i],
      found.windowEndMs[i],
      found.dimensions[i],
      found.values[i],
      found.events[i],
    ]),
  )
  return rows.sort()
}

describe('a group that is named whole', () => {
  it.each(windows.map((window) => [window.kind, window] as const))('is found as a search finds it, %s', (_, window) => {
    const batches = fc.array(fc.array(row, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(batches, fc.constantFrom('a', 'b', 'ab', 'nobody'), fc.boolean(), (all, key, several) => {
        const table = tableOf(window, several ? [NUMBERS, -1] : [-1], all)
        const wanted = several ? ['web', key] : [key]
        // A search: no dimension is fixed by one text.
        const conditions = wanted.map((text, dimension) => ({
          dimension,
          test: 'equals' as const,
          texts: [text, `${text}…`],
          not: false,
        }))
        const searched = answer(table, { conditions })
        expect(answer(table, { filter: wanted })).toEqual(searched)
        const single = conditions.map((condition) => ({ ...condition, texts: condition.texts.slice(0, 1) }))
        expect(answer(table, { filter: [null], conditions: single })).toEqual(searched)
        const impossible = { dimension: 0, test: 'equals' as const, texts: [wanted[0]!], not: true }
        expect(answer(table, { filter: wanted, conditions: [impossible] })).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it.each(windows.map((window) => [window.kind, window] as const))('costs no walk, %s', (_, window) => {
    const person = (i: number): Row => ({ key: `p${i}`, timeMs: 210, mask: 1, numbers: [0, 0], texts: ['', 'x'] })
    const old = (i: number): Row => ({ ...person(i), timeMs: 10 })
    const table = tableOf(
      window,
      [-1],
      [Array.from({ length: 500 }, (_, i) => old(i)), [], [], [], [], []].concat([
        Array.from({ length: 500 }, (_, i) => person(i)),
      ]),
    )
    const test = keyTest(1, ['p7'], [])!
    let tests = 0
    const passes = Object.assign((key: Uint8Array) => tests++ >= 0 && test(key), { onlyKey: test.onlyKey! })
    let found = 0
    const count = () => ++found > 0
    table.visitOpen(-Infinity, Infinity, passes, count)
    table.history.scan(-Infinity, Infinity, count, passes.onlyKey)
    expect(found).toBeGreaterThan(1)
    expect(tests).toBeLessThan(20)
  })
})
