/**
 * The headers of a record, as they stand in its bytes: `count varint | (keyLength varint | key | valueLength varint | value)*`.
 *
 * Owns: finding one header. Nothing throws, allocates, or reads outside the record, whatever the bytes hold.
 */

/** Finds a header in one record after another. One instance serves one thread. */
export class HeaderFinder {
  /** The value found is bytes[start .. end). */
  start = 0
  end = 0
  readonly #name: Uint8Array
  /** Behind the varint that was read last. */
  #at = 0

  constructor(name: string) {
    this.#name = new TextEncoder().encode(name)
  }

  /** Looks for the header in `bytes[from .. to)`. False where there is none with a value; the last of several counts. */
  find(bytes: Uint8Array, from: number, to: number): boolean {
    const name = this.#name
    let found = false
    const count = this.#varint(bytes, from, to)
    for (let i = 0; i < count; i++) {
      const keyLength = this.#varint(bytes, this.#at, to)
      const keyStart = this.#at
      const keyEnd = keyStart + keyLength
      if (keyLength < 0 || keyEnd > to) return found
      const valueLength = this.#varint(bytes, keyEnd, to)
      const valueStart = this.#at
      // -1 is a null value, and what a varint that is cut off reads as.
      const valueEnd = valueLength < 0 ? valueStart : valueStart + valueLength
      if (valueEnd > to) return found
      this.#at = valueEnd
      if (keyLength !== name.length) continue
      let same = 0
      while (same < keyLength && bytes[keyStart + same] === name[same]) same++
      if (same < keyLength) continue
      found = valueLength >= 0
      this.start = valueStart
      this.end = valueEnd
    }
    return found
  }

  /** A zigzag varint of up to five bytes; -1 where it is cut off. */
  #varint(bytes: Uint8Array, from: number, to: number): number {
    let raw = 0
    let at = from
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= to) break
      const byte = bytes[at++]!
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#at = at
        return (raw >>> 1) ^ -(raw & 1)
      }
    }
    this.#at = to
    return -1
  }
}
