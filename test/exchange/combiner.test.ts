import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ScanBatch } from '../../src/event/scan.ts'
import { Combiner, type CombinerPlan } from '../../src/exchange/combiner.ts'
import { createTumbling } from '../../src/window/tumbling.ts'
import { fillScan, newScan, type Row } from './support.ts'

const calendar = { offsetMs: 0, timezone: 'UTC', time: 'event' } as const

function planOf(byKey: boolean, sizesMs: readonly number[]): CombinerPlan {
  const assigners = sizesMs.map((sizeMs) => createTumbling(sizeMs, calendar))
  return { byKey, texts: [3], sums: [0], mins: [1], maxs: [2], assigners }
}

const rowsOf = (numbers: fc.Arbitrary<number>) =>
  fc.array(
    fc.record({
      key: fc.constantFrom('ann', 'bob', 'bo', 'cy'),
      timeMs: fc.integer({ min: -300, max: 300 }),
      mask: fc.nat(3),
      numbers: fc.tuple(numbers, numbers, numbers),
      texts: fc.constantFrom(['web'], ['ios'], ['']),
    }),
    { maxLength: 300 },
  )

interface Group {
  count: number
  sum: number
  min: number
  max: number
}

/** What the rows that are left say about each group that tables could ask for. */
function groupsOf(rows: readonly Row[], counts: (row: number) => number, byKey: boolean, sizesMs: readonly number[]) {
  const groups = new Map<string, Group>()
  rows.forEach(({ key, timeMs, mask, numbers, texts }, row) => {
    if (mask === 0) return
    for (const sizeMs of sizesMs) {
      const window = `${sizeMs}@${Math.floor(timeMs / sizeMs)}`
      const name = JSON.stringify([window, mask, texts, byKey ? key : ''])
      const group = groups.get(name) ?? { count: 0, sum: 0, min: Infinity, max: -Infinity }
      group.count += counts(row)
      group.sum += numbers[0]!
      group.min = Math.min(group.min, numbers[1]!)
      group.max = Math.max(group.max, numbers[2]!)
      groups.set(name, group)
    }
  })
  return groups
}

function rowsLeft(scan: ScanBatch, rows: readonly Row[]): Row[] {
  return rows.map((row, i) => ({
    ...row,
    timeMs: scan.timeMs[i]!,
    mask: scan.mask[i]!,
    numbers: [0, 1, 2].map((column) => scan.numbers[column]![i]!),
  }))
}

describe('the combiner', () => {
  it('keeps every count, sum and extreme of every pane, and hides nothing but what it folded', () => {
    fc.assert(
      fc.property(
        fc.array(rowsOf(fc.integer({ min: -5, max: 5 })), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.constantFrom([100], [100, 60], [7]),
        (scans, byKey, sizesMs) => {
          const scan = newScan(3, 1)
          const combiner = new Combiner(planOf(byKey, sizesMs))
          for (const rows of scans) {
            fillScan(scan, rows)
            const gone = combiner.combine(scan)
            const left = rowsLeft(scan, rows)
            const wanted = rows.filter((row) => row.mask !== 0).length
            expect(left.filter((row) => row.mask !== 0).length).toBe(wanted - gone)
            const found = groupsOf(left, (row) => combiner.counts[row]!, byKey, sizesMs)
            expect(found).toEqual(groupsOf(rows, () => 1, byKey, sizesMs))
          }
        },
      ),
    )
  })

  it('folds all that is alike, at once', () => {
    const rows = Array.from({ length: 1000 }, (_, i) => ({
      key: `p${i}`,
      timeMs: i % 100,
      mask: 1,
      numbers: [1, i, i],
      texts: [i % 2 === 0 ? 'web' : 'ios'],
    }))
    const scan = newScan(3, 1)
    const combiner = new Combiner(planOf(false, [100]))
    fillScan(scan, rows)
    expect(combiner.combine(scan)).toBe(998)
    expect([...combiner.counts.subarray(0, 2)]).toEqual([500, 500])
    expect([scan.numbers[0]![0], scan.numbers[1]![1], scan.numbers[2]![1]]).toEqual([500, 1, 999])
  })

  it('keeps extremes of the numbers that are there: NaN is none', () => {
    const row = { key: 'a', timeMs: 0, mask: 1, texts: ['web'] }
    const scan = newScan(3, 1)
    fillScan(
      scan,
      [Number.NaN, 3, Number.NaN, 5].map((value) => ({ ...row, numbers: [0, value, value] })),
    )
    expect(new Combiner(planOf(false, [100])).combine(scan)).toBe(3)
    expect([scan.numbers[1]![0], scan.numbers[2]![0]]).toEqual([3, 5])
  })

  it('adds up the numbers that are there', () => {
    const row = { key: 'a', timeMs: 0, mask: 1, texts: ['web'] }
    const scan = newScan(3, 1)
    const combiner = new Combiner(planOf(false, [100]))
    fillScan(
      scan,
      [Number.NaN, 3, Number.NaN, 5].map((value) => ({ ...row, numbers: [value, 0, 0] })),
    )
    expect(combiner.combine(scan)).toBe(3)
    expect([scan.numbers[0]![0], combiner.counts[0]]).toEqual([8, 4])
    fillScan(
      scan,
      [1, 2].map(() => ({ ...row, numbers: [Number.NaN, 0, 0] })),
    )
    expect(combiner.combine(scan)).toBe(1)
    expect([scan.numbers[0]![0], combiner.counts[0]]).toEqual([Number.NaN, 2])
  })

  it('lets a sum stand alone that would not be exact', () => {
    const near = Number.MAX_SAFE_INTEGER - 1
    const row = { key: 'a', timeMs: 0, mask: 1, numbers: [near, 0, 0], texts: ['web'] }
    const scan = newScan(3, 1)
    const combiner = new Combiner(planOf(false, [100]))
    fillScan(scan, [row, row, { ...row, numbers: [1, 0, 0] }])
    expect(combiner.combine(scan)).toBe(1)
    expect([...scan.mask.subarray(0, 3)]).toEqual([1, 1, 0])
    expect([...scan.numbers[0]!.subarray(0, 2)]).toEqual([near + 1, near])
  })

  it('leaves the next scans alone where little was alike, and tries again', () => {
    const distinct = Array.from({ length: 100 }, (_, i) => ({
      key: `p${i}`,
      timeMs: 0,
      mask: 1,
      numbers: [0, 0, 0],
      texts: ['web'],
    }))
    const same = distinct.map((row) => ({ ...row, key: 'p' }))
    const scan = newScan(3, 1)
    const combiner = new Combiner(planOf(true, [100]))
    const gone: number[] = []
    for (let i = 0; i < 130; i++) {
      fillScan(scan, i === 0 ? distinct : same)
      gone.push(combiner.combine(scan))
      expect(combiner.counts[1]).toBe(1)
    }
    expect(gone.findIndex((n) => n > 0)).toBe(64)
    expect(gone.slice(64)).toEqual(Array(66).fill(99))
  })
})
