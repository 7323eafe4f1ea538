import { describe, expect, it } from 'vitest'
import { hashBytes64, lanes } from '../../src/core/hash64.ts'

const hex = (text: string, seed = 0) => {
  const bytes = new TextEncoder().encode(text)
  hashBytes64(bytes, 0, bytes.length, seed)
  return Array.from(lanes, (lane) => lane.toString(16).padStart(8, '0')).join('')
}

describe('hashBytes64', () => {
  it('is MurmurHash3 x86 128: the verification value of its own test suite', () => {
    // SMHasher: keys {}, {0}, {0, 1}, … of length i with seed 256 - i; then the hash of all the hashes.
    const all = new Uint8Array(256 * 16)
    const key = Uint8Array.from({ length: 256 }, (_, i) => i)
    for (let i = 0; i < 256; i++) {
      hashBytes64(key, 0, i, 256 - i)
      all.set(new Uint8Array(lanes.buffer), i * 16)
    }
    hashBytes64(all, 0, all.length, 0)
    expect(lanes[0]!.toString(16)).toBe('b3ece62a')
  })

  it('keeps its vectors: sketches in old checkpoints are made of them', () => {
    expect(hex('')).toBe('00000000000000000000000000000000')
    expect([hex('a'), hex('person-17'), hex('0123456789abcdef0')]).toMatchInlineSnapshot(`
      [
        "a794933c5556b01b5556b01b5556b01b",
        "0f994d02a5ea15c8a416c884fa571b89",
        "1f8a385560920c06b5182f1c718c0b9c",
      ]
    `)
  })

  it('reads only its range', () => {
    const bytes = new TextEncoder().encode('xxperson-17yy')
    hashBytes64(bytes, 2, bytes.length - 2)
    expect(Array.from(lanes, (lane) => lane.toString(16).padStart(8, '0')).join('')).toBe(hex('person-17'))
  })
})
