import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  binsMax,
  ddAdd,
  ddCheck,
  ddCount,
  ddKey,
  ddMerge,
  ddQuantile,
  ddSettle,
  ddValue,
} from '../../../src/state/sketch/dd-sketch.ts'
import { bytesOf, empty, mergeWith, randomOf, type Sketch } from './support.ts'

function of(error: number, values: Iterable<number>, weight = 1): Sketch {
  const sketch = empty()
  for (const value of values) sketch.ref = ddAdd(sketch.store, sketch.ref, error, value, weight)
  return sketch
}

const merged = (error: number, a: Sketch, b: Sketch, sign = 1) =>
  mergeWith(a, b, (store, ref) => ddMerge(store, ref, error, sign))
const quantile = ({ store, ref }: Sketch, q: number) => ddQuantile(store, ref, q)

/** Counts by key, whatever the room and the width of bins. */
function meaning(sketch: Sketch): Record<number, number> {
  const bytes = bytesOf(sketch)
  if (bytes.length === 0) return {}
  const u32 = new Uint32Array(bytes.buffer, 0, bytes.length >> 2)
  const f64 = new Float64Array(bytes.buffer, 0, bytes.length >> 3)
  const counts: Record<number, number> = {}
  for (let i = 0; i < u32[1]!; i++) {
    const count = bytes[1] === 0 ? bytes[32 + i]! : bytes[1] === 2 ? u32[8 + i]! : f64[4 + i]!
    if (count !== 0) counts[(u32[2]! | 0) + i] = count
  }
  return counts
}

const qs = [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]

function expectWithin(sketch: Sketch, values: readonly number[], error: number): void {
  const sorted = Float64Array.from(values).sort()
  for (const q of qs) {
    const exact = sorted[Math.floor(q * (sorted.length - 1))]!
    const bound = Math.max(1e-9, Math.abs(exact) * error * (1 + 1e-9))
    expect(Math.abs(quantile(sketch, q) - exact), `q ${q} of ${sorted.length}: ${exact}`).toBeLessThanOrEqual(bound)
  }
}

const distributions: Record<string, (random: () => number) => number> = {
  uniform: (random) => random() * 1000,
  exponential: (random) => -Math.log(1 - random()) * 50,
  pareto: (random) => 1 / (1 - random()) ** 2,
  normal: (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()) * 30,
  integers: (random) => Math.floor(random() * 20) - 5,
  constant: () => 42,
}

describe('DDSketch', () => {
  it.each(Object.keys(distributions))('is within its relative error: %s', (name) => {
    for (const error of [0.001, 0.01, 0.05, 0.2]) {
      for (let seed = 0; seed < 6; seed++) {
        const random = randomOf(seed)
        const values = Array.from({ length: 1 + Math.floor(random() * 20_000) }, () => distributions[name]!(random))
        expectWithin(of(error, values), values, error)
      }
    }
  })

  it('is within its relative error for any values that fit its bins', () => {
    const sized = fc.double({ min: 1e-8, max: 1e9, noNaN: true })
    const value = fc.oneof(
      sized,
      sized.map((v) => -v),
      fc.constant(0),
      fc.integer({ min: -1000, max: 1000 }),
    )
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), fc.constantFrom(0.01, 0.1), (values, error) => {
        expectWithin(of(error, values), values, error)
      }),
    )
  })

  it('keys are in the order of values, and each stands for values within the error', () => {
    const value = fc.double({ min: -1e300, max: 1e300, noNaN: true })
    fc.assert(
      fc.property(value, value, fc.constantFrom(0.001, 0.01, 0.2), (a, b, error) => {
        if (a <= b) expect(ddKey(error, a)).toBeLessThanOrEqual(ddKey(error, b))
        const size = Math.abs(a)
        if (size > 1e-9)
          expect(Math.abs(ddValue(error, ddKey(error, a)) - a)).toBeLessThanOrEqual(size * error * (1 + 1e-9))
        else expect(ddKey(error, a)).toBe(0)
      }),
      { numRuns: 1000 },
    )
  })

  const wide = fc.oneof(
    fc.double({ min: -1e300, max: 1e300, noNaN: true }),
    fc.double({ min: 0.1, max: 1e4, noNaN: true }),
    fc.integer({ min: -5, max: 5 }),
  )
  const many = fc.array(wide, { maxLength: 60 })

  it('merges exactly: commutative, associative, with identity, and equal to the sketch of all, collapsed or not', () => {
    fc.assert(
      fc.property(many, many, many, (a, b, c) => {
        const all = meaning(of(0.1, [...a, ...b, ...c]))
        expect(meaning(merged(0.1, merged(0.1, of(0.1, a), of(0.1, b)), of(0.1, c)))).toEqual(all)
        expect(meaning(merged(0.1, of(0.1, c), merged(0.1, of(0.1, b), of(0.1, a))))).toEqual(all)
        expect(meaning(merged(0.1, empty(), of(0.1, a)))).toEqual(meaning(of(0.1, a)))
        expect(Object.values(all).reduce((sum, n) => sum + n, 0)).toBe(a.length + b.length + c.length)
      }),
      { numRuns: 300 },
    )
  })

  it('takes back what it was given: by weight, and a sketch that was merged', () => {
    fc.assert(
      fc.property(many, many, (a, b) => {
        const sketch = merged(0.1, of(0.1, a), of(0.1, b))
        merged(0.1, sketch, of(0.1, b), -1)
        const weighed = of(0.1, [...a, ...b])
        for (const value of b) weighed.ref = ddAdd(weighed.store, weighed.ref, 0.1, value, -1)
        expect(meaning(weighed)).toEqual(meaning(sketch))
        expect(ddCount(sketch.store, sketch.ref)).toBe(a.length)
        // What has been collapsed on the way stays so; all else is as if b had never been.
        const span =
          Math.max(...[...a, ...b].map((v) => ddKey(0.1, v))) - Math.min(...[...a, ...b].map((v) => ddKey(0.1, v)))
        if (span < binsMax(0.1)) expect(meaning(sketch)).toEqual(meaning(of(0.1, a)))
      }),
      { numRuns: 300 },
    )
  })

  it('keeps the greatest values right when the range is too wide, in bounded memory', () => {
    const values = Array.from({ length: 4000 }, (_, i) => 10 ** (-8 + (i % 300)))
    const sketch = of(0.01, values)
    expect(bytesOf(sketch).length).toBeLessThan(33_000)
    const sorted = [...values].sort((a, b) => a - b)
    for (const q of [0.99, 1]) {
      const exact = sorted[Math.floor(q * (sorted.length - 1))]!
      expect(Math.abs(quantile(sketch, q) / exact - 1)).toBeLessThanOrEqual(0.0101)
    }
  })

  it('counts beyond what a byte and 32 bits hold', () => {
    const sketch = of(0.01, new Array(300).fill(5))
    expect(meaning(sketch)).toEqual({ [ddKey(0.01, 5)]: 300 })
    sketch.ref = ddAdd(sketch.store, sketch.ref, 0.01, 7, 2 ** 33)
    expect(ddCount(sketch.store, sketch.ref)).toBe(300 + 2 ** 33)
    expect(Math.abs(quantile(sketch, 0.5) - 7)).toBeLessThan(0.071)
    sketch.ref = ddAdd(sketch.store, sketch.ref, 0.01, 3, -1)
    expect(meaning(sketch)[ddKey(0.01, 3)]).toBe(-1)
  })

  it('has no quantile of nothing, and settles to the same ones in no more room than it needs', () => {
    expect(quantile(empty(), 0.5)).toBeNaN()
    const sketch = of(0.01, [1, 2, 3, 1000])
    const into = empty()
    into.ref = ddSettle(sketch.store, sketch.ref, into.store)
    expect(qs.map((q) => quantile(into, q))).toEqual(qs.map((q) => quantile(sketch, q)))
    expect(meaning(into)).toEqual(meaning(sketch))
    expect(bytesOf(into).length).toBe(32 + ddKey(0.01, 1000) - ddKey(0.01, 1) + 1)
  })

  it('refuses bytes that are none with a code, or can use them', () => {
    const good = [bytesOf(of(0.1, [1, 2, 3])), bytesOf(of(0.1, new Array(300).fill(-2)))]
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.constantFrom(...good), fc.nat(200), fc.nat(255)).map(([from, at, value]) => {
        const copy = from.slice()
        copy[at % copy.length] = value
        return copy
      }),
    )
    fc.assert(
      fc.property(bytes, (content) => {
        const { store } = empty()
        store.loaded.set(content, 0, content.length)
        try {
          ddCheck(store.loaded, 0.1)
        } catch (error) {
          expect(['CHECKPOINT_CORRUPT', 'STATE_INCOMPATIBLE']).toContain((error as { code?: string }).code)
          return
        }
        const ref = ddAdd(store, store.put(), 0.1, 17, 1)
        expect(ddQuantile(store, ref, 0.5)).not.toBeNull()
      }),
      { numRuns: 3000 },
    )
    for (const content of good) {
      const { store } = empty()
      store.loaded.set(content, 0, content.length)
      expect(() => ddCheck(store.loaded, 0.1)).not.toThrow()
      expect(() => ddCheck(store.loaded, 0.2)).toThrow(/error 0.1, not 0.2/)
    }
  })
})
