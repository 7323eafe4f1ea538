import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BatchMessage } from '../../src/exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../../src/exchange/partial-batch.ts'
import type { WindowDefinition } from '../../src/job/definition.ts'
import { PartialMerger } from '../../src/operator/merge-partials.ts'
import { recordingChannels } from '../exchange/support.ts'
import { steps, tablePlans } from './arbitraries.ts'
import { nameOf, Reference, type Result } from './reference.ts'
import { accumulator, Cluster, lateOf, NUMBERS, sorted, sortedMap, tablePlan, valuesOf } from './support.ts'

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const row = (timeMs: number, key: string) => ({ key, timeMs, mask: 1, numbers: [1, 0], texts: ['', ''] })

/** Gives what is early; each as window start, group, value and revision. */
function early(cluster: Cluster, budget = 4096): unknown[] {
  const [table] = cluster.tables
  while (table!.early(cluster.watermarkMs, budget) < 0) {
    // Goes on where its budget ended.
  }
  return cluster
    .takeResults()
    .map(({ startMs, endMs, group, values, revision }) => `${startMs}..${endMs} ${group[0]} ${values[0]} r${revision}`)
    .sort()
}

function clusterOf(window: WindowDefinition): Cluster {
  return new Cluster(tablePlan([-1], [accumulator('count', 0)], { window, earlyMs: 1000 }), 1, false)
}

describe('early results', () => {
  it.each([1, 4096])('are of what changed in open windows, as revision 0, at a budget of %d', (budget) => {
    const cluster = clusterOf({ ...calendar, kind: 'tumbling', sizeMs: 100 })
    cluster.apply([row(10, 'a'), row(20, 'b'), row(110, 'a')])
    expect(early(cluster, budget)).toEqual(['0..100 a 1 r0', '0..100 b 1 r0', '100..200 a 1 r0'])
    expect(early(cluster, budget)).toEqual([])
    cluster.apply([row(30, 'b')])
    expect(early(cluster, budget)).toEqual(['0..100 b 2 r0'])
    cluster.advance(99)
    expect(cluster.takeResults().map(({ revision }) => revision)).toEqual([1, 1])
    expect(early(cluster, budget)).toEqual([])
  })

  it('of sliding windows are of every window that has the event', () => {
    const cluster = clusterOf({ ...calendar, kind: 'sliding', sizeMs: 100, slideMs: 50 })
    cluster.apply([row(10, 'a'), row(60, 'b')])
    expect(early(cluster, 1)).toEqual(['-50..50 a 1 r0', '0..100 a 1 r0', '0..100 b 1 r0', '50..150 b 1 r0'])
    cluster.apply([row(70, 'a')])
    expect(early(cluster)).toEqual(['0..100 a 2 r0', '50..150 a 1 r0'])
  })

  it('of cumulating windows are of those that have events of their own', () => {
    const cluster = clusterOf({ ...calendar, kind: 'cumulate', sizeMs: 100, stepMs: 25 })
    cluster.apply([row(10, 'a'), row(40, 'b')])
    expect(early(cluster)).toEqual(['0..25 a 1 r0', '0..50 a 1 r0', '0..50 b 1 r0'])
  })

  it('tell every group of an open window again after a restore', () => {
    const cluster = clusterOf({ ...calendar, kind: 'tumbling', sizeMs: 100 })
    cluster.apply([row(10, 'a'), row(20, 'b')])
    early(cluster)
    for (const parallelism of [1, 2]) {
      const restored = cluster.restore(parallelism)
      const told = restored.tables.flatMap((table) => {
        table.early(restored.watermarkMs, 4096)
        return restored.takeResults()
      })
      expect(told.map(({ group, revision }) => `${group[0]} r${revision}`).sort()).toEqual(['a r0', 'b r0'])
    }
  })
})

describe('early results beside the others', () => {
  const scripts = fc.record({
    plan: tablePlans,
    before: steps,
    after: steps,
    // After which steps they are told, and how many rows at a time.
    told: fc.array(fc.boolean(), { minLength: 30, maxLength: 30, size: 'max' }),
    budget: fc.constantFrom(1, 3, 4096),
    from: fc.integer({ min: 1, max: 3 }),
    to: fc.integer({ min: 1, max: 3 }),
  })

  it('change no final result, no correction, no late count and no value, over restores too', () => {
    fc.assert(
      fc.property(scripts, ({ plan, before, after, told, budget, from, to }) => {
        const play = (withEarly: boolean) => {
          let cluster = new Cluster({ ...plan, earlyMs: withEarly ? 1000 : 0 }, from, !plan.keyed)
          const reference = new Reference(plan, NUMBERS)
          const left: Result[][] = []
          let late = 0
          const script = [...before, 'restore' as const, ...after, { watermark: Infinity, budget }]
          for (const [i, step] of script.entries()) {
            if (step === 'restore') {
              late += cluster.lateEvents
              cluster = cluster.restore(to)
            } else if ('rows' in step) {
              cluster.apply(step.rows)
              reference.apply(step.rows)
            } else if ('flush' in step) cluster.flush(step.flush)
            else if (step.watermark > cluster.watermarkMs) {
              cluster.advance(step.watermark, step.budget)
              reference.advance(step.watermark)
            }
            left.push(sorted(cluster.takeResults()))
            if (!withEarly || told[i] === false) continue
            for (const table of cluster.tables)
              while (table.early(cluster.watermarkMs, budget) < 0) {
                // Goes on where its budget ended.
              }
            const values = reference.values()
            for (const result of cluster.takeResults()) {
              expect([result.revision, result.endMs - 1 > cluster.watermarkMs]).toEqual([0, true])
              // Where the owner of the event gives it out, it is what has come so far.
              if (plan.keyed) expect(result.values).toEqual(values.get(nameOf(result)))
            }
          }
          const values = sortedMap(valuesOf(cluster.tables))
          const lates = sortedMap(lateOf(cluster.tables))
          cluster.release()
          return { left, values, lates, late: late + cluster.lateEvents }
        }
        expect(play(true)).toEqual(play(false))
      }),
      { numRuns: 200 },
    )
  })
})

describe('clocks of senders', () => {
  it('have passed for merge as far as the least of them says, and wait for credits', () => {
    const merger = new PartialMerger([], 2)
    const deliver = (sender: number, nowMs: number) => {
      const { channels, sent } = recordingChannels(3, 1, PARTIAL_BATCH_BYTES)
      const output = new PartialOutput(channels, 32)
      expect([output.clock(sender, nowMs), output.flush()]).toEqual([true, true])
      expect(sent.map(({ receiver }) => receiver)).toEqual([0, 1, 2])
      const { buffer, byteLength } = sent[0]!.message as BatchMessage
      merger.apply(buffer, byteLength)
    }
    deliver(0, 5000)
    expect(merger.passedMs).toBe(Number.NEGATIVE_INFINITY)
    deliver(1, 4000)
    expect(merger.passedMs).toBe(3999)
    deliver(1, 6000)
    expect(merger.passedMs).toBe(4999)
  })
})
