import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addCompensated, hasMembers, layOutAccumulators, readAccumulator } from '../../src/operator/accumulators.ts'
import type { Row } from '../exchange/support.ts'
import { accumulator, Cluster, NUMBERS, tablePlan, valuesOf } from './support.ts'

const row = (value: number, key = 'k'): Row => ({ key, timeMs: 1, mask: 1, numbers: [value, value], texts: ['', ''] })

/** The value of a single-group, single-accumulator table after these values, by way of partials or directly. */
function total(kind: 'integer' | 'floating', batches: readonly (readonly number[])[], merged: boolean): number {
  const plan = tablePlan(
    [],
    [{ ...accumulator('sum', 0, kind === 'integer' ? 0 : 1, kind === 'floating'), metrics: ['revenue'] }],
  )
  const cluster = new Cluster(plan, 1, merged)
  for (const values of batches) {
    cluster.apply(values.map((value) => row(value)))
    cluster.flush(0)
  }
  return [...valuesOf(cluster.tables).values()][0]![0]!
}

describe('integer sums', () => {
  it('are exact, and fail the job once they leave +-2^53, directly and merged', () => {
    const values = fc.array(
      fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.constantFrom(Number.MAX_SAFE_INTEGER, 1, -1)),
      { minLength: 1, maxLength: 8 },
    )
    fc.assert(
      fc.property(values, fc.boolean(), (all, merged) => {
        let exact = 0n
        let overflows = false
        for (const value of all) {
          exact += BigInt(value)
          overflows ||= exact > Number.MAX_SAFE_INTEGER || exact < Number.MIN_SAFE_INTEGER
        }
        const run = () =>
          total(
            'integer',
            all.map((value) => [value]),
            merged,
          )
        if (overflows)
          expect(run).toThrow(expect.objectContaining({ code: 'SUM_OVERFLOW', domain: 'user', retry: 'never' }))
        else expect(BigInt(run())).toBe(exact)
      }),
      { numRuns: 300 },
    )
  })

  it('reach 2^53 - 1 and no further', () => {
    const max = Number.MAX_SAFE_INTEGER
    expect(total('integer', [[max - 1, 1]], false)).toBe(max)
    expect(total('integer', [[max - 1], [1]], true)).toBe(max)
    expect(() => total('integer', [[max, 1]], false)).toThrow(/2\^53/)
    expect(() => total('integer', [[max], [1]], true)).toThrow(/2\^53/)
    expect(() => total('integer', [[-max, -1]], false)).toThrow(/metric 'revenue' in table 'table'/)
  })
})

/** Doubles as integers in units of 2^-1074: sums of them are exact. */
function exactUnits(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, value)
  const raw = bits.getBigUint64(0)
  const exponent = (raw >> 52n) & 0x7ffn
  const mantissa = (raw & 0xfffffffffffffn) | (exponent === 0n ? 0n : 1n << 52n)
  const magnitude = mantissa << (exponent === 0n ? 0n : exponent - 1n)
  return raw >> 63n === 1n ? -magnitude : magnitude
}

/** Whether `sum` is as near to the exact one as a compensated sum promises: an ulp of the sum, and n^2 eps^2 of the sizes. */
function expectNear(sum: number, values: readonly number[]): void {
  const exact = values.reduce((units, value) => units + exactUnits(value), 0n)
  const sizes = values.reduce((units, value) => units + exactUnits(Math.abs(value)), 0n)
  const error = exactUnits(sum) - exact
  const absolute = error < 0n ? -error : error
  const bound = (exact < 0n ? -exact : exact) / 2n ** 52n + (sizes * BigInt((values.length + 4) ** 2)) / 2n ** 104n + 4n
  expect(absolute <= bound).toBe(true)
}

describe('floating sums', () => {
  const magnitudes = fc.oneof(
    fc.double({ min: -1e15, max: 1e15, noNaN: true }),
    fc.double({ min: -1, max: 1, noNaN: true }),
    fc.constantFrom(1e100, -1e100, 1e16, -1e16, 1, 0.1),
  )

  it('are compensated: as good as if summed exactly, directly and merged', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(magnitudes, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (batches, merged) => {
          expectNear(total('floating', batches, merged), batches.flat())
        },
      ),
      { numRuns: 300 },
    )
  })

  it('lose nothing where plain addition loses everything', () => {
    expect([1, 1e100, 1, -1e100].reduce((a, b) => a + b)).toBe(0)
    expect(total('floating', [[1, 1e100, 1, -1e100]], false)).toBe(2)
    expect(
      total(
        'floating',
        [
          [1, 1e100],
          [1, -1e100],
        ],
        true,
      ),
    ).toBe(2)
    const tenths = Array.from({ length: 1000 }, () => 0.1)
    expect(tenths.reduce((a, b) => a + b)).not.toBe(100)
    expect(total('floating', [tenths], false)).toBe(100)
  })

  it('are infinite where a value is', () => {
    expect(total('floating', [[1, Infinity, 2]], false)).toBe(Infinity)
    expect(total('floating', [[-Infinity], [5]], true)).toBe(-Infinity)
    expect(total('floating', [[1e308, 1e308, -1]], false)).toBe(Infinity)
    expect(total('floating', [[Infinity, -Infinity]], false)).toBeNaN()
    // NaN is no value, as SQL's NULL.
    expect(total('floating', [[Number.NaN, 1]], false)).toBe(1)
  })
})

describe('the layout of accumulators', () => {
  const plan = tablePlan(
    [],
    [
      accumulator('sum', 2, 1, true),
      accumulator('count', 0),
      accumulator('min', 5, 0),
      accumulator('max', 5, 0),
      accumulator('sum', 1, 1, true),
      accumulator('distinct', 0),
      accumulator('distinct', 0, NUMBERS + 1),
    ],
  )
  const laidOut = layOutAccumulators(
    plan,
    (column) => column + 10,
    (column) => column + 20,
  )

  it('has one column each, in order, and compensations behind all of them', () => {
    expect(Array.from(laidOut.initial)).toEqual([0, 0, Infinity, -Infinity, 0, 0, 0, 0, 0])
    expect(Array.from(laidOut.compensations)).toEqual([7, -1, -1, -1, 8, -1, -1])
    expect(Array.from(laidOut.inputs)).toEqual([11, -1, 10, 10, 11, -1, NUMBERS + 21])
    expect(laidOut.mask).toBe(0b100111)
    expect(hasMembers(laidOut)).toBe(true)
    expect(hasMembers(layOutAccumulators(tablePlan([], [accumulator('count', 0)]), Number, Number))).toBe(false)
  })

  it('is how they are read', () => {
    const f64 = Float64Array.of(99, ...laidOut.initial)
    addCompensated(f64, 1, 8, 1e16)
    addCompensated(f64, 1, 8, 1)
    expect(readAccumulator(laidOut, f64, 1, 0)).toBe(1e16 + 1)
    expect(readAccumulator(laidOut, f64, 1, 2)).toBe(Infinity)
  })
})
