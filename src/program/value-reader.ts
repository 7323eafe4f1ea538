/**
 * Bytes as plain values again: the reading half of value-writer.ts, which says what the form is.
 *
 * Bytes may be damaged: nothing outside the stretch is read, and no count is believed beyond the bytes that there are.
 */
import { MillraceError } from '../core/errors.ts'
import { tags } from './value-tags.ts'

const {
  UNDEFINED,
  NULL,
  FALSE,
  TRUE,
  INT,
  DOUBLE,
  TEXT,
  UTF8,
  UTF16,
  BIGINT,
  DATE,
  BYTES,
  ARRAY,
  NEW_SHAPE,
  SHAPE,
  MAP,
  SET,
} = tags

/** Reads what a ValueWriter wrote. What was damaged throws STATE_INCOMPATIBLE, or reads as something else. */
export class ValueReader {
  /** Where the next read begins. */
  at = 0
  #bytes: Buffer = Buffer.alloc(0)
  #view: DataView = new DataView(new ArrayBuffer(0))
  #end = 0
  #shapes: string[][] = []

  /** Begins a stretch: bytes[start .. end). */
  reset(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = start
    this.#end = end
    this.#shapes = []
  }

  /** True when everything was read. */
  get done(): boolean {
    return this.at >= this.#end
  }

  readU8(): number {
    return this.#bytes[this.#take(1)]!
  }

  readU16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  readF64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  /** A view of bytes that `writeBytes` wrote; valid as long as the stretch. */
  readBytes(): Uint8Array {
    const length = this.#varint()
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** The next value. */
  read(): unknown {
    const tag = this.readU8()
    switch (tag) {
      case UNDEFINED:
        return undefined
      case NULL:
        return null
      case FALSE:
        return false
      case TRUE:
        return true
      case INT: {
        const raw = this.#varint()
        return (raw >>> 1) ^ -(raw & 1)
      }
      case DOUBLE:
        return this.readF64()
      case TEXT: {
        const length = this.#varint()
        const start = this.#take(length)
        return this.#bytes.toString('latin1', start, start + length)
      }
      case UTF8: {
        const length = this.#varint()
        const start = this.#take(length)
        return this.#bytes.toString('utf8', start, start + length)
      }
      case UTF16: {
        const units = this.#varint()
        let text = ''
        for (let i = 0; i < units; i++) text += String.fromCharCode(this.readU16())
        return text
      }
      case BIGINT:
        return this.#bigint()
      case DATE:
        return new Date(this.readF64())
      case BYTES:
        return new Uint8Array(this.readBytes())
      case ARRAY: {
        const count = this.#count()
        const items: unknown[] = []
        for (let i = 0; i < count; i++) items.push(this.read())
        return items
      }
      case NEW_SHAPE: {
        const count = this.#count()
        const keys: string[] = []
        for (let i = 0; i < count; i++) keys.push(this.#key())
        this.#shapes.push(keys)
        return this.#plain(keys)
      }
      case SHAPE: {
        const keys = this.#shapes[this.#varint()]
        if (keys === undefined) throw damaged('it names keys that were never written')
        return this.#plain(keys)
      }
      case MAP: {
        const count = this.#count()
        const map = new Map<unknown, unknown>()
        for (let i = 0; i < count; i++) {
          const key = this.read()
          map.set(key, this.read())
        }
        return map
      }
      case SET: {
        const count = this.#count()
        const set = new Set<unknown>()
        for (let i = 0; i < count; i++) set.add(this.read())
        return set
      }
      default:
        throw damaged(`it holds tag ${tag}`)
    }
  }

  #bigint(): bigint {
    const digits = this.read()
    if (typeof digits === 'string' && /^-?\d+$/.test(digits)) return BigInt(digits)
    throw damaged('it holds a bigint that is none')
  }

  #key(): string {
    const key = this.read()
    if (typeof key === 'string') return key
    throw damaged('it holds an object whose keys are no texts')
  }

  #plain(keys: readonly string[]): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      const value = this.read()
      if (key !== '__proto__') object[key] = value
      else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
    }
    return object
  }

  #count(): number {
    const count = this.#varint()
    // Each item has a byte at least, so what is damaged cannot ask for more memory than it has.
    if (count > this.#end - this.at) throw damaged('it ends too early')
    return count
  }

  #varint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.readU8()
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
    throw damaged('it holds a number that does not end')
  }

  #take(length: number): number {
    const start = this.at
    if (start + length > this.#end) throw damaged('it ends too early')
    this.at = start + length
    return start
  }
}

function damaged(why: string): MillraceError {
  return new MillraceError('STATE_INCOMPATIBLE', `a stored value cannot be read: ${why}`)
}
