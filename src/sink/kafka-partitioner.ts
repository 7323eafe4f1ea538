/**
 * Which partition a record goes to, as Kafka's own clients choose it: by the key's MurmurHash2.
 *
 * It must agree with them bit for bit: whoever joins our output with a topic of theirs relies on it.
 */

/** MurmurHash2 (32 bits, seed 0x9747b28c) of `bytes[start .. end)`, as a signed integer. Free of allocation. */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let h = 0x9747b28c ^ length
  let at = start
  for (const blocksEnd = start + (length & ~3); at < blocksEnd; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    k = Math.imul(k, 0x5bd1e995)
    k ^= k >>> 24
    h = Math.imul(h, 0x5bd1e995) ^ Math.imul(k, 0x5bd1e995)
  }
  const rest = length & 3
  if (rest === 3) h ^= bytes[at + 2]! << 16
  if (rest >= 2) h ^= bytes[at + 1]! << 8
  if (rest >= 1) h = Math.imul(h ^ bytes[at]!, 0x5bd1e995)
  h ^= h >>> 13
  h = Math.imul(h, 0x5bd1e995)
  return h ^ (h >>> 15)
}

/** The partition of the key `bytes[start .. end)` in a topic of `partitions`. */
export function partitionOfKey(bytes: Uint8Array, start: number, end: number, partitions: number): number {
  return (murmur2(bytes, start, end) & 0x7fff_ffff) % partitions
}
