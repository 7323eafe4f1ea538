/**
 * The bytes of a FileDescriptorSet to plain data, of which as much as matters here.
 *
 * Owns: reading, and the bounds on how many declarations are read. Does not own: what declarations mean
 * (event/descriptor-facts.ts), checking them (event/descriptor-index.ts).
 *
 * The bytes may be hostile: two of them are enough for a declaration, so counts are bounded while they are read, not
 * afterwards. Comments, options and source positions are passed over by their lengths.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { MillraceError } from '../core/errors.ts'
import type { RawEnum, RawFeatures, RawField, RawFile, RawMessage, RawRange } from './descriptor-facts.ts'

const FILES_MAX = 10_000
const DECLARATIONS_MAX = 150_000
const NESTING_MAX = 64
const TEXT_BYTES_MAX = 4096

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Decodes a set. Throws DESCRIPTOR_INVALID where it declares too much, and whatever the reader throws for bad bytes. */
export function decodeFileSet(bytes: Uint8Array): readonly RawFile[] {
  return new SetDecoder(bytes).files()
}

class SetDecoder {
  readonly #reader: BinaryReader
  #declarations = 0

  constructor(bytes: Uint8Array) {
    this.#reader = new BinaryReader(bytes)
  }

  files(): readonly RawFile[] {
    const files: RawFile[] = []
    this.#fields(this.#reader.len, (number) => {
      if (number !== 1) return false
      if (files.length >= FILES_MAX) throw tooMuch(`${FILES_MAX} files`)
      files.push(this.#file())
      return true
    })
    return files
  }

  #file(): RawFile {
    const reader = this.#reader
    const file: Mutable<RawFile> & { messageType: RawMessage[]; enumType: RawEnum[] } = {
      messageType: [],
      enumType: [],
    }
    this.#inside((number) => {
      if (number === 1) file.name = this.#text()
      else if (number === 2) file.package = this.#text()
      else if (number === 4) file.messageType.push(this.#message(0))
      else if (number === 5) file.enumType.push(this.#enum())
      else if (number === 8) file.options = this.#options(50)
      else if (number === 12) file.syntax = this.#text()
      else if (number === 14) file.edition = reader.int32()
      else return false
      return true
    })
    return file
  }

  #message(depth: number): RawMessage {
    if (depth > NESTING_MAX) throw tooMuch(`${NESTING_MAX} messages inside each other`)
    this.#count()
    const field: RawField[] = []
    const nestedType: RawMessage[] = []
    const enumType: RawEnum[] = []
    const oneofDecl: { name: string }[] = []
    const reservedRange: RawRange[] = []
    const message: Mutable<RawMessage> = { field, nestedType, enumType, oneofDecl, reservedRange }
    this.#inside((number) => {
      if (number === 1) message.name = this.#text()
      else if (number === 2) field.push(this.#field())
      else if (number === 3) nestedType.push(this.#message(depth + 1))
      else if (number === 4) enumType.push(this.#enum())
      else if (number === 7) message.options = this.#options(12)
      else if (number === 8) oneofDecl.push(this.#named())
      else if (number === 9) reservedRange.push(this.#range())
      else return false
      return true
    })
    return message
  }

  #field(): RawField {
    this.#count()
    const reader = this.#reader
    const field: Mutable<RawField> = {}
    this.#inside((number) => {
      if (number === 1) field.name = this.#text()
      else if (number === 3) field.number = reader.int32()
      else if (number === 4) field.label = reader.int32()
      else if (number === 5) field.type = reader.int32()
      else if (number === 6) field.typeName = this.#text()
      else if (number === 7) field.defaultValue = this.#text()
      else if (number === 8) field.options = this.#options(21)
      else if (number === 9) field.oneofIndex = reader.int32()
      else if (number === 17) field.proto3Optional = reader.bool()
      else return false
      return true
    })
    return field
  }

  #enum(): RawEnum {
    this.#count()
    const value: { name?: string; number?: number }[] = []
    const reservedRange: RawRange[] = []
    const declared: Mutable<RawEnum> = { value, reservedRange }
    this.#inside((number) => {
      if (number === 1) declared.name = this.#text()
      else if (number === 2) value.push(this.#named())
      else if (number === 4) reservedRange.push(this.#range())
      else return false
      return true
    })
    return declared
  }

  /** A oneof, or a value of an enum. */
  #named(): { name: string; number: number } {
    this.#count()
    const declared = { name: '', number: 0 }
    this.#inside((number, wire) => {
      if (number === 1) declared.name = this.#text()
      else if (number === 2 && wire === 0) declared.number = this.#reader.int32()
      else return false
      return true
    })
    return declared
  }

  #range(): RawRange {
    this.#count()
    const range = { start: 0, end: 0 }
    this.#inside((number) => {
      if (number === 1) range.start = this.#reader.int32()
      else if (number === 2) range.end = this.#reader.int32()
      else return false
      return true
    })
    return range
  }

  /** Options of a file, a message or a field; their `features` have another number in each. */
  #options(featuresNumber: number): { mapEntry?: boolean; features?: RawFeatures } {
    const options: { mapEntry?: boolean; features?: Mutable<RawFeatures> } = {}
    this.#inside((number, wire) => {
      // Field 7 is map_entry in options of messages only, which are those with features at 12.
      if (number === 7 && featuresNumber === 12 && wire === 0) options.mapEntry = this.#reader.bool()
      else if (number === featuresNumber && wire === 2) {
        const features: Mutable<RawFeatures> = { ...options.features }
        this.#inside((feature) => {
          if (feature === 1) features.fieldPresence = this.#reader.int32()
          else if (feature === 5) features.messageEncoding = this.#reader.int32()
          else return false
          return true
        })
        options.features = features
      } else return false
      return true
    })
    return options
  }

  #text(): string {
    const start = this.#reader.pos
    const length = this.#reader.uint32()
    if (length > TEXT_BYTES_MAX) {
      this.#reader.pos += length
      throw tooMuch(`${TEXT_BYTES_MAX} bytes in a name`)
    }
    this.#reader.pos = start
    return this.#reader.string()
  }

  #count(): void {
    if (++this.#declarations > DECLARATIONS_MAX) throw tooMuch(`${DECLARATIONS_MAX} declarations`)
  }

  #inside(read: (number: number, wire: number) => boolean): void {
    const length = this.#reader.uint32()
    const end = this.#reader.pos + length
    if (end > this.#reader.len) throw new RangeError('cut off')
    this.#fields(end, read)
  }

  /** Reads fields up to `end`; those that `read` does not take are skipped. */
  #fields(end: number, read: (number: number, wire: number) => boolean): void {
    const reader = this.#reader
    while (reader.pos < end) {
      const [number, wire] = reader.tag()
      if (!read(number, wire)) reader.skip(wire, number)
    }
    if (reader.pos !== end) throw new RangeError('a field is longer than its message')
  }
}

function tooMuch(what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `the descriptor set cannot be used: it has more than ${what}`)
}
