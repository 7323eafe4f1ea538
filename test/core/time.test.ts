import { describe, expect, it } from 'vitest'
import { MAX_WATERMARK, MIN_WATERMARK, maxTimestampMs } from '../../src/core/time.ts'

describe('watermarks at the ends of time', () => {
  it('saturate: no lateness or retention leads out of them', () => {
    expect(MIN_WATERMARK - 5_000 - 1).toBe(MIN_WATERMARK)
    expect(MIN_WATERMARK + 8.64e15).toBe(MIN_WATERMARK)
    expect(MAX_WATERMARK - 8.64e15).toBe(MAX_WATERMARK)
    expect(MIN_WATERMARK < -8.64e15 && MAX_WATERMARK > 8.64e15).toBe(true)
  })

  it('take no part in windows: a window ends one before its end', () => {
    expect(maxTimestampMs(60_000)).toBe(59_999)
    expect(maxTimestampMs(-60_000)).toBe(-60_001)
  })
})
