/**
 * The Protobuf wire format, as far as skipping goes: positions in, positions out, -1 for bytes that are no message.
 *
 * Nothing here reads at or beyond `end`, whatever the bytes hold; nothing throws or allocates.
 */

/** Wire type of varints. */
export const WIRE_VARINT = 0
/** Wire type of eight bytes. */
export const WIRE_FIXED64 = 1
/** Wire type of a length and as many bytes. */
export const WIRE_BYTES = 2
/** Wire type of the begin of a group. */
export const WIRE_GROUP_START = 3
/** Wire type of the end of a group. */
export const WIRE_GROUP_END = 4
/** Wire type of four bytes. */
export const WIRE_FIXED32 = 5

const GROUP_DEPTH_MAX = 64
const openGroups = new Int32Array(GROUP_DEPTH_MAX)

/** The position behind the varint at `at`, or -1 when it is cut off or longer than ten bytes. */
export function skipVarint(bytes: Uint8Array, at: number, end: number): number {
  const last = at + 10 < end ? at + 10 : end
  while (at < last) {
    if (bytes[at++]! < 0x80) return at
  }
  return -1
}

/**
 * The varint at `at` when it fits 32 bits unsigned, or -1 when it does not, is cut off or is longer than five bytes. Its
 * length is told by `skipVarint`; for the rare case only (tags of three bytes and more, long lengths).
 */
export function readUint32(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  let scale = 1
  for (let i = 0; i < 5; i++) {
    if (at >= end) return -1
    const byte = bytes[at++]!
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value <= 0xffff_ffff ? value : -1
    scale *= 128
  }
  return -1
}

/** The position behind the length-delimited value whose length stands at `at`, or -1. */
export function skipBytes(bytes: Uint8Array, at: number, end: number): number {
  const length = readUint32(bytes, at, end)
  if (length < 0) return -1
  const next = skipVarint(bytes, at, end) + length
  return next <= end ? next : -1
}

/**
 * The position behind a group whose start tag (of field `number`) ends at `at`, or -1 when it never ends, ends under
 * another number, or nests deeper than 64.
 */
export function skipGroup(bytes: Uint8Array, at: number, end: number, number: number): number {
  let depth = 0
  openGroups[0] = number
  while (at < end) {
    const tag = readUint32(bytes, at, end)
    if (tag < 8) return -1
    at = skipVarint(bytes, at, end)
    const field = tag >>> 3
    switch (tag & 7) {
      case WIRE_VARINT:
        at = skipVarint(bytes, at, end)
        break
      case WIRE_FIXED64:
        at = at + 8 <= end ? at + 8 : -1
        break
      case WIRE_BYTES:
        at = skipBytes(bytes, at, end)
        break
      case WIRE_GROUP_START:
        if (++depth >= GROUP_DEPTH_MAX) return -1
        openGroups[depth] = field
        break
      case WIRE_GROUP_END:
        if (openGroups[depth] !== field) return -1
        if (depth-- === 0) return at
        break
      case WIRE_FIXED32:
        at = at + 4 <= end ? at + 4 : -1
        break
      default:
        return -1
    }
    if (at < 0) return -1
  }
  return -1
}

/** The position behind a value of wire type `wire` of field `number` at `at`, or -1; an end of a group is no value. */
export function skipValue(bytes: Uint8Array, at: number, end: number, wire: number, number: number): number {
  switch (wire) {
    case WIRE_VARINT:
      return skipVarint(bytes, at, end)
    case WIRE_FIXED64:
      return at + 8 <= end ? at + 8 : -1
    case WIRE_BYTES:
      return skipBytes(bytes, at, end)
    case WIRE_GROUP_START:
      return skipGroup(bytes, at, end, number)
    case WIRE_FIXED32:
      return at + 4 <= end ? at + 4 : -1
    default:
      return -1
  }
}
