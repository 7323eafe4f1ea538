import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { keyRoom } from '../../src/event/scan.ts'
import { findAll, type KeyColumn } from '../../src/state/find-all.ts'
import { KeyedTable } from '../../src/state/keyed-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'

interface Key {
  readonly bytes: Uint8Array
  readonly owner: number
}

const keys: fc.Arbitrary<Key> = fc.record({
  bytes: fc.oneof(fc.uint8Array({ maxLength: 2 }), fc.uint8Array({ minLength: 10, maxLength: 14 })),
  owner: fc.nat(2),
})

describe('findAll', () => {
  it('finds many keys at once as the table finds each of them', () => {
    fc.assert(
      fc.property(
        fc.array(keys, { maxLength: 60 }),
        fc.array(keys, { maxLength: 40 }),
        // Once, or more often than a block has keys.
        fc.constantFrom(1, 2, 300),
        fc.boolean(),
        fc.boolean(),
        (known, others, times, collide, owned) => {
          const table = new KeyedTable(new PagePool(), new Float64Array(1), 0)
          const hashOf = ({ bytes }: Key) => (collide ? 7 : hashBytes(bytes, 0, bytes.length))
          const ownerOf = ({ owner }: Key) => (owned ? owner : 0)
          for (const key of known) table.findOrInsert(hashOf(key), ownerOf(key), key.bytes, 0, key.bytes.length)
          const asked = Array.from({ length: times }, () => [...known, ...others])
            .flat()
            .slice(0, 1000)
          const rows = new Int32Array(asked.length + 1).fill(-7)
          const [from, to] = [Math.floor(asked.length * 0.1), asked.length]
          const owners = owned ? Uint32Array.from(asked, ownerOf) : null
          findAll(table, Uint32Array.from(asked, hashOf), owners, columnOf(asked), from, to, rows)
          const each = asked.map((key) => table.find(hashOf(key), ownerOf(key), key.bytes, 0, key.bytes.length))
          expect([...rows]).toEqual([...each, -7].map((row, i) => (i >= from && i < to ? row : -7)))
        },
      ),
    )
  })

  it('finds keys in the slots before the last doubling while they are copied', () => {
    const encoder = new TextEncoder()
    for (let count = 1; count <= 700; count++) {
      const all = Array.from({ length: count }, (_, i): Key => ({ bytes: encoder.encode(`user-${i}`), owner: 0 }))
      const table = new KeyedTable(new PagePool(), new Float64Array(0), 0)
      const hashes = Uint32Array.from(all, ({ bytes }) => hashBytes(bytes, 0, bytes.length))
      all.forEach(({ bytes }, i) => {
        table.findOrInsert(hashes[i]!, 0, bytes, 0, bytes.length)
      })
      if (table.index.oldSlots === null) continue
      const rows = new Int32Array(count)
      findAll(table, hashes, null, columnOf(all), 0, count, rows)
      expect([...rows]).toEqual(all.map((_, i) => i))
    }
  })
})

/** Keys as a batch has them. */
function columnOf(all: readonly Key[]): KeyColumn {
  const keyStart = new Uint32Array(all.length)
  const keyLength = Uint32Array.from(all, ({ bytes }) => bytes.length)
  let used = 8
  all.forEach(({ bytes }, i) => {
    keyStart[i] = used
    used += keyRoom(bytes.length)
  })
  const column = new Uint8Array(used)
  all.forEach(({ bytes }, i) => {
    column.set(bytes, keyStart[i])
  })
  return { words: new Uint32Array(column.buffer, 0, used >>> 2), bytes: column, keyStart, keyLength }
}
