/**
 * Applies a job's epochs to a Kafka topic, each in one transaction together with its marker.
 *
 * Owns: the life of the sink (open, apply, close), who its owner is, what goes into a transaction. Does not own: the
 * requests (source/kafka/transactional-producer.ts), batches (kafka-batches.ts), the marker topic (kafka-markers.ts).
 *
 * Invariants
 * 1. One transactional id a deployment, job and sink. `open` takes it over before it reads the marker, to an end taken
 *    after that: what an older owner had committed is read, what it had not is aborted, what it still sends is refused.
 * 2. No transaction is resumed. After any rejection, the unknown outcome of a commit included, the sink is of no use:
 *    whoever wants to go on makes a new one, and its marker says what holds.
 * 3. A transaction has records and, in its last request, the marker. None is empty.
 */
import { MillraceError } from '../core/errors.ts'
import { RecordBatchWriter } from '../event/record-batch-writer.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../source/kafka/admin.ts'
import type { KafkaClusterOptions } from '../source/kafka/kafka-cluster.ts'
import { nameHolder } from '../source/kafka/open-transactions.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { topicSettings } from '../source/kafka/topic-settings.ts'
import type { PartitionBatch } from '../source/kafka/transaction-protocol.ts'
import { TransactionalProducer } from '../source/kafka/transactional-producer.ts'
import { KafkaBatches } from './kafka-batches.ts'
import { encodeMarker, type MarkerRecord, MarkerTopic } from './kafka-markers.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from './outbox.ts'
import { OutboxBlockCursor } from './outbox-block.ts'

/** Options of a KafkaOutbox. */
export interface KafkaOutboxOptions extends KafkaClusterOptions {
  readonly topic: string
  readonly owner: OutboxOwner
  /** The broker aborts what is not committed in this time: above the time that an apply takes. Default 60000. */
  readonly transactionTimeoutMs?: number
  /** How long trouble that passes is waited out within one step, ms. Default 30000. */
  readonly patienceMs?: number
  /** How long `open` waits for transactions of others that keep the marker topic from being read, ms. Default 30000. */
  readonly waitMs?: number
  /** Creates the marker topic; default kafkajs. */
  readonly openAdmin?: () => Promise<KafkaAdmin>
}

const DEFAULT_PREFIX = 'millrace'
/** How long a sink that is closed waits for its transaction to be aborted, ms. */
const ABORT_WAIT_MS = 3000
/** What topics take unless they say otherwise, less a little: where the client may not ask. */
const MESSAGE_BYTES_UNKNOWN = 900_000

/** The topic in which the sinks of a deployment keep their markers. */
export function markerTopicOf(prefix: string): string {
  return `${prefix}-markers`
}

/** The transactional id of a sink. */
export function transactionalIdOf(prefix: string, job: string, sink: string): string {
  return `${prefix}/${job}/${sink}`
}

/** The job and sink that a transactional id of the deployment belongs to; undefined for an id of somebody else. */
export function sinkOfTransactionalId(
  prefix: string,
  transactionalId: string,
): { readonly job: string; readonly sink: string } | undefined {
  if (!transactionalId.startsWith(`${prefix}/`)) return undefined
  const [job, sink, ...rest] = transactionalId.slice(prefix.length + 1).split('/')
  return job && sink && rest.length === 0 ? { job, sink } : undefined
}

/** What an open sink talks through. */
interface Session {
  readonly producer: TransactionalProducer
  readonly markers: MarkerTopic
}

/** An OutboxSink over transactions. */
export class KafkaOutbox implements OutboxSink {
  readonly guarantee = 'exactly-once'
  readonly #options: KafkaOutboxOptions
  readonly #ports: KafkaPorts
  readonly #key: string
  readonly #markerTopic: string
  readonly #cursor = new OutboxBlockCursor()
  #session: Session | undefined
  /** Absent while nothing can be applied: before `open`, and after a rejection. */
  #batches: KafkaBatches | undefined
  #applied: OutboxMarker | null = null
  #applying: Promise<void> = Promise.resolve()
  #closing = false

  constructor(options: KafkaOutboxOptions, ports: KafkaPorts) {
    const { transactionPrefix = DEFAULT_PREFIX, owner } = options
    this.#options = options
    this.#ports = ports
    this.#key = transactionalIdOf(transactionPrefix, owner.job, owner.sink)
    this.#markerTopic = markerTopicOf(transactionPrefix)
  }

  async open(): Promise<OutboxMarker | null> {
    try {
      await this.close()
      this.#closing = false
      return await this.#open(this.#connect())
    } catch (error) {
      throw this.#failed('opening', error)
    }
  }

  apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const applying = this.#apply(epoch, blocks).catch(async (error: unknown) => {
      await this.#abandon()
      throw this.#failed(`applying epoch ${epoch} to`, error)
    })
    this.#applying = applying.catch(() => {})
    return applying
  }

  async close(): Promise<void> {
    this.#closing = true
    const session = this.#session
    if (session === undefined) return
    await this.#atMost(ABORT_WAIT_MS, this.#applying)
    this.#session = undefined
    this.#batches = undefined
    await Promise.all([session.producer.close(), session.markers.close()])
  }

  #connect(): Session {
    const { waitMs = 30_000, openAdmin = () => openKafkaAdmin(this.#options) } = this.#options
    const producer = new TransactionalProducer({ ...this.#options, transactionalId: this.#key }, this.#ports)
    const holder = (): Promise<string> => nameHolder(producer.cluster, this.#markerTopic, 0)
    const options = { ...this.#options, topic: this.#markerTopic, waitMs, openAdmin, holder }
    this.#session = { producer, markers: new MarkerTopic(options, this.#ports) }
    return this.#session
  }

  async #open({ producer, markers }: Session): Promise<OutboxMarker | null> {
    const { topic, owner } = this.#options
    await markers.prepare(producer.cluster)
    // A look before anything is taken over: an owner that has been replaced need not disturb the one that replaced it.
    this.#checkOwner(await markers.peek(this.#key))
    await producer.init()
    const marker = await markers.read(this.#key)
    this.#checkOwner(marker)
    this.#applied = marker?.applied ?? null
    await producer.metadata(topic)
    const batches = new KafkaBatches(topic, await this.#maxMessageBytes(producer))
    await producer.metadata(this.#markerTopic)
    const known = marker?.owner
    if (known?.jobId !== owner.jobId || known.generation !== owner.generation) {
      await producer.produce([this.#marker(producer, this.#applied)])
      await producer.commit()
    }
    this.#batches = batches
    return this.#applied
  }

  #checkOwner(marker: MarkerRecord | null): void {
    const { jobId, generation } = this.#options.owner
    if (marker === null || marker.owner.jobId !== jobId || marker.owner.generation <= generation) return
    throw new MillraceError(
      'STORE_FENCED',
      `${this.#name()} belongs to generation ${marker.owner.generation} of the job; this is ${generation}`,
    )
  }

  async #apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    const { topic, owner } = this.#options
    const batches = this.#batches
    const producer = this.#session?.producer
    if (batches === undefined || producer === undefined) throw this.#notOpen()
    if (this.#applied?.jobId === owner.jobId && epoch <= this.#applied.epoch) return
    const { partitions } = await producer.metadata(topic)
    batches.begin(partitions.length, this.#ports.clock.nowMs())
    let sending: Promise<void> = Promise.resolve()
    // A round is collected while the last one travels.
    const send = async (): Promise<void> => {
      await sending
      if (this.#closing) throw this.#notOpen()
      sending = producer.produce(this.#round(producer, batches))
      // Looked at by the next round, or at the end.
      sending.catch(() => {})
    }
    for await (const block of blocks) {
      batches.turn()
      this.#cursor.reset(block)
      while (this.#cursor.next()) {
        while (!batches.add(this.#cursor)) await send()
      }
    }
    await sending
    if (this.#closing) throw this.#notOpen()
    const rest = this.#round(producer, batches)
    if (rest.length === 0 && !producer.open) return
    const applied = { jobId: owner.jobId, generation: owner.generation, epoch }
    await producer.produce([...rest, this.#marker(producer, applied)])
    await producer.commit()
    this.#applied = applied
  }

  #round(producer: TransactionalProducer, batches: KafkaBatches): PartitionBatch[] {
    return [...batches.take()].map(([partition, writer]) => producer.seal(this.#options.topic, partition, writer))
  }

  #marker(producer: TransactionalProducer, applied: OutboxMarker | null): PartitionBatch {
    const { jobId, generation } = this.#options.owner
    const writer = new RecordBatchWriter(1024)
    const value = encodeMarker({ owner: { jobId, generation }, applied })
    writer.append(Buffer.from(this.#key), value, this.#ports.clock.nowMs())
    return producer.seal(this.#markerTopic, 0, writer)
  }

  async #maxMessageBytes({ cluster }: TransactionalProducer): Promise<number> {
    try {
      const settings = await topicSettings(cluster, this.#options.topic, ['max.message.bytes'])
      return Number(settings.get('max.message.bytes') ?? MESSAGE_BYTES_UNKNOWN)
    } catch (error) {
      const failure = MillraceError.from(error)
      if (failure.code === 'BROKER_ERROR' && failure.retry === 'never') return MESSAGE_BYTES_UNKNOWN
      throw failure
    }
  }

  /** Takes back what may be open, so that no reader waits for the transaction's timeout. The marker tells whether it was. */
  async #abandon(): Promise<void> {
    this.#batches = undefined
    const aborting = this.#session?.producer.abort()
    if (aborting !== undefined) await this.#atMost(ABORT_WAIT_MS, aborting)
  }

  /** Waits until `work` has ended, well or not, or `waitMs` have passed. */
  async #atMost(waitMs: number, work: Promise<void>): Promise<void> {
    let cancel = (): void => {}
    const enough = new Promise<void>((resolve) => {
      cancel = this.#ports.scheduler.after(waitMs, resolve)
    })
    await Promise.race([work.catch(() => {}), enough])
    cancel()
  }

  #name(): string {
    return `sink ${this.#options.owner.sink} of job ${this.#options.owner.job} (topic ${this.#options.topic})`
  }

  #notOpen(): MillraceError {
    return new MillraceError('SINK_FAILED', `${this.#name()} is not open`)
  }

  #failed(what: string, error: unknown): MillraceError {
    const cause = MillraceError.from(error)
    if (cause.code === 'STORE_FENCED') return cause
    // What no repetition can mend (a record too large, no right to write) fails the job and does not restart it for ever.
    const retry = cause.retry === 'never' && !passing.has(cause.code) ? 'never' : 'restart'
    return new MillraceError('SINK_FAILED', `${what} ${this.#name()} failed: ${cause.message}`, { cause, retry })
  }
}

/** Codes that never pass by themselves elsewhere, and do here: a topic that somebody creates, a sink that is being closed. */
const passing: ReadonlySet<string> = new Set(['TOPIC_NOT_FOUND', 'CANCELLED'])
