/**
 * A kernel: the usual records of a projection into a batch, by code of WebAssembly that is made for it.
 *
 * Owns: its memory, the window of records in it, keeping the dictionaries of the batch and the kernel's texts in step. Does
 * not own: what a record means where it is not usual: the kernel stops before it, and event/projection.ts reads it.
 *
 * Invariant: whether a record is read here or there, the batch becomes the same.
 */
import { TIME_MS_MAX } from '../core/limits.ts'
import { kernelModule, STOP_UNUSUAL, STOP_WINDOW } from './kernel-code.ts'
import {
  type KernelLayout,
  kernelLayout,
  NAME_BYTES_MAX,
  NAMES_MAX,
  STATE_AT,
  STATE_LEFT,
  STATE_MAX_TIME,
  STATE_OFFSET_DELTA,
  STATE_ROWS,
  TABLE_ARENA,
  TABLE_ARENA_END,
  TABLE_BY_ID,
  TABLE_COUNT,
  TABLE_IDS,
  TABLE_SLOTS,
  TEXT_ARENA,
  TEXT_ENTRIES,
  TEXT_SLOTS,
  WINDOW_BYTES,
} from './kernel-layout.ts'
import { type KernelPlan, planKernel } from './kernel-plan.ts'
import type { RecordCursor } from './records.ts'
import { type BatchPlace, keyRoom, type ScanBatch } from './scan.ts'
import type { EventSchema } from './schema.ts'

/** Most memory of a kernel, most of which is never touched: some hundred columns of texts. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024
/** A kernel pays where there are so many usual records to an unusual one. */
const USUAL_ROWS = 3
const STRAIN_MAX = 16
const REST_RECORDS = 255

/** What of the engine's WebAssembly is used here; the compiler's library for servers does not declare it. */
declare const WebAssembly: {
  validate(code: Uint8Array): boolean
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: KernelExports }
}

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly find: (table: number, from: number, length: number, any: number) => number
  readonly run: (
    at: number,
    end: number,
    sectionEnd: number,
    left: number,
    row: number,
    key: number,
    minDelta: number,
    maxDelta: number,
    latestMs: number,
    baseOffset: number,
    batch: number,
  ) => number
}

/** The kernel of a schema; null where it needs more than one does, or where the engine has none to give. */
export function openKernel(schema: EventSchema): Kernel | null {
  if (schema.format !== undefined) return null
  const plan = planKernel(schema)
  if (plan === null) return null
  const layout = kernelLayout(plan.columns)
  if (layout.memoryBytes > MEMORY_BYTES_MAX) return null
  const code = kernelModule(plan, layout)
  if (!WebAssembly.validate(code)) return null
  try {
    return new Kernel(plan, layout, new WebAssembly.Instance(new WebAssembly.Module(code)).exports)
  } catch {
    // Each memory takes up room for addresses, which may be limited.
    return null
  }
}

/** Reads records. It serves one batch, which must lie at its `place`. */
export class Kernel {
  /** Where the arrays of the batch are to be. */
  readonly place: BatchPlace
  /** Latest time among the rows of the last `run`; -Infinity for none. */
  maxTimeMs = Number.NEGATIVE_INFINITY
  readonly #layout: KernelLayout
  readonly #exports: KernelExports
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #tables: readonly number[]
  readonly #tableColumns: readonly number[]
  /** Of the records in the window: their section of the cursor, and where they are in it. */
  #cursor: RecordCursor | null = null
  #section = 0
  #sourceStart = 0
  #sourceEnd = 0
  /** Unusual records in a row, more or less, and for how many more calls none is looked at. */
  #strain = 0
  #rest = 0
  /** The batch that the texts are in, and how often it had been emptied. */
  #filled: ScanBatch | null = null
  #resets = 0
  /** Number of the batch, by which entries tell that they are in it. 0 is none. */
  #batch = 0

  constructor(plan: KernelPlan, layout: KernelLayout, exports: KernelExports) {
    const { buffer } = exports.memory
    this.place = { buffer, at: layout }
    this.#layout = layout
    this.#exports = exports
    this.#bytes = new Uint8Array(buffer)
    this.#words = new Int32Array(buffer)
    this.#doubles = new Float64Array(buffer)
    this.#tableColumns = layout.tables.flatMap((table, column) => (table < 0 ? [] : [column]))
    this.#tables = this.#tableColumns.map((column) => layout.tables[column]!)
    for (const table of this.#tables) this.#clear(table)
    plan.columns.forEach(({ names }, column) => {
      if (names !== undefined) this.#setNames(layout.names[column]!, names)
    })
  }

  /**
   * Adds the usual records at the cursor to `batch` and steps over them, until the section ends, the batch is full or a
   * record is not usual; returns the number of rows. None has a time after `latestMs`.
   */
  run(cursor: RecordCursor, batch: ScanBatch, latestMs: number): number {
    this.maxTimeMs = Number.NEGATIVE_INFINITY
    if (this.#rest > 0) {
      this.#rest--
      return 0
    }
    const before = batch.rows
    if (this.#filled !== batch || this.#resets !== batch.resets) this.#begin(batch)
    this.#learn(batch)
    const words = this.#words
    const window = this.#layout.window
    const latest = Math.min(latestMs, TIME_MS_MAX)
    let maxTimeMs = Number.NEGATIVE_INFINITY
    for (;;) {
      const row = batch.rows
      const at = cursor.position
      if (
        this.#cursor !== cursor ||
        this.#section !== cursor.sections ||
        at < this.#sourceStart ||
        at >= this.#sourceEnd
      )
        this.#load(cursor)
      const shift = window - this.#sourceStart
      const key = row === 0 ? 0 : batch.keyStart[row - 1]! + keyRoom(batch.keyEnd[row - 1]! - batch.keyStart[row - 1]!)
      const why = this.#exports.run(
        at + shift,
        this.#sourceEnd + shift,
        cursor.end + shift,
        cursor.left,
        row,
        this.#layout.keys + key,
        cursor.minDelta,
        Math.min(cursor.maxDelta, 0x7fff_ffff),
        latest,
        cursor.baseOffset,
        this.#batch,
      )
      const rows = words[STATE_ROWS >>> 2]!
      if (rows > row) {
        maxTimeMs = Math.max(maxTimeMs, this.#doubles[STATE_MAX_TIME >>> 3]!)
        batch.rows = rows
      }
      const next = words[STATE_AT >>> 2]! - shift
      cursor.skipTo(next, words[STATE_LEFT >>> 2]!, rows > row ? words[STATE_OFFSET_DELTA >>> 2]! : cursor.offsetDelta)
      // The record goes on behind the window: it is brought there, unless it is too long for any.
      if (why === STOP_UNUSUAL) this.#tire(rows - row)
      if (why !== STOP_WINDOW || next === this.#sourceStart || this.#sourceEnd >= cursor.end) break
      this.#cursor = null
    }
    this.#tell(batch)
    this.maxTimeMs = maxTimeMs
    return batch.rows - before
  }

  /** Where hardly a record is usual, most are not looked at. */
  #tire(rows: number): void {
    this.#strain = Math.max(0, this.#strain + 1 - rows / USUAL_ROWS)
    if (this.#strain < STRAIN_MAX) return
    this.#strain -= 1
    this.#rest = REST_RECORDS
  }

  #setNames(base: number, names: Readonly<Record<number, string>>): void {
    const encoder = new TextEncoder()
    for (const [text, name] of Object.entries(names)) {
      const number = Number(text)
      const bytes = encoder.encode(name)
      if (number < 0 || number >= NAMES_MAX || bytes.length > NAME_BYTES_MAX) continue
      const at = base + NAMES_MAX * 8 + number * (NAME_BYTES_MAX + 8)
      this.#bytes.set(bytes, at)
      this.#words.set([at, bytes.length], (base >>> 2) + number * 2)
    }
  }

  #load(cursor: RecordCursor): void {
    const start = cursor.position
    const end = Math.min(cursor.end, start + WINDOW_BYTES)
    this.#bytes.set(cursor.bytes.subarray(start, end), this.#layout.window)
    this.#cursor = cursor
    this.#section = cursor.sections
    this.#sourceStart = start
    this.#sourceEnd = end
  }

  /** A new batch: no text is in it yet. */
  #begin(batch: ScanBatch): void {
    this.#filled = batch
    this.#resets = batch.resets
    this.#batch = (this.#batch + 1) & 0x7fff_ffff
    for (const table of this.#tables) {
      const full =
        this.#words[(table + TABLE_COUNT) >>> 2]! > TEXT_ENTRIES / 2 ||
        this.#words[(table + TABLE_ARENA_END) >>> 2]! > table + TABLE_ARENA + TEXT_ARENA / 2
      if (full || this.#batch === 0) this.#clear(table)
      this.#words[(table + TABLE_IDS) >>> 2] = 1
    }
    if (this.#batch === 0) this.#batch = 1
  }

  #clear(table: number): void {
    const words = this.#words
    words[(table + TABLE_COUNT) >>> 2] = 1
    words[(table + TABLE_ARENA_END) >>> 2] = table + TABLE_ARENA
    words[(table + TABLE_IDS) >>> 2] = 1
    this.#bytes.fill(0, table + TABLE_SLOTS, table + TABLE_SLOTS + TEXT_SLOTS * 2)
  }

  /** Tells the dictionaries which texts have come into the batch. */
  #tell(batch: ScanBatch): void {
    const words = this.#words
    for (let i = 0; i < this.#tables.length; i++) {
      const table = this.#tables[i]!
      const dictionary = batch.dictionaries[this.#tableColumns[i]!]!
      const ids = words[(table + TABLE_IDS) >>> 2]!
      for (let id = dictionary.count; id < ids; id++) {
        const entry = words[(table + TABLE_BY_ID + id * 4) >>> 2]! >>> 2
        const start = words[entry]!
        dictionary.intern(this.#bytes, start, start + words[entry + 1]!)
      }
    }
  }

  /** Learns which texts others have put into the dictionaries. One for which there is no room is never asked for here. */
  #learn(batch: ScanBatch): void {
    const words = this.#words
    for (let i = 0; i < this.#tables.length; i++) {
      const table = this.#tables[i]!
      const dictionary = batch.dictionaries[this.#tableColumns[i]!]!
      const count = dictionary.count
      for (let id = words[(table + TABLE_IDS) >>> 2]!; id < count; id++) {
        const start = dictionary.starts[id]!
        const length = dictionary.starts[id + 1]! - start
        // Behind the window nothing is read but by mistake: there is room for one text.
        const at = this.#layout.memoryBytes - 1100
        this.#bytes.set(dictionary.bytes.subarray(start, start + length), at)
        const entry = this.#exports.find(table, at, length, 1) >>> 2
        if (entry !== 0) {
          words[entry + 2] = this.#batch
          words[entry + 3] = id
        }
      }
      words[(table + TABLE_IDS) >>> 2] = count
    }
  }
}
