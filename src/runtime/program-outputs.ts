/**
 * What leaves a stage of a program: records to other stages, records to sinks.
 *
 * Owns: batches under construction, one a link and receiver. Does not own: credits and transport (exchange/channel.ts),
 * the form of values (program/value-writer.ts).
 *
 *   record = key group u16 | timestamp f64 | partition f64 | offset f64 | key, a value | u8 RAW + source, bytes with length
 *            or u8 VALUE, a value
 *
 * Partition and offset are those of the source's record that it was made of, for the words of a failure; offset -1 where it
 * was made of none.
 *
 * A record of a broadcast input has key group BROADCAST and no key. A batch grows as needed: what one record of input
 * makes is always taken, and `ready` says no before the next one until full batches are on their way. So a stage needs
 * no more than one credit a channel to go on.
 */
import { MillraceError } from '../core/errors.ts'
import { subtaskOf } from '../core/key-groups.ts'
import type { OutputChannels } from '../exchange/channel.ts'
import type { Message } from '../exchange/message.ts'
import type { KeyedNode } from '../program/graph.ts'
import { groupOfKey, mapKeyOf } from '../program/keys.ts'
import type { CurrentRecord } from '../program/operator.ts'
import { ValueWriter } from '../program/value-writer.ts'
import type { SubtaskWriter } from '../sink/sink.ts'

/** Key group of records without a key. */
export const BROADCAST = 0xffff
/** The record follows as the bytes of an event of the first source; of the next one, RAW + 1, and so on. */
export const RAW = 1
/** The record follows as a value. */
export const VALUE = 0

/** Bytes of an ordinary batch. */
export const PROGRAM_BATCH_BYTES = 64 * 1024
/** Bytes from which a batch is sent; what is behind it is room for the last record. */
const FULL_BYTES = PROGRAM_BATCH_BYTES - 4096

/** The sending end of one link of one subtask. */
export class ProgramLink {
  /** Records sent so far. */
  recordsOut = 0
  readonly channels: OutputChannels
  readonly #node: KeyedNode
  readonly #keyOf: ((value: unknown) => unknown) | null
  readonly #keyGroups: number
  readonly #writers: readonly ValueWriter[]
  readonly #open: Uint8Array
  readonly #current: CurrentRecord

  /** `current` says of which record what is written was made. */
  constructor(node: KeyedNode, input: number, keyGroups: number, channels: OutputChannels, current: CurrentRecord) {
    this.#current = current
    this.#node = node
    this.#keyOf = node.inputs[input]!.keyOf
    this.#keyGroups = keyGroups
    this.channels = channels
    this.#writers = Array.from({ length: channels.receivers }, () => new ValueWriter(0))
    this.#open = new Uint8Array(channels.receivers)
  }

  /** Writes a record to the owner of its key, or to all; `raw` are its bytes where it is an event of `source` as it came. */
  write(value: unknown, timestampMs: number, raw: Uint8Array | null, source: number): void {
    if (this.#keyOf === null) {
      for (let receiver = 0; receiver < this.channels.receivers; receiver++) {
        const writer = this.#writer(receiver)
        this.#head(writer, BROADCAST, timestampMs)
        this.#value(writer, value, raw, source)
      }
      return
    }
    const key = this.#keyOf(value) as Parameters<typeof mapKeyOf>[0]
    const group = groupOfKey(mapKeyOf(key, this.#node.id), this.#keyGroups)
    const writer = this.#writer(subtaskOf(group, this.#keyGroups, this.channels.receivers))
    this.#head(writer, group, timestampMs)
    writer.write(key)
    this.#value(writer, value, raw, source)
  }

  /** True when another record of input may be worked on. */
  get ready(): boolean {
    if (!this.channels.ready) return false
    for (let i = 0; i < this.#open.length; i++) if (this.#open[i] === 1 && this.#isFull(i)) return false
    return true
  }

  /** Sends full batches where there is a credit. */
  sendFull(): void {
    for (let i = 0; i < this.#open.length; i++) if (this.#open[i] === 1 && this.#isFull(i)) this.#send(i)
  }

  /** Sends what is there where there is a credit; true when nothing is left. */
  flush(): boolean {
    let left = false
    for (let i = 0; i < this.#open.length; i++) if (this.#open[i] === 1 && !this.#send(i)) left = true
    return !left
  }

  /** True while something waits to be sent. */
  get pending(): boolean {
    return this.#open.includes(1)
  }

  #head(writer: ValueWriter, group: number, timestampMs: number): void {
    writer.writeU16(group)
    writer.writeF64(timestampMs)
    writer.writeF64(this.#current.partition)
    writer.writeF64(this.#current.offset)
  }

  #value(writer: ValueWriter, value: unknown, raw: Uint8Array | null, source: number): void {
    this.recordsOut++
    if (raw !== null) {
      writer.writeU8(RAW + source)
      writer.writeBytes(raw, 0, raw.length)
      return
    }
    writer.writeU8(VALUE)
    try {
      writer.write(value)
    } catch (error) {
      const { message, code } = MillraceError.from(error)
      throw new MillraceError(code, `a record for ${this.#node.id}: ${message}`)
    }
  }

  #writer(receiver: number): ValueWriter {
    const writer = this.#writers[receiver]!
    if (this.#open[receiver] === 0) {
      // Channels of programs do not share: what their readers hand to job code is not to change behind it.
      writer.adopt(this.channels.take(PROGRAM_BATCH_BYTES) as ArrayBuffer)
      this.#open[receiver] = 1
    }
    return writer
  }

  #isFull(receiver: number): boolean {
    return this.#writers[receiver]!.length >= FULL_BYTES
  }

  #send(receiver: number): boolean {
    if (!this.channels.hasCredit(receiver)) return false
    const writer = this.#writers[receiver]!
    this.#open[receiver] = 0
    this.channels.sendBatch(receiver, writer.bytes.buffer, writer.length)
    return true
  }
}

/** All that leaves one stage of one subtask. */
export class ProgramOutputs {
  /** Records given to sinks so far. */
  results = 0
  /** Sum, modulo 2^32, of the hashes of what was discarded: the same in any order. */
  checksum = 0
  readonly links: ProgramLink[] = []
  readonly #sinks = new Set<SubtaskWriter>()

  /** Adds a sink's writer; one that several stages write is flushed by each. */
  addSink(writer: SubtaskWriter): void {
    this.#sinks.add(writer)
  }

  /** True when another record of input may be worked on. Throws what a sink has failed with. */
  get ready(): boolean {
    for (const link of this.links) if (!link.ready) return false
    for (const sink of this.#sinks) if (sink.full) return false
    return true
  }

  /** Sends full batches on. */
  sendFull(): void {
    for (const link of this.links) link.sendFull()
  }

  /** Sends everything on; true when nothing is left. */
  flush(): boolean {
    let left = false
    for (const link of this.links) if (!link.flush()) left = true
    return !left
  }

  /** True while something waits to be sent. */
  get pending(): boolean {
    return this.links.some((link) => link.pending)
  }

  /** Records sent and written so far. */
  get recordsOut(): number {
    return this.links.reduce((sum, link) => sum + link.recordsOut, this.results)
  }

  /** Sends a mark on every link. Flush first. */
  broadcast(message: Exclude<Message, { kind: 'batch' }>): void {
    for (const link of this.links) link.channels.broadcast(message)
  }

  /** Resolves when what was given to sinks is durable. */
  async durable(): Promise<void> {
    await Promise.all([...this.#sinks].map((sink) => sink.flush()))
  }
}
