/**
 * Plain JavaScript values as bytes: how the records of a TypeScript job cross threads, and how its state is stored.
 *
 * Owns: the binary form. It is stored in checkpoints, so tags are only ever added. Values: undefined, null, booleans,
 * numbers, bigints, strings (any, lone surrogates too), Date, Uint8Array, arrays, Map, Set, and plain objects. Anything
 * else (functions, class instances, symbols) is refused with JOB_CODE_FAILED and the path to it.
 *
 *   value = tag u8, then    INT zigzag varint | DOUBLE f64 | TEXT varint length, Latin-1 | UTF8 varint length, bytes |
 *           UTF16 varint units, units | BIGINT as TEXT | DATE f64 | BYTES varint length, bytes |
 *           ARRAY varint count, values | NEW_SHAPE varint count, keys as values; then the values | SHAPE varint number,
 *           values | MAP varint count, key and value pairs | SET varint count, values
 *
 * The keys of objects are written once in a stretch (a batch, a page) and named by number after that; `reset` begins a
 * new stretch on both sides. Numbers are little-endian.
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

/** Deepest nesting of a value. */
export const VALUE_DEPTH_MAX = 64

/** A set of object keys, in order: a node of a trie, one step a key. */
interface Shape {
  /** Number within the stretch `epoch`. */
  id: number
  epoch: number
  next: Map<string, Shape> | null
}

/** Writes values one behind the other into a buffer that grows. */
export class ValueWriter {
  /** Holds what was written: bytes[0 .. length). May be replaced by a larger one at any write. */
  bytes: Buffer<ArrayBuffer>
  length = 0
  #view: DataView
  #root: Shape = { id: -1, epoch: 0, next: null }
  #shapes = 0
  #epoch = 1
  #known = 0

  constructor(capacity = 4096) {
    this.bytes = Buffer.from(new ArrayBuffer(capacity))
    this.#view = new DataView(this.bytes.buffer)
  }

  /** Begins a new stretch: empty, and no shape is known. */
  reset(): void {
    this.length = 0
    this.#shapes = 0
    this.#epoch++
    // Objects used as dictionaries have as many shapes as values: what is remembered of them is bounded.
    if (this.#known > 10_000) {
      this.#root = { id: -1, epoch: 0, next: null }
      this.#known = 0
    }
  }

  /** Writes into `buffer` from now on; the former buffer is let go. For batches that are handed away. */
  adopt(buffer: ArrayBuffer): void {
    this.bytes = Buffer.from(buffer)
    this.#view = new DataView(buffer)
    this.reset()
  }

  /** Writes one value. JOB_CODE_FAILED for what is no plain value; `length` is then where it was. */
  write(value: unknown): void {
    const start = this.length
    const shapes = this.#shapes
    try {
      this.#write(value, 0)
    } catch (error) {
      this.length = start
      // Shapes that were named by what is now taken back must be named again.
      if (this.#shapes !== shapes) this.#forgetShapes(shapes)
      throw error
    }
  }

  /** Writes a byte outside any value. */
  writeU8(value: number): void {
    this.#ensure(1)
    this.bytes[this.length++] = value
  }

  /** Writes 16 bits outside any value. */
  writeU16(value: number): void {
    this.#ensure(2)
    this.#view.setUint16(this.length, value, true)
    this.length += 2
  }

  /** Writes a double outside any value. */
  writeF64(value: number): void {
    this.#ensure(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  /** Writes `bytes[start .. end)` with their length in front, outside any value. */
  writeBytes(bytes: Uint8Array, start: number, end: number): void {
    this.#varint(end - start)
    this.#ensure(end - start)
    this.bytes.set(bytes.subarray(start, end), this.length)
    this.length += end - start
  }

  #forgetShapes(shapes: number): void {
    this.#shapes = shapes
    this.#root = { id: -1, epoch: 0, next: null }
    this.#known = 0
  }

  #ensure(more: number): void {
    const needed = this.length + more
    if (needed <= this.bytes.length) return
    const grown = Buffer.from(new ArrayBuffer(Math.max(this.bytes.length * 2, needed)))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.#view = new DataView(grown.buffer)
  }

  #varint(value: number): void {
    this.#ensure(10)
    let rest = value
    while (rest >= 128) {
      this.bytes[this.length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.length++] = rest
  }

  #write(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        this.#text(value)
        return
      case 'number':
        this.#number(value)
        return
      case 'boolean':
        this.writeU8(value ? TRUE : FALSE)
        return
      case 'undefined':
        this.writeU8(UNDEFINED)
        return
      case 'bigint':
        this.writeU8(BIGINT)
        this.#text(value.toString())
        return
      case 'object':
        if (value === null) this.writeU8(NULL)
        else this.#object(value, depth)
        return
      default:
        throw refused(`a ${typeof value}`)
    }
  }

  #number(value: number): void {
    // -0 is a double: an integer would lose its sign.
    if ((value | 0) === value && !Object.is(value, -0)) {
      this.writeU8(INT)
      this.#varint(((value << 1) ^ (value >> 31)) >>> 0)
      return
    }
    this.writeU8(DOUBLE)
    this.writeF64(value)
  }

  #text(text: string): void {
    const units = text.length
    this.#ensure(units + 11)
    const start = this.length
    this.writeU8(TEXT)
    this.#varint(units)
    const bytes = this.bytes
    const at = this.length
    for (let i = 0; i < units; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 255) {
        this.length = start
        this.#wideText(text)
        return
      }
      bytes[at + i] = unit
    }
    this.length = at + units
  }

  #wideText(text: string): void {
    if (text.isWellFormed()) {
      const bytes = Buffer.byteLength(text, 'utf8')
      this.writeU8(UTF8)
      this.#varint(bytes)
      this.#ensure(bytes)
      this.bytes.write(text, this.length, bytes, 'utf8')
      this.length += bytes
      return
    }
    this.writeU8(UTF16)
    this.#varint(text.length)
    for (let i = 0; i < text.length; i++) this.writeU16(text.charCodeAt(i))
  }

  #object(value: object, depth: number): void {
    if (depth >= VALUE_DEPTH_MAX) throw refused(`something nested deeper than ${VALUE_DEPTH_MAX}, or in itself`)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      this.#plain(value as Record<string, unknown>, depth)
    } else if (Array.isArray(value)) {
      this.writeU8(ARRAY)
      this.#varint(value.length)
      for (let i = 0; i < value.length; i++) this.#inside(value[i], depth, `[${i}]`)
    } else if (value instanceof Date) {
      this.writeU8(DATE)
      this.writeF64(value.getTime())
    } else if (value instanceof Uint8Array) {
      this.writeU8(BYTES)
      this.writeBytes(value, 0, value.length)
    } else if (value instanceof Map) {
      this.writeU8(MAP)
      this.#varint(value.size)
      for (const [key, item] of value) {
        this.#inside(key, depth, '(a key)')
        this.#inside(item, depth, '(a value)')
      }
    } else if (value instanceof Set) {
      this.writeU8(SET)
      this.#varint(value.size)
      for (const item of value) this.#inside(item, depth, '(a member)')
    } else {
      const { name } = (value as { constructor?: { name?: string } }).constructor ?? {}
      throw refused(`an instance of ${name ?? 'a class'}`)
    }
  }

  #plain(value: Record<string, unknown>, depth: number): void {
    const keys = Object.keys(value)
    const count = keys.length
    let shape = this.#root
    for (let i = 0; i < count; i++) {
      const key = keys[i]!
      shape.next ??= new Map()
      let next = shape.next.get(key)
      if (next === undefined) {
        next = { id: -1, epoch: 0, next: null }
        shape.next.set(key, next)
        this.#known++
      }
      shape = next
    }
    if (shape.epoch === this.#epoch) {
      this.writeU8(SHAPE)
      this.#varint(shape.id)
    } else {
      this.writeU8(NEW_SHAPE)
      this.#varint(count)
      for (let i = 0; i < count; i++) this.#text(keys[i]!)
      shape.epoch = this.#epoch
      shape.id = this.#shapes++
    }
    for (let i = 0; i < count; i++) {
      const item = value[keys[i]!]
      if (typeof item === 'object' && item !== null) this.#inside(item, depth, `.${keys[i]}`)
      else if (typeof item === 'string') this.#text(item)
      else if (typeof item === 'number') this.#number(item)
      else this.#inside(item, depth, `.${keys[i]}`)
    }
  }

  #inside(value: unknown, depth: number, step: string): void {
    try {
      this.#write(value, depth + 1)
    } catch (error) {
      if (error instanceof Refusal) throw refused(error.what, `${step}${error.path}`)
      throw error
    }
  }
}

/** What is no plain value, on its way up to `write`, gathering the path. */
class Refusal extends MillraceError {
  readonly what: string
  readonly path: string

  constructor(what: string, path: string) {
    const where = path === '' ? '' : ` at ${path}`
    super(
      'JOB_CODE_FAILED',
      `a value holds ${what}${where}: what crosses threads or is kept in state is plain data (numbers, texts, booleans, ` +
        'null, dates, bytes, arrays, maps, sets and plain objects)',
    )
    this.what = what
    this.path = path
  }
}

function refused(what: string, path = ''): Refusal {
  return new Refusal(what, path)
}
