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
 * 4. An epoch is applied when readers of committed records see it, not when its commit is answered: what hangs then, or
 *    is found hanging by `open`, is ended as its coordinator has decided (source/kafka/hanging-transactions.ts).
 */

import { MillraceError } from '../core/errors.ts'
import { RecordBatchWriter } from '../event/record-batch-writer.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../source/kafka/admin.ts'
import type { EndedTransaction } from '../source/kafka/ended-transaction.ts'
import { type Committed, OwnTransactions, settleHolder } from '../source/kafka/hanging-transactions.ts'
import type { KafkaClusterOptions } from '../source/kafka/kafka-cluster.ts'
import { nameHolder } from '../source/kafka/open-transactions.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { arePassed } from '../source/kafka/stable-offsets.ts'
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
  /** How long trouble that passes is waited out within one step, ms. Default 30000. */
  readonly patienceMs?: number
  /** How long `open` waits for transactions of others that keep the marker topic from being read, ms. Default 30000. */
  readonly waitMs?: number
  /** Told of a transaction of its own that hung, and was ended. */
  readonly onEnded?: (ended: EndedTransaction) => void
  /** Creates the marker topic; default kafkajs. */
  readonly openAdmin?: () => Promise<KafkaAdmin>
}

const DEFAULT_PREFIX = 'millrace'
/** How long a sink that is closed waits for its transaction to be aborted, ms. */
const ABORT_WAIT_MS = 3000
/** Pause before partitions are looked at again that hide what holds them, ms. */
const BLIND_PAUSE_MS = 200
/** Pauses before it is looked again whether a commit can be seen, ms; a coordinator takes a few. */
const VISIBLE_AFTER_MS = [1, 2, 4, 8, 16, 32] as const
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
  readonly own: OwnTransactions
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
    const looking = {
      cluster: producer.cluster,
      patienceMs: this.#options.patienceMs ?? 30_000,
      ports: this.#ports,
      closed: () => this.#closing,
    }
    const topics = [...new Set([this.#options.topic, this.#markerTopic])]
    const own = new OwnTransactions({ ...looking, transactionalId: this.#key, topics })
    const { transactionPrefix = DEFAULT_PREFIX } = this.#options
    const ours = (id: string): boolean => sinkOfTransactionalId(transactionPrefix, id) !== undefined
    const free = async (): Promise<void> => {
      // Who may not look is told who holds the topic, as far as that can be told.
      const ended = await settleHolder(looking, { topic: this.#markerTopic, partition: 0 }, ours).catch(() => [])
      for (const each of ended) this.#options.onEnded?.(each)
    }
    const options = { ...this.#options, topic: this.#markerTopic, waitMs, openAdmin, holder, free }
    this.#session = { producer, markers: new MarkerTopic(options, this.#ports), own }
    return this.#session
  }

  async #open(session: Session): Promise<OutboxMarker | null> {
    const { producer, markers, own } = session
    const { topic, owner } = this.#options
    await markers.prepare(producer.cluster)
    // A look before anything is taken over: an owner that has been replaced need not disturb the one that replaced it.
    this.#checkOwner(await markers.peek(this.#key))
    // Before the coordinator forgets how the last transaction ended, and again for what ends by being taken over.
    await this.#settle(own)
    await producer.init()
    await this.#settle(own)
    if (own.blind.length > 0) await this.#waitForBlind(session)
    const marker = await markers.read(this.#key)
    this.#checkOwner(marker)
    this.#applied = marker?.applied ?? null
    await producer.metadata(topic)
    const batches = new KafkaBatches(topic, await this.#maxMessageBytes(producer))
    await producer.metadata(this.#markerTopic)
    const known = marker?.owner
    if (known?.jobId !== owner.jobId || known.generation !== owner.generation) {
      await producer.produce([this.#marker(producer, this.#applied)])
      await this.#commit(session)
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
    const session = this.#session
    if (batches === undefined || session === undefined) throw this.#notOpen()
    const { producer } = session
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
    await this.#commit(session)
    this.#applied = applied
  }

  /** Commits, and resolves when it can be seen: the next transaction must not take one that hangs along. */
  async #commit({ producer, own }: Session): Promise<void> {
    await producer.commit()
    for (const delayMs of VISIBLE_AFTER_MS) {
      // A broker that does not answer now is asked with patience below.
      if (await arePassed(producer.cluster, producer.written).catch(() => false)) return
      await new Promise<void>((resolve) => void this.#ports.scheduler.after(delayMs, resolve))
    }
    await this.#settle(own, { by: producer.identity, to: producer.written })
  }

  async #settle(own: OwnTransactions, committed?: Committed): Promise<void> {
    for (const ended of await own.settle(committed)) this.#options.onEnded?.(ended)
  }

  /** Waits for partitions in which one of its own may hang, for all that this client is allowed to see. */
  async #waitForBlind({ producer, own }: Session): Promise<void> {
    const { waitMs = 30_000 } = this.#options
    const { clock, scheduler } = this.#ports
    const untilMs = clock.monotonicMs() + waitMs
    const written = own.blind.map((end) => ({ ...end, offset: end.highWatermark - 1 }))
    while (!(await arePassed(producer.cluster, written))) {
      if (this.#closing) throw this.#notOpen()
      if (clock.monotonicMs() >= untilMs) {
        const where = written.map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
        const message =
          `a transaction has been open in ${where} for ${Math.round(waitMs / 1000)} s, and it cannot be told whose it is. ` +
          'Grant this client the right to READ the topic: one of its own that hangs is then ended.'
        throw new MillraceError('SINK_FAILED', message)
      }
      await new Promise<void>((resolve) => void scheduler.after(BLIND_PAUSE_MS, resolve))
    }
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
