/**
 * A 64-bit hash of bytes for sketches: the first two lanes of MurmurHash3 x86 128-bit, seed 0.
 *
 * Sketches in snapshots are made of it, so it does not change; the vectors are pinned in the test. Keys are placed by
 * core/hash.ts: what shares a hash with placement would see only a part of its range on each thread.
 */

/** Lanes of the last hash, each 32 bits, unsigned. Read them before the next call. */
export const lanes = new Uint32Array(4)

const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93

/** Hashes `bytes[start .. end)` into `lanes`. Free of allocation. */
export function hashBytes64(bytes: Uint8Array, start: number, end: number, seed = 0): void {
  let h1 = seed | 0
  let h2 = seed | 0
  let h3 = seed | 0
  let h4 = seed | 0
  const length = end - start
  let at = start
  const blocksEnd = start + (length & ~15)
  while (at < blocksEnd) {
    h1 ^= Math.imul(rotl(Math.imul(word(bytes, at), C1), 15), C2)
    h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0
    h2 ^= Math.imul(rotl(Math.imul(word(bytes, at + 4), C2), 16), C3)
    h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0
    h3 ^= Math.imul(rotl(Math.imul(word(bytes, at + 8), C3), 17), C4)
    h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0
    h4 ^= Math.imul(rotl(Math.imul(word(bytes, at + 12), C4), 18), C1)
    h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0
    at += 16
  }
  const rest = end - at
  if (rest > 12) h4 ^= Math.imul(rotl(Math.imul(tail(bytes, at + 12, rest - 12), C4), 18), C1)
  if (rest > 8) h3 ^= Math.imul(rotl(Math.imul(tail(bytes, at + 8, rest - 8), C3), 17), C4)
  if (rest > 4) h2 ^= Math.imul(rotl(Math.imul(tail(bytes, at + 4, rest - 4), C2), 16), C3)
  if (rest > 0) h1 ^= Math.imul(rotl(Math.imul(tail(bytes, at, rest), C1), 15), C2)
  h1 ^= length
  h2 ^= length
  h3 ^= length
  h4 ^= length
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  h1 = mix(h1)
  h2 = mix(h2)
  h3 = mix(h3)
  h4 = mix(h4)
  h1 = (h1 + h2 + h3 + h4) | 0
  lanes[0] = h1
  lanes[1] = h2 + h1
  lanes[2] = h3 + h1
  lanes[3] = h4 + h1
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function tail(bytes: Uint8Array, at: number, length: number): number {
  let value = bytes[at]!
  if (length > 1) value |= bytes[at + 1]! << 8
  if (length > 2) value |= bytes[at + 2]! << 16
  if (length > 3) value |= bytes[at + 3]! << 24
  return value
}

function rotl(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

function mix(value: number): number {
  let h = value
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}
