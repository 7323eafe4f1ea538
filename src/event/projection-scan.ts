/**
 * The walk of a projection over the wire format: finds the wanted fields of one record and notes their values in slots.
 *
 * Owns: the rules of decoding (last value wins, messages merge, the last entry of a map key replaces the one before, a
 * oneof member unsets its siblings, unknown fields are skipped by length). Does not own: which fields are wanted
 * (event/projection-plan.ts), what becomes of the values (event/projection.ts).
 *
 * Invariants: never throws, reads only [start, end), allocates nothing. A slot of `kind` 0 is unset, the rest is garbage.
 */

import type { ProjectionTables } from './projection-layout.ts'
import {
  KIND_SET,
  OP_BOOL,
  OP_BYTES,
  OP_CODE_MASK,
  OP_CODE_SHIFT,
  OP_DOUBLE,
  OP_FIXED32,
  OP_FIXED64,
  OP_FLOAT,
  OP_INT32,
  OP_INT64,
  OP_MAP,
  OP_MARK_MASK,
  OP_MARK_SHIFT,
  OP_MESSAGE,
  OP_NO_FIELD,
  OP_ONEOF,
  OP_OPERAND_SHIFT,
  OP_SFIXED32,
  OP_SINT32,
  OP_SINT64,
  OP_TIMESTAMP,
  OP_UINT32,
  OP_WIRE_MASK,
} from './projection-ops.ts'
import { deadLetterReasons } from './schema.ts'
import { readUint32, skipBytes, skipValue, skipVarint, WIRE_BYTES, WIRE_VARINT } from './wire.ts'

// The codes of event/projection.ts: index plus 1.
const UNDECODABLE = deadLetterReasons.indexOf('undecodable') + 1
const WRONG_TYPE = deadLetterReasons.indexOf('wrong_type') + 1

const doubleBits = new Float64Array(1)
const doubleLanes = new Uint32Array(doubleBits.buffer)
const floatBits = new Float32Array(1)
const floatLanes = new Uint32Array(floatBits.buffer)

/** Scans records into slots. One instance serves one thread. */
export class FieldScanner {
  /** By slot: 0 when unset, else KIND_SET or the member of a property. */
  readonly kind: Uint8Array
  /** By slot: numbers of up to 32 bits, floats, doubles and bools. */
  readonly number: Float64Array
  /** By slot: low half of a 64-bit integer, or start of a range of bytes. */
  readonly low: Int32Array
  /** By slot: high half of a 64-bit integer, or end of a range of bytes. */
  readonly high: Int32Array
  readonly #tables: ProjectionTables

  constructor(tables: ProjectionTables) {
    this.#tables = tables
    this.kind = new Uint8Array(tables.slots)
    this.number = new Float64Array(tables.slots)
    this.low = new Int32Array(tables.slots)
    this.high = new Int32Array(tables.slots)
  }

  /** Scans the record in `bytes[start .. end)`; returns 0 or the code of a dead-letter reason. */
  scan(bytes: Uint8Array, start: number, end: number): number {
    const kind = this.kind
    for (let i = 0; i < kind.length; i++) kind[i] = 0
    return this.#message(bytes, start, end, 0)
  }

  #message(bytes: Uint8Array, start: number, end: number, node: number): number {
    const tables = this.#tables
    const dense = tables.dense
    const base = tables.nodeBase[node]!
    const limit = tables.nodeLimit[node]!
    const kind = this.kind
    const low = this.low
    const high = this.high
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
      const field = tag >>> 3
      const wire = tag & 7
      let op = field < limit ? dense[base + field]! : this.#sparse(node, field)
      if (op === 0) {
        if (wire === WIRE_BYTES && at < end && bytes[at]! < 0x80) {
          at += bytes[at]! + 1
          if (at > end) return UNDECODABLE
        } else {
          at = skipValue(bytes, at, end, wire, field)
          if (at < 0) return UNDECODABLE
        }
        continue
      }
      if (wire !== (op & OP_WIRE_MASK)) {
        if (op === OP_NO_FIELD) return UNDECODABLE
        const oneof = ((op >>> OP_CODE_SHIFT) & OP_CODE_MASK) === OP_ONEOF
        if (oneof) op = this.#oneof(op)
        if (wire !== (op & OP_WIRE_MASK) || op === 0) {
          at = skipValue(bytes, at, end, wire, field)
          if (at < 0) return UNDECODABLE
          if (op === 0) continue
          return WRONG_TYPE
        }
      }
      const operand = op >>> OP_OPERAND_SHIFT
      const code = (op >>> OP_CODE_SHIFT) & OP_CODE_MASK
      if (wire === WIRE_BYTES) {
        let length = at < end ? bytes[at]! : 0x80
        if (length < 0x80) {
          at++
        } else {
          length = readUint32(bytes, at, end)
          if (length < 0) return UNDECODABLE
          at = skipVarint(bytes, at, end)
        }
        const next = at + length
        if (next > end) return UNDECODABLE
        if (code === OP_BYTES) {
          kind[operand] = (op >>> OP_MARK_SHIFT) & OP_MARK_MASK
          low[operand] = at
          high[operand] = next
        } else {
          const reason =
            code === OP_TIMESTAMP
              ? this.#timestamp(bytes, at, next, operand)
              : code === OP_MESSAGE
                ? this.#message(bytes, at, next, operand)
                : code === OP_MAP
                  ? this.#entry(bytes, at, next, operand)
                  : this.#present(bytes, at, next, operand)
          if (reason !== 0) return reason
        }
        at = next
        continue
      }
      kind[operand] = (op >>> OP_MARK_SHIFT) & OP_MARK_MASK
      if (wire === WIRE_VARINT) at = this.#varint(bytes, at, end, code, operand)
      else at = this.#fixed(bytes, at, end, code, operand)
      if (at < 0) return UNDECODABLE
    }
    return 0
  }

  /** Reads a varint into a slot; returns the position behind it, or -1. */
  #varint(bytes: Uint8Array, start: number, end: number, code: number, slot: number): number {
    let at = start
    if (at >= end) return -1
    let byte = bytes[at++]!
    let lo = byte & 0x7f
    let hi = 0
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (at >= end || shift > 63) return -1
      byte = bytes[at++]!
      if (shift < 28) {
        lo |= (byte & 0x7f) << shift
      } else if (shift === 28) {
        lo |= byte << 28
        hi = (byte & 0x7f) >>> 4
      } else {
        hi |= (byte & 0x7f) << (shift - 32)
      }
    }
    switch (code) {
      case OP_INT64:
        this.low[slot] = lo
        this.high[slot] = hi
        break
      case OP_BOOL:
        this.number[slot] = (lo | hi) === 0 ? 0 : 1
        break
      case OP_INT32:
        this.number[slot] = lo | 0
        break
      case OP_UINT32:
        this.number[slot] = lo >>> 0
        break
      case OP_SINT32:
        this.number[slot] = (lo >>> 1) ^ -(lo & 1)
        break
      case OP_SINT64: {
        const sign = -(lo & 1)
        this.low[slot] = ((lo >>> 1) | (hi << 31)) ^ sign
        this.high[slot] = (hi >>> 1) ^ sign
        break
      }
    }
    return at
  }

  /** Reads four or eight bytes into a slot; returns the position behind them, or -1. */
  #fixed(bytes: Uint8Array, at: number, end: number, code: number, slot: number): number {
    const size = code === OP_FIXED64 || code === OP_DOUBLE ? 8 : 4
    if (at + size > end) return -1
    const lo = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    switch (code) {
      case OP_SFIXED32:
        this.number[slot] = lo
        break
      case OP_FIXED32:
        this.number[slot] = lo >>> 0
        break
      case OP_FLOAT:
        floatLanes[0] = lo
        this.number[slot] = floatBits[0]!
        break
      default: {
        const hi = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
        if (code === OP_DOUBLE) {
          doubleLanes[0] = lo
          doubleLanes[1] = hi
          this.number[slot] = doubleBits[0]!
        } else {
          this.low[slot] = lo
          this.high[slot] = hi
        }
      }
    }
    return at + size
  }

  /**
   * Every event has one, so it has its own loop: no tables, no calls for the usual two fields. Seconds and nanos go to
   * `number` of the two slots behind; seconds beyond 2^53 are rounded, which no time that is in range has.
   */
  #timestamp(bytes: Uint8Array, start: number, end: number, slot: number): number {
    const number = this.number
    if (this.kind[slot] === 0) {
      this.kind[slot] = 1
      number[slot + 1] = 0
      number[slot + 2] = 0
    }
    let at = start
    while (at < end) {
      const tag = bytes[at]!
      if (tag === 8 || tag === 16) {
        // Up to four groups of seven bits are a positive number of at most 28 bits; five to seven fit a double exactly.
        let value = 0
        let scale = 1
        let length = 1
        for (; length < 8 && at + length < end; length++) {
          const byte = bytes[at + length]!
          value += (byte & 0x7f) * scale
          if (byte < 0x80) break
          scale *= 128
        }
        if (length < 8 && at + length < end) {
          number[slot + (tag >>> 3)] = tag === 16 ? value | 0 : value
          at += length + 1
          continue
        }
      }
      at = this.#timestampField(bytes, at, end, slot)
      if (at < 0) return -at
    }
    return 0
  }

  /** The rest of a timestamp's fields: unknown, overlong, negative, of a wrong type. Returns the position behind, or -reason. */
  #timestampField(bytes: Uint8Array, start: number, end: number, slot: number): number {
    const tag = readUint32(bytes, start, end)
    if (tag < 8) return -UNDECODABLE
    let at = skipVarint(bytes, start, end)
    const field = tag >>> 3
    if (tag !== 8 && tag !== 16) {
      at = skipValue(bytes, at, end, tag & 7, field)
      if (at < 0) return -UNDECODABLE
      return field <= 2 ? -WRONG_TYPE : at
    }
    at = this.#varint(bytes, at, end, field === 1 ? OP_INT64 : OP_INT32, slot + field)
    if (at < 0) return -UNDECODABLE
    if (field === 1) this.number[slot + 1] = this.high[slot + 1]! * 0x1_0000_0000 + (this.low[slot + 1]! >>> 0)
    return at
  }

  /** Reads one entry of a map: finds its key, and its value when the key is wanted. */
  #entry(bytes: Uint8Array, start: number, end: number, map: number): number {
    let keyStart = 0
    let keyEnd = 0
    let at = start
    while (at < end) {
      const tag = readUint32(bytes, at, end)
      if (tag < 8) return UNDECODABLE
      const value = skipVarint(bytes, at, end)
      at = (tag & 7) === WIRE_BYTES ? skipBytes(bytes, value, end) : skipValue(bytes, value, end, tag & 7, tag >>> 3)
      if (at < 0) return UNDECODABLE
      if (tag >>> 3 !== 1) continue
      if ((tag & 7) !== WIRE_BYTES) return WRONG_TYPE
      keyStart = skipVarint(bytes, value, end)
      keyEnd = at
    }
    const entries = this.#tables.maps[map]!
    const length = keyEnd - keyStart
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      const key = entry.key
      if (key.length !== length) continue
      let same = 0
      while (same < length && key[same] === bytes[keyStart + same]) same++
      if (same < length) continue
      const slots = entry.slots
      for (let j = 0; j < slots.length; j++) {
        const slot = slots[j]!
        this.kind[slot] = entry.scalar ? KIND_SET : 0
        this.number[slot] = 0
        this.low[slot] = 0
        this.high[slot] = 0
      }
      if (entry.present >= 0) this.kind[entry.present] = KIND_SET
      return this.#message(bytes, start, end, entry.node)
    }
    return 0
  }

  #present(bytes: Uint8Array, start: number, end: number, index: number): number {
    const { slot, node } = this.#tables.presents[index]!
    this.kind[slot] = KIND_SET
    return this.#message(bytes, start, end, node)
  }

  #oneof(op: number): number {
    const oneof = this.#tables.oneofs[op >>> OP_OPERAND_SHIFT]!
    const unset = oneof.unset
    for (let i = 0; i < unset.length; i++) this.kind[unset[i]!] = 0
    return oneof.op
  }

  #sparse(node: number, field: number): number {
    const tables = this.#tables
    const end = tables.sparseFrom[node + 1]!
    for (let i = tables.sparseFrom[node]!; i < end; i++)
      if (tables.sparseNumber[i] === field) return tables.sparseOp[i]!
    return 0
  }
}
