/**
 * Ids of events as words: a UUID in its usual form is 16 bytes, and nothing else is.
 *
 * Owns: telling them apart, exactly: every text has one form, and no two texts have the same. Lower and upper case are
 * two texts. Does not own: tables of ids (state/id-table).
 */

/** An id is any text. */
export const ID_TEXT = 1
/** An id is a UUID of lower-case digits. */
export const ID_LOWER = 2
/** An id is a UUID of upper-case digits. */
export const ID_UPPER = 3

const UUID_LENGTH = 36
const DASH = 0x2d
const NO_DIGIT = 0xff
/** Where the eight pairs of bytes of a UUID begin, four digits each. */
const PLACES = [0, 4, 9, 14, 19, 24, 28, 32] as const

const lowerDigits = digits('0123456789abcdef')
const upperDigits = digits('0123456789ABCDEF')

/**
 * The kind of the id `bytes[start .. end)`. Of a UUID, its 16 bytes are in `words` then. One without letters counts as
 * lower case.
 */
export function readId(bytes: Uint8Array, start: number, end: number, words: Uint32Array): number {
  if (end - start !== UUID_LENGTH) return ID_TEXT
  if (
    bytes[start + 8] !== DASH ||
    bytes[start + 13] !== DASH ||
    bytes[start + 18] !== DASH ||
    bytes[start + 23] !== DASH
  )
    return ID_TEXT
  if (readDigits(bytes, start, words, lowerDigits)) return ID_LOWER
  return readDigits(bytes, start, words, upperDigits) ? ID_UPPER : ID_TEXT
}

/** Writes the text of a UUID to `into`; its length is 36. */
export function writeUuid(words: Uint32Array, at: number, kind: number, into: Uint8Array): void {
  const digitsOf = kind === ID_UPPER ? '0123456789ABCDEF' : '0123456789abcdef'
  into[8] = into[13] = into[18] = into[23] = DASH
  for (let i = 0; i < PLACES.length; i++) {
    const half = (words[at + (i >> 1)]! >>> ((i & 1) === 0 ? 16 : 0)) & 0xffff
    for (let k = 0; k < 4; k++) into[PLACES[i]! + k] = digitsOf.charCodeAt((half >>> (12 - k * 4)) & 15)
  }
}

function readDigits(bytes: Uint8Array, start: number, words: Uint32Array, digit: Uint8Array): boolean {
  let bad = 0
  for (let i = 0; i < 8; i += 2) {
    const high = start + PLACES[i]!
    const low = start + PLACES[i + 1]!
    let word = 0
    for (let k = 0; k < 4; k++) {
      const value = digit[bytes[high + k]!]!
      bad |= value
      word = (word << 4) | value
    }
    for (let k = 0; k < 4; k++) {
      const value = digit[bytes[low + k]!]!
      bad |= value
      word = (word << 4) | value
    }
    if (bad > 15) return false
    words[i >> 1] = word
  }
  return true
}

function digits(all: string): Uint8Array {
  const table = new Uint8Array(256).fill(NO_DIGIT)
  for (let i = 0; i < all.length; i++) table[all.charCodeAt(i)] = i
  return table
}
