import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes, KEY_HASH_NAME, KEY_HASH_SEED, mix32 } from '../../src/core/hash.ts'

const text = (value: string) => new TextEncoder().encode(value)
const hex = (value: string) => Uint8Array.from(Buffer.from(value, 'hex'))

/** Published vectors of MurmurHash3 x86 32: bytes, seed, hash. */
const vectors: readonly (readonly [Uint8Array, number, number])[] = [
  [hex(''), 0, 0],
  [hex(''), 1, 0x514e28b7],
  [hex(''), 0xffffffff, 0x81f16f39],
  [hex('ffffffff'), 0, 0x76293b50],
  [hex('21436587'), 0, 0xf55b516b],
  [hex('21436587'), 0x5082edee, 0x2362f9de],
  [hex('214365'), 0, 0x7e4a8634],
  [hex('2143'), 0, 0xa0f7b07a],
  [hex('21'), 0, 0x72661cf4],
  [hex('00000000'), 0, 0x2362f9de],
  [hex('000000'), 0, 0x85f0b427],
  [hex('0000'), 0, 0x30f4c306],
  [hex('00'), 0, 0x514e28b7],
  [text('test'), 0, 0xba6bd213],
  [text('Hello, world!'), 0, 0xc0363e43],
  [text('Hello, world!'), 0x9747b28c, 0x24884cba],
  [text('The quick brown fox jumps over the lazy dog'), 0, 0x2e4ff723],
  [text('The quick brown fox jumps over the lazy dog'), 0x9747b28c, 0x2fa826cd],
]

describe('hashBytes', () => {
  it.each(vectors)('has the published value for %o with seed %i', (bytes, seed, expected) => {
    expect(hashBytes(bytes, 0, bytes.length, seed)).toBe(expected)
  })

  it('has the verification value of the reference test suite, over all lengths and 256 seeds', () => {
    const key = Uint8Array.from({ length: 256 }, (_, i) => i)
    const hashes = new DataView(new ArrayBuffer(1024))
    for (let n = 0; n < 256; n++) hashes.setUint32(n * 4, hashBytes(key, 0, n, 256 - n), true)
    expect(hashBytes(new Uint8Array(hashes.buffer), 0, 1024, 0)).toBe(0xb0f57ee3)
  })

  it('reads only what lies between start and end', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 9 }),
        fc.uint8Array(),
        (key, left, right) => {
          const all = Uint8Array.from([...left, ...key, ...right])
          expect(hashBytes(all, left.length, left.length + key.length)).toBe(hashBytes(key, 0, key.length))
        },
      ),
    )
  })

  it('is recorded in snapshots under this name and seed', () => {
    expect([KEY_HASH_NAME, KEY_HASH_SEED]).toEqual(['murmur3-x86-32', 0])
  })
})

describe('mix32', () => {
  it('is the finaliser of MurmurHash3: the hash of no bytes is the mix of the seed', () => {
    expect(mix32(0)).toBe(0)
    expect(mix32(1)).toBe(0x514e28b7)
    expect(mix32(-1)).toBe(mix32(0xffffffff))
    expect(mix32(-1)).toBe(0x81f16f39)
  })

  it('is one to one', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(mix32(a) === mix32(b)).toBe((a | 0) === (b | 0))
      }),
    )
  })
})
