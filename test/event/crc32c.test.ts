import { crc32c as oracle } from '@platformatic/wasm-utils'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/event/crc32c.ts'

describe('crc32c', () => {
  it('gives the check value of the catalogue and the vectors of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  it('equals another implementation on any range of any bytes, whole or in two parts', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), (bytes, a, b) => {
        const start = Math.min(a, bytes.length)
        const middle = Math.min(start + b, bytes.length)
        const whole = crc32c(bytes, start)
        expect(whole).toBe(oracle(bytes.slice(start)))
        expect(crc32c(bytes, middle, bytes.length, crc32c(bytes, start, middle))).toBe(whole)
      }),
    )
  })
})
