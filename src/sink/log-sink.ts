/**
 * Records to a topic of the embedded log.
 *
 * Each writer has a partition of its own: threads, outputs and jobs that write the same topic do not share one. The topic
 * is created with OUTPUT_PARTITIONS partitions by whoever comes first.
 */
import type { Clock, Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { LogWriter } from '../log/log-writer.ts'
import { createTopic, findTopic } from '../log/topic.ts'
import type { RecordWriter } from './sink.ts'

/** Partitions of an output topic: more writers than this cannot write it at a time. */
export const OUTPUT_PARTITIONS = 32

/** Writes the records of one output of one subtask. */
export class LogRecordWriter implements RecordWriter {
  bufferedBytes = 0
  readonly #writer: LogWriter
  readonly #partition: number
  readonly #topic: string

  /** Creates the topic if need be. `owner` names the writer among all that live. Throws SINK_FAILED. */
  constructor(options: { root: string; topic: string; owner: string; clock: Clock; random: Random }) {
    const { root, topic, owner, clock, random } = options
    this.#topic = topic
    try {
      createTopicOnce(root, topic, random)
      this.#writer = new LogWriter({ root, topic, clock, owner })
      this.#partition = this.#writer.written[0]!
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

/** Creates an output topic, unless it is there. */
export function createTopicOnce(root: string, topic: string, random: Random): void {
  if (findTopic(root, topic) !== undefined) return
  try {
    createTopic(root, topic, OUTPUT_PARTITIONS, random)
  } catch (error) {
    // Another thread was first.
    if (findTopic(root, topic) === undefined) throw error
  }
}
