/**
 * Code that walks the fields of a message into the slots of a kernel.
 *
 * By the rules of event/projection-scan.ts: last value wins, messages merge, an entry that comes again replaces the old one.
 * Fields are told apart by their tag of one byte through a table of jumps, those of two bytes by comparing.
 *
 * A message ends where its fields do, exactly: whatever lies about lengths, a position is compared with an end before
 * anything is made of what was read.
 */
import type { KernelFrame, KernelSlot } from './kernel-frame.ts'
import type { KernelField, KernelProperty } from './kernel-plan.ts'
import {
  fixedBytes,
  fixedValue,
  readLength,
  readTimestamp,
  readVarint,
  skipVarint,
  varintValue,
} from './kernel-wire.ts'
import { PROPERTY_BOOL, PROPERTY_DOUBLE, PROPERTY_INT, PROPERTY_TEXT } from './projection-ops.ts'
import {
  block,
  br,
  brIf,
  brTable,
  bump,
  type Code,
  f64,
  get,
  I32,
  i32,
  i64,
  type Label,
  label,
  loop,
  set,
  when,
} from './wasm-code.ts'
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from './wire.ts'

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** Walks the fields from `p` to the end that a local says, which is in the window. */
export function walkFields(frame: KernelFrame, fields: readonly KernelField[], end: number): Code {
  const { p, unusual } = frame
  const next = label('fields')
  const done = label('done')
  return [
    block(done, loop(next, brIf(done, i32.atLeastU(get(p), get(end))), walkField(frame, fields, end, next), br(next))),
    brIf(unusual, i32.differ(get(p), get(end))),
  ]
}

/** One field, whose tag is at `p`; goes to `next` behind it. */
function walkField(frame: KernelFrame, fields: readonly KernelField[], end: number, next: Label): Code {
  const { p, raw, byte, unusual } = frame
  const skips: (Label | undefined)[] = []
  skips[WIRE_VARINT] = label('skip a varint')
  skips[WIRE_FIXED64] = label('skip eight bytes')
  skips[WIRE_BYTES] = label('skip bytes')
  skips[WIRE_FIXED32] = label('skip four bytes')
  const byNumber = new Map(fields.map((field) => [field.number, { field, to: label(`field ${field.number}`) }]))
  const targetOf = (tag: number): Label => {
    const found = byNumber.get(tag >>> 3)
    if (tag < 8) return unusual
    if (found === undefined) return skips[tag & 7] ?? unusual
    return found.field.kind === 'skipped' || wireOf(found.field) === (tag & 7) ? found.to : unusual
  }
  const skipByWire = brTable(
    i32.and(get(raw), i32.of(7)),
    Array.from({ length: 8 }, (_, wire) => skips[wire] ?? unusual),
  )
  const long = label('a tag of two bytes')
  const readLong: Code = [
    // Longer ones, and those that would fit one byte, are for others. `p` is then as if the tag had one.
    set(byte, i32.load8(get(p), 1)),
    brIf(unusual, i32.greaterU(i32.sub(get(byte), i32.of(1)), i32.of(0x7e))),
    set(raw, i32.or(i32.and(get(raw), i32.of(0x7f)), i32.shl(get(byte), i32.of(7)))),
    bump(p, 1),
    fields.map(({ number }): Code => {
      if (number < 16) return []
      const other = label('another field')
      return block(
        other,
        brIf(other, i32.differ(i32.shrU(get(raw), i32.of(3)), i32.of(number))),
        brTable(
          i32.and(get(raw), i32.of(7)),
          Array.from({ length: 8 }, (_, wire) => targetOf(number * 8 + wire)),
        ),
      )
    }),
    skipByWire,
  ]
  const skipped = [...byNumber.values()].filter(({ field }) => field.kind === 'skipped')
  const taken = [...byNumber.values()].filter(({ field }) => field.kind !== 'skipped')
  // From within outwards: each may go to those after it.
  const cases: [Label, Code][] = [
    [long, readLong],
    ...skipped.map(({ field, to }): [Label, Code] => [to, [frame.clear(field.unset), skipByWire]]),
    [skips[WIRE_VARINT], skipVarint(frame)],
    [skips[WIRE_BYTES], [readLength(frame), set(p, i32.add(get(p), get(raw)))]],
    [skips[WIRE_FIXED64], bump(p, 9)],
    [skips[WIRE_FIXED32], bump(p, 5)],
    ...taken.map(({ field, to }): [Label, Code] => [to, [frame.clear(field.unset), takeField(frame, field, end)]]),
  ]
  const tags = Array.from({ length: 128 }, (_, tag) => targetOf(tag))
  let code: Code = [set(raw, i32.load8(get(p))), brTable(get(raw), [...tags, long])]
  for (const [to, then] of cases) code = [block(to, code), then, br(next)]
  return code
}

function wireOf(field: KernelField): number {
  return field.kind === 'value' ? field.wire : WIRE_BYTES
}

function takeField(frame: KernelFrame, field: KernelField, end: number): Code {
  if (field.kind === 'skipped') return []
  if (field.kind === 'message') return takeMessage(frame, field, end)
  if (field.kind === 'properties') return takeProperty(frame, field.wanted)
  const { p, raw } = frame
  const slot = frame.slot(field.slot)
  if (slot.kind === 'time') return readTimestamp(frame, slot)
  if (slot.kind === 'bytes') {
    return [readLength(frame), set(slot.from, get(p)), set(slot.length, get(raw)), set(p, i32.add(get(p), get(raw)))]
  }
  if (slot.kind !== 'whole' && slot.kind !== 'number') throw new TypeError(`field ${field.number} has no value`)
  const size = fixedBytes(field.code)
  return [
    set(slot.present, i32.of(1)),
    size === 0
      ? [readVarint(frame, p), set(slot.value, varintValue(frame, field.code))]
      : [set(slot.value, fixedValue(frame, field.code)), bump(p, 1 + size)],
  ]
}

function takeMessage(frame: KernelFrame, field: KernelField & { kind: 'message' }, outerEnd: number): Code {
  const { p, raw, unusual, locals } = frame
  const end = locals.add(I32)
  const presence = field.presence < 0 ? null : frame.slot(field.presence)
  return [
    readLength(frame),
    presence?.kind === 'presence' ? set(presence.present, i32.of(1)) : [],
    set(end, i32.add(get(p), get(raw))),
    // Its fields are walked without another look at what is around them.
    brIf(unusual, i32.greaterU(get(end), get(outerEnd))),
    walkFields(frame, field.fields, end),
  ]
}

/**
 * An entry as it is written: a key, then a property with one member. Another form of an entry, wanted or not, is for
 * others.
 */
function takeProperty(frame: KernelFrame, wanted: readonly KernelProperty[]): Code {
  const { p, q, raw, byte, from, length, unusual } = frame
  const done = label('entry')
  const found = wanted.map(() => label('property'))
  let code: Code = [
    readLength(frame),
    set(q, get(p)),
    set(p, i32.add(get(p), get(raw))),
    brIf(unusual, i32.differ(i32.load8(get(q)), i32.of(0x0a))),
    set(length, i32.load8(get(q), 1)),
    brIf(unusual, i32.greaterU(get(length), i32.of(0x7f))),
    set(from, i32.add(get(q), i32.of(2))),
    // The value, of less than 128 bytes, ends with the entry.
    set(q, i32.add(get(from), get(length))),
    brIf(unusual, i32.differ(i32.load8(get(q)), i32.of(0x12))),
    set(byte, i32.load8(get(q), 1)),
    brIf(unusual, i32.greaterU(get(byte), i32.of(0x7f))),
    bump(q, 2),
    brIf(unusual, i32.differ(i32.add(get(q), get(byte)), get(p))),
    wanted.map(({ key }, i) => whenKey(frame, key, br(found[i]!))),
    br(done),
  ]
  wanted.forEach(({ slot }, i) => {
    const to = frame.slot(slot)
    if (to.kind !== 'property') throw new TypeError('a property without a slot')
    code = [block(found[i]!, code), takeMember(frame, to), br(done)]
  })
  return block(done, code)
}

/** `then` where the text of `length` bytes at `from` is `key`. */
function whenKey({ from, length }: KernelFrame, key: Uint8Array, then: Code): Code {
  const other = label('another key')
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  const checks: Code[] = [brIf(other, i32.differ(get(length), i32.of(key.length)))]
  let at = 0
  for (; at + 8 <= key.length; at += 8)
    checks.push(brIf(other, i64.differ(i64.load(get(from), at), i64.of(view.getBigInt64(at, true)))))
  if (at + 4 <= key.length) {
    checks.push(brIf(other, i32.differ(i32.load(get(from), at), i32.of(view.getInt32(at, true)))))
    at += 4
  }
  if (at + 2 <= key.length) {
    checks.push(brIf(other, i32.differ(i32.load16(get(from), at), i32.of(view.getUint16(at, true)))))
    at += 2
  }
  if (at < key.length) checks.push(brIf(other, i32.differ(i32.load8(get(from), at), i32.of(key[at]!))))
  return block(other, checks, then)
}

/** The one member of the property at `q`, which ends at `p`. */
function takeMember(frame: KernelFrame, slot: KernelSlot & { kind: 'property' }): Code {
  const { p, q, raw, word, unusual } = frame
  const done = label('member')
  const put = (member: number, value: Code): Code => [
    set(slot.member, i32.of(member)),
    set(slot.length, i32.of(0)),
    set(slot.value, value),
  ]
  const is = (tag: number, then: Code): Code =>
    when(i32.equal(get(raw), i32.of(tag)), [then, brIf(unusual, i32.differ(get(q), get(p))), br(done)])
  return block(
    done,
    brIf(unusual, i32.atLeastU(get(q), get(p))),
    set(raw, i32.load8(get(q))),
    is(0x0a, [
      put(PROPERTY_TEXT, f64.of(0)),
      set(slot.length, i32.load8(get(q), 1)),
      brIf(unusual, i32.greaterU(get(slot.length), i32.of(0x7f))),
      set(slot.from, i32.add(get(q), i32.of(2))),
      set(q, i32.add(get(slot.from), get(slot.length))),
    ]),
    is(0x11, [put(PROPERTY_DOUBLE, f64.load(get(q), 1)), bump(q, 9)]),
    is(0x18, [
      readVarint(frame, q),
      brIf(unusual, i64.greaterU(get(word), i64.of(SAFE))),
      put(PROPERTY_INT, f64.fromI64(get(word))),
    ]),
    is(0x20, [readVarint(frame, q), put(PROPERTY_BOOL, f64.fromI32(i32.isZero(i64.isZero(get(word)))))]),
    br(unusual),
  )
}
