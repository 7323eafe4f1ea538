/**
 * Epochs to a topic of the embedded log.
 *
 * Owns: the outbox's contract over a partition (log/outbox-partition.ts). A sink has one partition of its topic for good;
 * all its subtasks' results are in it, in order.
 */
import type { Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { OutboxPartition } from '../log/outbox-partition.ts'
import { createTopicOnce } from './log-sink.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from './outbox.ts'
import { OutboxBlockCursor } from './outbox-block.ts'

/** Where a LogOutbox writes. */
export interface LogOutboxOptions {
  readonly root: string
  readonly topic: string
  readonly owner: OutboxOwner
  readonly random: Random
  /** Default 64 MiB. */
  readonly segmentBytes?: number
}

/** Applies epochs to one partition. */
export class LogOutbox implements OutboxSink {
  readonly guarantee = 'exactly-once'
  readonly #options: LogOutboxOptions
  readonly #cursor = new OutboxBlockCursor()
  #partition: OutboxPartition | null = null

  constructor(options: LogOutboxOptions) {
    this.#options = options
  }

  async open(): Promise<OutboxMarker | null> {
    const { root, topic, random, owner, segmentBytes } = this.#options
    try {
      createTopicOnce(root, topic, random)
      this.#partition = new OutboxPartition({
        ...{ root, topic, owner, writer: `${owner.job}/${owner.sink}` },
        ...(segmentBytes === undefined ? {} : { segmentBytes }),
      })
      return this.#partition.marker
    } catch (cause) {
      throw this.#failed(cause)
    }
  }

  async apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const partition = this.#partition
    if (partition === null) throw this.#failed(new Error('it is not open'))
    try {
      partition.check()
      const { marker } = partition
      if (marker?.jobId === this.#options.owner.jobId && epoch <= marker.epoch) return
      for await (const block of blocks) {
        const cursor = this.#cursor
        cursor.reset(block)
        while (cursor.next()) partition.append(cursor.key, cursor.value, cursor.timestampMs)
      }
      await partition.commit(epoch)
    } catch (cause) {
      // What is half written must not be part of a later epoch.
      await this.close()
      throw this.#failed(cause)
    }
  }

  async close(): Promise<void> {
    this.#partition?.close()
    this.#partition = null
  }

  #failed(thrown: unknown): MillraceError {
    const cause = MillraceError.from(thrown)
    if (cause.code === 'STORE_FENCED' || cause.code === 'SINK_FAILED') return cause
    return new MillraceError('SINK_FAILED', `writing to log topic ${this.#options.topic} failed: ${cause.message}`, {
      cause,
    })
  }
}
