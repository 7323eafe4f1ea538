/**
 * Kafka's primitive types on the wire: a growing writer and a bounds-checked reader.
 *
 * Owns: integers, strings and lengths, in their classic and compact (flexible) forms. Does not own: what a message is
 * (protocol.ts). 64-bit integers are doubles: offsets and timestamps stay below 2^53; producer ids are read as bigint.
 *
 * Invariant: a reader never reads past its end; a response that ends early is a MillraceError (BROKER_ERROR), never
 * garbage.
 */
import { MillraceError } from '../../core/errors.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A topic id of all zeros: "no id known". */
const NO_UUID = '00000000-0000-0000-0000-000000000000'

/** Writes a request body. Grows by doubling; `bytes()` is a view of what was written. */
export class WireWriter {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** What was written so far; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  int8(value: number): this {
    const at = this.#reserve(1)
    this.#view.setInt8(at, value)
    return this
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0)
  }

  int16(value: number): this {
    const at = this.#reserve(2)
    this.#view.setInt16(at, value)
    return this
  }

  int32(value: number): this {
    const at = this.#reserve(4)
    this.#view.setInt32(at, value)
    return this
  }

  /** A signed 64-bit integer given as a whole double (magnitude below 2^53). */
  int64(value: number): this {
    const at = this.#reserve(8)
    const high = Math.floor(value / 0x1_0000_0000)
    this.#view.setInt32(at, high)
    this.#view.setUint32(at + 4, value - high * 0x1_0000_0000)
    return this
  }

  /** A signed 64-bit integer, exact: producer ids. */
  bigint64(value: bigint): this {
    const at = this.#reserve(8)
    this.#view.setBigInt64(at, value)
    return this
  }

  unsignedVarint(value: number): this {
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.int8((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    return this.int8(rest)
  }

  /** A string with a 16-bit length; null has length -1. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = encoder.encode(value)
    return this.int16(bytes.length).raw(bytes)
  }

  /** A string of the flexible versions: length + 1 as a varint; null is 0. */
  compactString(value: string | null): this {
    if (value === null) return this.unsignedVarint(0)
    const bytes = encoder.encode(value)
    return this.unsignedVarint(bytes.length + 1).raw(bytes)
  }

  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** An empty list of tagged fields, which ends every structure of a flexible version. */
  noTags(): this {
    return this.int8(0)
  }

  #reserve(size: number): number {
    const at = this.#length
    const needed = at + size
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = needed
    return at
  }
}

/** Reads a response body in order. Every call throws BROKER_ERROR when the response is too short for it. */
export class WireReader {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
    this.#end = bytes.byteLength
  }

  /** Offset of the next byte. */
  get position(): number {
    return this.#at
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.#at
  }

  /** Passes `size` bytes and returns where they began. */
  skip(size: number): number {
    const at = this.#at
    if (size < 0 || size > this.#end - at) {
      throw new MillraceError(
        'BROKER_ERROR',
        `the broker's response ended early: ${size} bytes wanted at offset ${at} of ${this.#end}. ` +
          'It does not speak the Kafka protocol as announced; check what listens at this address.',
      )
    }
    this.#at = at + size
    return at
  }

  int8(): number {
    return this.#view.getInt8(this.skip(1))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  int16(): number {
    return this.#view.getInt16(this.skip(2))
  }

  int32(): number {
    return this.#view.getInt32(this.skip(4))
  }

  /** A signed 64-bit integer as a double; exact below 2^53. */
  int64(): number {
    const at = this.skip(8)
    return this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)
  }

  /** A signed 64-bit integer, exact: producer ids. */
  bigint64(): bigint {
    return this.#view.getBigInt64(this.skip(8))
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.skip(1)]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new MillraceError('BROKER_ERROR', "the broker's response holds a length of more than five bytes")
  }

  nullableString(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.#text(length)
  }

  string(): string {
    return this.nullableString() ?? ''
  }

  compactNullableString(): string | null {
    const length = this.unsignedVarint()
    return length === 0 ? null : this.#text(length - 1)
  }

  compactString(): string {
    return this.compactNullableString() ?? ''
  }

  /** A topic id as its usual text; '' for the id of all zeros. */
  uuid(): string {
    const at = this.skip(16)
    let hex = ''
    for (let i = at; i < at + 16; i++) {
      hex += (this.bytes[i]! + 0x100).toString(16).slice(1)
      if (i === at + 3 || i === at + 5 || i === at + 7 || i === at + 9) hex += '-'
    }
    return hex === NO_UUID ? '' : hex
  }

  /** Length of a classic array; a null array counts as -1. Lengths that cannot fit into the response are refused. */
  arrayLength(): number {
    return this.#checkedLength(this.int32())
  }

  compactArrayLength(): number {
    return this.#checkedLength(this.unsignedVarint() - 1)
  }

  /** A classic array; null gives []. */
  array<T>(read: (reader: WireReader) => T): T[] {
    return this.#items(this.arrayLength(), read)
  }

  compactArray<T>(read: (reader: WireReader) => T): T[] {
    return this.#items(this.compactArrayLength(), read)
  }

  /** Passes the tagged fields that end a structure of a flexible version. */
  skipTags(): void {
    const count = this.unsignedVarint()
    for (let i = 0; i < count; i++) {
      this.unsignedVarint()
      this.skip(this.unsignedVarint())
    }
  }

  #items<T>(length: number, read: (reader: WireReader) => T): T[] {
    const items: T[] = []
    for (let i = 0; i < length; i++) items.push(read(this))
    return items
  }

  #checkedLength(length: number): number {
    if (length > this.remaining) this.skip(length)
    return length
  }

  #text(length: number): string {
    const at = this.skip(length)
    return decoder.decode(this.bytes.subarray(at, at + length))
  }
}
