import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Step, steps, tablePlans } from './arbitraries.ts'
import type { Result } from './reference.ts'
import { nameOf, Reference } from './reference.ts'
import { accumulator, Cluster, lateOf, NUMBERS, sortedMap, tablePlan, valuesOf } from './support.ts'

const unkeyed = tablePlans.filter((plan) => !plan.keyed)

function act(cluster: Cluster, reference: Reference, step: Step): void {
  if ('rows' in step) {
    cluster.apply(step.rows)
    reference.apply(step.rows)
  } else if ('flush' in step) cluster.flush(step.flush)
  else {
    cluster.advance(step.watermark, step.budget)
    reference.advance(step.watermark)
  }
}

/** Each group of each window: revisions 1, 2, 3 … with the last value being the right one. */
function expectHistory(results: readonly Result[], reference: Reference): void {
  const last = new Map<string, Result>()
  for (const result of results) {
    const name = nameOf(result)
    expect(result.revision).toBe((last.get(name)?.revision ?? 0) + 1)
    last.set(name, result)
  }
  const values = new Map([...last].map(([name, result]) => [name, result.values]))
  expect(sortedMap(values)).toEqual(sortedMap(reference.values()))
}

describe('events by way of partials', () => {
  it('add up to what the slow way gives, however they are split over senders and flushes', () => {
    fc.assert(
      fc.property(unkeyed, steps, fc.integer({ min: 1, max: 4 }), (plan, script, parallelism) => {
        const cluster = new Cluster(plan, parallelism, true)
        const reference = new Reference(plan, NUMBERS)
        const results: Result[] = []
        for (const step of script) {
          act(cluster, reference, step)
          results.push(...cluster.takeResults())
        }
        act(cluster, reference, { watermark: Infinity, budget: 2 })
        results.push(...cluster.takeResults())
        expectHistory(results, reference)
        expect(sortedMap(valuesOf(cluster.tables))).toEqual(sortedMap(reference.values()))
        expect(cluster.lateEvents).toBe(reference.lateEvents)
        // Everything late was told to the merge that owns its group, and nothing is left behind.
        for (const { table } of cluster.windows) expect([table.late.size, table.slices.slices.length]).toEqual([0, 0])
        expect(sortedMap(lateOf(cluster.tables))).toEqual(sortedMap(reference.late))
        expect(cluster.applied).toBe(reference.applied)
        cluster.release()
      }),
      { numRuns: 300 },
    )
  })

  it('correct windows that have fired', () => {
    const plan = tablePlan([], [accumulator('count', 0), accumulator('distinct', 0)], { allowedLatenessMs: 1000 })
    const cluster = new Cluster(plan, 2, true)
    const row = (key: string) => ({ key, timeMs: 5, mask: 1, numbers: [0, 0], texts: ['', ''] })
    cluster.apply(['a', 'b', 'c', 'a'].map(row))
    cluster.advance(99)
    expect(cluster.takeResults().map(({ values, revision }) => [values, revision])).toEqual([[[4, 3], 1]])
    cluster.apply(['a', 'd'].map(row))
    expect(cluster.takeResults()).toEqual([])
    cluster.advance(100)
    expect(cluster.takeResults().at(-1)).toMatchObject({ values: [6, 4] })
    cluster.advance(200)
    expect(cluster.takeResults()).toEqual([])
  })

  it('send no member twice, but a member of two senders counts once', () => {
    const plan = tablePlan([NUMBERS], [accumulator('distinct', 0, NUMBERS + 1)])
    const cluster = new Cluster(plan, 3, true)
    const row = (key: string, text: string) => ({ key, timeMs: 5, mask: 1, numbers: [0, 0], texts: ['g', text] })
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
    for (let turn = 0; turn < 3; turn++) {
      cluster.apply(keys.flatMap((key) => [row(key, 'x'), row(key, 'y'), row(key, '')]))
      for (const index of [0, 1, 2]) cluster.flush(index)
    }
    expect([...valuesOf(cluster.tables).values()]).toEqual([[2]])
    const records = cluster.merges.reduce((sum, { merger }) => sum + merger.recordsIn, 0)
    // A gain a sender and turn, and each of two members once a sender.
    expect(records).toBe(3 * 3 + 2 * 3)
  })

  it('fill many batches from one sender without losing any at one credit', () => {
    const plan = tablePlan([NUMBERS], [accumulator('count', 0), accumulator('distinct', 0, NUMBERS + 1)])
    const cluster = new Cluster(plan, 2, true)
    const texts = Array.from({ length: 1000 }, (_, i) => `${i}`.padStart(300, 't'))
    cluster.apply(
      texts.map((text, i) => ({ key: `k${i % 9}`, timeMs: 5, mask: 1, numbers: [0, 0], texts: [text, text] })),
    )
    cluster.advance(99)
    expect(cluster.takeResults().map(({ values }) => values)).toEqual(texts.map(() => [1, 1]))
  })
})
