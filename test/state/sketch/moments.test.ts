import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { momentsAdd, momentsMerge, momentsVariance } from '../../../src/state/sketch/moments.ts'

const of = (values: readonly number[]) => {
  const f64 = new Float64Array(3)
  for (const value of values) momentsAdd(f64, 0, 1, value, 1)
  return f64
}

/** Two passes, in BigInt: numbers are whole. */
function exact(values: readonly number[], sample: boolean): number {
  const n = BigInt(values.length)
  const sum = values.reduce((total, value) => total + BigInt(value), 0n)
  const squares = values.reduce((total, value) => total + (n * BigInt(value) - sum) ** 2n, 0n)
  const by = n * n * (n - (sample ? 1n : 0n))
  return by === 0n ? Number.NaN : Number((squares * 1_000_000n) / by) / 1e6
}

const values = fc
  .tuple(fc.constantFrom(0, 1_000_000_000, -5e10), fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 60 }))
  .map(([base, all]) => all.map((value) => base + value))

function expectNear(found: number, wanted: number): void {
  if (Number.isNaN(wanted)) expect(found).toBeNaN()
  else expect(Math.abs(found - wanted)).toBeLessThanOrEqual(1e-4 + Math.abs(wanted) * 1e-6)
}

describe('variance', () => {
  it('is what two passes say, far from zero too, of all or of a sample, merged in any way', () => {
    fc.assert(
      fc.property(values, fc.nat(60), fc.boolean(), (all, cut, sample) => {
        const wanted = exact(all, sample)
        expectNear(momentsVariance(of(all), 0, 1, sample), wanted)
        const [a, b] = [of(all.slice(0, cut)), of(all.slice(cut))]
        const both = a.slice()
        momentsMerge(both, 0, 1, b, 0, 1, 1)
        expectNear(momentsVariance(both, 0, 1, sample), wanted)
        const other = b.slice()
        momentsMerge(other, 0, 1, a, 0, 1, 1)
        expectNear(momentsVariance(other, 0, 1, sample), wanted)
      }),
      { numRuns: 500 },
    )
  })

  it('takes back what it was given', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const near = b.map((value) => value % 1000)
        const base = a.map((value) => value % 1000)
        const f64 = of([...base, ...near])
        for (const value of near) momentsAdd(f64, 0, 1, value, -1)
        expectNear(momentsVariance(f64, 0, 1, false), exact(base, false))
        const merged = of([...base, ...near])
        momentsMerge(merged, 0, 1, of(near), 0, 1, -1)
        expectNear(momentsVariance(merged, 0, 1, false), exact(base, false))
      }),
      { numRuns: 300 },
    )
  })

  it('is infinite where it is too large for a double, never 0 or none', () => {
    for (const all of [
      [1e308, -1.7e308],
      [1.7e308, -1.7e308, 5],
      [1e200, -1e200, 1, 2],
    ]) {
      expect(momentsVariance(of(all), 0, 1, false)).toBe(Infinity)
      const merged = of(all.slice(0, 1))
      momentsMerge(merged, 0, 1, of(all.slice(1)), 0, 1, 1)
      expect(momentsVariance(merged, 0, 1, false)).toBe(Infinity)
    }
  })

  it('is none of too few', () => {
    expect(momentsVariance(of([]), 0, 1, false)).toBeNaN()
    expect(momentsVariance(of([3]), 0, 1, true)).toBeNaN()
    expect(momentsVariance(of([3]), 0, 1, false)).toBe(0)
  })
})
