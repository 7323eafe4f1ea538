/**
 * The projection: a Protobuf value in, one row of a scan batch out, or the reason why not.
 *
 * Owns: reading only the fields a job needs, by the rules of Protobuf (last value wins, messages merge, the last entry of
 * a map key and the last member of a oneof win, unknown fields are skipped by length). Does not own: which fields those
 * are (job/planner.ts), the tables (event/projection-plan.ts), whether a time is in the future (its caller).
 *
 * Two steps a record: `scan` walks the wire format and notes each wanted value in a slot; `decode` then moves slots to
 * columns. A slot outlives repeated occurrences, so no value is converted that another replaces.
 *
 * Invariants: never throws and never reads outside [start, end), whatever the bytes hold; a record that cannot be used
 * leaves the batch as it was; nothing is allocated a record (a fraction used as text excepted).
 *
 * A table walk and not generated code: measured in bench/micro/projection.bench.ts against a hand-written function.
 */
import { hashBytes } from '../core/hash.ts'
import { KEY_BYTES_MAX, TEXT_BYTES_MAX, TIME_MS_MAX } from '../core/limits.ts'
import {
  OP_BOOL,
  OP_BYTES,
  OP_DOUBLE,
  OP_FLOAT,
  OP_INT32,
  OP_INT64,
  OP_MAP,
  OP_MESSAGE,
  OP_SINT32,
  OP_SINT64,
  OP_UINT32,
  OP_UNSET,
  type ProjectionTables,
  PROPERTY_BOOL,
  PROPERTY_DOUBLE,
  PROPERTY_INT,
  PROPERTY_TEXT,
  planProjection,
} from './projection-plan.ts'
import { NUMBER_TEXT_BYTES, writeBool, writeDouble, writeInt64, writeInteger } from './projection-text.ts'
import type { ScanBatch } from './scan.ts'
import { type DeadLetterReason, deadLetterReasons, type EventSchema, type FieldRef } from './schema.ts'
import { isUtf8 } from './utf8.ts'
import {
  readUint32,
  skipBytes,
  skipGroup,
  skipVarint,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_GROUP_START,
  WIRE_VARINT,
} from './wire.ts'

/** The code that `decode` returns for a dead-letter reason: its index plus 1, so that 0 means a row was added. */
export function reasonCode(reason: DeadLetterReason): number {
  return deadLetterReasons.indexOf(reason) + 1
}

/** The reason behind a code that `decode` returned; undefined for 0. */
export function reasonOf(code: number): DeadLetterReason | undefined {
  return deadLetterReasons[code - 1]
}

const UNDECODABLE = reasonCode('undecodable')
const WRONG_TYPE = reasonCode('wrong_type')
const INVALID_UTF8 = reasonCode('invalid_utf8')
const INTEGER_OUT_OF_RANGE = reasonCode('integer_out_of_range')
const FIELD_TOO_LONG = reasonCode('field_too_long')
const MISSING_KEY = reasonCode('missing_key')
const MISSING_TIME = reasonCode('missing_time')
const TIME_OUT_OF_RANGE = reasonCode('time_out_of_range')

// How a slot becomes a column's value.
const FROM_NUMBER = 0
const FROM_INT64 = 1
const FROM_UINT64 = 2
const FROM_TIME = 3
const FROM_PROPERTY = 4
const TEXT_STRING = 5
const TEXT_BYTES = 6
const TEXT_INTEGER = 7
const TEXT_INT64 = 8
const TEXT_UINT64 = 9
const TEXT_BOOL = 10
const TEXT_ENUM = 11
const TEXT_DOUBLE = 12
const TEXT_TIME = 13
const TEXT_PROPERTY = 14

const TWO_32 = 0x1_0000_0000
const numberBits = new Float64Array(1)
const numberLanes = new Uint32Array(numberBits.buffer)
const floatBits = new Float32Array(1)
const floatLanes = new Uint32Array(floatBits.buffer)

/** A compiled projection. It owns scratch space: one instance serves one thread. */
export class Projection {
  readonly #tables: ProjectionTables
  /** 0 for an unset slot, else KIND_SET or the member of a property. Everything else of an unset slot is garbage. */
  readonly #kind: Uint8Array
  /** Numbers; and for bytes and 64-bit integers two halves: start and end, low and high. */
  readonly #number: Float64Array
  readonly #low: Int32Array
  readonly #high: Int32Array
  readonly #timeSlot: number
  readonly #timeSource: number
  readonly #timeUnitMs: number
  readonly #keySlot: number
  readonly #keySource: number
  readonly #columnSlot: Int32Array
  readonly #columnSource: Uint8Array
  readonly #enumNames: readonly (ReadonlyMap<number, Uint8Array> | null)[]
  readonly #scratch = new Uint8Array(NUMBER_TEXT_BYTES)
  /** The text that `#textOf` found: bytes[start .. end). */
  #textBytes: Uint8Array = this.#scratch
  #textStart = 0
  #textEnd = 0

  constructor(schema: EventSchema) {
    const tables = planProjection(schema)
    this.#tables = tables
    this.#kind = new Uint8Array(tables.slots)
    this.#number = new Float64Array(tables.slots)
    this.#low = new Int32Array(tables.slots)
    this.#high = new Int32Array(tables.slots)
    this.#timeSlot = tables.slotOf(schema.time)
    this.#timeSource = numberSource(schema.time)
    this.#timeUnitMs = schema.timeUnitMs
    this.#keySlot = tables.slotOf(schema.key)
    this.#keySource = textSource(schema.key)
    this.#columnSlot = Int32Array.from(schema.columns, (c) => tables.slotOf(c.field))
    this.#columnSource = Uint8Array.from(schema.columns, (c) =>
      c.encoding === 'number' ? numberSource(c.field) : textSource(c.field),
    )
    this.#enumNames = schema.columns.map((c) => enumBytes(c.field))
  }

  /**
   * Appends the event in `bytes[start .. end)` to `batch` as one row, which must have room, and returns 0; or leaves
   * the batch as it was and returns the code of the reason (`reasonOf`). `batch.offset` and `batch.mask` are not set.
   */
  decode(bytes: Uint8Array, start: number, end: number, batch: ScanBatch): number {
    const kind = this.#kind
    for (let i = 0; i < kind.length; i++) kind[i] = 0
    let reason = this.#scan(bytes, start, end, 0)
    if (reason !== 0) return reason

    const row = batch.rows
    reason = this.#time(batch, row)
    if (reason !== 0) return reason
    reason = this.#key(bytes, batch, row)
    if (reason !== 0) return reason

    const sources = this.#columnSource
    const slots = this.#columnSlot
    for (let column = 0; column < sources.length; column++) {
      const source = sources[column]!
      const slot = slots[column]!
      if (source < TEXT_STRING) {
        reason = this.#numberColumn(source, slot, batch.numbers[column]!, row)
        if (reason === 0) continue
      } else {
        const dictionary = batch.dictionaries[column]!
        const before = dictionary.count
        batch.marks[column] = before
        if (kind[slot] === 0) {
          batch.texts[column]![row] = 0
          continue
        }
        this.#textOf(bytes, source, slot, column)
        if (this.#textEnd - this.#textStart > TEXT_BYTES_MAX) {
          reason = FIELD_TOO_LONG
        } else {
          batch.texts[column]![row] = dictionary.intern(this.#textBytes, this.#textStart, this.#textEnd)
          // A known text has been checked when it came first.
          if (dictionary.count === before || source === TEXT_BYTES) continue
          if (isUtf8(this.#textBytes, this.#textStart, this.#textEnd)) continue
          reason = INVALID_UTF8
        }
      }
      for (let i = 0; i <= column; i++) {
        if (sources[i]! >= TEXT_STRING) batch.dictionaries[i]!.truncate(batch.marks[i]!)
      }
      return reason
    }
    batch.rows = row + 1
    return 0
  }

  #time(batch: ScanBatch, row: number): number {
    const slot = this.#timeSlot
    if (this.#kind[slot] === 0) return MISSING_TIME
    let ms: number
    switch (this.#timeSource) {
      case FROM_TIME:
        ms = this.#timestampMs(slot)
        break
      case FROM_INT64:
      case FROM_UINT64:
        ms = scaleTime(this.#low[slot]!, this.#high[slot]!, this.#timeSource === FROM_UINT64, this.#timeUnitMs)
        break
      default:
        ms = Math.floor(
          this.#timeUnitMs < 1
            ? this.#number[slot]! / Math.round(1 / this.#timeUnitMs)
            : this.#number[slot]! * this.#timeUnitMs,
        )
    }
    if (!(ms >= -TIME_MS_MAX && ms <= TIME_MS_MAX)) return TIME_OUT_OF_RANGE
    batch.timeMs[row] = ms
    return 0
  }

  #key(record: Uint8Array, batch: ScanBatch, row: number): number {
    const slot = this.#keySlot
    if (this.#kind[slot] === 0) return MISSING_KEY
    this.#textOf(record, this.#keySource, slot, -1)
    const bytes = this.#textBytes
    const start = this.#textStart
    const length = this.#textEnd - start
    if (length === 0) return MISSING_KEY
    if (length > KEY_BYTES_MAX) return FIELD_TOO_LONG
    const at = row === 0 ? 0 : batch.keyEnd[row - 1]!
    if (at + length > batch.keyBytes.length) batch.growKeys(at, length)
    const keys = batch.keyBytes
    let bits = 0
    for (let i = 0; i < length; i++) {
      const byte = bytes[start + i]!
      bits |= byte
      keys[at + i] = byte
    }
    if (bits > 0x7f && this.#keySource === TEXT_STRING && !isUtf8(bytes, start, start + length)) return INVALID_UTF8
    batch.keyStart[row] = at
    batch.keyEnd[row] = at + length
    batch.keyHash[row] = hashBytes(bytes, start, start + length)
    return 0
  }

  #numberColumn(source: number, slot: number, into: Float64Array, row: number): number {
    const kind = this.#kind[slot]!
    let value = 0
    if (kind !== 0) {
      switch (source) {
        case FROM_NUMBER:
          value = this.#number[slot]!
          break
        case FROM_INT64:
          value = this.#high[slot]! * TWO_32 + (this.#low[slot]! >>> 0)
          if (!Number.isSafeInteger(value)) return INTEGER_OUT_OF_RANGE
          break
        case FROM_UINT64:
          value = (this.#high[slot]! >>> 0) * TWO_32 + (this.#low[slot]! >>> 0)
          if (!Number.isSafeInteger(value)) return INTEGER_OUT_OF_RANGE
          break
        case FROM_TIME:
          value = this.#timestampMs(slot)
          if (!(value >= -TIME_MS_MAX && value <= TIME_MS_MAX)) return TIME_OUT_OF_RANGE
          break
        default:
          // A property whose value is a text reads as absent: one property of another type must not lose the event.
          if (kind === PROPERTY_INT) {
            value = this.#high[slot]! * TWO_32 + (this.#low[slot]! >>> 0)
            if (!Number.isSafeInteger(value)) return INTEGER_OUT_OF_RANGE
          } else if (kind !== PROPERTY_TEXT) {
            value = this.#number[slot]!
          }
      }
    }
    into[row] = value
    return 0
  }

  /** Presence is in `slot`, the seconds in the next one, the nanos in the one after. */
  #timestampMs(slot: number): number {
    const seconds = this.#kind[slot + 1] === 0 ? 0 : this.#high[slot + 1]! * TWO_32 + (this.#low[slot + 1]! >>> 0)
    const nanos = this.#kind[slot + 2] === 0 ? 0 : this.#number[slot + 2]!
    return seconds * 1000 + Math.floor(nanos / 1_000_000)
  }

  /** Finds the text of a slot that is set: in the record itself, or written to the scratch space. */
  #textOf(record: Uint8Array, source: number, slot: number, column: number): void {
    if (
      source === TEXT_STRING ||
      source === TEXT_BYTES ||
      (source === TEXT_PROPERTY && this.#kind[slot] === PROPERTY_TEXT)
    ) {
      this.#textBytes = record
      this.#textStart = this.#low[slot]!
      this.#textEnd = this.#high[slot]!
      return
    }
    const scratch = this.#scratch
    this.#textBytes = scratch
    this.#textEnd = scratch.length
    switch (source) {
      case TEXT_INTEGER:
        this.#textStart = writeInteger(this.#number[slot]!, scratch)
        break
      case TEXT_INT64:
      case TEXT_UINT64:
        this.#textStart = writeInt64(this.#low[slot]!, this.#high[slot]!, source === TEXT_UINT64, scratch)
        break
      case TEXT_BOOL:
        this.#textStart = writeBool(this.#number[slot] !== 0, scratch)
        break
      case TEXT_ENUM: {
        const name = this.#enumNames[column]?.get(this.#number[slot]!)
        if (name === undefined) {
          this.#textStart = writeInteger(this.#number[slot]!, scratch)
        } else {
          this.#textBytes = name
          this.#textStart = 0
          this.#textEnd = name.length
        }
        break
      }
      case TEXT_DOUBLE:
        this.#textStart = writeDouble(this.#number[slot]!, scratch)
        break
      case TEXT_TIME:
        this.#textStart = writeDouble(this.#timestampMs(slot), scratch)
        break
      default:
        if (this.#kind[slot] === PROPERTY_INT) {
          this.#textStart = writeInt64(this.#low[slot]!, this.#high[slot]!, false, scratch)
        } else if (this.#kind[slot] === PROPERTY_BOOL) {
          this.#textStart = writeBool(this.#number[slot] !== 0, scratch)
        } else {
          this.#textStart = writeDouble(this.#number[slot]!, scratch)
        }
    }
  }

  /** Walks one message of node `node`; returns 0 or the code of a reason. */
  #scan(bytes: Uint8Array, start: number, end: number, node: number): number {
    const tables = this.#tables
    const dense = tables.dense
    const base = tables.nodeBase[node]!
    const limit = tables.nodeLimit[node]!
    let at = start
    while (at < end) {
      let tag = bytes[at++]!
      if (tag > 0x7f) {
        if (at < end && bytes[at]! < 0x80) {
          tag = (tag & 0x7f) | (bytes[at++]! << 7)
        } else {
          tag = readUint32(bytes, at - 1, end)
          if (tag < 0) return UNDECODABLE
          at = skipVarint(bytes, at - 1, end)
        }
      }
      const number = tag >>> 3
      const wire = tag & 7
      if (number === 0) return UNDECODABLE
      const op = number < limit ? dense[base + number]! : this.#sparseOp(node, number)
      if (op === 0) {
        if (wire === WIRE_BYTES) {
          if (at < end && bytes[at]! < 0x80) {
            at += bytes[at]! + 1
            if (at > end) return UNDECODABLE
          } else {
            at = skipBytes(bytes, at, end)
          }
        } else {
          at = skipValue(bytes, at, end, wire, number)
        }
        if (at < 0) return UNDECODABLE
        continue
      }
      at = this.#read(bytes, at, end, op, wire, number)
      if (at < 0) return -at
    }
    return 0
  }

  /** Reads one wanted field; returns the position behind it, or a reason's code negated. */
  #read(bytes: Uint8Array, at: number, end: number, op: number, wire: number, number: number): number {
    const tables = this.#tables
    const unset = tables.opUnset[op]!
    if (unset !== null) for (let i = 0; i < unset.length; i++) this.#kind[unset[i]!] = 0
    const code = tables.opCode[op]!
    if (code === OP_UNSET) {
      at = skipValue(bytes, at, end, wire, number)
      return at < 0 ? -UNDECODABLE : at
    }
    if (wire !== tables.opWire[op]) {
      return skipValue(bytes, at, end, wire, number) < 0 ? -UNDECODABLE : -WRONG_TYPE
    }
    const slot = tables.opSlot[op]!
    if (slot >= 0) this.#kind[slot] = tables.opMark[op]!

    if (wire === WIRE_BYTES) {
      let length: number
      if (at < end && bytes[at]! < 0x80) {
        length = bytes[at++]!
      } else {
        length = readUint32(bytes, at, end)
        if (length < 0) return -UNDECODABLE
        at = skipVarint(bytes, at, end)
      }
      const next = at + length
      if (next > end) return -UNDECODABLE
      let reason = 0
      if (code === OP_BYTES) {
        this.#low[slot] = at
        this.#high[slot] = next
      } else if (code === OP_MESSAGE) {
        reason = this.#scan(bytes, at, next, tables.opChild[op]!)
      } else {
        reason = this.#scanEntry(bytes, at, next, op)
      }
      return reason === 0 ? next : -reason
    }

    let low = 0
    let high = 0
    if (wire === WIRE_VARINT) {
      if (at >= end) return -UNDECODABLE
      let byte = bytes[at++]!
      low = byte & 0x7f
      for (let shift = 7; byte > 0x7f; shift += 7) {
        if (at >= end || shift > 63) return -UNDECODABLE
        byte = bytes[at++]!
        if (shift < 28) {
          low |= (byte & 0x7f) << shift
        } else if (shift === 28) {
          low |= (byte & 0x7f) << 28
          high = (byte & 0x7f) >>> 4
        } else {
          high |= (byte & 0x7f) << (shift - 32)
        }
      }
    } else {
      if (at + 4 > end) return -UNDECODABLE
      low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      at += 4
      if (wire === WIRE_FIXED64) {
        if (at + 4 > end) return -UNDECODABLE
        high = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
        at += 4
      }
    }
    switch (code) {
      case OP_BOOL:
        this.#number[slot] = (low | high) === 0 ? 0 : 1
        break
      case OP_INT32:
        this.#number[slot] = low | 0
        break
      case OP_UINT32:
        this.#number[slot] = low >>> 0
        break
      case OP_SINT32:
        this.#number[slot] = (low >>> 1) ^ -(low & 1)
        break
      case OP_INT64:
        this.#low[slot] = low
        this.#high[slot] = high
        break
      case OP_SINT64: {
        const sign = -(low & 1)
        this.#low[slot] = ((low >>> 1) | (high << 31)) ^ sign
        this.#high[slot] = (high >>> 1) ^ sign
        break
      }
      case OP_FLOAT:
        floatLanes[0] = low
        this.#number[slot] = floatBits[0]!
        break
      case OP_DOUBLE:
        numberLanes[0] = low
        numberLanes[1] = high
        this.#number[slot] = numberBits[0]!
        break
    }
    return at
  }

  /** Reads one entry of a map: finds its key, and its value when the key is wanted. Returns 0 or the code of a reason. */
  #scanEntry(bytes: Uint8Array, start: number, end: number, op: number): number {
    let keyStart = 0
    let keyEnd = 0
    let at = start
    while (at < end) {
      const tag = readUint32(bytes, at, end)
      if (tag < 8) return UNDECODABLE
      at = skipVarint(bytes, at, end)
      const wire = tag & 7
      const number = tag >>> 3
      const value = at
      at = skipValue(bytes, at, end, wire, number)
      if (at < 0) return UNDECODABLE
      if (number !== 1) continue
      if (wire !== WIRE_BYTES) return WRONG_TYPE
      keyStart = skipVarint(bytes, value, end)
      keyEnd = at
    }
    const tables = this.#tables
    const length = keyEnd - keyStart
    for (let i = tables.opChild[op]!; i < tables.opChildEnd[op]!; i++) {
      const entry = tables.entries[i]!
      const key = entry.key
      if (key.length !== length) continue
      let same = 0
      while (same < length && key[same] === bytes[keyStart + same]) same++
      if (same < length) continue
      const slots = entry.slots
      for (let j = 0; j < slots.length; j++) this.#kind[slots[j]!] = 0
      return this.#scan(bytes, start, end, entry.node)
    }
    return 0
  }

  #sparseOp(node: number, number: number): number {
    const tables = this.#tables
    const end = tables.sparseFrom[node + 1]!
    for (let i = tables.sparseFrom[node]!; i < end; i++)
      if (tables.sparseNumber[i] === number) return tables.sparseOp[i]!
    return 0
  }
}

/** Compiles what `schema` needs. Throws DESCRIPTOR_INVALID when its paths contradict each other. */
export function compileProjection(schema: EventSchema): Projection {
  return new Projection(schema)
}

function skipValue(bytes: Uint8Array, at: number, end: number, wire: number, number: number): number {
  switch (wire) {
    case WIRE_VARINT:
      return skipVarint(bytes, at, end)
    case WIRE_FIXED64:
      return at + 8 <= end ? at + 8 : -1
    case WIRE_BYTES:
      return skipBytes(bytes, at, end)
    case WIRE_GROUP_START:
      return skipGroup(bytes, at, end, number)
    case WIRE_FIXED32:
      return at + 4 <= end ? at + 4 : -1
    default:
      return -1
  }
}

/** An integer time in milliseconds, rounded down; exact for nanoseconds beyond 2^53 too. */
function scaleTime(low: number, high: number, unsigned: boolean, unitMs: number): number {
  const top = unsigned ? high >>> 0 : high
  if (unitMs >= 1) return (top * TWO_32 + (low >>> 0)) * unitMs
  const divisor = Math.round(1 / unitMs)
  const quotient = Math.floor(top / divisor)
  const rest = (top - quotient * divisor) * TWO_32 + (low >>> 0)
  return quotient * TWO_32 + Math.floor(rest / divisor)
}

function numberSource(field: FieldRef): number {
  switch (field.type) {
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return FROM_INT64
    case 'uint64':
    case 'fixed64':
      return FROM_UINT64
    case 'timestamp':
      return FROM_TIME
    case 'property':
      return FROM_PROPERTY
    default:
      return FROM_NUMBER
  }
}

function textSource(field: FieldRef): number {
  switch (field.type) {
    case 'string':
      return TEXT_STRING
    case 'bytes':
      return TEXT_BYTES
    case 'bool':
      return TEXT_BOOL
    case 'enum':
      return TEXT_ENUM
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return TEXT_INT64
    case 'uint64':
    case 'fixed64':
      return TEXT_UINT64
    case 'float':
    case 'double':
      return TEXT_DOUBLE
    case 'timestamp':
      return TEXT_TIME
    case 'property':
      return TEXT_PROPERTY
    default:
      return TEXT_INTEGER
  }
}

function enumBytes(field: FieldRef): ReadonlyMap<number, Uint8Array> | null {
  if (field.enumNames === undefined) return null
  const encoder = new TextEncoder()
  return new Map(Object.entries(field.enumNames).map(([number, name]) => [Number(number), encoder.encode(name)]))
}
