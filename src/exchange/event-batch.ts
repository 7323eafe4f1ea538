/**
 * The columnar batch on the edge from source to window: layout and views.
 *
 * Owns: where each column lies in the buffer. Does not own: filling (exchange/keyed-output), reading (operator).
 *
 * One buffer, all columns of fixed room for ROWS_MAX rows, so that offsets depend on the layout only:
 *
 *   u32  header: rows | bytesUsed | one dictionary count a text column, padded to 8 bytes
 *   f64  time | one a number column | offset (only when origins are carried)
 *   u32  hash | keyStart | keyLength | mask | partition (only with origins) | count (only where rows are combined) |
 *        start and length a dictionary entry | weight, signed (only where events can be taken back)
 *   u16  one id a row and text column
 *   u8   key bytes and dictionary bytes, in the order in which they were added; starts are absolute in the buffer. Keys
 *        start at multiples of 4 and are filled up with zeros, as in a scan (event/scan.ts)
 *
 * Dictionary id 0 is the empty text in every column. Entries may repeat: ids compare only within one scan's rows, so
 * readers compare bytes.
 */

import type { BatchBuffer } from './message.ts'

/** Rows a batch has room for: four scans of 1024, of which a receiver of two has half, and not quite half. */
export const ROWS_MAX = 2304

/** Bytes for keys and dictionary texts in an ordinary buffer. */
const TEXT_BYTES = 48 * 1024

/** As many more a row where each row has a text of its own: an id. A UUID is 36 bytes; longer ones send batches earlier. */
const ID_BYTES = 40

/** Where the columns lie. Made once a job; the same on both sides. */
export interface EventBatchLayout {
  readonly numbers: number
  readonly texts: number
  /** Whether rows carry partition and offset of their record. */
  readonly origins: boolean
  /** Whether a row may stand for several events, and carries their number. */
  readonly counts: boolean
  /** Whether rows have a weight: 1, or -1 for an event that is taken back. */
  readonly weights: boolean
  readonly f64At: number
  readonly u32At: number
  readonly u16At: number
  readonly bytesAt: number
  /** Bytes of an ordinary buffer. */
  readonly byteLength: number
}

/** Computes the layout for so many columns; `ids`: one of the texts is different in each row. */
export function layOutEventBatch(
  numbers: number,
  texts: number,
  origins: boolean,
  counts = false,
  weights = false,
  ids = false,
): EventBatchLayout {
  const f64At = Math.ceil((2 + texts) / 2) * 8
  const u32At = f64At + (1 + numbers + (origins ? 1 : 0)) * ROWS_MAX * 8
  const u16At = u32At + (4 + (origins ? 1 : 0) + (counts ? 1 : 0) + texts * 2 + (weights ? 1 : 0)) * ROWS_MAX * 4
  const bytesAt = u16At + texts * ROWS_MAX * 2
  const byteLength = bytesAt + TEXT_BYTES + (ids ? ID_BYTES * ROWS_MAX : 0)
  return { numbers, texts, origins, counts, weights, f64At, u32At, u16At, bytesAt, byteLength }
}

/** Views of one buffer. Made anew for each buffer that arrives; about ten small objects a thousand rows. */
export class EventBatch {
  readonly layout: EventBatchLayout
  readonly buffer: BatchBuffer
  readonly header: Uint32Array
  readonly timeMs: Float64Array
  readonly numbers: Float64Array[] = []
  readonly offset: Float64Array | null
  readonly hash: Uint32Array
  readonly keyStart: Uint32Array
  readonly keyLength: Uint32Array
  readonly mask: Uint32Array
  readonly partition: Uint32Array | null
  /** Events that each row stands for; null where it is always one. */
  readonly count: Uint32Array | null
  /** 1, or -1 for an event that is taken back; null where none ever is. */
  readonly weight: Int32Array | null
  readonly entryStart: Uint32Array[] = []
  readonly entryLength: Uint32Array[] = []
  readonly texts: Uint16Array[] = []
  /** The whole buffer, but for what is left of it behind the last whole word. */
  readonly words: Uint32Array
  /** The whole buffer. */
  readonly bytes: Uint8Array

  constructor(layout: EventBatchLayout, buffer: BatchBuffer) {
    this.layout = layout
    this.buffer = buffer
    this.header = new Uint32Array(buffer, 0, 2 + layout.texts)
    let at = layout.f64At
    this.timeMs = new Float64Array(buffer, at, ROWS_MAX)
    for (let i = 0; i < layout.numbers; i++) this.numbers.push(new Float64Array(buffer, (at += ROWS_MAX * 8), ROWS_MAX))
    this.offset = layout.origins ? new Float64Array(buffer, at + ROWS_MAX * 8, ROWS_MAX) : null
    at = layout.u32At
    this.hash = new Uint32Array(buffer, at, ROWS_MAX)
    this.keyStart = new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX)
    this.keyLength = new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX)
    this.mask = new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX)
    this.partition = layout.origins ? new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX) : null
    this.count = layout.counts ? new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX) : null
    for (let i = 0; i < layout.texts; i++) {
      this.entryStart.push(new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX))
      this.entryLength.push(new Uint32Array(buffer, (at += ROWS_MAX * 4), ROWS_MAX))
    }
    this.weight = layout.weights ? new Int32Array(buffer, at + ROWS_MAX * 4, ROWS_MAX) : null
    at = layout.u16At
    for (let i = 0; i < layout.texts; i++) this.texts.push(new Uint16Array(buffer, at + i * ROWS_MAX * 2, ROWS_MAX))
    this.words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2)
    this.bytes = new Uint8Array(buffer)
  }

  /** Rows in the batch. */
  get rows(): number {
    return this.header[0]!
  }

  /** Forgets all rows. */
  clear(): void {
    this.header[0] = 0
    this.header[1] = this.layout.bytesAt
    for (let i = 0; i < this.layout.texts; i++) {
      this.header[2 + i] = 1
      this.entryStart[i]![0] = 0
      this.entryLength[i]![0] = 0
    }
  }

  /** Text entries of column `i`. */
  entries(i: number): number {
    return this.header[2 + i]!
  }

  /** First free byte. */
  get bytesUsed(): number {
    return this.header[1]!
  }
}
