import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Row } from '../exchange/support.ts'
import { type Step, steps, tablePlans } from './arbitraries.ts'
import { Reference, type Result } from './reference.ts'
import { accumulator, Cluster, lateOf, NUMBERS, sorted, sortedMap, tablePlan, valuesOf } from './support.ts'

/** Does one step on both sides; what leaves must be the same. */
function compareStep(cluster: Cluster, reference: Reference, step: Step): void {
  if ('rows' in step) {
    cluster.apply(step.rows)
    expect(sorted(cluster.takeResults())).toEqual(sorted(reference.apply(step.rows)))
  } else if ('watermark' in step) {
    cluster.advance(step.watermark, step.budget)
    expect(sorted(cluster.takeResults())).toEqual(sorted(reference.advance(step.watermark)))
  }
}

describe('events into a table of results', () => {
  it('give what the slow way gives: on time once, then corrections, late ones counted, at any parallelism', () => {
    fc.assert(
      fc.property(tablePlans, steps, fc.integer({ min: 1, max: 3 }), (plan, script, parallelism) => {
        // Without the key among its dimensions a table has its groups on one subtask, or it is merged.
        const cluster = new Cluster(plan, plan.keyed ? parallelism : 1, false)
        const reference = new Reference(plan, NUMBERS)
        for (const step of script) compareStep(cluster, reference, step)
        compareStep(cluster, reference, { watermark: Infinity, budget: 3 })
        expect([cluster.lateEvents, cluster.applied]).toEqual([reference.lateEvents, reference.applied])
        expect(sortedMap(lateOf(cluster.tables))).toEqual(sortedMap(reference.late))
        expect(sortedMap(valuesOf(cluster.tables))).toEqual(sortedMap(reference.values()))
        cluster.release()
      }),
      { numRuns: 400 },
    )
  })

  const row = (timeMs: number, key = 'k', mask = 1): Row => ({ key, timeMs, mask, numbers: [1, 0.5], texts: ['', ''] })
  const brief = ({ startMs, values, revision }: Result) => [startMs, values[0], revision]

  it('fire when the watermark reaches the last instant, correct up to the lateness, and are late from then on', () => {
    const plan = tablePlan([-1], [accumulator('count', 0)], { allowedLatenessMs: 50 })
    const cluster = new Cluster(plan, 1, false)
    const resultsOf = (act: () => void) => {
      act()
      return cluster.takeResults().map(brief)
    }
    expect(resultsOf(() => cluster.apply([row(10), row(99), row(100)]))).toEqual([])
    expect(resultsOf(() => cluster.advance(98))).toEqual([])
    expect(resultsOf(() => cluster.advance(99))).toEqual([[0, 2, 1]])
    expect(resultsOf(() => cluster.apply([row(5), row(6), row(150)]))).toEqual([[0, 4, 2]])
    expect(resultsOf(() => cluster.advance(148))).toEqual([])
    expect(resultsOf(() => cluster.apply([row(7)]))).toEqual([[0, 5, 3]])
    expect(resultsOf(() => cluster.advance(149))).toEqual([])
    expect(cluster.tables[0]!.slices.slices.map((slice) => slice.startMs)).toEqual([100])
    expect(cluster.tables[0]!.history.count).toBe(1)
    expect(resultsOf(() => cluster.apply([row(8)]))).toEqual([])
    expect(cluster.lateEvents).toBe(1)
    expect(cluster.tables[0]!.late.count(0, 100, Buffer.from('k'), 0)).toBe(1)
  })

  it('open a window that is due already, and fire it at once', () => {
    const cluster = new Cluster(tablePlan([-1], [accumulator('count', 0)], { allowedLatenessMs: 1000 }), 1, false)
    cluster.advance(500)
    cluster.apply([row(10), row(20)])
    expect(cluster.takeResults().map(brief)).toEqual([[0, 2, 1]])
    cluster.apply([row(30)])
    expect(cluster.takeResults().map(brief)).toEqual([[0, 3, 2]])
  })

  it('fire every row of a window that is due while the one before still moves to the history', () => {
    // As a subtask drives several tables: to the end of each window in turn, and anew from the first that is due.
    const cluster = new Cluster(tablePlan([-1], [accumulator('count', 0)], {}), 1, false)
    const rows = (timeMs: number) => Array.from({ length: 10 }, (_, i) => row(timeMs, `k${i}`))
    cluster.apply([...rows(10), ...rows(110)])
    const [table] = cluster.tables
    expect(table!.advance(99, 15, 199)).toBe(-1)
    expect(table!.advance(199, 100, 199)).toBeGreaterThanOrEqual(0)
    expect(
      cluster
        .takeResults()
        .map(brief)
        .map(([startMs]) => startMs),
    ).toEqual([...new Array(10).fill(0), ...new Array(10).fill(100)])
    expect(table!.history.count).toBe(20)
  })

  it('keep closed windows as long as they are retained, and everything at the end of the input', () => {
    const rows = (count: number, timeMs: number) => Array.from({ length: count }, (_, i) => row(timeMs, `k${i}`))
    const starts = (cluster: Cluster) => [
      ...new Set([...valuesOf(cluster.tables).keys()].map((name) => name.split('|')[0])),
    ]
    const cluster = new Cluster(tablePlan([-1], [accumulator('count', 0)], { retainMs: 250 }), 1, false)
    // A page of history holds 1024 rows: each window fills one.
    for (const timeMs of [0, 100, 200, 300]) cluster.apply(rows(1024, timeMs))
    cluster.advance(349)
    expect(starts(cluster)).toEqual(['0', '100', '200', '300'])
    cluster.advance(350)
    expect(starts(cluster)).toEqual(['100', '200', '300'])
    cluster.apply(rows(1, 110))
    expect(cluster.tables[0]!.late.size).toBe(1)
    cluster.advance(Infinity)
    expect(starts(cluster)).toEqual(['100', '200', '300'])
    expect(cluster.tables[0]!.late.size).toBe(1)
  })

  it('keep nothing when retention ends before a window closes', () => {
    const cluster = new Cluster(
      tablePlan([-1], [accumulator('count', 0)], { retainMs: 10, allowedLatenessMs: 10 }),
      1,
      false,
    )
    cluster.apply([row(1)])
    cluster.advance(120)
    expect(cluster.tables[0]!.history.count).toBe(0)
    cluster.release()
  })

  it('wait for a sink that is full, and go on where they were', () => {
    const cluster = new Cluster(tablePlan([-1], [accumulator('count', 0)]), 1, false)
    cluster.apply(Array.from({ length: 10 }, (_, i) => row(1, `k${i}`)))
    const [table] = cluster.tables
    const { sink } = cluster.windows[0]!
    let room = 3
    Object.defineProperty(sink, 'full', { get: () => sink.results.length >= room })
    expect(table!.advance(100, 4096)).toBe(-1)
    expect([sink.results.length, table!.sinksFull]).toEqual([3, true])
    expect(table!.advance(100, 4096)).toBe(-1)
    expect(sink.results.length).toBe(3)
    room = 100
    expect(table!.advance(100, 4096)).toBe(4089 - 10)
    expect(sink.results.length).toBe(10)
    expect(new Set(sink.results.map(({ group }) => group[0])).size).toBe(10)
    expect(table!.results).toBe(10)
  })
})
