import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorCodes, MillraceError } from '../../src/core/errors.ts'
import { detailsKey, fromServiceError, toCallError } from '../../src/rpc/errors.ts'
import { decodeStatusDetails, encodeStatusDetails, maxDetailsBytes } from '../../src/rpc/status-details.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 40 })

describe('status details', () => {
  it('decodes what it encodes', () => {
    const details = fc.record({
      reason: text,
      domain: text,
      metadata: fc.dictionary(
        text.filter((key) => key !== '__proto__'),
        text,
        { maxKeys: 3, noNullPrototype: true },
      ),
      violations: fc.array(fc.record({ field: text, description: text }), { maxLength: 5 }),
      retryDelayMs: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 1e9 })),
    })
    fc.assert(
      fc.property(details, fc.integer({ min: 0, max: 16 }), text, (given, code, message) => {
        expect(decodeStatusDetails(encodeStatusDetails(code, message, given))).toEqual(given)
      }),
    )
  })

  it('never throws on bytes of any kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeStatusDetails(bytes)
      }),
    )
  })

  it('has the wire shape of google.rpc.Status', () => {
    const bytes = encodeStatusDetails(3, 'no', {
      reason: 'R',
      domain: 'd',
      metadata: {},
      violations: [{ field: 'f', description: 'x' }],
      retryDelayMs: 1500,
    })
    const hex = Buffer.from(bytes).toString('hex')
    const ascii = (value: string) => Buffer.from(value).toString('hex')
    expect(hex.startsWith(`0803${'1202'}${ascii('no')}`)).toBe(true)
    expect(hex).toContain(`0a28${ascii('type.googleapis.com/google.rpc.ErrorInfo')}`)
    expect(hex).toContain(`${ascii('google.rpc.BadRequest')}12080a060a0166120178`)
    expect(hex).toContain(`${ascii('google.rpc.RetryInfo')}120a0a08080110${'80cab5ee01'}`)
  })

  it('bounds what violations take, and says how many are left out', () => {
    const violations = Array.from({ length: 1000 }, (_, index) => ({
      field: `f${index}`,
      description: 'x'.repeat(100),
    }))
    const bytes = encodeStatusDetails(3, '', { reason: '', domain: '', metadata: {}, violations, retryDelayMs: -1 })
    expect(bytes.length).toBeLessThan(maxDetailsBytes + 500)
    const kept = decodeStatusDetails(bytes)?.violations ?? []
    expect(kept.at(-1)?.description).toBe(`and ${1000 - (kept.length - 1)} more; validate the document to see them all`)
  })
})

describe('errors', () => {
  it.each(errorCodes)('%s comes back as itself', (code) => {
    const error = new MillraceError(code, `what happened to ${code}`, {
      violations: [
        { field: 'a.b', message: '7:8: looks like a place', line: 3, column: 4 },
        { field: 'c', message: 'has none', line: 0, column: 0 },
      ],
    })
    const call = toCallError(error)
    const back = fromServiceError(Object.assign(new Error(call.details), call), 'x:1')
    expect(back.toData()).toEqual(error.toData())
  })

  it('takes a trailer of somebody else for none', () => {
    const call = toCallError(new MillraceError('JOB_INVALID', 'x'))
    call.metadata.set(detailsKey, Buffer.from([0xff, 0xff]))
    const back = fromServiceError(Object.assign(new Error('x'), call), 'x:1')
    expect(back.code).toBe('INPUT_INVALID')
  })
})
