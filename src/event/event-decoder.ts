/**
 * From a record to a row where records are of several types, or framed with the id of their schema.
 *
 * Owns: which projection a record is for. Does not own: what a projection reads (event/projection.ts), what types there
 * are (job/), fetching schemas (its caller is asked for an id that is not known yet).
 *
 * A framed value, as Confluent's and Redpanda's serializers write it:
 *   0x00 | schema id, 4 bytes, big-endian | message index: count, then that many numbers, zigzag varints | message
 * where the index [0] is written as the single byte 0.
 *
 * Invariants: never throws and never reads outside the record; nothing is allocated a record but for the first of a
 * schema id; a record that gives no row leaves the batch as it was.
 */

import { Projection, reasonCode } from './projection.ts'
import { HeaderFinder } from './record-headers.ts'
import type { ScanBatch } from './scan.ts'
import type { EventSchema, EventTypeLayout, TypeTest, WriterSchema } from './schema.ts'
import { readUint32, skipValue, skipVarint } from './wire.ts'

/** What `decode` returns for a record of a type that the job does not take. */
export const OTHER_TYPE = -1
/** What `decode` returns for a record whose schema must be provided first: decode it again then. */
export const SCHEMA_WANTED = -2

const UNDECODABLE = reasonCode('undecodable')
const NOT_FRAMED = reasonCode('not_framed')
const UNKNOWN_TYPE = reasonCode('unknown_type')
const SCHEMA_UNKNOWN = reasonCode('schema_unknown')

const MAGIC = 0
const HEADER_BYTES = 5
/** Registries number schemas by positive 32-bit integers. They do not answer for others as for one they do not have. */
const ID_MAX = 0x7fff_ffff
const INDEX_DEPTH_MAX = 32
/** Ids kept at a time. Beyond, those that cannot be used are forgotten first: they may be anything. */
const SCHEMAS_MAX = 2000

/** Turns records into rows. */
export interface RecordDecoder {
  /**
   * Appends the event in `bytes[start .. end)` to `batch` and returns 0; or leaves the batch as it was and returns the
   * code of a dead-letter reason (above 0), OTHER_TYPE or SCHEMA_WANTED. Headers are bytes[end .. recordEnd).
   */
  decode(bytes: Uint8Array, start: number, end: number, batch: ScanBatch, recordEnd: number): number
}

/** The decoder of a schema. `onWanted` is called once for each schema id that must be provided. */
export function openDecoder(schema: EventSchema, onWanted: (id: number) => void): RecordDecoder {
  const { format } = schema
  if (format === undefined) return new Projection(schema)
  const others = format.others === 'deadLetter' ? UNKNOWN_TYPE : OTHER_TYPE
  if (format.framing === 'registry') return new FramedDecoder(schema, others, onWanted)
  return new TypeSelector(schema, format.types, others)
}

/** Tells types apart and decodes each by its own projection. All tests of one selector are of one kind. */
export class TypeSelector implements RecordDecoder {
  readonly #projections: readonly Projection[]
  readonly #others: number
  readonly #kind: TypeTest['kind']
  readonly #header: HeaderFinder | null = null
  readonly #values: readonly Uint8Array[] = []
  readonly #numbers: Int32Array
  readonly #group: Int32Array

  constructor(schema: EventSchema, types: readonly EventTypeLayout[], others: number) {
    this.#projections = types.map((type) => new Projection(projectionOf(schema, type)))
    this.#others = others
    this.#kind = types[0]?.when.kind ?? 'always'
    const encoder = new TextEncoder()
    const headers = types.flatMap(({ when }) => (when.kind === 'header' ? [when] : []))
    if (headers.length > 0) this.#header = new HeaderFinder(headers[0]!.name)
    this.#values = headers.map(({ equals }) => encoder.encode(equals))
    const fields = types.flatMap(({ when }) => (when.kind === 'field' ? [when] : []))
    this.#numbers = Int32Array.from(fields, ({ number }) => number)
    this.#group = Int32Array.from(new Set(fields.flatMap(({ group }) => [...group])))
  }

  decode(bytes: Uint8Array, start: number, end: number, batch: ScanBatch, recordEnd: number): number {
    let type = 0
    if (this.#kind === 'header') type = this.#byHeader(bytes, end, recordEnd)
    else if (this.#kind === 'field') type = this.#byField(bytes, start, end)
    if (type < 0) return type === OTHER_TYPE ? this.#others : UNDECODABLE
    const projection = this.#projections[type]
    return projection === undefined ? this.#others : projection.decode(bytes, start, end, batch)
  }

  #byHeader(bytes: Uint8Array, end: number, recordEnd: number): number {
    const header = this.#header!
    if (!header.find(bytes, end, recordEnd)) return OTHER_TYPE
    const length = header.end - header.start
    const values = this.#values
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!
      if (value.length !== length) continue
      let same = 0
      while (same < length && bytes[header.start + same] === value[same]) same++
      if (same === length) return i
    }
    return OTHER_TYPE
  }

  /** The type of the last field on the wire that is in the group; -UNDECODABLE - 1 when the bytes are no message. */
  #byField(bytes: Uint8Array, start: number, end: number): number {
    let last = 0
    let at = start
    while (at < end) {
      const tag = readUint32(bytes, at, end)
      if (tag < 8) return -UNDECODABLE - 1
      const field = tag >>> 3
      at = skipValue(bytes, skipVarint(bytes, at, end), end, tag & 7, field)
      if (at < 0) return -UNDECODABLE - 1
      if (this.#group.includes(field)) last = field
    }
    const type = this.#numbers.indexOf(last)
    return type < 0 ? OTHER_TYPE : type
  }
}

/** One index of a message, as it is written, and who decodes what follows. */
interface IndexedTypes {
  readonly index: Uint8Array
  readonly types: TypeSelector
}

interface KnownSchema {
  /** Code of the reason why it cannot be used; 0 when it can. */
  readonly reason: number
  readonly messages: readonly IndexedTypes[]
}

/** Decodes framed values by the schema that each names. */
export class FramedDecoder implements RecordDecoder {
  readonly #schema: EventSchema
  readonly #others: number
  readonly #onWanted: (id: number) => void
  readonly #known = new Map<number, KnownSchema>()
  readonly #wanted = new Set<number>()
  #lastId = -1
  #last: KnownSchema | undefined

  constructor(schema: EventSchema, others: number, onWanted: (id: number) => void) {
    this.#schema = schema
    this.#others = others
    this.#onWanted = onWanted
  }

  /** Takes the answer to `onWanted`. */
  provide(id: number, writer: WriterSchema): void {
    this.#wanted.delete(id)
    if (this.#known.size >= SCHEMAS_MAX) this.#forget()
    this.#known.set(id, this.#compile(writer))
    this.#lastId = -1
  }

  /** Ids that nobody knew are asked for again: they may have been registered since. */
  forgetUnknown(): void {
    for (const [id, { reason }] of this.#known) if (reason === SCHEMA_UNKNOWN) this.#known.delete(id)
    this.#lastId = -1
  }

  decode(bytes: Uint8Array, start: number, end: number, batch: ScanBatch, recordEnd: number): number {
    if (end - start <= HEADER_BYTES || bytes[start] !== MAGIC) return NOT_FRAMED
    const id =
      ((bytes[start + 1]! << 24) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 8) | bytes[start + 4]!) >>> 0
    if (id > ID_MAX) return SCHEMA_UNKNOWN
    if (id !== this.#lastId) {
      const known = this.#known.get(id)
      if (known === undefined) {
        this.#want(id)
        return SCHEMA_WANTED
      }
      this.#last = known
      this.#lastId = id
    }
    const known = this.#last!
    if (known.reason !== 0) return known.reason
    const indexStart = start + HEADER_BYTES
    const indexEnd = skipIndex(bytes, indexStart, end)
    if (indexEnd < 0) return NOT_FRAMED
    const messages = known.messages
    const length = indexEnd - indexStart
    for (let i = 0; i < messages.length; i++) {
      const { index, types } = messages[i]!
      if (index.length !== length) continue
      let same = 0
      while (same < length && bytes[indexStart + same] === index[same]) same++
      // A payload may be empty: all its fields have their defaults.
      if (same === length) return types.decode(bytes, indexEnd, end, batch, recordEnd)
    }
    return this.#others
  }

  #want(id: number): void {
    if (this.#wanted.has(id)) return
    this.#wanted.add(id)
    this.#onWanted(id)
  }

  #compile(writer: WriterSchema): KnownSchema {
    if (!writer.ok) return { reason: reasonCode(writer.reason), messages: [] }
    const messages = writer.messages.flatMap(({ index, types }) => {
      const selector = new TypeSelector(this.#schema, types, this.#others)
      return writtenIndexes(index).map((written) => ({ index: written, types: selector }))
    })
    return { reason: 0, messages }
  }

  #forget(): void {
    for (const [id, { reason }] of this.#known) if (reason !== 0) this.#known.delete(id)
    if (this.#known.size >= SCHEMAS_MAX) this.#known.clear()
  }
}

/** The position behind a message index, or -1. */
function skipIndex(bytes: Uint8Array, start: number, end: number): number {
  const raw = readUint32(bytes, start, end)
  if (raw < 0 || (raw & 1) !== 0 || raw >>> 1 > INDEX_DEPTH_MAX) return -1
  let at = skipVarint(bytes, start, end)
  for (let left = raw >>> 1; left > 0; left--) {
    at = skipVarint(bytes, at, end)
    if (at < 0) return -1
  }
  return at
}

/** The ways in which an index may be written. */
function writtenIndexes(index: readonly number[]): Uint8Array[] {
  const written = [index.length, ...index].flatMap(zigzag)
  const all = [Uint8Array.from(written)]
  if (index.length === 1 && index[0] === 0) all.push(Uint8Array.of(0))
  return all
}

function zigzag(value: number): number[] {
  const bytes: number[] = []
  let rest = value * 2
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return bytes
}

function projectionOf(schema: EventSchema, type: EventTypeLayout): ConstructorParameters<typeof Projection>[0] {
  const columns = schema.columns.map((own, i) => {
    const column = type.columns[i] ?? null
    if (column !== null && 'constant' in column) return { ...own, field: null, constant: column.constant }
    return { ...own, field: column }
  })
  const { message, time, timeUnitMs, key } = type
  return { message, time, timeUnitMs, key, columns }
}
