import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DedupePlan } from '../../src/job/dedupe.ts'
import { Deduplicator } from '../../src/operator/deduplicate.ts'
import { batchOf, type Copy, DedupeCluster, NaiveDedupe, type Snapshot } from './dedupe-support.ts'

const WITHIN_MS = 40_000
const plan: DedupePlan = { by: 'event_id', withinMs: WITHIN_MS, memoryBytes: 0, beyond: 'oldest', column: 0 }

const uuids = [
  '6f1a8f0e-3c1b-4d5a-9e21-0c6f0a7b1d11',
  '6F1A8F0E-3C1B-4D5A-9E21-0C6F0A7B1D11',
  '6F1A8F0E-3C1B-4D5A-9E21-0c6f0a7b1d11',
  '00000000-0000-0000-0000-000000000000',
]
const ids = fc.constantFrom('', ...uuids, 'a', 'b', 'order-17', `${uuids[0]} `, 'ü'.repeat(40))
const keys = fc.constantFrom('u1', 'u2', 'u3', 'anonymous-1', 'a', '')

const event: fc.Arbitrary<Copy> = fc.record({
  key: keys,
  id: ids,
  timeMs: fc.integer({ min: -20_000, max: 150_000 }),
  weight: fc.constantFrom(1, 1, 1, -1),
})

type Step =
  | { readonly kind: 'batch'; readonly rows: readonly Copy[] }
  | { readonly kind: 'watermark'; readonly byMs: number }
  | { readonly kind: 'restore'; readonly parallelism: number; readonly withinMs: number }

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('batch' as const), rows: fc.array(event, { maxLength: 12 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('watermark' as const), byMs: fc.integer({ min: 0, max: 30_000 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('restore' as const),
        parallelism: fc.integer({ min: 1, max: 4 }),
        withinMs: fc.constant(WITHIN_MS),
      }),
    },
  ),
  { maxLength: 40 },
)

describe('deduplication', () => {
  it('is what a set of (key, id) gives, in any batches, over checkpoints and at any parallelism', () => {
    fc.assert(
      fc.property(steps, fc.constantFrom(10_000, WITHIN_MS, 200_000), (all, openMs) => {
        const naive = new NaiveDedupe(WITHIN_MS, openMs)
        let cluster = new DedupeCluster(plan, 2, openMs)
        let watermarkMs = Number.NEGATIVE_INFINITY
        for (const step of all) {
          if (step.kind === 'watermark') {
            watermarkMs = Math.max(-20_000, watermarkMs) + step.byMs
            for (const { ids: table } of cluster.subtasks) table.advance(watermarkMs)
          } else if (step.kind === 'restore')
            cluster = new DedupeCluster(plan, step.parallelism, openMs, cluster.snapshot())
          else
            expect(cluster.apply(step.rows, watermarkMs)).toEqual(step.rows.map((row) => naive.apply(row, watermarkMs)))
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('counts the same events in any order and any number of identical copies', () => {
    const copies = fc.uniqueArray(event, { selector: ({ key, id }) => JSON.stringify([key, id]), maxLength: 20 })
    fc.assert(
      fc.property(copies, fc.infiniteStream(fc.nat()), (events, chance) => {
        const named = events.filter(({ id }) => id !== '')
        const sent = named.flatMap((one) => Array.from({ length: 1 + (chance.next().value % 3) }, () => one))
        for (let i = sent.length - 1; i > 0; i--) {
          const j = chance.next().value % (i + 1)
          ;[sent[i], sent[j]] = [sent[j]!, sent[i]!]
        }
        const cluster = new DedupeCluster(plan, 3, WITHIN_MS)
        const counted = cluster.apply(sent, Number.NEGATIVE_INFINITY).filter((fate) => fate === 'counted').length
        expect(counted).toBe(named.length)
      }),
    )
  })

  it('lets an event be taken back once, whichever comes first, and keeps it taken back', () => {
    const one = { key: 'u1', id: uuids[0]!, timeMs: 0 }
    for (const weights of [
      [1, -1, 1, -1, 1],
      [-1, -1, 1, 1, -1],
    ]) {
      const cluster = new DedupeCluster(plan, 1, WITHIN_MS)
      const fates = weights.flatMap((weight) => cluster.apply([{ ...one, weight }], 0))
      const sum = weights.reduce((all, weight, i) => all + (fates[i] === 'counted' ? weight : 0), 0)
      expect([sum, fates.filter((fate) => fate === 'copy').length]).toEqual([0, 3])
    }
  })

  it('does not remember what was late: a retry with a later time counts, in one batch or two', () => {
    const late = { key: 'u1', id: 'x', timeMs: 0, weight: 1 }
    const retry = { ...late, timeMs: 15_000 }
    const together = new DedupeCluster(plan, 1, 10_000)
    expect(together.apply([late, retry, retry], 20_000)).toEqual(['late', 'counted', 'copy'])
    const apart = new DedupeCluster(plan, 1, 10_000)
    expect([late, retry, retry].flatMap((row) => apart.apply([row], 20_000))).toEqual(['late', 'counted', 'copy'])
  })

  it('remembers an id as long as the latest of its copies asks', () => {
    const cluster = new DedupeCluster(plan, 1, WITHIN_MS)
    const at = (timeMs: number): Copy => ({ key: 'u1', id: uuids[0]!, timeMs, weight: 1 })
    expect(cluster.apply([at(0), at(30_000)], 0)).toEqual(['counted', 'copy'])
    expect(cluster.apply([at(69_000)], 69_999)).toEqual(['copy'])
    expect(cluster.apply([at(109_001)], 108_999)).toEqual(['copy'])
    expect(cluster.apply([at(149_002)], 149_001)).toEqual(['counted'])
  })

  it('goes on where the time to remember has changed: what was forgotten does not come back', () => {
    const open = 1_000_000
    const row = (id: string, timeMs: number): Copy => ({ key: 'u1', id, timeMs, weight: 1 })
    const before = new DedupeCluster(plan, 2, open)
    before.apply([row('a', 0), row(uuids[0]!, 0), row('b', 50_000)], 0)
    const longer = new DedupeCluster({ ...plan, withinMs: 100_000 }, 2, open, before.snapshot())
    expect(longer.apply([row('a', 0), row(uuids[0]!, 0), row('b', 50_000)], 60_000)).toEqual(['copy', 'copy', 'copy'])
    const shorter = new DedupeCluster({ ...plan, withinMs: 20_000 }, 3, open, before.snapshot())
    expect(shorter.apply([row('a', 50_000), row('b', 50_000)], 40_000)).toEqual(['counted', 'copy'])
  })

  it('writes only the pages that changed', () => {
    const cluster = new DedupeCluster(plan, 1, WITHIN_MS)
    const uuid = (i: number): string => `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`
    const fill = (from: number, to: number): void => {
      for (let i = from; i < to; i += 1000) {
        const rows = Array.from({ length: Math.min(1000, to - i) }, (_, k) => i + k)
        cluster.apply(
          rows.map((k) => ({ key: `u${k % 7}`, id: uuid(k), timeMs: k, weight: 1 })),
          0,
        )
      }
    }
    fill(0, 10_000)
    const [first] = cluster.snapshot() as [Snapshot]
    expect(first.written).toBeGreaterThan(8)
    fill(10_000, 10_100)
    const [second] = cluster.snapshot() as [Snapshot]
    expect(second.written).toBeLessThanOrEqual(2)
    expect(new DedupeCluster(plan, 1, WITHIN_MS, [second]).subtasks[0]!.ids.count).toBe(10_100)
  })

  it('gives memory back when time has passed', () => {
    const cluster = new DedupeCluster(plan, 1, WITHIN_MS)
    const [{ ids: table }] = cluster.subtasks as [Deduplicator]
    for (let at = 0; at < 2_000_000; at += 1000) {
      cluster.apply([{ key: 'u', id: `${'long '.repeat(20)}${at}`, timeMs: at, weight: 1 }], at)
      expect(table.count).toBeLessThan(60)
    }
    expect(table.byteLength).toBeLessThan(400_000)
    table.advance(Number.POSITIVE_INFINITY)
    expect(table.count).toBe(0)
  })

  describe('beyond its memory', () => {
    const rows = (from: number): Copy[] =>
      Array.from({ length: 1000 }, (_, k) => ({ key: `u${k}`, id: `id-${from + k}`, timeMs: from + k, weight: 1 }))

    it('forgets the oldest ids, counts them, and stays within it', () => {
      const dedupe = new Deduplicator({ ...plan, memoryBytes: 1024 * 1024 }, 0, 1, 5)
      for (let from = 0; from < 30_000; from += 1000) {
        const batch = batchOf(rows(from))
        dedupe.judge(batch, 0, () => {})
        dedupe.settle(batch, new Uint8Array(1000).fill(1), 0, () => {})
        expect(dedupe.finish(batch)).toBe(0)
        expect(dedupe.ids.bytesNeeded).toBeLessThan(1.1 * 1024 * 1024)
      }
      expect(dedupe.forgotten - 5 + dedupe.ids.count).toBe(30_000)
      expect(dedupe.forgotten).toBeGreaterThan(5000)
      const newest = batchOf(rows(29_000))
      dedupe.judge(newest, 0, () => {})
      dedupe.settle(newest, new Uint8Array(1000), 0, () => {})
      expect(dedupe.finish(newest)).toBe(1000)
    })

    it('fails, where that is asked', () => {
      const dedupe = new Deduplicator({ ...plan, memoryBytes: 1024 * 1024, beyond: 'fail' }, 0, 1, 0)
      const fill = (): void => {
        for (let from = 0; from < 40_000; from += 1000) {
          const batch = batchOf(rows(from))
          dedupe.judge(batch, 0, () => {})
          dedupe.settle(batch, new Uint8Array(1000).fill(1), 0, () => {})
        }
      }
      expect(fill).toThrow(/STATE_LIMIT|ids of events take/)
    })
  })
})
