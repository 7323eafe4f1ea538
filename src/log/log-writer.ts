/**
 * Writes a topic of the embedded log: all its partitions, or one of them. A partition has one writer (log-locks.ts).
 *
 * Owns: batching. Appending is synchronous and goes to the page cache once a batch is full; `flush`
 * makes everything visible to readers and, by the fsync policy, durable. A crash of the process between two flushes
 * loses what was still being batched; a crash of the machine, also what was not synced.
 */
import type { Clock } from '../core/clock.ts'
import { invariant, MillraceError } from '../core/errors.ts'
import type { CodecName } from '../event/compression.ts'
import { RecordBatchCursor } from '../event/record-batch.ts'
import { RecordBatchWriter } from '../event/record-batch-writer.ts'
import { remove } from './log-files.ts'
import { claimPartition, lockPartition } from './log-locks.ts'
import { type FsyncPolicy, PartitionWriter, type Recovery, type Retention } from './partition-writer.ts'
import { describeTopic, partitionPath } from './topic.ts'

/** How a topic is written. */
export interface LogWriterOptions {
  readonly root: string
  readonly topic: string
  readonly clock: Clock
  /**
   * Write one partition only, which no other writer has: the one that this owner left, or any (default: all partitions).
   * Two writers that live at the same time have different owners.
   */
  readonly owner?: string
  /** Codec of the batches (default none). */
  readonly codec?: CodecName
  /** A batch is written when its records take this much before compression (default 64 KiB). */
  readonly batchBytes?: number
  /** A new segment begins where the last would grow beyond this (default 64 MiB). */
  readonly segmentBytes?: number
  /** Default flush. */
  readonly fsync?: FsyncPolicy
  /** What is kept; applied by `flush` (default: everything). */
  readonly retention?: Retention
}

/** Appends records to the partitions of one topic. */
export class LogWriter {
  /** What was found at the end of each partition when it was opened, by partition. */
  readonly recoveries: readonly Recovery[]
  readonly partitions: number
  readonly topicId: string
  readonly #options: LogWriterOptions
  /** Paths of the locks that it holds, by partition. */
  readonly #locks = new Map<number, string>()
  readonly #writers = new Map<number, PartitionWriter>()
  readonly #pending = new Map<number, RecordBatchWriter>()
  readonly #batchBytes: number
  readonly #check = new RecordBatchCursor()
  #closed = false

  /**
   * Opens a topic that exists. Throws TOPIC_NOT_FOUND; LEASE_HELD while others write what it wants; LOG_CORRUPT when a last
   * segment is damaged other than by a torn tail.
   */
  constructor(options: LogWriterOptions) {
    const { root, topic } = options
    const description = describeTopic(root, topic)
    this.#options = options
    this.#batchBytes = options.batchBytes ?? 65_536
    this.partitions = description.partitions
    this.topicId = description.topicId
    const { owner, segmentBytes = 64 * 1024 * 1024, fsync = 'flush' } = options
    try {
      if (owner !== undefined) {
        const { partition, path } = claimPartition(root, topic, description.partitions, owner)
        this.#locks.set(partition, path)
      } else {
        for (let partition = 0; partition < description.partitions; partition++)
          this.#locks.set(partition, lockPartition(root, topic, partition))
      }
      for (const partition of this.#locks.keys()) {
        const directory = partitionPath(root, topic, partition)
        this.#writers.set(partition, new PartitionWriter(directory, partition, segmentBytes, fsync))
        this.#pending.set(partition, new RecordBatchWriter(4096))
      }
    } catch (error) {
      this.#release()
      throw error
    }
    this.recoveries = [...this.#writers.values()].map((writer) => writer.recovery)
  }

  /**
   * Adds one record; its bytes are copied. Returns its offset. Seen by readers after `flush`, or when its batch is full.
   */
  append(partition: number, key: Uint8Array | null, value: Uint8Array | null, timestampMs: number): number {
    const pending = this.#pendingOf(partition)
    const offset = this.#writers.get(partition)!.nextOffset + pending.count
    pending.append(key, value, timestampMs)
    if (pending.sizeBytes >= this.#batchBytes) this.#writePending(partition)
    return offset
  }

  /**
   * Appends ready record batches, as a broker does: whole and valid (else RECORD_BATCH_CORRUPT, CODEC_UNSUPPORTED), given
   * the next offsets. Control and compacted-empty batches keep the offsets that they stand for.
   */
  appendBatches(partition: number, batches: Uint8Array): void {
    const pending = this.#pendingOf(partition)
    const check = this.#check
    check.reset(batches, 0, batches.length, this.#options.topic, partition)
    while (check.next());
    if (check.nextAt !== batches.length) {
      throw new MillraceError('RECORD_BATCH_CORRUPT', `the last of the batches for partition ${partition} is cut off`)
    }
    if (pending.count > 0) this.#writePending(partition)
    this.#writers.get(partition)!.append(batches.slice())
  }

  /** The partitions that it writes. */
  get written(): readonly number[] {
    return [...this.#writers.keys()]
  }

  /** Offset that the next record of a partition gets. */
  nextOffset(partition: number): number {
    return this.#writers.get(partition)!.nextOffset + this.#pendingOf(partition).count
  }

  /** Writes what is batched, makes it durable (unless fsync is never), and applies retention. */
  async flush(): Promise<void> {
    for (const partition of this.#writers.keys()) {
      if (this.#pendingOf(partition).count > 0) this.#writePending(partition)
    }
    await Promise.all(Array.from(this.#writers.values(), (writer) => writer.sync()))
    if (this.#options.retention !== undefined && !this.#closed) this.applyRetention()
  }

  /** Deletes the segments that retention does not keep; returns the records deleted. */
  applyRetention(): number {
    const retention = this.#options.retention ?? {}
    const nowMs = this.#options.clock.nowMs()
    let records = 0
    for (const writer of this.#writers.values()) records += writer.retain(retention, nowMs)
    return records
  }

  /** Flushes and gives the topic back. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    try {
      await this.flush()
    } finally {
      this.#closed = true
      this.#release()
    }
  }

  #pendingOf(partition: number): RecordBatchWriter {
    invariant(!this.#closed, `append to closed log ${this.#options.topic}`)
    const pending = this.#pending.get(partition)
    invariant(pending !== undefined, `partition ${partition} of ${this.#options.topic}, which has ${this.partitions}`)
    return pending
  }

  #writePending(partition: number): void {
    const writer = this.#writers.get(partition)!
    writer.append(this.#pending.get(partition)!.finish(writer.nextOffset, { codec: this.#options.codec ?? 'none' }))
  }

  #release(): void {
    for (const writer of this.#writers.values()) writer.close()
    for (const path of this.#locks.values()) remove(path)
  }
}
