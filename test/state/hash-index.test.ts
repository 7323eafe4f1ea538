import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HashIndex } from '../../src/state/hash-index.ts'

/** Candidates in the chain of `hash`, as a table's probe walks it: new slots, then the old ones while they last. */
function rowsOf(index: HashIndex, hash: number, hashOf: (row: number) => number): number[] {
  const found = walk(index.slots, index.mask, index.rowMask, hash)
  if (index.oldSlots !== null)
    for (const row of walk(index.oldSlots, index.oldMask, index.oldRowMask, hash)) found.add(row)
  return [...found].filter((row) => hashOf(row) === hash).sort((a, b) => a - b)
}

function walk(slots: Uint32Array, mask: number, rowMask: number, hash: number): Set<number> {
  const found = new Set<number>()
  for (let at = hash & mask, steps = 0; slots[at] !== 0; at = (at + 1) & mask) {
    if (((slots[at]! ^ hash) & ~rowMask) === 0) found.add((slots[at]! & rowMask) - 1)
    if (++steps > mask) throw new Error('a probe that goes round')
  }
  return found
}

// Few different hashes, so that chains are long and equal hashes frequent; some at the ends of 32 bits.
const hashes = fc.oneof(fc.nat(20), fc.constantFrom(0, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff))

// With few bits for rows, slots lose the hash on the way.
const rowBits = fc.constantFrom(3, 5, 7, 24, 31)

describe('HashIndex', () => {
  it('finds every row under its hash after every insertion, in the middle of growing too', () => {
    fc.assert(
      fc.property(fc.array(hashes, { maxLength: 300 }), fc.nat(64), rowBits, (sequence, expected, bits) => {
        const hashOf = (row: number): number => sequence[row]!
        const index = new HashIndex(expected, hashOf, bits)
        const rows = new Map<number, number[]>()
        sequence.forEach((hash, row) => {
          index.insert(hash, row)
          rows.set(hash, [...(rows.get(hash) ?? []), row])
          for (const probe of [hash, sequence[row >> 1]!]) expect(rowsOf(index, probe, hashOf)).toEqual(rows.get(probe))
        })
        for (const [hash, all] of rows) expect(rowsOf(index, hash, hashOf)).toEqual(all)
        expect(rowsOf(index, 12_345_678, hashOf)).toEqual(rows.get(12_345_678) ?? [])
      }),
      { numRuns: 60 },
    )
  })

  it('keeps its load at or below two thirds, and copies all old slots before it grows again', () => {
    const hashOf = (row: number): number => Math.imul(row, 0x9e3779b1) >>> 0
    const index = new HashIndex(0, hashOf)
    let growths = 0
    let slots = index.slots
    for (let row = 0; row < 40_000; row++) {
      const before = index.oldSlots
      index.insert(hashOf(row), row)
      expect((row + 1) * 3).toBeLessThanOrEqual((index.mask + 1) * 2)
      if (index.slots !== slots) {
        expect(before).toBeNull()
        slots = index.slots
        growths++
      }
    }
    expect(growths).toBe(13)
    expect(index.byteLength).toBe(index.slots.byteLength + (index.oldSlots?.byteLength ?? 0))
  })

  it('needs no growth for as many rows as were expected', () => {
    const index = new HashIndex(1000, (row) => row)
    const { slots } = index
    for (let row = 0; row < 1000; row++) index.insert(row, row)
    expect(index.slots).toBe(slots)
  })
})
