/**
 * Records to a topic of the embedded log.
 *
 * Each subtask writes a partition of its own, so that threads do not share a writer; the topic is created with
 * PARTITIONS partitions by whoever comes first.
 */
import type { Clock, Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { LogWriter } from '../log/log-writer.ts'
import { createTopic, findTopic } from '../log/topic.ts'
import type { RecordWriter } from './sink.ts'

/** Partitions of an output topic: more subtasks than this cannot write it. */
export const OUTPUT_PARTITIONS = 32

/** Writes one subtask's records. */
export class LogRecordWriter implements RecordWriter {
  bufferedBytes = 0
  readonly #writer: LogWriter
  readonly #partition: number
  readonly #topic: string

  /** Creates the topic if need be. Throws SINK_FAILED. */
  constructor(options: { root: string; topic: string; subtask: number; clock: Clock; random: Random }) {
    const { root, topic, subtask, clock, random } = options
    this.#partition = subtask % OUTPUT_PARTITIONS
    this.#topic = topic
    try {
      if (findTopic(root, topic) === undefined) createTopicOnce(root, topic, random)
      checkPartitions(findTopic(root, topic)?.partitions ?? 0, this.#partition)
      this.#writer = new LogWriter({ root, topic, clock, partition: this.#partition })
    } catch (cause) {
      throw this.#failed(cause)
    }
  }

  /** Throws SINK_FAILED: a batch that is full is written at once. */
  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    try {
      this.#writer.append(this.#partition, key, value, timestampMs)
    } catch (cause) {
      throw this.#failed(cause)
    }
    this.bufferedBytes += (key?.length ?? 0) + value.length
  }

  async flush(): Promise<void> {
    const written = this.bufferedBytes
    try {
      await this.#writer.flush()
    } catch (cause) {
      throw this.#failed(cause)
    }
    this.bufferedBytes -= written
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #failed(cause: unknown): MillraceError {
    return new MillraceError(
      'SINK_FAILED',
      `writing to log topic ${this.#topic} failed: ${MillraceError.from(cause).message}`,
      { cause },
    )
  }
}

/** Readers look at the partitions that a topic says it has: what is written beside them would be lost. */
function checkPartitions(partitions: number, partition: number): void {
  if (partition < partitions) return
  throw new MillraceError(
    'SINK_FAILED',
    `it has ${partitions} partitions, and every subtask writes one of its own: name a topic that does not exist yet`,
  )
}

function createTopicOnce(root: string, topic: string, random: Random): void {
  try {
    createTopic(root, topic, OUTPUT_PARTITIONS, random)
  } catch (error) {
    // Another thread was first.
    if (findTopic(root, topic) === undefined) throw error
  }
}
