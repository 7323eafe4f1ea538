/**
 * Records of an outbox as batches a partition, none larger than the topic takes.
 *
 * Owns: the choice of the partition, the size of batches and of a round of them. Does not own: sequence numbers and
 * sending (source/kafka/transactional-producer.ts).
 *
 * A record goes to the partition of its key; records without one go to one partition a block, in turn. The order of
 * records within a partition is that of the blocks. Nothing is allocated for a record.
 */
import { MillraceError } from '../core/errors.ts'
import { RecordBatchWriter } from '../event/record-batch-writer.ts'
import { partitionOfKey } from './kafka-partitioner.ts'
import type { OutboxBlockCursor } from './outbox-block.ts'

/** Bytes of records that a round collects before it is sent, over all partitions. */
const ROUND_BYTES = 4 * 1024 * 1024
/** A batch is not filled beyond this even where the topic takes more. */
const BATCH_BYTES_MAX = 1024 * 1024
/** Most bytes that a record takes in a batch beyond its key and value. */
const RECORD_OVERHEAD_BYTES = 32

/** Collects a round: at most one batch a partition. */
export class KafkaBatches {
  readonly #topic: string
  readonly #maxMessageBytes: number
  #writers: (RecordBatchWriter | undefined)[] = []
  #partitions = 0
  #bytes = 0
  #keyless = 0
  #latestMs = Number.POSITIVE_INFINITY

  /** For a topic whose batches may have `maxMessageBytes`. */
  constructor(topic: string, maxMessageBytes: number) {
    this.#topic = topic
    this.#maxMessageBytes = maxMessageBytes
  }

  /**
   * The number of partitions from the next record on, and the latest time that a record gets: a window that is not over
   * yet gives early results, and at the end of a bounded input final ones, and brokers refuse what lies an hour ahead of
   * their clock (message.timestamp.after.max.ms). Between epochs only.
   */
  begin(partitions: number, latestMs: number): void {
    this.#partitions = partitions
    this.#writers.length = partitions
    this.#latestMs = latestMs
  }

  /** The next records without a key go to the next partition. */
  turn(): void {
    this.#keyless++
  }

  /**
   * Takes the cursor's record into the round; false when the round must be sent first. Throws SINK_FAILED for a record
   * that no batch of the topic can hold.
   */
  add(cursor: OutboxBlockCursor): boolean {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, timestampMs } = cursor
    const partition =
      keyStart < 0 ? this.#keyless % this.#partitions : partitionOfKey(bytes, keyStart, keyEnd, this.#partitions)
    let writer = this.#writers[partition]
    if (writer === undefined) {
      writer = new RecordBatchWriter()
      this.#writers[partition] = writer
    }
    const size = (keyStart < 0 ? 0 : keyEnd - keyStart) + valueEnd - valueStart + RECORD_OVERHEAD_BYTES
    const full = writer.sizeBytes + size > Math.min(this.#maxMessageBytes, BATCH_BYTES_MAX)
    if (writer.count > 0 && (full || this.#bytes >= ROUND_BYTES)) return false
    const before = writer.sizeBytes
    writer.appendRange(bytes, keyStart, keyEnd, valueStart, valueEnd, Math.min(timestampMs, this.#latestMs))
    if (writer.sizeBytes > this.#maxMessageBytes) throw this.#tooLarge(writer.sizeBytes)
    this.#bytes += writer.sizeBytes - before
    return true
  }

  /** Hands out what the round has, a writer a partition, each to be finished at once; the next round begins. */
  *take(): Generator<readonly [partition: number, writer: RecordBatchWriter]> {
    this.#bytes = 0
    for (const [partition, writer] of this.#writers.entries()) {
      if (writer !== undefined && writer.count > 0) yield [partition, writer]
    }
  }

  #tooLarge(size: number): MillraceError {
    return new MillraceError(
      'SINK_FAILED',
      `a record that takes ${size} bytes in a batch is larger than topic ${this.#topic} takes (max.message.bytes = ` +
        `${this.#maxMessageBytes}). Raise it, or make the record smaller.`,
      { retry: 'never' },
    )
  }
}
