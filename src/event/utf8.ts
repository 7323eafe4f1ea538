/**
 * UTF-8: whether bytes are, by the strict rules (no overlong forms, no surrogates, nothing above U+10FFFF), and what they
 * say.
 *
 * Texts are nearly always ASCII, so the first loop ends most calls.
 */

/**
 * Texts of events. A byte order mark is a character like others: groups are told apart by their bytes, so they must be
 * by their texts.
 */
export const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** True when `bytes[start .. end)` is valid UTF-8. Free of allocation. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end && bytes[at]! < 0x80) at++
  while (at < end) {
    const lead = bytes[at]!
    if (lead < 0x80) {
      at++
    } else if (lead < 0xc2) {
      return false
    } else if (lead < 0xe0) {
      if (at + 1 >= end || (bytes[at + 1]! & 0xc0) !== 0x80) return false
      at += 2
    } else if (lead < 0xf0) {
      if (at + 2 >= end) return false
      const second = bytes[at + 1]!
      if ((second & 0xc0) !== 0x80 || (bytes[at + 2]! & 0xc0) !== 0x80) return false
      if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return false
      at += 3
    } else if (lead < 0xf5) {
      if (at + 3 >= end) return false
      const second = bytes[at + 1]!
      if ((second & 0xc0) !== 0x80 || (bytes[at + 2]! & 0xc0) !== 0x80 || (bytes[at + 3]! & 0xc0) !== 0x80) return false
      if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return false
      at += 4
    } else {
      return false
    }
  }
  return true
}
