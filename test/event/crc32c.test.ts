import { crc32c as oracle } from '@platformatic/wasm-utils'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/event/crc32c.ts'
import { createFolder, FOLDED_MAX, FOLDED_MIN } from '../../src/event/crc32c-fold.ts'

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

  it('equals another implementation on long stretches, which are folded first', () => {
    const lengths = [FOLDED_MIN - 1, FOLDED_MIN, FOLDED_MAX, FOLDED_MAX + 1, 2 * FOLDED_MAX + FOLDED_MIN, 600_000]
    fc.assert(
      fc.property(fc.constantFrom(...lengths), fc.nat(300), fc.nat(), fc.nat(100_000), (length, start, seed, part) => {
        const bytes = new Uint8Array(length + start)
        for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i + seed, 0x9e3779b1) >>> 13
        const whole = crc32c(bytes, start)
        expect(whole).toBe(oracle(bytes.slice(start)))
        const middle = Math.min(start + part, bytes.length)
        expect(crc32c(bytes, middle, bytes.length, crc32c(bytes, start, middle))).toBe(whole)
      }),
    )
  })

  it('folds by vector instructions on every machine that tests run on', () => {
    expect(createFolder()).not.toBeNull()
  })
})
