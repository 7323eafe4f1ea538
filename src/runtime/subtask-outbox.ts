/**
 * The outbox of one subtask: what it has to say to sinks, as blocks in the checkpoint store.
 *
 * Owns: blocks from their first record until the checkpoint that has them is complete, putting them in the background,
 * what a barrier hands over. Does not own: their bytes (sink/outbox-block.ts), what becomes of them once the checkpoint
 * exists (coordinator/outbox-coordinator.ts).
 *
 * A block that is full is put at once, the last one at the barrier. Until it is durable its bytes are kept, and put again
 * where the store was away; beyond FULL_BYTES of such bytes the subtask waits. That is no wait for the barrier, which
 * lies behind what the subtask has yet to work on.
 *
 * Invariants
 * 1. A snapshot has every block since the last checkpoint that the subtask knows to be complete, those of aborted ones
 *    included: nothing is lost with a checkpoint that fails. Blocks of one that completed meanwhile are left out by the
 *    manifest, which knows (manifest-merge.ts).
 * 2. A snapshot resolves when all of its blocks are durable.
 * 3. A chunk is reported as written by one snapshot, and by none that ended before it was put.
 */
import type { ChunkNames } from '../checkpoint/chunk-key.ts'
import { CHUNK_BYTES_FULL, CHUNK_BYTES_MAX } from '../checkpoint/chunk-writer.ts'
import type { ChunkRef, OutboxPart, SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { ChunkWriter } from '../checkpoint/store.ts'
import type { Clock } from '../core/clock.ts'
import { crc32c } from '../event/crc32c.ts'
import { OutboxBlockWriter, outboxRecordBytes } from '../sink/outbox-block.ts'
import type { SubtaskWriter } from '../sink/sink.ts'

/** Bytes of sealed blocks that are not durable yet, from which on the subtask waits. */
const FULL_BYTES = 4 * 1024 * 1024
/** Blocks on their way to the store at once. */
const PUTS_MAX = 2
/** Pause before what the store did not take is put again. */
const RETRY_MS = 500

/** A snapshot with what its subtask has to say. */
export function withOutbox(
  snapshot: SubtaskSnapshot,
  { outbox, written }: Pick<SubtaskSnapshot, 'outbox' | 'written'>,
): SubtaskSnapshot {
  return { ...snapshot, outbox, written: [...snapshot.written, ...written] }
}

/** What an outbox is made of. */
export interface SubtaskOutboxOptions {
  readonly store: ChunkWriter
  readonly names: ChunkNames
  readonly clock: Clock
  /** Bytes of an epoch at which it should end. */
  readonly epochBytes: number
  /** Asks for a step: the subtask may go on. */
  readonly wake: () => void
  /** Asks for an early checkpoint. */
  readonly onEpochFull: () => void
}

/** A sealed block. */
interface Block {
  readonly chunk: ChunkRef
  readonly records: number
  readonly crc32c: number
  /** Checkpoint whose barrier ended it; 0 before. */
  epoch: number
  /** Null once durable. */
  bytes: Uint8Array | null
  reported: boolean
}

interface Waiter {
  readonly missing: Set<Block>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Collects the records of one subtask for sinks that take them exactly once. */
export class SubtaskOutbox {
  readonly #options: SubtaskOutboxOptions
  readonly #writers: OutboxWriter[] = []
  /** To be put, in order. */
  #waiting: Block[] = []
  #putting = 0
  /** Bytes of sealed blocks that are not durable. */
  #heldBytes = 0
  #retryAtMs = Number.NEGATIVE_INFINITY
  readonly #waiters = new Set<Waiter>()
  /** Bytes written since the last barrier, or since an end of the epoch was last asked for. */
  #epochBytes = 0

  constructor(options: SubtaskOutboxOptions) {
    this.#options = options
  }

  /** The writer for a sink; once each. */
  open(sink: string): SubtaskWriter {
    const writer = new OutboxWriter(sink, this)
    this.#writers.push(writer)
    return writer
  }

  /**
   * At the barrier: what comes later belongs to the next epoch. Resolves when all of it is durable; rejects with the
   * store's error when some of it is not, and keeps it.
   */
  async snapshot(checkpointId: number): Promise<Pick<SubtaskSnapshot, 'outbox' | 'written'>> {
    this.#epochBytes = 0
    for (const writer of this.#writers) writer.seal()
    const blocks = this.#writers.flatMap((writer) => writer.blocks)
    for (const block of blocks) if (block.epoch === 0) block.epoch = checkpointId
    const outbox = this.#writers.flatMap((writer) => writer.part())
    await this.#durable(blocks)
    const fresh = blocks.filter((block) => !block.reported)
    for (const block of fresh) block.reported = true
    return { outbox, written: fresh.map(({ chunk }) => chunk) }
  }

  /** The checkpoint exists: what it has is no longer this subtask's. */
  completed(checkpointId: number): void {
    for (const writer of this.#writers) writer.forget(checkpointId)
  }

  /** Bytes that the store has not taken yet. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** True while too much waits for the store; asked at every step, and so also what starts it again after a failure. */
  get full(): boolean {
    if (this.#waiting.length > 0) this.#pump()
    return this.#heldBytes >= FULL_BYTES
  }

  /** A writer has taken a record of this many bytes. */
  wrote(bytes: number): void {
    this.#epochBytes += bytes
    if (this.#epochBytes < this.#options.epochBytes) return
    this.#epochBytes = 0
    this.#options.onEpochFull()
  }

  /** Puts a block in the background. */
  put(bytes: Uint8Array, records: number): Block {
    const chunk = { key: this.#options.names.next(), sizeBytes: bytes.length }
    const block: Block = { chunk, records, crc32c: crc32c(bytes), epoch: 0, bytes, reported: false }
    this.#heldBytes += bytes.length
    this.#waiting.push(block)
    this.#pump()
    return block
  }

  async #durable(blocks: readonly Block[]): Promise<void> {
    const missing = new Set(blocks.filter((block) => block.bytes !== null))
    if (missing.size === 0) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiters.add({ missing, resolve, reject })
    this.#retryAtMs = Number.NEGATIVE_INFINITY
    this.#pump()
    await promise
  }

  #pump(): void {
    while (this.#putting < PUTS_MAX && this.#options.clock.monotonicMs() >= this.#retryAtMs) {
      const block = this.#waiting.shift()
      if (block === undefined) return
      this.#putting++
      void this.#put(block)
    }
  }

  async #put(block: Block): Promise<void> {
    try {
      await this.#options.store.putChunk(block.chunk.key, block.bytes!)
      this.#heldBytes -= block.chunk.sizeBytes
      block.bytes = null
      for (const waiter of this.#waiters)
        if (waiter.missing.delete(block) && waiter.missing.size === 0) this.#settle(waiter, null)
    } catch (error) {
      // Under the same key: a put whose answer was lost has the effect of one.
      this.#waiting.unshift(block)
      this.#retryAtMs = this.#options.clock.monotonicMs() + RETRY_MS
      for (const waiter of this.#waiters) if (waiter.missing.has(block)) this.#settle(waiter, error)
    }
    this.#putting--
    this.#pump()
    this.#options.wake()
  }

  #settle(waiter: Waiter, error: unknown): void {
    this.#waiters.delete(waiter)
    if (error === null) waiter.resolve()
    else waiter.reject(error)
  }
}

/** Collects the records for one sink. */
class OutboxWriter implements SubtaskWriter {
  /** Sealed since the last checkpoint known to be complete, in order. */
  readonly blocks: Block[] = []
  readonly #sink: string
  readonly #outbox: SubtaskOutbox
  readonly #block = new OutboxBlockWriter()

  constructor(sink: string, outbox: SubtaskOutbox) {
    this.#sink = sink
    this.#outbox = outbox
  }

  get bufferedBytes(): number {
    return this.#outbox.heldBytes + this.#block.byteLength
  }

  get full(): boolean {
    return this.#outbox.full
  }

  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    const bytes = outboxRecordBytes(key, value)
    if (this.#block.byteLength + bytes > CHUNK_BYTES_MAX) this.seal()
    this.#block.write(key, value, timestampMs)
    if (this.#block.byteLength >= CHUNK_BYTES_FULL) this.seal()
    this.#outbox.wrote(bytes)
  }

  /** What is written is the checkpoint's to make durable. */
  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  /** Ends the block under construction, if it has records. */
  seal(): void {
    if (this.#block.records === 0) return
    const { records } = this.#block
    this.blocks.push(this.#outbox.put(this.#block.take(), records))
  }

  /** All blocks, as a snapshot says them; none is no part. */
  part(): readonly OutboxPart[] {
    if (this.blocks.length === 0) return []
    const blocks = this.blocks.map(({ chunk, epoch, records, crc32c }) => ({ chunk, epoch, records, crc32c }))
    return [{ sink: this.#sink, blocks }]
  }

  /** Drops the blocks that ended with `checkpointId` or before. */
  forget(checkpointId: number): void {
    const left = this.blocks.findIndex(({ epoch }) => epoch === 0 || epoch > checkpointId)
    this.blocks.splice(0, left < 0 ? this.blocks.length : left)
  }
}
