import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import {
  KeyedTable,
  ROW_CHANGE,
  ROW_HASH,
  ROW_HEADER_F64,
  ROW_KEY_LENGTH,
  ROW_OWNER,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
  ROW_REVISION,
  ROWS_PER_PAGE,
} from '../../src/state/keyed-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'

const initial = Float64Array.of(0, Infinity, -Infinity)

interface Key {
  readonly bytes: Uint8Array
  readonly owner: number
}

const nameOf = ({ bytes, owner }: Key) => `${owner}/${Buffer.from(bytes).toString('hex')}`

// Short keys collide as keys, long ones fill pages; sizes around the arena page's 64 KB leave gaps and pages of their own.
const keys: fc.Arbitrary<Key> = fc.record({
  bytes: fc.oneof(
    { weight: 4, arbitrary: fc.uint8Array({ maxLength: 2 }) },
    { weight: 4, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(1024, 30_000, 65_535, 65_536, 65_537, 100_000), fc.nat(255))
        .map(([n, b]) => new Uint8Array(n).fill(b)),
    },
  ),
  owner: fc.constantFrom(0, 1, 2, 4_000_000_000),
})

/** Puts a key in, at some place of a larger array. `collide` makes all hashes fall together. */
function insert(table: KeyedTable, key: Key, collide: boolean): number {
  const { bytes, owner } = key
  const around = new Uint8Array(bytes.length + 5)
  around.set(bytes, 3)
  return table.findOrInsert(collide ? 7 : hashBytes(bytes, 0, bytes.length), owner, around, 3, 3 + bytes.length)
}

function find(table: KeyedTable, { bytes, owner }: Key, collide: boolean): number {
  return table.find(collide ? 7 : hashBytes(bytes, 0, bytes.length), owner, bytes, 0, bytes.length)
}

function readKey(table: KeyedTable, row: number): Uint8Array {
  const into = new Uint8Array(200_000)
  const length = table.copyKey(row, into, 2)
  expect(into.slice(2, 2 + length)).toEqual(table.keyOf(row).slice())
  return table.keyOf(row)
}

function u32Of(table: KeyedTable, row: number, field: number): number {
  return table.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * table.strideU32 + field]!
}

function columnsAt(table: KeyedTable, row: number): { f64: Float64Array; at: number } {
  const page = table.rows.pages[row >>> ROW_PAGE_SHIFT]!
  return { f64: page.f64, at: (row & ROW_PAGE_MASK) * table.strideF64 + ROW_HEADER_F64 }
}

describe('KeyedTable', () => {
  it('is a map from (owner, bytes) to dense rows, whatever the keys and however hashes collide', () => {
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 60 }), fc.boolean(), fc.nat(100), (sequence, collide, expected) => {
        const pool = new PagePool()
        const table = new KeyedTable(pool, initial, expected)
        const model = new Map<string, { row: number; key: Key }>()
        for (const key of sequence) {
          const known = model.get(nameOf(key))
          expect(find(table, key, collide)).toBe(known?.row ?? -1)
          const row = insert(table, key, collide)
          expect(row).toBe(known?.row ?? model.size)
          if (known === undefined) {
            model.set(nameOf(key), { row, key })
            const { f64, at } = columnsAt(table, row)
            expect(f64.slice(at, at + 3)).toEqual(initial)
            expect([u32Of(table, row, ROW_REVISION), u32Of(table, row, ROW_CHANGE)]).toEqual([0, 0])
          }
          expect(table.count).toBe(model.size)
          const { f64, at } = columnsAt(table, row)
          f64[at]!++
        }
        for (const { row, key } of model.values()) {
          expect(find(table, key, collide)).toBe(row)
          expect(Buffer.compare(readKey(table, row), key.bytes)).toBe(0)
          expect([u32Of(table, row, ROW_OWNER), u32Of(table, row, ROW_KEY_LENGTH)]).toEqual([
            key.owner,
            key.bytes.length,
          ])
          const { f64, at } = columnsAt(table, row)
          expect(f64[at]).toBe(sequence.filter((other) => nameOf(other) === nameOf(key)).length)
        }
        table.release()
        expect(pool.bytesInUse).toBe(0)
      }),
    )
  })

  it('holds a hundred thousand keys over many pages and keeps each row in its place', () => {
    const pool = new PagePool()
    const table = new KeyedTable(pool, initial, 0)
    const encoder = new TextEncoder()
    const count = 100_000
    // Every third key is too long for its row.
    const nameFor = (i: number): string => (i % 3 === 0 ? `somebody-with-a-long-name-${i}` : `user-${i}`)
    for (let i = 0; i < count; i++) {
      const row = insert(table, { bytes: encoder.encode(nameFor(i)), owner: i % 3 }, false)
      const { f64, at } = columnsAt(table, row)
      f64[at] = i
    }
    expect(table.rows.pages.length).toBe(Math.ceil(count / ROWS_PER_PAGE))
    expect(table.keys.pages.length).toBeGreaterThan(10)
    for (let i = 0; i < count; i += 7) {
      const row = find(table, { bytes: encoder.encode(nameFor(i)), owner: i % 3 }, false)
      expect(row).toBe(i)
      expect(columnsAt(table, row).f64[columnsAt(table, row).at]).toBe(i)
      expect(find(table, { bytes: encoder.encode(nameFor(i)), owner: (i + 1) % 3 }, false)).toBe(-1)
    }
    table.release()
    expect(pool.bytesInUse).toBe(0)
  })

  it.each([
    [[65_537]],
    [[65_536, 1]],
    [[65_536, 0]],
    [[65_535, 1, 0, 0, 5]],
    [[100_000, 0, 100_000, 0]],
    [[0, 65_537, 5]],
    [[5, 65_531, 0, 65_536]],
  ])('keeps keys of %j bytes, at the ends of pages', (sizes) => {
    const pool = new PagePool()
    const table = new KeyedTable(pool, initial, 0)
    const all = sizes.map((size, owner) => ({ bytes: new Uint8Array(size).fill(owner + 1), owner }))
    for (const [row, key] of all.entries()) expect(insert(table, key, false)).toBe(row)
    for (const keyed of [table, copyOf(table, pool)]) {
      for (const [row, key] of all.entries()) {
        expect(find(keyed, key, false)).toBe(row)
        expect(Buffer.compare(readKey(keyed, row), key.bytes)).toBe(0)
      }
      keyed.release()
    }
    expect(pool.bytesInUse).toBe(0)
  })

  it('is the same after a snapshot, and goes on growing from there', () => {
    fc.assert(
      fc.property(
        fc.array(keys, { maxLength: 40 }),
        fc.array(keys, { maxLength: 40 }),
        fc.boolean(),
        (before, after, collide) => {
          const original = new KeyedTable(new PagePool(), initial, 0)
          for (const key of before) columnsAt(original, insert(original, key, collide)).f64[0]
          for (let row = 0; row < original.count; row++) {
            const { f64, at } = columnsAt(original, row)
            f64[at] = row * 3
          }
          const pool = new PagePool()
          const restored = copyOf(original, pool)
          expect(restored.count).toBe(original.count)
          for (const key of [...before, ...after]) {
            expect(insert(restored, key, collide)).toBe(insert(original, key, collide))
          }
          for (let row = 0; row < original.count; row++) {
            expect(Buffer.compare(readKey(restored, row), readKey(original, row))).toBe(0)
            for (const field of [ROW_HASH, ROW_OWNER, ROW_KEY_LENGTH, ROW_REVISION, ROW_CHANGE]) {
              expect(u32Of(restored, row, field)).toBe(u32Of(original, row, field))
            }
            const [a, b] = [columnsAt(restored, row), columnsAt(original, row)]
            expect(a.f64.slice(a.at, a.at + 3)).toEqual(b.f64.slice(b.at, b.at + 3))
          }
          restored.release()
          expect(pool.bytesInUse).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('marks the pages that an insertion changes, and no others', () => {
    const table = new KeyedTable(new PagePool(), initial, 0)
    const encoder = new TextEncoder()
    const keyOf = (name: string): Key => ({ bytes: encoder.encode(name), owner: 0 })
    const pagesOf = () => [...table.rows.pages, ...table.keys.pages]
    for (let i = 0; i < ROWS_PER_PAGE; i++) insert(table, keyOf(`k${i}`), false)
    insert(table, keyOf('longer than a row'), false)
    for (const page of pagesOf()) page.dirty = 0
    insert(table, keyOf('k1'), false)
    insert(table, keyOf('longer than a row'), false)
    expect(pagesOf().map((page) => page.dirty)).toEqual([0, 0, 0])
    insert(table, keyOf('new'), false)
    expect(pagesOf().map((page) => page.dirty)).toEqual([0, 1, 0])
    insert(table, keyOf('new, and longer than a row'), false)
    expect(pagesOf().map((page) => page.dirty)).toEqual([0, 1, 1])
  })
})

/** What a checkpoint does: used bytes of each page out, and in again elsewhere. */
function copyOf(table: KeyedTable, pool: PagePool): KeyedTable {
  const copy = new KeyedTable(pool, initial, 0)
  table.rows.pages.forEach((page, i) => {
    const rows = Math.min(ROWS_PER_PAGE, table.count - i * ROWS_PER_PAGE)
    copy.rows.adopt(page.u8.slice(0, rows * table.strideF64 * 8), null)
  })
  let used = 0
  table.keys.pages.forEach((page, i) => {
    used = table.arenaBytesUsed(i)
    copy.keys.adopt(page.u8.slice(0, used), null)
  })
  copy.restore(copy.rows.pages, table.count, used)
  return copy
}
