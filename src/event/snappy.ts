/**
 * Snappy decompression, raw and in the xerial framing that Java's Kafka client writes, into a buffer of the caller.
 *
 * Ours because the bytes may be hostile: the output is bounded before a byte is written, nothing is read or written
 * outside, and the output buffer is reused from batch to batch. Measured on Node 26 over event-like text: 580 MB/s to
 * 2.3 GB/s of output, the WebAssembly build of @platformatic/wasm-utils 680 MB/s to 3.0 GB/s; that one allocates each
 * result, cannot be bounded, and traps (keeping the memory) on malformed input.
 */
import { readInt32 } from './binary.ts'
import { copyMatch, OUT_OF_INPUT } from './match-copy.ts'

/** "\x82SNAPPY\0", then version and compatible version. */
const XERIAL_MAGIC_HIGH = 0x82534e41 | 0
const XERIAL_MAGIC_LOW = 0x50505900
const XERIAL_HEADER_SIZE = 16

/** No snappy element gives more than 64 bytes for 3. */
const MAX_RATIO = 32

function isXerial(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    end - at >= XERIAL_HEADER_SIZE &&
    readInt32(bytes, at) === XERIAL_MAGIC_HIGH &&
    readInt32(bytes, at + 4) === XERIAL_MAGIC_LOW
  )
}

/** Bytes of the length preamble that `readPreamble` read last. */
let preambleSize = 0

/** The uncompressed length that a raw block states, or OUT_OF_INPUT for one that cannot be true. */
function readPreamble(bytes: Uint8Array, at: number, end: number): number {
  let length = 0
  let scale = 1
  for (let i = 0; i < 5; i++) {
    if (at + i >= end) return OUT_OF_INPUT
    const byte = bytes[at + i]!
    length += (byte & 0x7f) * scale
    scale *= 0x80
    if (byte < 0x80) {
      preambleSize = i + 1
      return length > MAX_RATIO * (end - at) ? OUT_OF_INPUT : length
    }
  }
  return OUT_OF_INPUT
}

/** Uncompressed size of `bytes[start .. end)`, raw or xerial, as it states itself; OUT_OF_INPUT when it is malformed. */
export function snappySize(bytes: Uint8Array, start: number, end: number): number {
  if (!isXerial(bytes, start, end)) return readPreamble(bytes, start, end)
  let total = 0
  let at = start
  while (at < end) {
    if (isXerial(bytes, at, end)) {
      at += XERIAL_HEADER_SIZE
      continue
    }
    if (end - at < 4) return OUT_OF_INPUT
    const chunk = readInt32(bytes, at)
    at += 4
    if (chunk <= 0 || chunk > end - at) return OUT_OF_INPUT
    const size = readPreamble(bytes, at, at + chunk)
    if (size < 0) return OUT_OF_INPUT
    total += size
    at += chunk
  }
  return total
}

/** Decompresses into `out` from 0, which holds `snappySize` bytes or more; false when the input is malformed. */
export function snappyDecompressInto(bytes: Uint8Array, start: number, end: number, out: Uint8Array): boolean {
  if (!isXerial(bytes, start, end)) return decompressRaw(bytes, start, end, out, 0) >= 0
  let at = start
  let to = 0
  while (at < end) {
    if (isXerial(bytes, at, end)) {
      at += XERIAL_HEADER_SIZE
      continue
    }
    const chunk = readInt32(bytes, at)
    to = decompressRaw(bytes, at + 4, at + 4 + chunk, out, to)
    if (to < 0) return false
    at += 4 + chunk
  }
  return true
}

/** One raw block to `out[to ..]`; the position after it, or OUT_OF_INPUT unless it gives just what it states. */
function decompressRaw(bytes: Uint8Array, start: number, end: number, out: Uint8Array, to: number): number {
  const stated = readPreamble(bytes, start, end)
  if (stated < 0) return OUT_OF_INPUT
  const outEnd = to + stated
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const target = new DataView(out.buffer, out.byteOffset, out.byteLength)
  let at = start + preambleSize
  let o = to
  while (at < end) {
    const tag = bytes[at++]!
    let length: number
    let distance: number
    switch (tag & 3) {
      case 0: {
        length = (tag >>> 2) + 1
        if (length > 60) {
          const extra = length - 60
          if (end - at < extra) return OUT_OF_INPUT
          length = 1
          for (let i = 0; i < extra; i++) length += bytes[at + i]! * 2 ** (8 * i)
          at += extra
        }
        if (length > end - at || length > outEnd - o) return OUT_OF_INPUT
        if (length <= 16 && end - at >= 16 && out.length - o >= 16) {
          target.setInt32(o, source.getInt32(at))
          target.setInt32(o + 4, source.getInt32(at + 4))
          target.setInt32(o + 8, source.getInt32(at + 8))
          target.setInt32(o + 12, source.getInt32(at + 12))
        } else if (length < 64) {
          for (let i = 0; i < length; i++) out[o + i] = bytes[at + i]!
        } else {
          out.set(bytes.subarray(at, at + length), o)
        }
        o += length
        at += length
        continue
      }
      case 1:
        if (end - at < 1) return OUT_OF_INPUT
        length = 4 + ((tag >>> 2) & 7)
        distance = ((tag >>> 5) << 8) | bytes[at]!
        at += 1
        break
      case 2:
        if (end - at < 2) return OUT_OF_INPUT
        length = 1 + (tag >>> 2)
        distance = bytes[at]! | (bytes[at + 1]! << 8)
        at += 2
        break
      default:
        if (end - at < 4) return OUT_OF_INPUT
        length = 1 + (tag >>> 2)
        distance = source.getUint32(at, true)
        at += 4
    }
    if (distance === 0 || distance > o - to || length > outEnd - o) return OUT_OF_INPUT
    copyMatch(out, target, o, distance, length)
    o += length
  }
  return o === outEnd ? o : OUT_OF_INPUT
}
