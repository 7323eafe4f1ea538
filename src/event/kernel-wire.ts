/**
 * Code that reads Protobuf's single values at the position `p` of a kernel.
 *
 * What is longer than usual leaves the record to others. Nothing is checked against the end of the message: whoever goes on
 * from `p` does that, and what has been read by then lies in the window or a few bytes behind it.
 */
import type { KernelFrame, KernelSlot } from './kernel-frame.ts'
import {
  OP_BOOL,
  OP_DOUBLE,
  OP_FIXED32,
  OP_FIXED64,
  OP_FLOAT,
  OP_INT32,
  OP_SFIXED32,
  OP_SINT32,
  OP_SINT64,
  OP_UINT32,
} from './projection-ops.ts'
import { block, brIf, bump, type Code, f64, get, i32, i64, label, set, when } from './wasm-code.ts'

/** The length behind the tag at `p`, below 16,384, into `raw`; `p` then is behind it. */
export function readLength({ p, raw, byte, unusual }: KernelFrame): Code {
  return [
    set(raw, i32.load8(get(p), 1)),
    bump(p, 2),
    when(i32.greaterU(get(raw), i32.of(0x7f)), [
      set(byte, i32.load8(get(p))),
      brIf(unusual, i32.greaterU(get(byte), i32.of(0x7f))),
      set(raw, i32.or(i32.and(get(raw), i32.of(0x7f)), i32.shl(get(byte), i32.of(7)))),
      bump(p, 1),
    ]),
  ]
}

/** Steps over the tag at `p` and a varint of up to eight bytes behind it. */
export function skipVarint(frame: KernelFrame): Code {
  const { p } = frame
  // A branch does not wait for the byte, as the sum would.
  return when(
    i32.greaterU(i32.load8(get(p), 1), i32.of(0x7f)),
    [findEnd(frame, p), set(p, behind(frame, p))],
    bump(p, 2),
  )
}

/** The varint of up to eight bytes behind the tag at a local's position, into `word`; the local then is behind it. */
export function readVarint(frame: KernelFrame, at: number): Code {
  const { word, mark } = frame
  const halve = (low: bigint, high: bigint, by: bigint): Code =>
    set(word, i64.or(i64.and(get(word), i64.of(low)), i64.shrU(i64.and(get(word), i64.of(high)), i64.of(by))))
  return [
    findEnd(frame, at),
    set(at, behind(frame, at)),
    // Groups of seven bits move together, two and two, without a branch.
    set(
      word,
      i64.and(i64.and(get(word), i64.of(0x7f7f_7f7f_7f7f_7f7fn)), i64.xor(get(mark), i64.sub(get(mark), i64.of(1n)))),
    ),
    halve(0x007f_007f_007f_007fn, 0x7f00_7f00_7f00_7f00n, 1n),
    halve(0x0000_3fff_0000_3fffn, 0x3fff_0000_3fff_0000n, 2n),
    halve(0x0000_0000_0fff_ffffn, 0x0fff_ffff_0000_0000n, 4n),
  ]
}

/** Eight bytes behind a tag into `word`; the lowest bit of `mark` is then the highest of the varint's last byte. */
function findEnd({ word, mark, unusual }: KernelFrame, at: number): Code {
  return [
    set(word, i64.load(get(at), 1)),
    set(mark, i64.and(i64.xor(get(word), i64.of(-1n)), i64.of(0x8080_8080_8080_8080n))),
    brIf(unusual, i64.isZero(get(mark))),
  ]
}

function behind({ mark }: KernelFrame, at: number): Code {
  return i32.add(get(at), i32.add(i32.wrap(i64.shrU(i64.ctz(get(mark)), i64.of(3n))), i32.of(2)))
}

/** The value of the varint in `word`, by its OP code: an i64 for those of 64 bits, else a double. */
export function varintValue({ word }: KernelFrame, code: number): Code {
  const low = i32.wrap(get(word))
  switch (code) {
    case OP_BOOL:
      return f64.fromI32(i32.isZero(i64.isZero(get(word))))
    case OP_INT32:
      return f64.fromI32(low)
    case OP_UINT32:
      return f64.fromU32(low)
    case OP_SINT32:
      return f64.fromI32(i32.xor(i32.shrU(low, i32.of(1)), i32.sub(i32.of(0), i32.and(low, i32.of(1)))))
    case OP_SINT64:
      return i64.xor(i64.shrU(get(word), i64.of(1n)), i64.sub(i64.of(0n), i64.and(get(word), i64.of(1n))))
    default:
      return get(word)
  }
}

/** The fixed value behind the tag at `p`, by its OP code: an i64 or a double, as above. */
export function fixedValue({ p }: KernelFrame, code: number): Code {
  switch (code) {
    case OP_SFIXED32:
      return f64.fromI32(i32.load(get(p), 1))
    case OP_FIXED32:
      return f64.fromU32(i32.load(get(p), 1))
    case OP_FLOAT:
      return f64.loadF32(get(p), 1)
    case OP_DOUBLE:
      return f64.load(get(p), 1)
    default:
      return i64.load(get(p), 1)
  }
}

/** Bytes of a fixed value; 0 for a varint. */
export function fixedBytes(code: number): number {
  if (code === OP_FIXED64 || code === OP_DOUBLE) return 8
  return code === OP_SFIXED32 || code === OP_FIXED32 || code === OP_FLOAT ? 4 : 0
}

/** A timestamp behind the tag at `p`, into its slot: seconds, then nanos, as they are written. */
export function readTimestamp(frame: KernelFrame, slot: KernelSlot & { kind: 'time' }): Code {
  const { p, q, raw, word, unusual } = frame
  const ended = label('timestamp')
  return [
    set(slot.present, i32.of(1)),
    readLength(frame),
    set(q, get(p)),
    set(p, i32.add(get(p), get(raw))),
    block(
      ended,
      brIf(ended, i32.isZero(get(raw))),
      when(i32.equal(i32.load8(get(q)), i32.of(8)), [
        readVarint(frame, q),
        set(slot.seconds, get(word)),
        brIf(ended, i32.equal(get(q), get(p))),
      ]),
      brIf(unusual, i32.differ(i32.load8(get(q)), i32.of(16))),
      readVarint(frame, q),
      set(slot.nanos, i32.wrap(get(word))),
      brIf(unusual, i32.differ(get(q), get(p))),
    ),
  ]
}
