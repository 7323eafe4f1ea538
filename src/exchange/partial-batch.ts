/**
 * The batch on the edge from window to merge: what tables gained since they last told.
 *
 * Owns: the layout of partial records, writing and reading them. Records are rare next to events (one a group and
 * flush), so they lie row by row:
 *
 *   u32  bytes (multiple of 8) | kind | table | groupHash | groupLength | accumulator | memberLength | weight
 *   f64  startMs | endMs | values[0..n)         n: the table's number columns; 0 for a member
 *   u8   group key, member; padded to 8
 *
 * kind GAIN: what each accumulator gained; 0 for a sketch. kind LATE: late events by count accumulator. kind MEMBER: a
 * value that `accumulator` (a distinct) met for the first time on the sending side; where members are counted, `weight`
 * (signed) times more, or fewer, than it has told. kind CELL: what the sketch
 * `accumulator` gained. kind CLOCK: sender `accumulator` has come to `startMs` in processing time, and nothing before that
 * follows; it goes to every receiver.
 */
import { keyGroupOf, subtaskOf } from '../core/key-groups.ts'
import type { OutputChannels } from './channel.ts'
import type { BatchBuffer } from './message.ts'

/** What the accumulators of a group gained. */
export const GAIN = 1
/** Late events of a group. */
export const LATE = 2
/** A new member of a group's set. */
export const MEMBER = 3
/** What a sketch of a group gained. */
export const CELL = 4
/** How far a sender's clock has come. */
export const CLOCK = 5

const HEADER_U32 = 8
const HEADER_F64 = HEADER_U32 / 2

/** Bytes of an ordinary buffer. */
export const PARTIAL_BATCH_BYTES = 64 * 1024

const noBytes = new Uint8Array(0)
const noValues = new Float64Array(0)

interface Open {
  readonly buffer: BatchBuffer
  readonly u32: Uint32Array
  readonly f64: Float64Array
  readonly u8: Uint8Array
  used: number
}

/** Writes partial records to the subtasks that own their groups. */
export class PartialOutput {
  /** Records written so far. */
  recordsOut = 0
  readonly #channels: OutputChannels
  readonly #receiverOf: Uint16Array
  readonly #keyGroups: number
  readonly #open: (Open | null)[]
  /** The receiver that `clock` goes on with. */
  #clockNext = 0

  constructor(channels: OutputChannels, keyGroups: number) {
    this.#channels = channels
    this.#keyGroups = keyGroups
    this.#receiverOf = Uint16Array.from({ length: keyGroups }, (_, group) =>
      subtaskOf(group, keyGroups, channels.receivers),
    )
    this.#open = new Array(channels.receivers).fill(null)
  }

  /** Writes what a group gained; `values[at .. at + count)`. False when it must wait for a credit: nothing was written. */
  gain(
    table: number,
    startMs: number,
    endMs: number,
    hash: number,
    group: Uint8Array,
    values: Float64Array,
    at: number,
    count: number,
  ): boolean {
    return this.#write(GAIN, table, startMs, endMs, hash, group, values, at, count, 0, noBytes)
  }

  /** Writes late counts of a group; as `gain`. */
  late(table: number, startMs: number, endMs: number, hash: number, group: Uint8Array, counts: Float64Array): boolean {
    return this.#write(LATE, table, startMs, endMs, hash, group, counts, 0, counts.length, 0, noBytes)
  }

  /** Writes a new member of accumulator `accumulator`, or what a counted one gained; as `gain`. */
  member(
    table: number,
    startMs: number,
    endMs: number,
    hash: number,
    group: Uint8Array,
    accumulator: number,
    member: Uint8Array,
    weight = 1,
  ): boolean {
    return this.#write(MEMBER, table, startMs, endMs, hash, group, noValues, 0, 0, accumulator, member, weight)
  }

  /** Writes what the sketch `accumulator` gained; as `gain`. */
  cell(
    table: number,
    startMs: number,
    endMs: number,
    hash: number,
    group: Uint8Array,
    accumulator: number,
    content: Uint8Array,
  ): boolean {
    return this.#write(CELL, table, startMs, endMs, hash, group, noValues, 0, 0, accumulator, content)
  }

  /**
   * Tells every receiver that processing time has come to `nowMs` for sender `sender`. False when it must wait for a
   * credit: call it again, with the same time, to go on.
   */
  clock(sender: number, nowMs: number): boolean {
    while (this.#clockNext < this.#open.length) {
      const receiver = this.#clockNext
      if (!this.#writeTo(receiver, CLOCK, 0, nowMs, 0, 0, noBytes, noValues, 0, 0, sender, noBytes)) return false
      this.#clockNext++
    }
    this.#clockNext = 0
    return true
  }

  /** Sends what is there, where there is a credit; true when nothing is left. */
  flush(): boolean {
    let left = false
    for (let receiver = 0; receiver < this.#open.length; receiver++) {
      const open = this.#open[receiver]
      if (open == null) continue
      if (this.#channels.hasCredit(receiver)) this.#send(receiver, open)
      else left = true
    }
    return !left
  }

  #send(receiver: number, open: Open): void {
    this.#open[receiver] = null
    this.#channels.sendBatch(receiver, open.buffer, open.used)
  }

  #write(
    kind: number,
    table: number,
    startMs: number,
    endMs: number,
    hash: number,
    group: Uint8Array,
    values: Float64Array,
    at: number,
    count: number,
    accumulator: number,
    member: Uint8Array,
    weight = 0,
  ): boolean {
    const to = this.#receiverOf[keyGroupOf(hash, this.#keyGroups)]!
    return this.#writeTo(to, kind, table, startMs, endMs, hash, group, values, at, count, accumulator, member, weight)
  }

  #writeTo(
    receiver: number,
    kind: number,
    table: number,
    startMs: number,
    endMs: number,
    hash: number,
    group: Uint8Array,
    values: Float64Array,
    at: number,
    count: number,
    accumulator: number,
    member: Uint8Array,
    weight = 0,
  ): boolean {
    const valuesBytes = (HEADER_F64 + 2 + count) * 8
    const bytes = Math.ceil((valuesBytes + group.length + member.length) / 8) * 8
    let open = this.#open[receiver] ?? null
    if (open !== null && open.used + bytes > open.u8.length) {
      if (!this.#channels.hasCredit(receiver)) return false
      this.#send(receiver, open)
      open = null
    }
    if (open === null) {
      const buffer = this.#channels.take(Math.max(PARTIAL_BATCH_BYTES, bytes))
      open = {
        buffer,
        u32: new Uint32Array(buffer),
        f64: new Float64Array(buffer),
        u8: new Uint8Array(buffer),
        used: 0,
      }
      this.#open[receiver] = open
    }
    const u32 = open.used / 4
    open.u32[u32] = bytes
    open.u32[u32 + 1] = kind
    open.u32[u32 + 2] = table
    open.u32[u32 + 3] = hash
    open.u32[u32 + 4] = group.length
    open.u32[u32 + 5] = accumulator
    open.u32[u32 + 6] = member.length
    open.u32[u32 + 7] = weight
    const f64 = open.used / 8 + HEADER_F64
    open.f64[f64] = startMs
    open.f64[f64 + 1] = endMs
    for (let i = 0; i < count; i++) open.f64[f64 + 2 + i] = values[at + i]!
    open.u8.set(group, open.used + valuesBytes)
    open.u8.set(member, open.used + valuesBytes + group.length)
    open.used += bytes
    this.recordsOut++
    return true
  }
}

/** Walks the records of a batch; the fields hold the record that `next` came to. */
export class PartialReader {
  kind = 0
  table = 0
  startMs = 0
  endMs = 0
  hash = 0
  accumulator = 0
  /** Of a member: how many times it was given, less than 0 where it was taken back. */
  weight = 0
  /** The values are `f64[valuesAt ..]`. */
  f64: Float64Array = noValues
  valuesAt = 0
  /** The group key is `bytes[groupStart .. groupEnd)`, the member or the sketch follows up to `memberEnd`. */
  bytes: Uint8Array = noBytes
  groupStart = 0
  groupEnd = 0
  memberEnd = 0
  #u32: Uint32Array = new Uint32Array(0)
  #at = 0
  #end = 0
  #columns: readonly number[] = []

  /** Starts on a batch. `columns` gives the number columns of each table. */
  open(buffer: BatchBuffer, byteLength: number, columns: readonly number[]): void {
    this.#u32 = new Uint32Array(buffer)
    this.f64 = new Float64Array(buffer)
    this.bytes = new Uint8Array(buffer)
    this.#at = 0
    this.#end = byteLength
    this.#columns = columns
  }

  /** Moves to the next record; false at the end. */
  next(): boolean {
    if (this.#at >= this.#end) return false
    const u32 = this.#at / 4
    this.kind = this.#u32[u32 + 1]!
    this.table = this.#u32[u32 + 2]!
    this.hash = this.#u32[u32 + 3]!
    this.accumulator = this.#u32[u32 + 5]!
    this.weight = this.#u32[u32 + 7]! | 0
    const f64 = this.#at / 8 + HEADER_F64
    this.startMs = this.f64[f64]!
    this.endMs = this.f64[f64 + 1]!
    this.valuesAt = f64 + 2
    const values = this.kind === GAIN ? this.#columns[this.table]! : this.kind === LATE ? this.#lateColumns(u32) : 0
    this.groupStart = this.#at + (HEADER_F64 + 2 + values) * 8
    this.groupEnd = this.groupStart + this.#u32[u32 + 4]!
    this.memberEnd = this.groupEnd + this.#u32[u32 + 6]!
    this.#at += this.#u32[u32]!
    return true
  }

  /** Late counts have one value an accumulator, without compensations: their number follows from the record's length. */
  #lateColumns(u32: number): number {
    const group = Math.ceil(this.#u32[u32 + 4]! / 8) * 8
    return this.#u32[u32]! / 8 - HEADER_F64 - 2 - group / 8
  }
}
