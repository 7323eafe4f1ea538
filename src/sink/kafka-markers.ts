/**
 * Markers of Kafka sinks: what each has applied, in a compacted topic of one partition that a deployment's jobs share.
 *
 *   key    the sink's transactional id
 *   value  {"owner": {"jobId", "generation"}, "applied": {"jobId", "generation", "epoch"} | null}   JSON
 *
 * `owner` is who opened the sink last, `applied` the newest epoch, which may be another submission's. A marker record is
 * in the last request of its transaction, so that the topic's last stable offset waits for no more than an EndTxn.
 *
 * Owns: the topic, the record, reading it. Does not own: transactions (source/kafka/transactional-producer.ts), what a
 * marker means for a job.
 */
import { MillraceError } from '../core/errors.ts'
import { RecordCursor } from '../event/records.ts'
import type { KafkaAdmin, TopicSpec } from '../source/kafka/admin.ts'
import type { KafkaCluster, KafkaClusterOptions } from '../source/kafka/kafka-cluster.ts'
import { KafkaEnumerator } from '../source/kafka/kafka-enumerator.ts'
import { KafkaReader } from '../source/kafka/kafka-reader.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { topicSettings } from '../source/kafka/topic-settings.ts'
import type { OutboxMarker } from './outbox.ts'

/** What a marker record says. */
export interface MarkerRecord {
  readonly owner: { readonly jobId: string; readonly generation: number }
  readonly applied: OutboxMarker | null
}

/**
 * Small segments that close every ten minutes: only closed ones are compacted, and a start reads what is not. A megabyte
 * is the least that brokers take.
 */
const spec: TopicSpec = {
  partitions: 1,
  config: { 'cleanup.policy': 'compact', 'segment.bytes': '1048576', 'segment.ms': '600000' },
}

const PAUSE_MIN_MS = 5
const PAUSE_MAX_MS = 200

/** What is needed to read markers. */
export interface MarkerTopicOptions extends KafkaClusterOptions {
  readonly topic: string
  /** How long a foreign transaction may keep the topic from being read, ms. */
  readonly waitMs: number
  readonly openAdmin: () => Promise<KafkaAdmin>
  /** Ends what keeps the topic from being read, if it hangs and is the deployment's own. */
  readonly free: () => Promise<void>
  /** Says, for people, which open transaction keeps the topic from being read; '' when that cannot be told. */
  readonly holder: () => Promise<string>
}

/** The marker topic as one sink reads it. */
export class MarkerTopic {
  readonly #options: MarkerTopicOptions
  readonly #ports: KafkaPorts
  readonly #enumerator: KafkaEnumerator
  readonly #closed = Promise.withResolvers<never>()

  constructor(options: MarkerTopicOptions, ports: KafkaPorts) {
    this.#options = options
    this.#ports = ports
    this.#enumerator = new KafkaEnumerator(options, ports)
    this.#closed.promise.catch(() => {})
  }

  /**
   * Sees to it that the topic is there, and that it keeps the newest marker of every sink. Throws SINK_FAILED, BROKER_ERROR,
   * BROKER_UNREACHABLE.
   */
  async prepare(cluster: KafkaCluster): Promise<void> {
    const { topic } = this.#options
    try {
      await this.#enumerator.partitions()
    } catch (error) {
      if (MillraceError.from(error).code !== 'TOPIC_NOT_FOUND') throw error
      await this.#create()
    }
    const policy = (await topicSettings(cluster, topic, ['cleanup.policy'])).get('cleanup.policy')
    if (policy === 'compact') return
    throw new MillraceError(
      'SINK_FAILED',
      `topic ${topic} has cleanup.policy=${policy ?? '(not shown)'}: it would lose which results were applied. ` +
        'Set it to compact, and to nothing else.',
      { retry: 'never' },
    )
  }

  /** The marker under `key` among what is committed now; null when there is none. Open transactions are not waited for. */
  async peek(key: string): Promise<MarkerRecord | null> {
    const [info] = await this.#enumerator.partitions('read_committed')
    return this.#read(key, info!.earliest, info!.end, info!.topicId)
  }

  /**
   * The marker under `key` among all that was written before the call, once every transaction among it has ended. Throws
   * SINK_FAILED, with who holds it up, when one has not ended in time.
   */
  async read(key: string): Promise<MarkerRecord | null> {
    const { topic, waitMs } = this.#options
    const { clock, scheduler } = this.#ports
    const [info] = await this.#enumerator.partitions('read_uncommitted')
    const untilMs = clock.monotonicMs() + waitMs
    let freed = false
    for (let delayMs = PAUSE_MIN_MS; ; delayMs = Math.min(PAUSE_MAX_MS, delayMs * 2)) {
      const [stable] = await this.#enumerator.partitions('read_committed')
      if (stable!.end >= info!.end) break
      // What hangs of another sink is left to that one first.
      if (!freed && clock.monotonicMs() >= untilMs - waitMs / 2) {
        freed = true
        await this.#options.free()
        continue
      }
      if (clock.monotonicMs() >= untilMs) {
        const holder = await this.#options.holder()
        const message =
          `topic ${topic} cannot be read to its end at ${info!.end}: for ${Math.round(waitMs / 1000)} s a transaction ` +
          `has been open at offset ${stable!.end}${holder === '' ? '' : `, ${holder}`}. It passes when that ends, or is ` +
          'ended with `millrace txn abort`.'
        throw new MillraceError('SINK_FAILED', message)
      }
      await this.#unlessClosed((resolve) => scheduler.after(delayMs, resolve))
    }
    return this.#read(key, info!.earliest, info!.end, info!.topicId)
  }

  /** Ends the connections; calls under way reject with CANCELLED. Idempotent. */
  async close(): Promise<void> {
    this.#closed.reject(new MillraceError('CANCELLED', 'the Kafka client is closed'))
    await this.#enumerator.close()
  }

  #unlessClosed(wait: (resolve: () => void) => void): Promise<void> {
    return Promise.race([new Promise<void>(wait), this.#closed.promise])
  }

  async #create(): Promise<void> {
    const { topic, openAdmin } = this.#options
    const admin = await openAdmin()
    try {
      await admin.createTopic(topic, spec)
    } finally {
      await admin.close()
    }
  }

  async #read(key: string, start: number, end: number, topicId: string): Promise<MarkerRecord | null> {
    if (end <= start) return null
    const reader = new KafkaReader(this.#options, this.#ports)
    try {
      reader.assign({ partition: 0, topicId, offset: start, stopOffset: end })
      const wanted = Buffer.from(key)
      const cursor = new RecordCursor(this.#options.topic)
      let found: Uint8Array | undefined
      while (!reader.status(0).finished) {
        const chunk = reader.poll()
        if (chunk === undefined) {
          await this.#unlessClosed((resolve) => reader.onReady(resolve))
          continue
        }
        cursor.reset(chunk)
        while (cursor.next()) {
          const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor
          if (keyStart < 0 || valueStart < 0 || !wanted.equals(bytes.subarray(keyStart, keyEnd))) continue
          found = bytes.slice(valueStart, valueEnd)
        }
      }
      return found === undefined ? null : decodeMarker(found, this.#options.topic)
    } finally {
      await reader.close()
    }
  }
}

/** The value of a marker record. */
export function encodeMarker(marker: MarkerRecord): Uint8Array {
  return Buffer.from(JSON.stringify(marker))
}

/** Reads the value of a marker record; SINK_FAILED when it is not one. Fields that it does not know are passed over. */
export function decodeMarker(value: Uint8Array, topic: string): MarkerRecord {
  try {
    const { owner, applied } = JSON.parse(Buffer.from(value).toString()) as MarkerRecord
    const marker = applied === null ? null : { ...checkOwner(applied), epoch: checkNumber(applied.epoch) }
    return { owner: checkOwner(owner), applied: marker }
  } catch (cause) {
    const message = `topic ${topic} holds a marker that Millrace did not write. Give Millrace a topic of its own.`
    throw new MillraceError('SINK_FAILED', message, { cause, retry: 'never' })
  }
}

function checkOwner({ jobId, generation }: MarkerRecord['owner']): MarkerRecord['owner'] {
  if (typeof jobId !== 'string') throw new TypeError('a job id is text')
  return { jobId, generation: checkNumber(generation) }
}

function checkNumber(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new TypeError('a generation or an epoch is a whole number')
  return value as number
}
