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
  OP_BYTES,
  OP_CODE_MASK,
  OP_CODE_SHIFT,
  OP_MAP,
  OP_MARK_MASK,
  OP_MARK_SHIFT,
  OP_MESSAGE,
  OP_NO_FIELD,
  OP_ONEOF,
  OP_OPERAND_SHIFT,
  OP_TIMESTAMP,
  OP_WIRE_MASK,
} from './projection-ops.ts'
import { FieldSlots } from './projection-slots.ts'
import { deadLetterReasons } from './schema.ts'
import { readUint32, skipBytes, skipValue, skipVarint, WIRE_BYTES, WIRE_VARINT } from './wire.ts'

// The codes of event/projection.ts: index plus 1.
const UNDECODABLE = deadLetterReasons.indexOf('undecodable') + 1
const WRONG_TYPE = deadLetterReasons.indexOf('wrong_type') + 1

// What a tag of one byte asks for, besides the ops of event/projection-ops.ts, which are greater than 0.
const SKIP_BYTES = 0
const SKIP_VARINT = -1
const ANY_FIELD = -2

/** Scans records into slots. One instance serves one thread. */
export class FieldScanner extends FieldSlots {
  readonly #tables: ProjectionTables
  /** By node and first byte of a tag: the op, where the tag is whole and its wire type is the field's; or one of the above. */
  readonly #ops: Int32Array

  constructor(tables: ProjectionTables) {
    super(tables.slots)
    this.#tables = tables
    this.#ops = Int32Array.from({ length: tables.nodeBase.length * 256 }, (_, i) => this.#opOfTag(i >>> 8, i & 255))
  }

  /** Scans the record in `bytes[start .. end)`; returns 0 or the code of a dead-letter reason. */
  scan(bytes: Uint8Array, start: number, end: number): number {
    const kind = this.kind
    for (let i = 0; i < kind.length; i++) kind[i] = 0
    return this.#message(bytes, start, end, 0)
  }

  #opOfTag(node: number, tag: number): number {
    const field = tag >>> 3
    if (tag > 0x7f || field === 0) return ANY_FIELD
    const op =
      field < this.#tables.nodeLimit[node]!
        ? this.#tables.dense[this.#tables.nodeBase[node]! + field]!
        : this.#sparse(node, field)
    const wire = tag & 7
    if (op === 0) return wire === WIRE_BYTES ? SKIP_BYTES : wire === WIRE_VARINT ? SKIP_VARINT : ANY_FIELD
    return wire === (op & OP_WIRE_MASK) && (wire === WIRE_BYTES || wire === WIRE_VARINT) ? op : ANY_FIELD
  }

  /**
   * The usual fields, with tags, lengths and varints of one byte, are taken here, in a few steps each; `#field` takes all
   * others. A field has two bytes at least, so that many may be read while `at` is before the last byte.
   */
  #message(bytes: Uint8Array, start: number, end: number, node: number): number {
    const ops = this.#ops
    const base = node << 8
    const last = end - 1
    let at = start
    while (at < last) {
      const op = ops[base + bytes[at]!]!
      const byte = bytes[at + 1]!
      if (op === SKIP_BYTES) {
        if (byte < 0x80) {
          at += byte + 2
          continue
        }
      } else if (op === SKIP_VARINT) {
        if (byte < 0x80) {
          at += 2
          continue
        }
      } else if (op > 0) {
        const operand = op >>> OP_OPERAND_SHIFT
        const code = (op >>> OP_CODE_SHIFT) & OP_CODE_MASK
        if ((op & OP_WIRE_MASK) === WIRE_VARINT) {
          this.kind[operand] = (op >>> OP_MARK_SHIFT) & OP_MARK_MASK
          at = this.varint(bytes, at + 1, end, code, operand)
          if (at < 0) return UNDECODABLE
          continue
        }
        if (byte < 0x80 && (code === OP_BYTES || code === OP_TIMESTAMP)) {
          const from = at + 2
          at = from + byte
          if (at > end) return UNDECODABLE
          if (code === OP_BYTES) {
            this.kind[operand] = (op >>> OP_MARK_SHIFT) & OP_MARK_MASK
            this.low[operand] = from
            this.high[operand] = at
          } else {
            const reason = this.timestamp(bytes, from, at, operand)
            if (reason !== 0) return reason
          }
          continue
        }
      }
      at = this.#field(bytes, at, end, node)
      if (at < 0) return -at
    }
    // Beyond the end is a field that says it is longer; before it is a byte that is no field.
    return at === end ? 0 : UNDECODABLE
  }

  /** Takes any one field; returns the position behind it, or -reason. */
  #field(bytes: Uint8Array, start: number, end: number, node: number): number {
    const tables = this.#tables
    let at = start + 1
    let tag = bytes[start]!
    if (tag > 0x7f) {
      if (at < end && bytes[at]! < 0x80) {
        tag = (tag & 0x7f) | (bytes[at++]! << 7)
      } else {
        tag = readUint32(bytes, start, end)
        if (tag < 0) return -UNDECODABLE
        at = skipVarint(bytes, start, end)
      }
    }
    const field = tag >>> 3
    const wire = tag & 7
    let op = field < tables.nodeLimit[node]! ? tables.dense[tables.nodeBase[node]! + field]! : this.#sparse(node, field)
    if (op !== 0 && wire !== (op & OP_WIRE_MASK)) {
      if (op === OP_NO_FIELD) return -UNDECODABLE
      if (((op >>> OP_CODE_SHIFT) & OP_CODE_MASK) === OP_ONEOF) op = this.#oneof(op)
      if (op !== 0 && wire !== (op & OP_WIRE_MASK))
        return skipValue(bytes, at, end, wire, field) < 0 ? -UNDECODABLE : -WRONG_TYPE
    }
    if (op === 0) {
      at = skipValue(bytes, at, end, wire, field)
      return at < 0 ? -UNDECODABLE : at
    }
    const operand = op >>> OP_OPERAND_SHIFT
    const code = (op >>> OP_CODE_SHIFT) & OP_CODE_MASK
    const mark = (op >>> OP_MARK_SHIFT) & OP_MARK_MASK
    if (wire !== WIRE_BYTES) {
      this.kind[operand] = mark
      at = wire === WIRE_VARINT ? this.varint(bytes, at, end, code, operand) : this.fixed(bytes, at, end, code, operand)
      return at < 0 ? -UNDECODABLE : at
    }
    let length = at < end ? bytes[at]! : 0x80
    if (length < 0x80) {
      at++
    } else {
      length = readUint32(bytes, at, end)
      if (length < 0) return -UNDECODABLE
      at = skipVarint(bytes, at, end)
    }
    const next = at + length
    if (next > end) return -UNDECODABLE
    if (code === OP_BYTES) {
      this.kind[operand] = mark
      this.low[operand] = at
      this.high[operand] = next
      return next
    }
    const reason =
      code === OP_TIMESTAMP
        ? this.timestamp(bytes, at, next, operand)
        : code === OP_MESSAGE
          ? this.#message(bytes, at, next, operand)
          : code === OP_MAP
            ? this.#entry(bytes, at, next, operand)
            : this.#present(bytes, at, next, operand)
    return reason === 0 ? next : -reason
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
