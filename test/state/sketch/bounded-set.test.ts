import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes64, lanes } from '../../../src/core/hash64.ts'
import { hllError } from '../../../src/job/sketch-limits.ts'
import {
  boundedAdd,
  boundedCheck,
  boundedCount,
  boundedIsExact,
  boundedMerge,
  boundedParameter,
  boundedSettle,
} from '../../../src/state/sketch/bounded-set.ts'
import { hllAdd, hllEstimate } from '../../../src/state/sketch/hll.ts'
import { bytesOf, empty, mergeWith, randomOf, type Sketch } from './support.ts'

const encoder = new TextEncoder()

function add(sketch: Sketch, parameter: number, text: string): void {
  // Within more bytes, as in a batch.
  const bytes = encoder.encode(`<${text}>`)
  sketch.ref = boundedAdd(sketch.store, sketch.ref, parameter, bytes, 1, bytes.length - 1)
}

function of(parameter: number, texts: Iterable<string>): Sketch {
  const sketch = empty()
  for (const text of texts) add(sketch, parameter, text)
  return sketch
}

/** A HyperLogLog that had the values from the start. */
function estimateOf(p: number, texts: Iterable<string>): number {
  const { store } = empty()
  let ref = 0
  for (const text of texts) {
    const bytes = encoder.encode(text)
    hashBytes64(bytes, 0, bytes.length)
    ref = hllAdd(store, ref, p, lanes[0]!, lanes[1]!)
  }
  return hllEstimate(store, ref)
}

const answer = ({ store, ref }: Sketch) => [boundedCount(store, ref), boundedIsExact(store, ref)]
const checked = (sketch: Sketch, parameter: number): void => {
  if (sketch.ref !== 0) boundedCheck(sketch.store.load(sketch.ref), parameter)
}
const people = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `person-${from + i}`)

describe('a set that is exact up to a number', () => {
  it.each([1, 8, 100, 5000])('of %i values has them exactly, and with one more is an estimate', (most) => {
    const parameter = boundedParameter(12, most)
    const sketch = of(parameter, [...people(0, most), ...people(0, most)])
    expect(answer(sketch)).toEqual([most, true])
    checked(sketch, parameter)
    add(sketch, parameter, 'one more')
    const [value, exact] = answer(sketch)
    expect(exact).toBe(false)
    expect(value).toBe(estimateOf(12, [...people(0, most), 'one more']))
    expect(Math.abs((value as number) - most - 1)).toBeLessThanOrEqual(Math.ceil(5 * hllError(12) * (most + 1)))
    checked(sketch, parameter)
  })

  it('says the same whatever the order, the parts, and how they are put together', () => {
    const text = fc.oneof(
      fc.integer({ min: 0, max: 60 }).map((i) => `p${i}`),
      fc.string({ maxLength: 40 }),
      fc.constant(''),
    )
    fc.assert(
      fc.property(
        fc.array(fc.array(text, { maxLength: 40 }), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(1, 5, 30, 80),
        fc.constantFrom(10, 14),
        fc.integer(),
        (parts, most, p, seed) => {
          const parameter = boundedParameter(p, most)
          const all = parts.flat()
          const values = new Set(all)
          const wanted = values.size <= most ? [values.size, true] : [estimateOf(p, values), false]
          expect(answer(of(parameter, all))).toEqual(wanted)
          expect(answer(of(parameter, all.toReversed()))).toEqual(wanted)
          // Parts as senders and panes have them, put together in any order, some into others first.
          const random = randomOf(seed)
          const sketches = parts.map((part) => of(parameter, part))
          while (sketches.length > 1) {
            const from = sketches.splice(Math.floor(random() * sketches.length), 1)[0]!
            const into = sketches[Math.floor(random() * sketches.length)]!
            mergeWith(into, from, (store, ref) => boundedMerge(store, ref, parameter))
            checked(into, parameter)
          }
          expect(answer(sketches[0]!)).toEqual(wanted)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('tells values apart by their bytes, those that are long and begin alike too', () => {
    const parameter = boundedParameter(12, 1000)
    const long = people(0, 50).map((name) => 'x'.repeat(3000) + name)
    expect(answer(of(parameter, [...long, ...long, 'x', 'x\0', '']))).toEqual([53, true])
  })

  it('is an estimate where its values take more than 4 MB, in any order', () => {
    const parameter = boundedParameter(12, 1000)
    const long = people(0, 60).map((name) => name + 'x'.repeat(100_000))
    const wanted = [estimateOf(12, long), false]
    expect(answer(of(parameter, long))).toEqual(wanted)
    expect(answer(of(parameter, long.toReversed()))).toEqual(wanted)
    const [a, b] = [of(parameter, long.slice(0, 30)), of(parameter, long.slice(20))]
    expect(answer(mergeWith(a!, b!, (store, ref) => boundedMerge(store, ref, parameter)))).toEqual(wanted)
  })

  it('of a closed window is the number, and whether it is exact', () => {
    const parameter = boundedParameter(12, 100)
    for (const n of [1, 100, 101, 3000]) {
      const sketch = of(parameter, people(0, n))
      const settled = empty()
      settled.ref = boundedSettle(sketch.store, sketch.ref, settled.store)
      expect(answer(settled)).toEqual(answer(sketch))
      expect(bytesOf(settled).length).toBe(16)
      checked(settled, parameter)
    }
  })

  it('takes 41 to 66 bytes a value of 12 bytes', () => {
    for (const n of [100, 1000, 10_000]) {
      const sketch = of(boundedParameter(12, n), people(0, n))
      expect(bytesOf(sketch).length).toBeLessThan(n * 50)
    }
  })

  it('refuses bytes that are none', () => {
    const parameter = boundedParameter(12, 100)
    const good = of(parameter, people(0, 20))
    const length = bytesOf(good).length
    let refused = 0
    for (let i = 0; i < length; i++) {
      const { loaded } = good.store
      good.store.load(good.ref)
      loaded.u8[i]! ^= 0xff
      try {
        boundedCheck(loaded, parameter)
      } catch (error) {
        expect(error).toMatchObject({
          code: expect.stringMatching(/^(STATE_INCOMPATIBLE|CHECKPOINT_CORRUPT)$/) as string,
        })
        refused++
      }
    }
    // What is not part of a value, and the places of slots among each other, say nothing.
    expect(refused).toBeGreaterThan(20 * 24)
    expect(() => boundedCheck(good.store.load(good.ref), boundedParameter(12, 19))).toThrow(/20 values/)
  })
})
