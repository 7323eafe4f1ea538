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
 * Usual records of a declarative job do not come here but are read by a kernel (event/kernel.ts), code that is made for the
 * job; this is the table walk that reads all others, and says what they mean. With four fields it takes 1.25 times what a
 * hand-written function takes that trusts its input (bench/micro/projection.bench.ts), and half of the difference is the
 * checks.
 */
import { hashBlock, hashTail, KEY_HASH_SEED, mix32 } from '../core/hash.ts'
import { KEY_BYTES_MAX, TEXT_BYTES_MAX, TIME_MS_MAX } from '../core/limits.ts'
import { PROPERTY_BOOL, PROPERTY_INT, PROPERTY_TEXT } from './projection-ops.ts'
import { type ProjectionSchema, planProjection } from './projection-plan.ts'
import { FieldScanner } from './projection-scan.ts'
import {
  columnSource,
  FROM_INT64,
  FROM_NUMBER,
  FROM_PROPERTY,
  FROM_TIME,
  FROM_UINT64,
  numberSource,
  TEXT_BOOL,
  TEXT_BYTES,
  TEXT_CONSTANT,
  TEXT_ENUM,
  TEXT_INT64,
  TEXT_PROPERTY,
  TEXT_STRING,
  TEXT_TIME,
  TEXT_UINT64,
  textSource,
} from './projection-sources.ts'
import {
  KEY_TEXT_BYTES,
  NUMBER_TEXT_BYTES,
  needsText,
  writeBool,
  writeDouble,
  writeInt64,
  writeKeyBytes,
} from './projection-text.ts'
import { scaleTime } from './projection-time.ts'
import { keyRoom, type ScanBatch } from './scan.ts'
import { type DeadLetterReason, deadLetterReasons, type FieldRef } from './schema.ts'
import { isUtf8 } from './utf8.ts'

/** The code that `decode` returns for a dead-letter reason: its index plus 1, so that 0 means a row was added. */
export function reasonCode(reason: DeadLetterReason): number {
  return deadLetterReasons.indexOf(reason) + 1
}

/** The reason behind a code that `decode` returned; undefined for 0. */
export function reasonOf(code: number): DeadLetterReason | undefined {
  return deadLetterReasons[code - 1]
}

const INVALID_UTF8 = reasonCode('invalid_utf8')
const INTEGER_OUT_OF_RANGE = reasonCode('integer_out_of_range')
const FIELD_TOO_LONG = reasonCode('field_too_long')
const MISSING_KEY = reasonCode('missing_key')
const MISSING_TIME = reasonCode('missing_time')
const TIME_OUT_OF_RANGE = reasonCode('time_out_of_range')

const TWO_32 = 0x1_0000_0000

/** A compiled projection. It owns scratch space: one instance serves one thread. */
export class Projection {
  readonly #scanner: FieldScanner
  // The scanner's slots.
  readonly #kind: Uint8Array
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
  readonly #presenceSlot: Int32Array
  /** Columns in which absent may be NaN. */
  readonly #nullable: Int32Array
  readonly #enumNames: readonly (ReadonlyMap<number, Uint8Array> | null)[]
  readonly #constants: readonly (Uint8Array | null)[]
  readonly #scratch = new Uint8Array(NUMBER_TEXT_BYTES)
  readonly #keyText = new Uint8Array(KEY_TEXT_BYTES)
  /** The bytes that `#view` is a view of. */
  #viewed: Uint8Array = this.#scratch
  #view: DataView = new DataView(this.#scratch.buffer)
  /** Where the text begins that `#write` has written. */
  #textStart = 0

  constructor(schema: ProjectionSchema) {
    const tables = planProjection(schema)
    this.#scanner = new FieldScanner(tables)
    this.#kind = this.#scanner.kind
    this.#number = this.#scanner.number
    this.#low = this.#scanner.low
    this.#high = this.#scanner.high
    this.#timeSlot = tables.slotOf(schema.time)
    this.#timeSource = numberSource(schema.time)
    this.#timeUnitMs = schema.timeUnitMs
    this.#keySlot = tables.slotOf(schema.key)
    this.#keySource = textSource(schema.key)
    this.#columnSlot = Int32Array.from(schema.columns, (c) =>
      c.field === null ? tables.absentSlot : tables.slotOf(c.field),
    )
    this.#columnSource = Uint8Array.from(schema.columns, columnSource)
    this.#presenceSlot = tables.presenceSlots
    this.#nullable = Int32Array.from([...tables.presenceSlots.keys()].filter((c) => tables.presenceSlots[c]! >= 0))
    this.#enumNames = schema.columns.map((c) => (c.field === null ? null : enumBytes(c.field)))
    this.#constants = schema.columns.map((c) =>
      c.constant === undefined ? null : new TextEncoder().encode(c.constant),
    )
  }

  /**
   * Appends the event in `bytes[start .. end)` to `batch` as one row, which must have room, and returns 0; or leaves
   * the batch as it was and returns the code of the reason (`reasonOf`). `batch.offset` and `batch.mask` are not set.
   */
  decode(bytes: Uint8Array, start: number, end: number, batch: ScanBatch): number {
    let reason = this.#scanner.scan(bytes, start, end)
    if (reason !== 0) return reason
    const row = batch.rows
    reason = this.#time(batch, row)
    if (reason !== 0) return reason
    reason = this.#key(bytes, batch, row)
    if (reason !== 0) return reason

    const sources = this.#columnSource
    const slots = this.#columnSlot
    const kind = this.#kind
    for (let column = 0; column < sources.length; column++) {
      const source = sources[column]!
      const slot = slots[column]!
      if (source < TEXT_STRING) {
        reason = this.#numberColumn(source, slot, batch.numbers[column]!, row)
      } else {
        const dictionary = batch.dictionaries[column]!
        const before = dictionary.count
        batch.marks[column] = before
        if (kind[slot] === 0 && source !== TEXT_CONSTANT) {
          batch.texts[column]![row] = 0
          continue
        }
        let text = bytes
        let from = this.#low[slot]!
        let to = this.#high[slot]!
        if (source > TEXT_BYTES && !(source === TEXT_PROPERTY && kind[slot] === PROPERTY_TEXT)) {
          text = this.#write(source, slot, column)
          from = this.#textStart
          to = text.length
        }
        if (to - from > TEXT_BYTES_MAX) {
          reason = FIELD_TOO_LONG
        } else {
          batch.texts[column]![row] = dictionary.intern(text, from, to)
          // A known text has been checked when it came first.
          if (dictionary.count !== before && source !== TEXT_BYTES && !isUtf8(text, from, to)) reason = INVALID_UTF8
        }
      }
      if (reason !== 0) {
        for (let i = 0; i <= column; i++)
          if (sources[i]! >= TEXT_STRING) batch.dictionaries[i]!.truncate(batch.marks[i]!)
        return reason
      }
    }
    if (this.#nullable.length > 0) this.#clearAbsent(batch, row)
    batch.rows = row + 1
    return 0
  }

  #time(batch: ScanBatch, row: number): number {
    const slot = this.#timeSlot
    if (this.#kind[slot] === 0) return MISSING_TIME
    const source = this.#timeSource
    let ms: number
    if (source === FROM_TIME) ms = this.#timestampMs(slot)
    else if (source === FROM_NUMBER)
      ms = scaleTime(this.#number[slot]! | 0, this.#number[slot]! < 0 ? -1 : 0, false, this.#timeUnitMs)
    else ms = scaleTime(this.#low[slot]!, this.#high[slot]!, source === FROM_UINT64, this.#timeUnitMs)
    if (!(ms >= -TIME_MS_MAX && ms <= TIME_MS_MAX)) return TIME_OUT_OF_RANGE
    batch.timeMs[row] = ms
    return 0
  }

  #key(record: Uint8Array, batch: ScanBatch, row: number): number {
    const slot = this.#keySlot
    if (this.#kind[slot] === 0) return MISSING_KEY
    let bytes = record
    let start = this.#low[slot]!
    let end = this.#high[slot]!
    if (this.#keySource > TEXT_BYTES) {
      bytes = this.#write(this.#keySource, slot, -1)
      start = this.#textStart
      end = bytes.length
    }
    if (end - start === 0) return MISSING_KEY
    if (end - start > KEY_BYTES_MAX) return FIELD_TOO_LONG
    if (this.#keySource === TEXT_BYTES && needsText(bytes, start, end)) {
      start = writeKeyBytes(bytes, start, end, this.#keyText)
      bytes = this.#keyText
      end = bytes.length
    }
    if (!this.#copyKey(bytes, start, end, batch, row) && this.#keySource === TEXT_STRING && !isUtf8(bytes, start, end))
      return INVALID_UTF8
    return 0
  }

  /** Copies and hashes (core/hash) a key by words; true when it is ASCII. */
  #copyKey(bytes: Uint8Array, start: number, end: number, batch: ScanBatch, row: number): boolean {
    if (bytes !== this.#viewed) {
      this.#viewed = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    const view = this.#view
    const length = end - start
    const into = row === 0 ? 0 : batch.keyStart[row - 1]! + keyRoom(batch.keyEnd[row - 1]! - batch.keyStart[row - 1]!)
    const room = keyRoom(length)
    if (into + room > batch.keyBytes.length) batch.growKeys(into, room)
    const words = batch.keyWords
    const roomEnd = (into + room) >>> 2
    let word = into >>> 2
    let bits = 0
    let hash = KEY_HASH_SEED
    let at = start
    for (const blocksEnd = start + (length & ~3); at < blocksEnd; at += 4) {
      const block = view.getInt32(at, true)
      words[word++] = block
      bits |= block
      hash = hashBlock(hash, block)
    }
    if (at < end) {
      let block = bytes[at]!
      if (at + 1 < end) block |= bytes[at + 1]! << 8
      if (at + 2 < end) block |= bytes[at + 2]! << 16
      words[word++] = block
      bits |= block
      hash = hashTail(hash, block)
    }
    while (word < roomEnd) words[word++] = 0
    batch.keyStart[row] = into
    batch.keyEnd[row] = into + length
    batch.keyHash[row] = mix32(hash ^ length)
    return (bits & 0x80808080) === 0
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

  /** Puts NaN where a nullable column has no value: an absent field that has presence, or whose message is absent too. */
  #clearAbsent(batch: ScanBatch, row: number): void {
    const nullable = this.#nullable
    const kinds = this.#kind
    for (let i = 0; i < nullable.length; i++) {
      const column = nullable[i]!
      const kind = kinds[this.#columnSlot[column]!]!
      if (kind !== 0 && !(kind === PROPERTY_TEXT && this.#columnSource[column] === FROM_PROPERTY)) continue
      if (kinds[this.#presenceSlot[column]!] === 0) batch.numbers[column]![row] = Number.NaN
    }
  }

  /** Presence is in `slot`, the seconds in the next one, the nanos in the one after. */
  #timestampMs(slot: number): number {
    return this.#number[slot + 1]! * 1000 + Math.floor(this.#number[slot + 2]! / 1_000_000)
  }

  /** Writes the text of a slot that is set and no text itself: `#textStart` to the end of the array that it returns. */
  #write(source: number, slot: number, column: number): Uint8Array {
    const scratch = this.#scratch
    const number = this.#number[slot]!
    const kind = this.#kind[slot]!
    if (source === TEXT_ENUM) {
      const name = this.#enumNames[column]?.get(number)
      if (name !== undefined) {
        this.#textStart = 0
        return name
      }
    }
    if (source === TEXT_CONSTANT) {
      this.#textStart = 0
      return this.#constants[column]!
    }
    if (source === TEXT_BOOL || (source === TEXT_PROPERTY && kind === PROPERTY_BOOL)) {
      this.#textStart = writeBool(number !== 0, scratch)
    } else if (source === TEXT_INT64 || source === TEXT_UINT64 || (source === TEXT_PROPERTY && kind === PROPERTY_INT)) {
      this.#textStart = writeInt64(this.#low[slot]!, this.#high[slot]!, source === TEXT_UINT64, scratch)
    } else {
      this.#textStart = writeDouble(source === TEXT_TIME ? this.#timestampMs(slot) : number, scratch)
    }
    return scratch
  }
}

/** Compiles what `schema` needs. Throws DESCRIPTOR_INVALID when its paths contradict each other. */
export function compileProjection(schema: ProjectionSchema): Projection {
  return new Projection(schema)
}

function enumBytes(field: FieldRef): ReadonlyMap<number, Uint8Array> | null {
  if (field.enumNames === undefined) return null
  const encoder = new TextEncoder()
  return new Map(Object.entries(field.enumNames).map(([number, name]) => [Number(number), encoder.encode(name)]))
}
