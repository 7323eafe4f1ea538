import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextBelow, nextFraction, SeededRandom } from '../../src/core/clock.ts'

function draw(seed: number, count: number): number[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => random.nextUint32())
}

describe('SeededRandom', () => {
  it('gives the same numbers for the same seed, always: topics and simulated runs are replayed by it', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(draw(seed, 50)).toEqual(draw(seed, 50))
      }),
    )
    expect(draw(1, 3)).toEqual(draw(1 + 2 ** 32, 3))
    expect(draw(1, 5)).toEqual([1580013426, 350525680, 3524174333, 3011703609, 643872864])
  })

  it('gives different numbers for different seeds', () => {
    const first = new Set(Array.from({ length: 1000 }, (_, seed) => draw(seed, 2).join()))
    expect(first.size).toBe(1000)
  })

  it('spreads over all bits: each is set about half the time', () => {
    const numbers = draw(7, 4096)
    for (let bit = 0; bit < 32; bit++) {
      const set = numbers.filter((n) => ((n >>> bit) & 1) === 1).length
      // 6 standard deviations of a fair coin thrown 4096 times.
      expect(Math.abs(set - 2048)).toBeLessThan(192)
    }
  })
})

describe('nextBelow and nextFraction', () => {
  const fixed = (value: number) => ({ nextUint32: () => value })

  it('stay inside their ranges at both ends of what is drawn', () => {
    expect(nextFraction(fixed(0))).toBe(0)
    expect(nextFraction(fixed(0xffffffff))).toBeLessThan(1)
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.integer({ min: 1, max: 2 ** 32 }), (drawn, bound) => {
        const value = nextBelow(fixed(drawn), bound)
        expect(Number.isInteger(value) && value >= 0 && value < bound).toBe(true)
      }),
      {
        examples: [
          [0xffffffff, 2 ** 32],
          [0xffffffff, 1],
          [0xffffffff, 3],
        ],
      },
    )
  })
})
