import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Timestamp } from '../../src/gen/google/protobuf/timestamp.ts'
import { toDate } from '../../src/sink/dates.ts'

describe('toDate', () => {
  it('is the instant within the years 1 to 9999, and their ends beyond', () => {
    const first = Date.parse('0001-01-01T00:00:00Z')
    const last = Date.parse('9999-12-31T23:59:59.999Z')
    expect(toDate(-Infinity).getTime()).toBe(first)
    expect(toDate(Infinity).getTime()).toBe(last)
    fc.assert(
      fc.property(fc.integer({ min: -8.64e15, max: 8.64e15 }), (ms) => {
        const { seconds } = Timestamp.decode(
          Timestamp.encode({ seconds: Math.floor(toDate(ms).getTime() / 1000), nanos: 0 }).finish(),
        )
        expect(seconds >= -62_135_596_800 && seconds <= 253_402_300_799).toBe(true)
        expect(toDate(ms).getTime()).toBe(Math.min(Math.max(ms, first), last))
      }),
      { examples: [[first], [last], [first - 1], [last + 1]] },
    )
  })
})
