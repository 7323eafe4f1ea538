import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatInstant, parseInstant } from '../../src/core/instant.ts'

describe('instants', () => {
  it('prints milliseconds only where there are some', () => {
    expect(formatInstant(Date.UTC(2024, 2, 13, 10, 21, 14))).toBe('2024-03-13T10:21:14Z')
    expect(formatInstant(1)).toBe('1970-01-01T00:00:00.001Z')
    expect(formatInstant(Number.POSITIVE_INFINITY)).toBe('')
  })

  it('reads what it prints', () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1, 0), max: Date.UTC(9999, 11) }), (ms) => {
        expect(parseInstant(formatInstant(ms))).toBe(ms)
      }),
    )
  })

  it('reads dates, zones, fractions, and times without a zone as UTC', () => {
    expect(parseInstant('2024-03-13')).toBe(Date.UTC(2024, 2, 13))
    expect(parseInstant('2024-03-13 10:21:14')).toBe(Date.UTC(2024, 2, 13, 10, 21, 14))
    expect(parseInstant('2024-03-13T10:21:14.5+02:00')).toBe(Date.UTC(2024, 2, 13, 8, 21, 14, 500))
    expect(parseInstant('2024-03-13T10:21:14.999999999-0130')).toBe(Date.UTC(2024, 2, 13, 11, 51, 14, 999))
  })

  it.each(['', 'yesterday', '2024-02-30', '2024-13-01', '2024-03-13T25:00:00Z', '13.3.2024', '1710325274'])(
    'refuses %j',
    (text) => {
      expect(parseInstant(text)).toBeNaN()
    },
  )
})
