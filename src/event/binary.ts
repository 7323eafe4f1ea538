/**
 * Big-endian integers and zigzag varints of Kafka's record format, over plain byte arrays.
 *
 * Numbers are doubles: a 64-bit field is exact below 2^53, which offsets and times of day are. Nothing here checks
 * bounds but by what its caller has checked: the readers of hostile bytes (records.ts) read their varints themselves.
 */

/** The signed 32-bit integer at `at`. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** The signed 16-bit integer at `at`. */
export function readInt16(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!
}

/** The signed 64-bit integer at `at` as a double: exact within 2^53, rounded beyond. */
export function readInt64(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) * 0x1_0000_0000 + (readInt32(bytes, at + 4) >>> 0)
}

/** Writes the low 16 bits of `value` at `at`. */
export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

/** Writes the low 32 bits of `value` at `at`. */
export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Writes a whole number within 2^53 as a signed 64-bit integer at `at`. */
export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  writeInt32(bytes, at, high)
  writeInt32(bytes, at + 4, value - high * 0x1_0000_0000)
}

/** Bytes that `value` (within 2^52) takes as a zigzag varint. */
export function varintSize(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  let size = 1
  while (rest >= 0x80) {
    rest = Math.floor(rest / 0x80)
    size++
  }
  return size
}

/** Writes `value` (within 2^52) as a zigzag varint at `at`; returns the position after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  let p = at
  while (rest >= 0x80) {
    const next = Math.floor(rest / 0x80)
    bytes[p++] = (rest - next * 0x80) | 0x80
    rest = next
  }
  bytes[p++] = rest
  return p
}
