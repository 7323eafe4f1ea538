import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { type KeyGroupRange, keyGroupRangeOf } from '../../src/core/key-groups.ts'
import { DISTINCT_TEXT } from '../../src/operator/accumulators.ts'
import { dimensionBytes } from '../../src/operator/group-key.ts'
import type { PartialTable } from '../../src/operator/partial-table.ts'
import {
  decodeMeta,
  encodeMeta,
  type SliceTable,
  type SnapshotTable,
  undescribedTables,
} from '../../src/operator/table-snapshot.ts'
import { type Step, steps, tablePlans } from './arbitraries.ts'
import { nameOf, Reference, type Result } from './reference.ts'
import {
  accumulator,
  adopt,
  Cluster,
  groupOf,
  NUMBERS,
  snapshotOf,
  sorted,
  sortedMap,
  tablePlan,
  takeOver,
  valuesOf,
} from './support.ts'

function act(cluster: Cluster, step: Step): Result[] {
  if ('rows' in step) cluster.apply(step.rows)
  else if ('flush' in step) cluster.flush(step.flush)
  else cluster.advance(step.watermark, step.budget)
  return sorted(cluster.takeResults())
}

/** Everything of a table that a checkpoint keeps, as plain data. */
function dump(table: SnapshotTable): unknown {
  const { pages, meta } = snapshotOf([table])
  return {
    meta: decodeMeta(meta),
    pages: [...pages].map(([name, all]) => [
      name,
      all.map(({ units, bytes }) => [units, Buffer.from(bytes).toString('hex')]),
    ]),
  }
}

describe('a snapshot at the same parallelism', () => {
  it('brings back the same tables, which go on the same', () => {
    fc.assert(
      fc.property(tablePlans, steps, steps, fc.integer({ min: 1, max: 3 }), (plan, before, after, parallelism) => {
        const original = new Cluster(plan, parallelism, !plan.keyed)
        for (const step of before) act(original, step)
        const restored = original.restore(parallelism)
        for (const side of ['windows', 'merges'] as const) {
          restored[side].forEach(({ table }, i) => {
            // Change numbers go on from where they were, so that watchers miss nothing; all else is equal.
            expect(table.change).toBeGreaterThan(
              decodeMeta(encodeMeta([original[side][i]!.table], undescribedTables)).tables.table?.change ?? 0,
            )
            table.change = original[side][i]!.table.change
            expect(dump(table)).toEqual(dump(original[side][i]!.table))
          })
        }
        original.takeResults()
        for (const step of [...after, { watermark: Infinity, budget: 4096 }]) {
          if ('watermark' in step && step.watermark <= original.watermarkMs) continue
          expect(act(restored, step)).toEqual(act(original, step))
        }
        restored.release()
      }),
      { numRuns: 150 },
    )
  })

  it('leaves adopted pages clean and where they are in the store', () => {
    const original = new Cluster(
      tablePlan([-1], [accumulator('count', 0), accumulator('distinct', 0, NUMBERS)]),
      1,
      false,
    )
    original.apply([{ key: 'longer than a row', timeMs: 1, mask: 1, numbers: [0, 0], texts: ['x', ''] }])
    const restored = original.restore(1)
    const [slice] = restored.tables[0]!.slices.slices
    for (const keyed of [slice!.groups, slice!.members[1]!]) {
      for (const page of [...keyed.rows.pages, ...keyed.keys.pages]) {
        expect([page.dirty, page.location?.chunk]).toEqual([0, 'chunk'])
      }
    }
    restored.apply([{ key: 'longer than a row', timeMs: 1, mask: 1, numbers: [0, 0], texts: ['x', ''] }])
    expect([slice!.groups.rows.pages[0]!.dirty, slice!.groups.keys.pages[0]!.dirty]).toEqual([1, 0])
  })
})

/** The hash whose key group owns a group of a table. */
function ownerHash(table: SnapshotTable, group: Uint8Array): number {
  const { keyed, dimensions } = table.plan
  const bytes = keyed ? dimensionBytes(group, dimensions.length, dimensions.indexOf(-1)) : group
  return hashBytes(bytes, 0, bytes.length)
}

/** On the window side a set of keys has those that the subtask owns, and no texts: the merge has the set that counts. */
function expectMembersMine(table: SliceTable, range: KeyGroupRange): void {
  for (const { members } of table.slices.slices) {
    members.forEach((set, i) => {
      if (set === null) return
      if (table.accumulators.kinds[i] === DISTINCT_TEXT) expect(set.count).toBe(0)
      for (let member = 0; member < set.count; member++) {
        const key = set.keyOf(member)
        const keyGroup = groupOf(hashBytes(key, 0, key.length))
        expect(keyGroup >= range.start && keyGroup <= range.end).toBe(true)
      }
    })
  }
}

describe('a snapshot at another parallelism', () => {
  const parallelisms = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }))
    .filter(([a, b]) => a !== b)

  it('brings every row to the owner of its key group, and nothing is lost or twice', () => {
    fc.assert(
      fc.property(tablePlans, steps, parallelisms, (plan, before, [from, to]) => {
        const original = new Cluster(plan, from, !plan.keyed)
        for (const step of before) act(original, step)
        const restored = original.restore(to)
        expect(sortedMap(valuesOf(restored.tables))).toEqual(sortedMap(valuesOf(original.tables)))
        restored.tables.forEach((table, i) => {
          const range = keyGroupRangeOf(i, 32, to)
          const expectMine = (group: Uint8Array) => {
            const keyGroup = groupOf(ownerHash(table, group))
            expect(keyGroup >= range.start && keyGroup <= range.end).toBe(true)
          }
          for (const { groups } of table.slices.slices) {
            for (let row = 0; row < groups.count; row++) expectMine(groups.keyOf(row))
          }
          for (const entry of table.late.entries()) expectMine(entry.group)
          table.history.scan(-Infinity, Infinity, ({ key }) => {
            expectMine(key)
            return true
          })
        })
        if (!plan.keyed) {
          for (const [i, { table }] of restored.windows.entries()) expectMembersMine(table, keyGroupRangeOf(i, 32, to))
        }
        const late = (cluster: Cluster) =>
          cluster.tables
            .flatMap((t) => [...t.late.entries()].map((e) => `${e.startMs} ${Buffer.from(e.group)} ${e.counts}`))
            .sort()
        expect(late(restored)).toEqual(late(original))
        restored.release()
      }),
      { numRuns: 150 },
    )
  })

  it('fires nothing again that has fired', () => {
    for (const dimensions of [[-1], []]) {
      const plan = tablePlan(dimensions, [accumulator('count', 0)], { allowedLatenessMs: 1000 })
      const original = new Cluster(plan, 2, !plan.keyed)
      const rows = ['a', 'b', 'c', 'd'].map((key) => ({ key, timeMs: 1, mask: 1, numbers: [0, 0], texts: ['', ''] }))
      original.apply(rows)
      original.advance(99)
      expect(original.takeResults().length).toBeGreaterThan(0)
      const restored = original.restore(3)
      restored.advance(150)
      expect(restored.takeResults()).toEqual([])
    }
  })

  it('goes on as if nothing had happened: same values, revisions in a row, every distinct counted once', () => {
    fc.assert(
      fc.property(tablePlans, steps, steps, parallelisms, (plan, before, after, [from, to]) => {
        const reference = new Reference(plan, NUMBERS)
        const results: Result[] = []
        const play = (cluster: Cluster, step: Step) => {
          if ('watermark' in step && step.watermark <= cluster.watermarkMs) return
          const left = act(cluster, step)
          const due =
            'rows' in step ? reference.apply(step.rows) : 'watermark' in step ? reference.advance(step.watermark) : []
          // Through merges corrections come when partials do; without them each step is the same.
          if (plan.keyed) expect(left).toEqual(sorted(due))
          results.push(...left)
        }
        const original = new Cluster(plan, from, !plan.keyed)
        for (const step of before) play(original, step)
        for (let i = 0; i < from; i++) original.flush(i)
        results.push(...sorted(original.takeResults()))
        const restored = original.restore(to)
        for (const step of [...after, { watermark: Infinity, budget: 4096 }]) play(restored, step)
        const last = new Map<string, Result>()
        for (const result of results) {
          const name = nameOf(result)
          expect(result.revision).toBe((last.get(name)?.revision ?? 0) + 1)
          last.set(name, result)
        }
        const values = new Map([...last].map(([name, result]) => [name, result.values]))
        expect(sortedMap(values)).toEqual(sortedMap(reference.values()))
        expect(sortedMap(valuesOf(restored.tables))).toEqual(sortedMap(reference.values()))
      }),
      { numRuns: 200 },
    )
  })
})

describe('the meta document', () => {
  const table = () => new Cluster(tablePlan([-1], [accumulator('count', 0)]), 1, false).tables[0]!

  it('is refused in a version that this program does not know', () => {
    const meta = new TextEncoder().encode('{"version":4,"tables":{}}')
    expect(() => decodeMeta(meta)).toThrow(expect.objectContaining({ code: 'STATE_INCOMPATIBLE' }))
  })

  it('is refused for a table whose metrics have changed', () => {
    const snapshot = snapshotOf([table()])
    const other = () => new Cluster(tablePlan([-1], [accumulator('count', 1)]), 1, false).tables[0]!
    for (const restore of [() => adopt(other(), snapshot), () => takeOver(other(), snapshot, 0, 2)]) {
      expect(restore).toThrow(expect.objectContaining({ code: 'STATE_INCOMPATIBLE' }))
    }
  })

  it('leaves out partial tables that have nothing between two flushes', () => {
    const windows = (kind: 'count' | 'distinct') =>
      new Cluster(tablePlan([], [accumulator(kind, 0)]), 1, true).windows[0]!.table
    expect((windows('count') as PartialTable).durable).toBe(false)
    expect(decodeMeta(encodeMeta([windows('count')], undescribedTables)).tables).toEqual({})
    expect(Object.keys(decodeMeta(encodeMeta([windows('distinct')], undescribedTables)).tables)).toEqual(['table'])
  })
})
