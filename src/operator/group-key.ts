/**
 * Group keys: the bytes that name a group in a table, made of its dimensions.
 *
 * One dimension is its text. Several are each preceded by their length as a varint, so that no two different lists of
 * texts have the same bytes. None is the empty key.
 *
 * Owns: building keys from a row of a batch, and reading the texts back. The hot paths: the only dimension is the
 * event's key (its bytes and hash are in the row already), or a text (found once a dictionary entry a slice, not once a
 * row; see operator/aggregate-events).
 */

import { hashBytes } from '../core/hash.ts'
import { textDecoder } from '../event/utf8.ts'
import type { EventBatch } from '../exchange/event-batch.ts'

/** Builds the group keys of one table into its own scratch. */
export class GroupKeyBuilder {
  /** The key last built is `bytes[0 .. length)`. */
  bytes = new Uint8Array(1024)
  length = 0
  hash = 0
  /** Position of each dimension among the batch's text columns; -1 for the event's key. */
  readonly #dimensions: Int32Array
  readonly #several: boolean

  /** `several`: whether each text is preceded by its length, as where further ones follow. */
  constructor(dimensions: readonly number[], several = dimensions.length > 1) {
    this.#dimensions = Int32Array.from(dimensions)
    this.#several = several
  }

  /** Builds the key of row `row`. */
  build(batch: EventBatch, row: number): void {
    const dimensions = this.#dimensions
    const several = this.#several
    this.length = 0
    for (let i = 0; i < dimensions.length; i++) {
      const column = dimensions[i]!
      let start: number
      let length: number
      if (column < 0) {
        start = batch.keyStart[row]!
        length = batch.keyLength[row]!
      } else {
        const id = batch.texts[column]![row]!
        start = batch.entryStart[column]![id]!
        length = batch.entryLength[column]![id]!
      }
      this.#room(length + 5)
      if (several) this.#varint(length)
      const into = this.bytes
      const at = this.length
      const from = batch.bytes
      for (let k = 0; k < length; k++) into[at + k] = from[start + k]!
      this.length = at + length
    }
    this.hash = hashBytes(this.bytes, 0, this.length)
  }

  #varint(value: number): void {
    let rest = value
    while (rest > 127) {
      this.bytes[this.length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.bytes[this.length++] = rest
  }

  #room(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + bytes))
    larger.set(this.bytes)
    this.bytes = larger
  }
}

/** The group key of these dimension texts, as UTF-8. */
export function groupKeyOf(texts: readonly Uint8Array[]): Uint8Array {
  if (texts.length === 1) return texts[0]!
  const bytes: number[] = []
  for (const text of texts) {
    let rest = text.length
    for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
    bytes.push(rest)
    for (const byte of text) bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** The dimension texts of a group key. */
export function dimensionTexts(key: Uint8Array, dimensions: number): string[] {
  if (dimensions === 0) return []
  if (dimensions === 1) return [textDecoder.decode(key)]
  const texts: string[] = []
  let at = 0
  for (let i = 0; i < dimensions; i++) {
    let length = 0
    let shift = 0
    let byte: number
    do {
      byte = key[at++]!
      length |= (byte & 127) << shift
      shift += 7
    } while (byte > 127)
    texts.push(textDecoder.decode(key.subarray(at, at + length)))
    at += length
  }
  return texts
}

/** The bytes of dimension `index` within a group key of `dimensions` dimensions. */
export function dimensionBytes(key: Uint8Array, dimensions: number, index: number): Uint8Array {
  if (dimensions === 1) return key
  let at = 0
  for (let i = 0; ; i++) {
    let length = 0
    let shift = 0
    let byte: number
    do {
      byte = key[at++]!
      length |= (byte & 127) << shift
      shift += 7
    } while (byte > 127)
    if (i === index) return key.subarray(at, at + length)
    at += length
  }
}
