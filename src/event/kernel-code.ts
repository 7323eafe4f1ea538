/**
 * The code of a kernel: a function that reads records into rows until one is not usual.
 *
 *   run(at, end, sectionEnd, left, row, key, minDelta, maxDelta, latestMs, baseOffset, batch) -> why it stopped
 *
 * Owns: the walk over records, by the rules of event/records.ts. What it does not do it leaves undone: the record at which
 * it stops has left no trace but garbage behind the rows.
 */
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { walkFields } from './kernel-fields.ts'
import { KernelFrame } from './kernel-frame.ts'
import {
  type KernelLayout,
  STATE_AT,
  STATE_LEFT,
  STATE_MAX_TIME,
  STATE_OFFSET_DELTA,
  STATE_ROWS,
} from './kernel-layout.ts'
import type { KernelPlan } from './kernel-plan.ts'
import { addRow } from './kernel-row.ts'
import { addDecimal, addFind } from './kernel-text.ts'
import {
  block,
  br,
  brIf,
  bump,
  type Code,
  f64,
  get,
  I32,
  i32,
  type Label,
  label,
  loop,
  set,
  WasmModule,
  when,
} from './wasm-code.ts'

/** The section has no more records. */
export const STOP_ENDED = 0
/** The batch is full. */
export const STOP_FULL = 1
/** The next record is not whole in the window. */
export const STOP_WINDOW = 2
/** The next record is not usual. */
export const STOP_UNUSUAL = 3

/** Assembles the module of a kernel: `run`, and `find` of event/kernel-text.ts. */
export function kernelModule(plan: KernelPlan, layout: KernelLayout): Uint8Array {
  const module = new WasmModule(layout.memoryBytes)
  const texts = { find: addFind(module), decimal: addDecimal(module) }
  const frame = new KernelFrame(plan)
  const stop = label('stop')
  const windowed = label('window')
  const why = frame.locals.add(I32)
  const because = (reason: number): Code => [set(why, i32.of(reason)), br(stop)]
  const tell = (offset: number, value: number): Code => i32.store(i32.of(0), get(value), offset)
  module.add('run', frame.locals, I32, [
    set(frame.maxTime, f64.of(Number.NEGATIVE_INFINITY)),
    block(
      stop,
      block(
        frame.unusual,
        block(
          windowed,
          loop(
            frame.records,
            set(frame.recordAt, get(frame.at)),
            when(i32.isZero(get(frame.left)), because(STOP_ENDED)),
            when(i32.equal(get(frame.row), i32.of(BATCH_ROWS_MAX)), because(STOP_FULL)),
            recordHeader(frame, windowed),
            frame.clear(),
            walkFields(frame, plan.fields, frame.valueEnd),
            addRow(frame, plan, layout, texts),
            set(frame.rowDelta, get(frame.offsetDelta)),
            nextRecord(frame),
          ),
        ),
        because(STOP_WINDOW),
      ),
      set(why, i32.of(STOP_UNUSUAL)),
    ),
    tell(STATE_AT, frame.recordAt),
    tell(STATE_LEFT, frame.left),
    tell(STATE_ROWS, frame.row),
    tell(STATE_OFFSET_DELTA, frame.rowDelta),
    f64.store(i32.of(0), get(frame.maxTime), STATE_MAX_TIME),
    get(why),
  ])
  return module.bytes()
}

function nextRecord({ left, at, recordEnd, records }: KernelFrame): Code {
  return [bump(left, -1), set(at, get(recordEnd)), br(records)]
}

/** What is before the value of the record at `at`, whose fields are then from `p` to `valueEnd`. */
function recordHeader(frame: KernelFrame, windowed: Label): Code {
  const { at, raw, left, recordEnd, offsetDelta, minDelta, maxDelta, p, valueEnd, unusual } = frame
  const notLast = label('not the last')
  const asked = label('asked for')
  // Zigzag: what is odd is negative.
  const half = i32.shrU(get(raw), i32.of(1))
  const odd = i32.and(get(raw), i32.of(1))
  return [
    readShort(frame),
    brIf(unusual, odd),
    brIf(unusual, i32.lessU(get(raw), i32.of(12))),
    set(recordEnd, i32.add(get(at), half)),
    brIf(windowed, i32.greaterU(get(recordEnd), get(frame.end))),
    block(
      notLast,
      brIf(notLast, i32.differ(get(left), i32.of(1))),
      brIf(unusual, i32.differ(get(recordEnd), get(frame.sectionEnd))),
    ),
    bump(at, 1), // attributes
    readShort(frame), // the timestamp, which rows do not have
    readShort(frame),
    brIf(unusual, odd),
    set(offsetDelta, half),
    readShort(frame),
    // The key: -1 for none.
    when(odd, brIf(unusual, i32.differ(get(raw), i32.of(1))), set(at, i32.add(get(at), half))),
    brIf(unusual, i32.atLeastU(get(at), get(recordEnd))),
    readShort(frame),
    brIf(unusual, odd),
    set(p, get(at)),
    set(valueEnd, i32.add(get(at), half)),
    // The count of headers, a byte at least, still follows. This finds whatever was read beyond the record, too.
    brIf(unusual, i32.atLeastU(get(valueEnd), get(recordEnd))),
    block(
      asked,
      brIf(asked, i32.lessU(i32.sub(get(offsetDelta), get(minDelta)), i32.sub(get(maxDelta), get(minDelta)))),
      nextRecord(frame),
    ),
  ]
}

/** The varint of at most three bytes at `at`, into `raw`; `at` is then behind it. */
function readShort({ at, raw, byte, unusual }: KernelFrame): Code {
  const more = (shift: number): Code => [
    set(byte, i32.load8(get(at))),
    bump(at, 1),
    set(raw, i32.or(get(raw), i32.shl(i32.and(get(byte), i32.of(0x7f)), i32.of(shift)))),
  ]
  return [
    set(raw, i32.load8(get(at))),
    bump(at, 1),
    when(i32.greaterU(get(raw), i32.of(0x7f)), [
      set(raw, i32.and(get(raw), i32.of(0x7f))),
      more(7),
      when(i32.greaterU(get(byte), i32.of(0x7f)), [more(14), brIf(unusual, i32.greaterU(get(byte), i32.of(0x7f)))]),
    ]),
  ]
}
