import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes64, lanes } from '../../../src/core/hash64.ts'
import { hllError, hllPrecision } from '../../../src/job/sketch-limits.ts'
import { hllAdd, hllCheck, hllEstimate, hllMerge, hllSettle } from '../../../src/state/sketch/hll.ts'
import { bytesOf, empty, mergeWith, type Sketch } from './support.ts'

const encoder = new TextEncoder()

function add(sketch: Sketch, p: number, text: string): void {
  const bytes = encoder.encode(text)
  hashBytes64(bytes, 0, bytes.length)
  sketch.ref = hllAdd(sketch.store, sketch.ref, p, lanes[0]!, lanes[1]!)
}

function of(p: number, texts: Iterable<string>): Sketch {
  const sketch = empty()
  for (const text of texts) add(sketch, p, text)
  return sketch
}

const merged = (p: number, a: Sketch, b: Sketch) => mergeWith(a, b, (store, ref) => hllMerge(store, ref, p))
const estimate = ({ store, ref }: Sketch) => hllEstimate(store, ref)

/** What the sketch says, whatever the order of its slots: mode, then registers or the sorted coupons. */
function meaning(sketch: Sketch): unknown {
  const bytes = bytesOf(sketch)
  if (bytes.length === 0 || bytes[1] !== 0) return [...bytes]
  return [bytes[2], ...new Uint32Array(bytes.buffer, 8).filter((coupon) => coupon !== 0).sort()]
}

const people = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `p${from + i}`)

describe('HyperLogLog', () => {
  it('is exact while it is sparse, and counts a value once', () => {
    for (const n of [0, 1, 2, 3, 4, 10, 100, 380]) expect(estimate(of(12, people(0, n)))).toBe(n)
    expect(estimate(of(12, [...people(0, 50), ...people(0, 50)]))).toBe(50)
  })

  it.each([10, 12, 14])('is within its standard error at precision %i, from few to many', (p) => {
    const sizes = [1000, 3000, 10_000, 30_000, 100_000]
    const seeds = 24
    for (const n of sizes) {
      let squares = 0
      let sum = 0
      for (let seed = 0; seed < (n > 20_000 ? 6 : seeds); seed++) {
        const sketch = empty()
        for (let i = 0; i < n; i++) add(sketch, p, `${seed}/${i}`)
        const error = estimate(sketch) / n - 1
        // Five standard errors: once in two million.
        expect(Math.abs(error)).toBeLessThan(5 * hllError(p))
        squares += error ** 2
        sum += error
      }
      const runs = n > 20_000 ? 6 : seeds
      expect(Math.sqrt(squares / runs)).toBeLessThan(1.7 * hllError(p))
      // No bias, neither where sparse ends nor where linear counting would.
      expect(Math.abs(sum / runs)).toBeLessThan((4 * hllError(p)) / Math.sqrt(runs))
    }
  })

  it('merges to the sketch of the union: commutative, associative, idempotent, with the empty one as identity', () => {
    const range = fc.tuple(fc.nat(4000), fc.nat(1500)).map(([from, count]) => people(from, from + count))
    fc.assert(
      fc.property(fc.constantFrom(10, 12), range, range, range, (p, a, b, c) => {
        const union = meaning(of(p, [...a, ...b, ...c]))
        expect(meaning(merged(p, merged(p, of(p, a), of(p, b)), of(p, c)))).toEqual(union)
        expect(meaning(merged(p, of(p, c), merged(p, of(p, b), of(p, a))))).toEqual(union)
        expect(meaning(merged(p, of(p, a), of(p, a)))).toEqual(meaning(of(p, a)))
        expect(meaning(merged(p, empty(), of(p, a)))).toEqual(meaning(of(p, a)))
        expect(meaning(merged(p, of(p, a), empty()))).toEqual(meaning(of(p, a)))
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    [10, 5, 0, 1],
    [12, 7, 0, 0],
    [16, 9, 0b101, 0],
    [14, 3, 1 << 17, 0],
  ])('keeps the place of the first 1 behind the register, sparse and dense: p = %i', (p, register, rest, low) => {
    // The hash: p bits of the register, the rest of the high lane, the low lane.
    const high = ((register << (32 - p)) | rest) >>> 0
    const bits = (BigInt(rest) << 32n) | BigInt(low)
    let first = 1
    while (first <= 64 - p && ((bits >> BigInt(64 - p - first)) & 1n) === 0n) first++
    const sketch = empty()
    sketch.ref = hllAdd(sketch.store, sketch.ref, p, high, low)
    const dense = of(p, people(0, 2 ** p / 4))
    const before = bytesOf(dense)[8 + register]!
    expect(bytesOf(merged(p, dense, sketch))[8 + register]).toBe(Math.max(before, first))
    const added = of(p, people(0, 2 ** p / 4))
    added.ref = hllAdd(added.store, added.ref, p, high, low)
    expect(bytesOf(added)[8 + register]).toBe(Math.max(before, first))
  })

  it('takes the least precision that keeps a standard error', () => {
    expect([0.0325, 0.02, 0.01, 0.005, 0.0001].map(hllPrecision)).toEqual([10, 12, 14, 16, 16])
    expect(hllError(hllPrecision(0.02))).toBeLessThanOrEqual(0.02)
  })

  it('settles to the same estimate in 24 bytes, again and again', () => {
    const sketch = of(12, people(0, 5000))
    const into = empty()
    into.ref = hllSettle(sketch.store, sketch.ref, into.store)
    expect(estimate(into)).toBe(estimate(sketch))
    expect(bytesOf(into)).toHaveLength(16)
    const again = empty()
    again.ref = hllSettle(into.store, into.ref, again.store)
    expect(estimate(again)).toBe(estimate(sketch))
  })

  it('refuses bytes that are none with a code, or can use them', () => {
    const good = [bytesOf(of(10, people(0, 3))), bytesOf(of(10, people(0, 2000)))]
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      fc.tuple(fc.constantFrom(...good), fc.nat(1100), fc.nat(255), fc.nat(1100)).map(([from, at, value, length]) => {
        const copy = from.slice(0, length % 2 === 0 ? from.length : length)
        if (copy.length > 0) copy[at % copy.length] = value
        return copy
      }),
    )
    fc.assert(
      fc.property(bytes, (content) => {
        const { store } = empty()
        store.loaded.set(content, 0, content.length)
        try {
          hllCheck(store.loaded, 10)
        } catch (error) {
          expect(['CHECKPOINT_CORRUPT', 'STATE_INCOMPATIBLE']).toContain((error as { code?: string }).code)
          return
        }
        const ref = store.put()
        expect(hllEstimate(store, ref)).not.toBeNull()
      }),
      { numRuns: 3000 },
    )
    for (const content of good) {
      const { store } = empty()
      store.loaded.set(content, 0, content.length)
      expect(() => hllCheck(store.loaded, 10)).not.toThrow()
      expect(() => hllCheck(store.loaded, 11)).toThrow(/precision 10, not 11/)
      store.loaded.u8[0] = 9
      expect(() => hllCheck(store.loaded, 10)).toThrow(expect.objectContaining({ code: 'STATE_INCOMPATIBLE' }))
    }
  })
})
