import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertNever, errorCodes, invariant, MillraceError } from '../../src/core/errors.ts'

describe('MillraceError', () => {
  it('crosses a thread as plain data and comes back the same', () => {
    const options = fc.record(
      {
        domain: fc.constantFrom('user' as const, 'external' as const, 'internal' as const),
        retry: fc.constantFrom('never' as const, 'backoff' as const, 'restart' as const),
        violations: fc.array(fc.record({ field: fc.string(), message: fc.string(), line: fc.nat(), column: fc.nat() })),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.constantFrom(...errorCodes), fc.string(), options, (code, message, given) => {
        const error = new MillraceError(code, message, given)
        const data = structuredClone(error.toData())
        const again = MillraceError.fromData(data)
        expect(again).toBeInstanceOf(MillraceError)
        expect(again.toData()).toEqual(data)
        expect(again.message).toBe(message)
        if (given.domain !== undefined) expect(again.domain).toBe(given.domain)
        if (given.retry !== undefined) expect(again.retry).toBe(given.retry)
      }),
    )
  })

  it('knows whose turn it is by the code', () => {
    const hints = (code: (typeof errorCodes)[number]) => {
      const { domain, retry } = new MillraceError(code, '')
      return [domain, retry]
    }
    expect(hints('JOB_INVALID')).toEqual(['user', 'never'])
    expect(hints('SUM_OVERFLOW')).toEqual(['user', 'never'])
    expect(hints('BROKER_UNREACHABLE')).toEqual(['external', 'backoff'])
    expect(hints('WORKER_LOST')).toEqual(['internal', 'restart'])
  })

  it('keeps its cause on this side', () => {
    const cause = new Error('deep')
    const error = new MillraceError('SINK_FAILED', 'out', { cause })
    expect(error.cause).toBe(cause)
    expect(error.toData()).not.toHaveProperty('cause')
    expect('cause' in new MillraceError('SINK_FAILED', 'out')).toBe(false)
  })

  it('is made of anything thrown', () => {
    const own = new MillraceError('USAGE', 'x')
    expect(MillraceError.from(own)).toBe(own)
    const other = new TypeError('no')
    expect(MillraceError.from(other)).toMatchObject({
      code: 'INTERNAL',
      domain: 'internal',
      message: 'no',
      cause: other,
    })
    expect(MillraceError.from('bare')).toMatchObject({ code: 'INTERNAL', message: 'bare' })
    expect(MillraceError.from(undefined)).toMatchObject({ code: 'INTERNAL', message: 'undefined' })
  })

  it('has no code twice', () => {
    expect(new Set(errorCodes).size).toBe(errorCodes.length)
  })
})

describe('invariant and assertNever', () => {
  it('end the work with INTERNAL', () => {
    expect(() => invariant(true, 'x')).not.toThrow()
    expect(() => invariant(0, 'zero rows')).toThrow('invariant broken: zero rows')
    expect(() => assertNever({ kind: 'odd' } as never)).toThrow('unhandled case: {"kind":"odd"}')
  })
})
