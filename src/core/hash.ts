/**
 * The key hash: MurmurHash3 x86 32-bit over bytes.
 *
 * It places keys (key groups, table slots) and never decides equality. Its name and seed are part of every snapshot: a
 * change makes old state unreadable, so it does not change. Vectors are pinned in the test.
 */

/** Name of the hash as snapshots record it. */
export const KEY_HASH_NAME = 'murmur3-x86-32'

/** Seed of the hash as snapshots record it. */
export const KEY_HASH_SEED = 0

/** The hash of `bytes[start .. end)` as an unsigned 32-bit number. Free of allocation; the hot path calls it a row. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number = KEY_HASH_SEED): number {
  let h = seed | 0
  const length = end - start
  let at = start
  const blocksEnd = start + (length & ~3)
  while (at < blocksEnd) {
    h = hashBlock(h, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    at += 4
  }
  let tail = 0
  switch (length & 3) {
    case 3:
      tail ^= bytes[at + 2]! << 16
    // falls through
    case 2:
      tail ^= bytes[at + 1]! << 8
    // falls through
    case 1:
      h = hashTail(h, tail ^ bytes[at]!)
  }
  h ^= length
  return mix32(h)
}

/** The state of the hash after four more bytes, little-endian. For those who read words anyway; `mix32` ends it. */
export function hashBlock(state: number, block: number): number {
  let k = Math.imul(block, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  let h = state ^ Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

/** The state of the hash after its last bytes, which are one to three. The length is to be mixed in by `^` behind them. */
export function hashTail(state: number, tail: number): number {
  let k = Math.imul(tail, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  return state ^ Math.imul(k, 0x1b873593)
}

/** Murmur3's finaliser: spreads every input bit over the 32 bits of the result (unsigned). */
export function mix32(value: number): number {
  let h = value | 0
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  h ^= h >>> 16
  return h >>> 0
}
