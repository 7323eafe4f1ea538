/**
 * The values of single fields, from the wire into slots.
 *
 * Owns: the slots of a scan, reading varints, fixed values and timestamps. Does not own: finding fields
 * (event/projection-scan.ts).
 *
 * Invariants: never throws, reads only [start, end), allocates nothing. A slot of `kind` 0 is unset, the rest is garbage.
 */

import {
  OP_BOOL,
  OP_DOUBLE,
  OP_FIXED32,
  OP_FIXED64,
  OP_FLOAT,
  OP_INT32,
  OP_INT64,
  OP_SFIXED32,
  OP_SINT32,
  OP_SINT64,
  OP_UINT32,
} from './projection-ops.ts'
import { deadLetterReasons } from './schema.ts'
import { readUint32, skipValue, skipVarint } from './wire.ts'

// The codes of event/projection.ts: index plus 1.
const UNDECODABLE = deadLetterReasons.indexOf('undecodable') + 1
const WRONG_TYPE = deadLetterReasons.indexOf('wrong_type') + 1

const doubleBits = new Float64Array(1)
const doubleLanes = new Uint32Array(doubleBits.buffer)
const floatBits = new Float32Array(1)
const floatLanes = new Uint32Array(floatBits.buffer)

/** Slots, and how values get into them. */
export class FieldSlots {
  /** By slot: 0 when unset, else KIND_SET or the member of a property. */
  readonly kind: Uint8Array
  /** By slot: numbers of up to 32 bits, floats, doubles and bools. */
  readonly number: Float64Array
  /** By slot: low half of a 64-bit integer, or start of a range of bytes. */
  readonly low: Int32Array
  /** By slot: high half of a 64-bit integer, or end of a range of bytes. */
  readonly high: Int32Array

  constructor(slots: number) {
    this.kind = new Uint8Array(slots)
    this.number = new Float64Array(slots)
    this.low = new Int32Array(slots)
    this.high = new Int32Array(slots)
  }

  /** Reads a varint into a slot; returns the position behind it, or -1. */
  varint(bytes: Uint8Array, start: number, end: number, code: number, slot: number): number {
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
  fixed(bytes: Uint8Array, at: number, end: number, code: number, slot: number): number {
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
  timestamp(bytes: Uint8Array, start: number, end: number, slot: number): number {
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
        // Four groups of seven bits fit 32 bits; a fifth makes 35, which a double holds exactly. Longer ones are rare.
        let next = at + 1
        let byte = next < end ? bytes[next++]! : 0x80
        let value = byte & 0x7f
        if (byte > 0x7f && next < end) {
          byte = bytes[next++]!
          value |= (byte & 0x7f) << 7
          if (byte > 0x7f && next < end) {
            byte = bytes[next++]!
            value |= (byte & 0x7f) << 14
            if (byte > 0x7f && next < end) {
              byte = bytes[next++]!
              value |= (byte & 0x7f) << 21
              if (byte > 0x7f && next < end) {
                byte = bytes[next++]!
                value += (byte & 0x7f) * 0x1000_0000
              }
            }
          }
        }
        if (byte < 0x80) {
          number[slot + (tag >>> 3)] = tag === 16 ? value | 0 : value
          at = next
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
    at = this.varint(bytes, at, end, field === 1 ? OP_INT64 : OP_INT32, slot + field)
    if (at < 0) return -UNDECODABLE
    if (field === 1) this.number[slot + 1] = this.high[slot + 1]! * 0x1_0000_0000 + (this.low[slot + 1]! >>> 0)
    return at
  }
}
