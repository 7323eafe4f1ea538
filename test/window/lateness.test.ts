import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_WATERMARK, MIN_WATERMARK } from '../../src/core/time.ts'
import { isClosed, isDue } from '../../src/window/lateness.ts'

describe('when a window is due and closed', () => {
  it('is due once the watermark reaches its last instant, not one before', () => {
    expect(isDue(60_000, 59_998)).toBe(false)
    expect(isDue(60_000, 59_999)).toBe(true)
  })

  it('is closed, and its elements late, once the watermark reaches the last instant plus the lateness: <=, not <', () => {
    expect(isClosed(60_000, 1_000, 60_998)).toBe(false)
    expect(isClosed(60_000, 1_000, 60_999)).toBe(true)
    expect(isClosed(60_000, 0, 59_999)).toBe(true)
  })

  it('is neither at the smallest watermark, and both at the largest, however long the lateness', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (end, lateness) => {
        expect(isDue(end, MIN_WATERMARK) || isClosed(end, Math.abs(lateness), MIN_WATERMARK)).toBe(false)
        expect(isDue(end, MAX_WATERMARK) && isClosed(end, Math.abs(lateness), MAX_WATERMARK)).toBe(true)
      }),
    )
  })

  it('agrees with exact arithmetic, and closes nothing that is not due', () => {
    const times = fc.integer({ min: -8_640_000_000_000, max: 8_640_000_000_000 })
    fc.assert(
      fc.property(times, fc.nat(100_000_000), fc.integer({ min: -3, max: 3 }), (end, lateness, near) => {
        for (const watermark of [end - 1 + near, end - 1 + lateness + near]) {
          expect(isDue(end, watermark)).toBe(BigInt(end) - 1n <= BigInt(watermark))
          expect(isClosed(end, lateness, watermark)).toBe(BigInt(end) - 1n + BigInt(lateness) <= BigInt(watermark))
          if (isClosed(end, lateness, watermark)) expect(isDue(end, watermark)).toBe(true)
        }
      }),
    )
  })
})
