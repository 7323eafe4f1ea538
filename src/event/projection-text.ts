/**
 * Numbers as canonical text, written as bytes without making strings: decimal integers of up to 64 bits, doubles, bools.
 * Keys that are bytes: their own text where they are UTF-8, else `bytes:` and base64.
 *
 * Texts are written right-aligned into a scratch array: each function returns where the text starts, and it ends at the
 * array's end. Invariants: equal numbers have equal texts, also across types (3, 3.0 and 3n are `3`). Different bytes have
 * different texts.
 */
import { KEY_BYTES_MAX } from '../core/limits.ts'
import { isUtf8 } from './utf8.ts'

/** Bytes of scratch that every text fits: 20 digits and a sign, or a double's shortest form. */
export const NUMBER_TEXT_BYTES = 32

/** Writes a whole number of at most 2^53 either way; returns the start. */
export function writeInteger(value: number, out: Uint8Array): number {
  let at = out.length
  let rest = value < 0 ? -value : value
  do {
    const next = Math.floor(rest / 10)
    out[--at] = 48 + (rest - next * 10)
    rest = next
  } while (rest > 0)
  if (value < 0) out[--at] = 45
  return at
}

/** Writes the 64-bit integer of two 32-bit halves, exactly; returns the start. */
export function writeInt64(lo: number, hi: number, unsigned: boolean, out: Uint8Array): number {
  let low = lo >>> 0
  let high = hi >>> 0
  const negative = !unsigned && (hi | 0) < 0
  if (negative) {
    low = -low >>> 0
    high = (~high + (low === 0 ? 1 : 0)) >>> 0
  }
  if (high < 0x20_0000) {
    const value = high * 0x1_0000_0000 + low
    return writeInteger(negative ? -value : value, out)
  }
  // Split at a million: every intermediate then fits 53 bits.
  const highQuotient = Math.floor(high / 1_000_000)
  const rest = (high - highQuotient * 1_000_000) * 0x1_0000_0000 + low
  const restQuotient = Math.floor(rest / 1_000_000)
  let tail = rest - restQuotient * 1_000_000
  let at = out.length
  for (let i = 0; i < 6; i++) {
    const next = Math.floor(tail / 10)
    out[--at] = 48 + (tail - next * 10)
    tail = next
  }
  let head = highQuotient * 0x1_0000_0000 + restQuotient
  do {
    const next = Math.floor(head / 10)
    out[--at] = 48 + (head - next * 10)
    head = next
  } while (head > 0)
  if (negative) out[--at] = 45
  return at
}

/**
 * Writes a double in its shortest form; returns the start. Whole numbers are free of allocation; others cost one short
 * string, which only jobs pay that group by a fraction.
 */
export function writeDouble(value: number, out: Uint8Array): number {
  if (Number.isSafeInteger(value)) return writeInteger(value, out)
  const text = String(value)
  const start = out.length - text.length
  for (let i = 0; i < text.length; i++) out[start + i] = text.charCodeAt(i)
  return start
}

/** Writes `true` or `false`; returns the start. */
export function writeBool(value: boolean, out: Uint8Array): number {
  const text = value ? trueBytes : falseBytes
  const start = out.length - text.length
  for (let i = 0; i < text.length; i++) out[start + i] = text[i]!
  return start
}

const trueBytes = new TextEncoder().encode('true')
const falseBytes = new TextEncoder().encode('false')

const prefix = new TextEncoder().encode('bytes:')
const digits = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')

/** Bytes of scratch that the text of every key of bytes fits. */
export const KEY_TEXT_BYTES = prefix.length + Math.ceil(KEY_BYTES_MAX / 3) * 4

/** Whether a key of bytes is no text by itself: not UTF-8, or like one that was made by `writeKeyBytes`. */
export function needsText(bytes: Uint8Array, start: number, end: number): boolean {
  let i = 0
  while (i < prefix.length && bytes[start + i] === prefix[i]) i++
  return (i === prefix.length && end - start >= i) || !isUtf8(bytes, start, end)
}

/** Writes `bytes:` and the base64 of at most KEY_BYTES_MAX bytes; returns the start. */
export function writeKeyBytes(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  const first = out.length - prefix.length - Math.ceil((end - start) / 3) * 4
  out.set(prefix, first)
  let into = first + prefix.length
  for (let at = start; at < end; at += 3) {
    const three = (bytes[at]! << 16) | (at + 1 < end ? bytes[at + 1]! << 8 : 0) | (at + 2 < end ? bytes[at + 2]! : 0)
    out[into++] = digits[three >> 18]!
    out[into++] = digits[(three >> 12) & 63]!
    out[into++] = at + 1 < end ? digits[(three >> 6) & 63]! : PADDING
    out[into++] = at + 2 < end ? digits[three & 63]! : PADDING
  }
  return first
}

const PADDING = 0x3d
