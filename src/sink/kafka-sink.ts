/**
 * Writes results to a Kafka topic, at least once.
 *
 * Owns: collecting records into requests below the topic's `max.message.bytes`, and the flush before which a checkpoint
 * must not count them as written. Does not own: the client (source/kafka/admin.ts), what keys and values mean.
 *
 * Invariants
 * 1. Bytes are copied on `write`: the caller may reuse its buffers at once.
 * 2. Order is kept: one request after the other. After a failure nothing more is sent: every later `flush` fails with
 *    the same error, and the job goes back to its checkpoint.
 */
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import {
  type KafkaClientOptions,
  type KafkaProducer,
  type KafkaRecord,
  openKafkaProducer,
} from '../source/kafka/admin.ts'
import type { RecordWriter } from './sink.ts'

/** Options of a KafkaSinkWriter. */
export interface KafkaSinkOptions {
  readonly topic: string
  /** Records are sent once this many bytes of them have come together. Default 512 KiB. */
  readonly batchBytes?: number
  /** No record gets a later time than it says: brokers refuse what lies in the future. Without it, times stay as they are. */
  readonly clock?: Clock
}

/** Buffers records and sends them through a producer; the first send waits until it is connected. */
export class KafkaSinkWriter implements RecordWriter {
  readonly #producer: Promise<KafkaProducer>
  readonly #topic: string
  readonly #batchBytes: number
  readonly #clock: Clock | undefined
  #arena: Uint8Array
  #used = 0
  #records: KafkaRecord[] = []
  #unsentBytes = 0
  #sending: Promise<void> = Promise.resolve()
  #failure: MillraceError | undefined

  constructor(producer: KafkaProducer | Promise<KafkaProducer>, options: KafkaSinkOptions) {
    this.#producer = Promise.resolve(producer)
    // Its failure surfaces in the first send.
    this.#producer.catch(() => undefined)
    this.#topic = options.topic
    this.#batchBytes = options.batchBytes ?? 512 * 1024
    this.#clock = options.clock
    this.#arena = new Uint8Array(this.#batchBytes)
  }

  /** Bytes of keys and values that the broker has not acknowledged yet: what back-pressure goes by. */
  get bufferedBytes(): number {
    return this.#unsentBytes
  }

  /** Buffers one record and sends the buffer on when it is full. Errors surface in `flush`. */
  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    if (this.#failure !== undefined) return
    const size = (key?.length ?? 0) + value.length
    if (this.#used + size > this.#batchBytes && this.#records.length > 0) this.#seal()
    if (this.#used + size > this.#arena.length) this.#arena = new Uint8Array(Math.max(size, this.#batchBytes))
    const latestMs = this.#clock?.nowMs() ?? timestampMs
    const time = { timestampMs: Math.min(timestampMs, latestMs) }
    this.#records.push({ key: key === null ? null : this.#copy(key), value: this.#copy(value), ...time })
    this.#unsentBytes += size
  }

  /** Sends what is buffered and resolves when all that was written is acknowledged. Throws SINK_FAILED. */
  async flush(): Promise<void> {
    this.#seal()
    await this.#sending
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Disconnects; what was not flushed is dropped. */
  async close(): Promise<void> {
    // A producer that never connected has nothing to close.
    const producer = await this.#producer.catch(() => undefined)
    await producer?.close()
  }

  #copy(bytes: Uint8Array): Uint8Array {
    const start = this.#used
    this.#arena.set(bytes, start)
    this.#used = start + bytes.length
    return this.#arena.subarray(start, this.#used)
  }

  #seal(): void {
    if (this.#records.length === 0) return
    const records = this.#records
    const bytes = this.#used
    this.#records = []
    this.#used = 0
    this.#arena = new Uint8Array(this.#batchBytes)
    this.#sending = this.#sending.then(() => this.#send(records, bytes))
  }

  async #send(records: readonly KafkaRecord[], bytes: number): Promise<void> {
    if (this.#failure !== undefined) return
    try {
      await (await this.#producer).send(this.#topic, records)
      this.#unsentBytes -= bytes
    } catch (error) {
      const cause = MillraceError.from(error)
      // What no repetition can mend (a record too large, no right to write) fails the job and does not restart it for ever.
      const retry = cause.retry === 'never' && cause.code !== 'TOPIC_NOT_FOUND' ? 'never' : 'restart'
      const message = `writing to topic ${this.#topic} failed: ${cause.message}`
      this.#failure = new MillraceError('SINK_FAILED', message, { cause, retry })
    }
  }
}

/** A writer with a producer of its own. */
export function openKafkaRecordWriter(options: KafkaClientOptions & KafkaSinkOptions): KafkaSinkWriter {
  return new KafkaSinkWriter(openKafkaProducer(options), options)
}
