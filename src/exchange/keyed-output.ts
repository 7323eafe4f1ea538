/**
 * From scan batches to event batches, each row to the subtask that owns its key group.
 *
 * Owns: the batch under construction for every receiver, and the copying. Does not own: credits and transport
 * (exchange/channel).
 *
 * A scan (at most 1024 rows) always fits into a fresh buffer, so `write` sends at most one batch a receiver: with a
 * credit on every channel it never has to wait in the middle. A batch is sent when the next scan might not fit, and
 * whatever is there at `flush`, which comes before every mark.
 *
 * Dictionary texts are copied once a scan and receiver, when a row first uses them.
 */
import { keyGroupOf, subtaskOf } from '../core/key-groups.ts'
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { KEY_ROOM_MIN, keyRoom, type ScanBatch } from '../event/scan.ts'
import type { OutputChannels } from './channel.ts'
import { EventBatch, type EventBatchLayout, ROWS_MAX } from './event-batch.ts'

// Compiled in where they are used, which what is imported is not (decision 0029).
const SCAN_ROWS = BATCH_ROWS_MAX
const SHORT_KEY = KEY_ROOM_MIN
const SHORT_KEY_WORDS = KEY_ROOM_MIN / 4

/** Which schema columns travel, in the order of the batch's number and text columns. */
export interface ExchangedColumns {
  readonly numbers: readonly number[]
  readonly texts: readonly number[]
  /** Column of the weights, where events can be taken back: 1 and what is none (NaN, 0) is an event. */
  readonly weight?: number
}

/** Distributes rows by key. */
export class KeyedOutput {
  /** Rows sent on so far. */
  rowsOut = 0
  readonly #layout: EventBatchLayout
  readonly #columns: ExchangedColumns
  readonly #channels: OutputChannels
  readonly #receiverOf: Uint16Array
  readonly #keyGroups: number
  readonly #open: (EventBatch | null)[]
  /** Rows of the current scan for each receiver: SCAN_ROWS places each. */
  readonly #rows: Uint16Array
  /** The places of each receiver. */
  readonly #rowsOf: readonly Uint16Array[]
  readonly #counts: Uint32Array
  /** Whether all keys of the current scan have up to KEY_ROOM_MIN bytes. */
  #shortKeys = true
  /** The mask of all rows of the current scan that are sent, or 0 where they differ. */
  #sameMask = 0
  readonly #remap = new Int32Array(BATCH_ROWS_MAX + 1)

  constructor(layout: EventBatchLayout, columns: ExchangedColumns, channels: OutputChannels, keyGroups: number) {
    this.#layout = layout
    this.#columns = columns
    this.#channels = channels
    this.#keyGroups = keyGroups
    const receivers = channels.receivers
    this.#receiverOf = Uint16Array.from({ length: keyGroups }, (_, group) => subtaskOf(group, keyGroups, receivers))
    this.#open = new Array(receivers).fill(null)
    this.#rows = new Uint16Array(receivers * SCAN_ROWS)
    this.#rowsOf = Array.from({ length: receivers }, (_, i) => this.#rows.subarray(i * SCAN_ROWS, (i + 1) * SCAN_ROWS))
    this.#counts = new Uint32Array(receivers)
  }

  /** True when a batch under construction holds rows. */
  get pending(): boolean {
    return this.#open.some((batch) => batch !== null && batch.rows > 0)
  }

  /**
   * Takes every row with a non-zero mask. Every channel must have a credit. `partitionOf` is the rows' own, for origins;
   * `counts` the events that each stands for, where rows were combined.
   */
  write(scan: ScanBatch, partitionOf: Uint32Array | null, counts: Uint32Array | null = null): void {
    this.#split(scan)
    let textBytes = 0
    for (const column of this.#columns.texts) {
      const dictionary = scan.dictionaries[column]!
      textBytes += dictionary.starts[dictionary.count]!
    }
    for (let receiver = 0; receiver < this.#counts.length; receiver++) {
      const count = this.#counts[receiver]!
      if (count === 0) continue
      this.rowsOut += count
      const rows = this.#rowsOf[receiver]!
      const keyBytes = this.#shortKeys ? count * SHORT_KEY : keyBytesOf(scan, rows, count)
      this.#copy(scan, partitionOf, counts, rows, count, this.#batchFor(receiver, count, keyBytes + textBytes + 3))
    }
  }

  /** Sends what is there, where there is a credit; true when nothing is left. */
  flush(): boolean {
    let left = false
    for (let receiver = 0; receiver < this.#open.length; receiver++) {
      const batch = this.#open[receiver]
      if (batch == null || batch.rows === 0) continue
      if (this.#channels.hasCredit(receiver)) this.#send(receiver, batch)
      else left = true
    }
    return !left
  }

  #split(scan: ScanBatch): void {
    const { mask, keyHash, keyStart, keyEnd } = scan
    const total = scan.rows
    const rows = this.#rows
    const counts = this.#counts
    const receiverOf = this.#receiverOf
    const keyGroups = this.#keyGroups
    let longest = 0
    let some = 0
    let all = -1
    counts.fill(0)
    for (let row = 0; row < total; row++) {
      const bits = mask[row]! | 0
      if (bits === 0) continue
      some |= bits
      all &= bits
      const length = keyEnd[row]! - keyStart[row]!
      if (length > longest) longest = length
      const receiver = receiverOf[keyGroupOf(keyHash[row]!, keyGroups)]!
      const count = counts[receiver]!
      rows[receiver * SCAN_ROWS + count] = row
      counts[receiver] = count + 1
    }
    this.#shortKeys = longest <= SHORT_KEY
    this.#sameMask = some === all ? some : 0
  }

  #batchFor(receiver: number, rows: number, bytes: number): EventBatch {
    const open = this.#open[receiver]
    if (open != null) {
      if (open.rows + rows < ROWS_MAX && open.bytesUsed + bytes <= open.bytes.length) return open
      this.#send(receiver, open)
    }
    const buffer = this.#channels.take(
      Math.max(this.#layout.byteLength, this.#layout.bytesAt + Math.ceil(bytes / 8) * 8),
    )
    const fresh = new EventBatch(this.#layout, buffer)
    fresh.clear()
    this.#open[receiver] = fresh
    return fresh
  }

  #send(receiver: number, batch: EventBatch): void {
    this.#open[receiver] = null
    this.#channels.sendBatch(receiver, batch.buffer, batch.bytesUsed)
  }

  #copy(
    scan: ScanBatch,
    partitionOf: Uint32Array | null,
    counts: Uint32Array | null,
    rows: Uint16Array,
    count: number,
    batch: EventBatch,
  ): void {
    const at = batch.rows
    gatherF64(scan.timeMs, rows, count, batch.timeMs, at)
    gatherU32(scan.keyHash, rows, count, batch.hash, at)
    if (this.#sameMask !== 0) batch.mask.fill(this.#sameMask, at, at + count)
    else gatherU32(scan.mask, rows, count, batch.mask, at)
    if (batch.offset !== null) gatherF64(scan.offset, rows, count, batch.offset, at)
    if (batch.partition !== null && partitionOf !== null) gatherU32(partitionOf, rows, count, batch.partition, at)
    if (batch.count !== null && counts !== null) gatherU32(counts, rows, count, batch.count, at)
    const { numbers, weight } = this.#columns
    if (batch.weight !== null && weight !== undefined)
      gatherWeights(scan.numbers[weight]!, rows, count, batch.weight, at)
    for (let i = 0; i < numbers.length; i++) gatherF64(scan.numbers[numbers[i]!]!, rows, count, batch.numbers[i]!, at)
    const copyKeys = this.#shortKeys ? copyShortKeys : copyAnyKeys
    let used = copyKeys(scan, rows, count, batch, at)
    for (let i = 0; i < this.#columns.texts.length; i++) used = this.#copyTexts(scan, rows, count, batch, at, i, used)
    batch.header[0] = at + count
    batch.header[1] = used
  }

  #copyTexts(
    scan: ScanBatch,
    rows: Uint16Array,
    count: number,
    batch: EventBatch,
    at: number,
    i: number,
    used: number,
  ): number {
    const column = this.#columns.texts[i]!
    const dictionary = scan.dictionaries[column]!
    const remap = this.#remap
    remap.fill(-1, 1, dictionary.count)
    remap[0] = 0
    const from = scan.texts[column]!
    const into = batch.texts[i]!
    const { starts, bytes } = dictionary
    const entryStart = batch.entryStart[i]!
    const entryLength = batch.entryLength[i]!
    const batchBytes = batch.bytes
    let entries = batch.entries(i)
    let end = used
    for (let k = 0; k < count; k++) {
      const id = from[rows[k]!]!
      let mapped = remap[id]!
      if (mapped < 0) {
        mapped = remap[id] = entries++
        const start = starts[id]!
        const length = starts[id + 1]! - start
        entryStart[mapped] = end
        entryLength[mapped] = length
        for (let b = 0; b < length; b++) batchBytes[end + b] = bytes[start + b]!
        end += length
      }
      into[at + k] = mapped
    }
    batch.header[2 + i] = entries
    return end
  }
}

function keyBytesOf({ keyStart, keyEnd }: ScanBatch, rows: Uint16Array, count: number): number {
  let bytes = 0
  for (let k = 0; k < count; k++) bytes += keyRoom(keyEnd[rows[k]!]! - keyStart[rows[k]!]!)
  return bytes
}

/** Copies keys behind what the batch has; returns the end. */
function copyAnyKeys(scan: ScanBatch, rows: Uint16Array, count: number, batch: EventBatch, at: number): number {
  const { keyStart, keyEnd, keyWords } = scan
  const into = batch.words
  let word = (batch.bytesUsed + 3) >>> 2
  for (let k = 0; k < count; k++) {
    const row = rows[k]!
    const start = keyStart[row]!
    const length = keyEnd[row]! - start
    batch.keyStart[at + k] = word << 2
    batch.keyLength[at + k] = length
    let from = start >>> 2
    const end = from + (keyRoom(length) >>> 2)
    while (from < end) into[word++] = keyWords[from++]!
  }
  return word << 2
}

/** As `copyAnyKeys`, where each takes up KEY_ROOM_MIN: a loop without a loop in it. */
function copyShortKeys(scan: ScanBatch, rows: Uint16Array, count: number, batch: EventBatch, at: number): number {
  const { keyStart, keyEnd, keyWords } = scan
  const { keyStart: starts, keyLength: lengths, words: into } = batch
  let word = (batch.bytesUsed + 3) >>> 2
  for (let k = 0; k < count; k++) {
    const row = rows[k]!
    const start = keyStart[row]!
    starts[at + k] = word << 2
    lengths[at + k] = keyEnd[row]! - start
    const from = start >>> 2
    into[word] = keyWords[from]!
    into[word + 1] = keyWords[from + 1]!
    into[word + 2] = keyWords[from + 2]!
    word += SHORT_KEY_WORDS
  }
  return word << 2
}

// Two functions, not one over a union: each call site's loop sees one kind of array and stays monomorphic.

function gatherWeights(from: Float64Array, rows: Uint16Array, count: number, into: Int32Array, at: number): void {
  for (let k = 0; k < count; k++) into[at + k] = from[rows[k]!]! < 0 ? -1 : 1
}

function gatherF64(from: Float64Array, rows: Uint16Array, count: number, into: Float64Array, at: number): void {
  for (let k = 0; k < count; k++) into[at + k] = from[rows[k]!]!
}

function gatherU32(from: Uint32Array, rows: Uint16Array, count: number, into: Uint32Array, at: number): void {
  for (let k = 0; k < count; k++) into[at + k] = from[rows[k]!]!
}
