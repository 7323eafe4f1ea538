/**
 * Code that makes a row of the slots of a kernel: time, numbers, key, texts.
 *
 * Owns: the checks of event/projection.ts, each of which leaves the record to it, and the arrays of the batch. A row counts
 * when all of it is there: only then are its texts in the batch.
 */
import { KEY_BYTES_MAX, TEXT_BYTES_MAX } from '../core/limits.ts'
import type { KernelFrame, KernelSlot } from './kernel-frame.ts'
import { type KernelLayout, NAMES_MAX, SCRATCH_END, TABLE_BY_ID, TABLE_IDS } from './kernel-layout.ts'
import type { KernelColumn, KernelPlan } from './kernel-plan.ts'
import { PROPERTY_TEXT } from './projection-ops.ts'
import { FROM_UINT64, TEXT_BYTES, TEXT_STRING, TEXT_UINT64 } from './projection-sources.ts'
import { KEY_ROOM_MIN } from './scan.ts'
import { brIf, bump, type Code, call, choose, f64, get, I32, i32, i64, label, loop, set, when } from './wasm-code.ts'

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)
/** Seconds of a timestamp that is in range whatever its nanos are. */
const SECONDS_MAX = 8_640_000_000_000n - 3n

/** Functions of event/kernel-text.ts, by index. */
export interface TextFunctions {
  readonly find: number
  readonly decimal: number
}

/** The row of the record whose fields have been walked. */
export function addRow(frame: KernelFrame, plan: KernelPlan, layout: KernelLayout, texts: TextFunctions): Code {
  const row = (bytes: number): Code => i32.mul(get(frame.row), i32.of(bytes))
  const columns = plan.columns.map((column, i) => {
    const isText = column.source >= TEXT_STRING
    return {
      column,
      base: layout.columns[i]!,
      table: layout.tables[i]!,
      names: layout.names[i]!,
      entry: isText ? frame.locals.add(I32) : -1,
    }
  })
  return [
    eventTime(frame, plan, layout.timeMs),
    columns.map(({ column, base, entry }) => (entry < 0 ? addNumber(frame, column, base) : [])),
    addKey(frame, plan.key, layout, texts),
    columns.map((each) =>
      each.entry < 0 ? [] : findText(frame, each.column, each.names, each.table, each.entry, texts),
    ),
    // Nothing stands in its way from here on.
    columns.map(({ base, table, entry }) => (entry < 0 ? [] : addId(frame, table, entry, base))),
    f64.store(row(8), f64.add(get(frame.baseOffset), f64.fromI32(get(frame.offsetDelta))), layout.offset),
    set(frame.maxTime, f64.max(get(frame.maxTime), get(frame.time))),
    set(frame.key, get(frame.nextKey)),
    bump(frame.row, 1),
  ]
}

function eventTime(frame: KernelFrame, plan: KernelPlan, base: number): Code {
  const { time, unusual, row } = frame
  const slot = frame.slot(plan.timeSlot)
  let value: Code
  if (slot.kind === 'time') {
    value = timestampMs(frame, slot)
  } else if (slot.kind === 'whole' || slot.kind === 'number') {
    const whole = slot.kind === 'whole' ? get(slot.value) : i64.fromF64(get(slot.value))
    value = [
      // Times before 1970, and those beyond exact doubles, are for others.
      brIf(unusual, i64.greaterU(whole, i64.of(SAFE))),
      plan.timeUnitMs >= 1
        ? f64.mul(f64.fromI64(whole), f64.of(plan.timeUnitMs))
        : f64.fromI64(i64.divU(whole, i64.of(BigInt(Math.round(1 / plan.timeUnitMs))))),
    ]
  } else {
    throw new TypeError('an event without a time')
  }
  return [
    brIf(unusual, i32.isZero(get(slot.present))),
    set(time, value),
    brIf(unusual, i32.isZero(f64.atMost(get(time), get(frame.latestMs)))),
    f64.store(i32.shl(get(row), i32.of(3)), get(time), base),
  ]
}

/** Milliseconds of a timestamp whose nanos are not negative. */
function timestampMs({ unusual }: KernelFrame, { seconds, nanos }: KernelSlot & { kind: 'time' }): Code {
  return [
    brIf(unusual, i32.lessS(get(nanos), i32.of(0))),
    f64.add(f64.mul(f64.fromI64(get(seconds)), f64.of(1000)), f64.fromU32(i32.divU(get(nanos), i32.of(1_000_000)))),
  ]
}

function addNumber(frame: KernelFrame, column: KernelColumn, base: number): Code {
  const { unusual } = frame
  const slot = frame.slot(column.slot)
  const address = i32.shl(get(frame.row), i32.of(3))
  let checks: Code = []
  let value: Code
  let there: Code
  switch (slot.kind) {
    case 'time':
      checks = brIf(unusual, i64.greaterU(get(slot.seconds), i64.of(SECONDS_MAX)))
      value = timestampMs(frame, slot)
      there = get(slot.present)
      break
    case 'whole':
      checks = brIf(unusual, unsafe(slot.value, column.source === FROM_UINT64))
      value = f64.fromI64(get(slot.value))
      there = get(slot.present)
      break
    case 'number':
      value = get(slot.value)
      there = get(slot.present)
      break
    case 'property':
      // A text reads as absent.
      value = get(slot.value)
      there = i32.greaterU(get(slot.member), i32.of(PROPERTY_TEXT))
      break
    default:
      throw new TypeError('a number that is none')
  }
  if (column.presence < 0) return [checks, f64.store(address, value, base)]
  const presence = frame.slots.get(column.presence)
  const exists = presence?.kind === 'presence' ? i32.or(there, get(presence.present)) : there
  return [checks, when(exists, f64.store(address, value, base), f64.store(address, f64.of(Number.NaN), base))]
}

/** Whether an integer of 64 bits is beyond what doubles hold exactly. */
function unsafe(value: number, unsigned: boolean): Code {
  return unsigned
    ? i64.greaterU(get(value), i64.of(SAFE))
    : i64.greaterU(i64.add(get(value), i64.of(SAFE)), i64.of(2n * SAFE))
}

/** The text of a slot into `from` and `length`, which is 0 where there is none. */
function textOf(
  frame: KernelFrame,
  { source, slot: index }: KernelColumn,
  names: number,
  { decimal }: TextFunctions,
): Code {
  const { from, length, unusual, q } = frame
  const slot = frame.slot(index)
  if (slot.kind === 'bytes') return [set(from, get(slot.from)), set(length, get(slot.length))]
  if (slot.kind === 'property') {
    return [
      brIf(unusual, i32.greaterU(get(slot.member), i32.of(PROPERTY_TEXT))),
      set(from, get(slot.from)),
      set(length, get(slot.length)),
    ]
  }
  const write = (whole: Code): Code => [
    set(from, call(decimal, whole)),
    set(length, i32.sub(i32.of(SCRATCH_END), get(from))),
  ]
  let text: Code
  if (slot.kind === 'whole') {
    text = [brIf(unusual, unsafe(slot.value, source === TEXT_UINT64)), write(get(slot.value))]
  } else if (slot.kind === 'time') {
    text = [
      brIf(unusual, i64.greaterU(get(slot.seconds), i64.of(SECONDS_MAX))),
      write(i64.fromF64(timestampMs(frame, slot))),
    ]
  } else if (slot.kind === 'number' && names >= 0) {
    text = [
      set(q, wrapToI32(get(slot.value))),
      brIf(unusual, i32.atLeastU(get(q), i32.of(NAMES_MAX))),
      set(q, i32.shl(get(q), i32.of(3))),
      set(from, i32.load(get(q), names)),
      set(length, i32.load(get(q), names + 4)),
      brIf(unusual, i32.isZero(get(length))),
    ]
  } else if (slot.kind === 'number') {
    const whole = i64.fromF64(get(slot.value))
    text = [
      // A fraction, and what is no number.
      brIf(unusual, f64.differ(f64.fromI64(whole), get(slot.value))),
      set(frame.word, whole),
      brIf(unusual, unsafe(frame.word, false)),
      write(get(frame.word)),
    ]
  } else {
    throw new TypeError('a text that is none')
  }
  return [set(length, i32.of(0)), when(get(slot.present), text)]
}

function wrapToI32(value: Code): Code {
  return [i64.fromF64(value), 0xa7]
}

/** Copies and hashes the key by words, as core/hash and event/scan.ts have it. */
function addKey(frame: KernelFrame, key: KernelColumn, layout: KernelLayout, texts: TextFunctions): Code {
  const { locals, unusual, from, length, byte: word, raw: room, row } = frame
  const hash = locals.add(I32)
  const bits = locals.add(I32)
  const to = locals.add(I32)
  const end = locals.add(I32)
  const words = label('words')
  const tail = i32.and(get(length), i32.of(3))
  const scrambled = (block: Code): Code =>
    i32.mul(i32.rotl(i32.mul(block, i32.of(0xcc9e2d51)), i32.of(15)), i32.of(0x1b873593))
  const fold = (by: number): Code => set(hash, i32.xor(get(hash), i32.shrU(get(hash), i32.of(by))))
  const put = (value: Code): Code => [
    set(word, value),
    i32.store(get(to), get(word)),
    set(bits, i32.or(get(bits), get(word))),
    set(hash, i32.xor(get(hash), scrambled(get(word)))),
  ]
  const start = i32.sub(get(frame.key), i32.of(layout.keys))
  const array = i32.shl(get(row), i32.of(2))
  return [
    textOf(frame, key, -1, texts),
    brIf(unusual, i32.greaterU(i32.sub(get(length), i32.of(1)), i32.of(KEY_BYTES_MAX - 1))),
    // Bytes that are like the text of bytes that are none.
    key.source === TEXT_BYTES ? brIf(unusual, i32.equal(i32.load8(get(from)), i32.of(0x62))) : [],
    i64.store(get(frame.key), i64.of(0n)),
    i32.store(get(frame.key), i32.of(0), 8),
    set(hash, i32.of(0)),
    set(bits, i32.of(0)),
    set(to, get(frame.key)),
    set(end, i32.add(get(from), i32.and(get(length), i32.of(~3)))),
    when(
      i32.lessU(get(from), get(end)),
      loop(
        words,
        put(i32.load(get(from))),
        set(hash, i32.add(i32.mul(i32.rotl(get(hash), i32.of(13)), i32.of(5)), i32.of(0xe6546b64))),
        bump(to, 4),
        bump(from, 4),
        brIf(words, i32.lessU(get(from), get(end))),
      ),
    ),
    when(tail, put(i32.and(i32.load(get(from)), i32.sub(i32.shl(i32.of(1), i32.shl(tail, i32.of(3))), i32.of(1))))),
    brIf(unusual, i32.and(get(bits), i32.of(0x80808080))),
    set(hash, i32.xor(get(hash), get(length))),
    fold(16),
    set(hash, i32.mul(get(hash), i32.of(0x85ebca6b))),
    fold(13),
    set(hash, i32.mul(get(hash), i32.of(0xc2b2ae35))),
    fold(16),
    i32.store(array, get(hash), layout.keyHash),
    i32.store(array, start, layout.keyStart),
    i32.store(array, i32.add(start, get(length)), layout.keyEnd),
    set(room, i32.and(i32.add(get(length), i32.of(3)), i32.of(~3))),
    set(
      frame.nextKey,
      i32.add(get(frame.key), choose(i32.greaterU(get(room), i32.of(KEY_ROOM_MIN)), get(room), i32.of(KEY_ROOM_MIN))),
    ),
  ]
}

/** Finds the text of a column: `entry` is its entry, 0 for the empty text. */
function findText(
  frame: KernelFrame,
  column: KernelColumn,
  names: number,
  table: number,
  entry: number,
  texts: TextFunctions,
): Code {
  const { from, length, unusual } = frame
  return [
    textOf(frame, column, names, texts),
    set(entry, i32.of(0)),
    when(get(length), [
      brIf(unusual, i32.greaterU(get(length), i32.of(TEXT_BYTES_MAX))),
      set(entry, call(texts.find, i32.of(table), get(from), get(length), i32.of(0))),
      brIf(unusual, i32.isZero(get(entry))),
    ]),
  ]
}

/** The id of a text in the batch: a new one where it is the first of it there. */
function addId({ raw: id, batch, row }: KernelFrame, table: number, entry: number, base: number): Code {
  return [
    set(id, i32.of(0)),
    when(
      get(entry),
      when(i32.equal(i32.load(get(entry), 8), get(batch)), set(id, i32.load(get(entry), 12)), [
        set(id, i32.load(i32.of(table), TABLE_IDS)),
        i32.store(i32.of(table), i32.add(get(id), i32.of(1)), TABLE_IDS),
        i32.store(i32.shl(get(id), i32.of(2)), get(entry), table + TABLE_BY_ID),
        i32.store(get(entry), get(batch), 8),
        i32.store(get(entry), get(id), 12),
      ]),
    ),
    i32.store16(i32.shl(get(row), i32.of(1)), get(id), base),
  ]
}
