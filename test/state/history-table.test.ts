import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HistoryTable } from '../../src/state/history-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'

interface Row {
  readonly startMs: number
  readonly endMs: number
  readonly key: string
  readonly revision: number
  readonly change: number
  readonly values: readonly number[]
}

const rows: fc.Arbitrary<Row> = fc
  .record({
    startMs: fc.integer({ min: -50, max: 50 }).map((n) => n * 10),
    key: fc.oneof(
      fc.string({ maxLength: 6, unit: 'grapheme-ascii' }),
      fc.constantFrom('a'.repeat(500), 'b'.repeat(5000)),
    ),
    revision: fc.nat(5),
    change: fc.nat(0xffffffff),
    values: fc.tuple(fc.double(), fc.double()),
  })
  .map((row) => ({ ...row, endMs: row.startMs + 10 }))

function append(table: HistoryTable, row: Row): void {
  table.append(
    row.startMs,
    row.endMs,
    Buffer.from(row.key),
    row.revision,
    row.change,
    Float64Array.of(9, ...row.values),
    1,
  )
}

function scan(table: HistoryTable, fromMs: number, toMs: number): Row[] {
  const found: Row[] = []
  table.scan(fromMs, toMs, ({ startMs, endMs, key, revision, change, f64, at }) => {
    found.push({
      startMs,
      endMs,
      key: Buffer.from(key).toString(),
      revision,
      change,
      values: Array.from(f64.slice(at, at + 2)),
    })
    return true
  })
  return found
}

const overlapping = (all: readonly Row[], fromMs: number, toMs: number) =>
  all.filter((r) => r.endMs > fromMs && r.startMs < toMs)

/** Row i of many, in windows of ten. */
const rowAt = (i: number): Row => {
  const startMs = Math.floor(i / 10) * 10
  return { startMs, endMs: startMs + 10, key: `k${i}`, revision: 1, change: i, values: [i, -i] }
}

describe('HistoryTable', () => {
  it('gives back what was put in, in order, by overlap with a span of time', () => {
    fc.assert(
      fc.property(
        fc.array(rows, { maxLength: 40 }),
        fc.integer({ min: -500, max: 500 }),
        fc.nat(300),
        (all, fromMs, length) => {
          const pool = new PagePool()
          const table = new HistoryTable(pool, 2)
          for (const row of all) append(table, row)
          expect(table.count).toBe(all.length)
          expect(scan(table, -Infinity, Infinity)).toEqual(all)
          expect(scan(table, fromMs, fromMs + length)).toEqual(overlapping(all, fromMs, fromMs + length))
          table.release()
          expect(pool.bytesInUse).toBe(0)
        },
      ),
    )
  })

  it('stops where the visitor wants no more', () => {
    const table = new HistoryTable(new PagePool(), 2)
    for (let i = 0; i < 3000; i++) append(table, rowAt(i))
    let visited = 0
    table.scan(-Infinity, Infinity, () => ++visited < 1500)
    expect(visited).toBe(1500)
  })

  it('drops pages whose every window is over, keeps the numbers of those that stay, and gives their memory back', () => {
    const pool = new PagePool()
    const table = new HistoryTable(pool, 2)
    const all = Array.from({ length: 5000 }, (_, i) => rowAt(i))
    for (const row of all) append(table, row)
    const before = pool.bytesInUse
    // The first page ends with the window that ends at 1030.
    table.dropUntil(1029)
    expect(table.firstPage).toBe(0)
    table.dropUntil(1030)
    expect(table.firstPage).toBe(1)
    table.dropUntil(2500)
    // Pages hold 1024 rows: two of them end at or before 2500, the third is in use until 3080.
    expect([table.firstPage, table.count]).toEqual([2, 5000 - 2048])
    expect(pool.bytesInUse).toBeLessThan(before)
    expect(scan(table, -Infinity, Infinity)).toEqual(all.slice(2048))
    table.dropUntil(Infinity)
    // The page being filled is never dropped.
    expect([table.firstPage, table.count]).toEqual([4, 5000 - 4096])
    append(table, rowAt(5000))
    expect(scan(table, 5000, 5010)).toEqual([rowAt(5000)])
    table.release()
    expect(pool.bytesInUse).toBe(0)
  })

  it('is the same after a snapshot, goes on from there and drops what it would have dropped', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2600 }),
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 0, max: 3000 }),
        (count, more, until) => {
          const original = new HistoryTable(new PagePool(), 2)
          for (let i = 0; i < count; i++) append(original, rowAt(i))
          const pool = new PagePool()
          const restored = new HistoryTable(pool, 2)
          restored.firstPage = original.firstPage
          original.rows.pages.forEach((page, i) => {
            restored.rows.adopt(page.u8.slice(0, original.countOf(i) * original.strideF64 * 8), null)
            restored.keys.adopt(original.keys.pages[i]!.u8.slice(0, original.keyBytesOf(i)), null)
            restored.restorePage(original.countOf(i), original.keyBytesOf(i))
          })
          for (const table of [original, restored]) {
            for (let i = count; i < count + more; i++) append(table, rowAt(i))
            table.dropUntil(until)
          }
          expect(scan(restored, -Infinity, Infinity)).toEqual(scan(original, -Infinity, Infinity))
          expect([restored.firstPage, restored.count]).toEqual([original.firstPage, original.count])
          restored.release()
          expect(pool.bytesInUse).toBe(0)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('marks what it writes', () => {
    const table = new HistoryTable(new PagePool(), 2)
    for (let i = 0; i < 1025; i++) append(table, rowAt(i))
    for (const page of [...table.rows.pages, ...table.keys.pages]) page.dirty = 0
    append(table, rowAt(1025))
    expect([...table.rows.pages, ...table.keys.pages].map((page) => page.dirty)).toEqual([0, 1, 0, 1])
  })
})
