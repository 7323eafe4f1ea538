/**
 * A producer of transactions under one transactional id, of our own.
 *
 * Owns: the coordinator and leaders it talks to, its id, epoch and sequence numbers, the partitions of the transaction
 * that is open, and what is asked again after which answer (transaction-verdict.ts). Does not own: record batches, how
 * large they may be, what an unknown outcome means for its user (sink/kafka-outbox.ts).
 *
 * Invariants
 * 1. One Produce a partition is in flight, and it is repeated with its sequence number: nothing is written twice, nothing
 *    out of order.
 * 2. EndTxn is repeated only after answers that say it was not done. A lost connection leaves its outcome unknown, and
 *    then `commit` rejects: whoever wants to know starts again with `init` and reads what was committed.
 * 3. After a rejection the producer is of no use but for `abort` and `close`.
 *
 * Why not kafkajs: docs/decisions/0024-kafka-transactions.md.
 */
import { invariant, MillraceError } from '../../core/errors.ts'
import type { RecordBatchWriter } from '../../event/record-batch-writer.ts'
import type { KafkaConnection } from './connection.ts'
import { brokerError, kafkaErrorName, kafkaErrors } from './errors.ts'
import { KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
import { type KafkaPorts, Patience, passing } from './patience.ts'
import { requireVersions, type TopicMetadata } from './protocol.ts'
import type { WrittenBatch } from './stable-offsets.ts'
import {
  type PartitionBatch,
  type PartitionVerdict,
  type ProducerIdentity,
  type ProduceVerdict,
  readAddPartitions,
  readEndTxn,
  readInitProducerId,
  readProduce,
  transactionApis,
  writeAddPartitions,
  writeEndTxn,
  writeInitProducerId,
  writeProduce,
} from './transaction-protocol.ts'
import { type TransactionStep, transactionVerdict } from './transaction-verdict.ts'

/** Options of a TransactionalProducer. */
export interface TransactionalProducerOptions extends KafkaClusterOptions {
  readonly transactionalId: string
  /** How long trouble that passes is waited out within one step, ms. Default 30000. */
  readonly patienceMs?: number
  /** First pause before a step is tried again, ms; it doubles up to a second. Default 5. */
  readonly backoffMs?: number
}

const PRODUCE_TIMEOUT_MS = 10_000
const SEQUENCES = 0x8000_0000

/** Produces transactions, one after the other. Calls are made one at a time but for `close`. */
export class TransactionalProducer {
  readonly cluster: KafkaCluster
  readonly #id: string
  readonly #options: TransactionalProducerOptions
  readonly #timeoutMs: number
  readonly #ports: KafkaPorts
  #identity: ProducerIdentity | undefined
  #coordinator: KafkaConnection | undefined
  readonly #leaders = new Map<string, TopicMetadata>()
  /** Next sequence number by partition (`topic/partition`). */
  readonly #sequences = new Map<string, number>()
  /** Partitions of the open transaction. */
  readonly #added = new Set<string>()
  /** The newest batch of the transaction that is open, or was last, by partition. */
  readonly #written = new Map<string, WrittenBatch>()
  #closed = false

  constructor(options: TransactionalProducerOptions, ports: KafkaPorts) {
    this.#id = options.transactionalId
    this.#options = options
    this.#timeoutMs = options.transactionTimeoutMs ?? 60_000
    this.#ports = ports
    this.cluster = new KafkaCluster(options)
  }

  /** Whether something was written that is neither committed nor aborted. */
  get open(): boolean {
    return this.#added.size > 0
  }

  /** The newest batch that the transaction has written to each of its partitions, until the next one begins. */
  get written(): readonly WrittenBatch[] {
    return [...this.#written.values()]
  }

  /** Who the coordinator takes this producer for, since `init`. */
  get identity(): ProducerIdentity {
    invariant(this.#identity !== undefined, 'a transaction before init')
    return this.#identity
  }

  /**
   * Makes this the one producer of the transactional id: earlier ones are fenced, and what they left open is aborted, or
   * committed where that was decided, before it resolves.
   */
  async init(): Promise<void> {
    this.#added.clear()
    this.#sequences.clear()
    this.#identity = await this.#coordinate('init', 'starting transactions', async (connection) => {
      const [key, version] = transactionApis.initProducerId
      const answer = await connection.request(
        key,
        version,
        false,
        (writer) => writeInitProducerId(writer, this.#id, this.#timeoutMs),
        readInitProducerId,
      )
      return { code: answer.errorCode, value: answer }
    })
  }

  /** What the cluster says of a topic, asked anew; TOPIC_NOT_FOUND. Leaders are known from then on. */
  async metadata(topic: string): Promise<TopicMetadata> {
    const metadata = await this.cluster.metadata(topic)
    if (metadata.errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) {
      const message = `topic ${topic} does not exist. Check its name and the right to describe it, or create it.`
      throw new MillraceError('TOPIC_NOT_FOUND', message)
    }
    if (metadata.errorCode !== kafkaErrors.NONE) throw brokerError(metadata.errorCode, `Metadata of ${topic}`)
    this.#leaders.set(topic, metadata)
    return metadata
  }

  /** Ends what `writer` has collected as the partition's next batch. Call it in the order in which batches are sent. */
  seal(topic: string, partition: number, writer: RecordBatchWriter): PartitionBatch {
    const { producerId, producerEpoch } = this.identity
    const name = `${topic}/${partition}`
    const baseSequence = this.#sequences.get(name) ?? 0
    this.#sequences.set(name, (baseSequence + writer.count) % SEQUENCES)
    const bytes = writer.finish(0, { producerId, producerEpoch, baseSequence, transactional: true }).slice()
    return { topic, partition, bytes }
  }

  /** Writes batches within the transaction, which the first call opens; at most one a partition. */
  async produce(batches: readonly PartitionBatch[]): Promise<void> {
    await this.#addPartitions(batches)
    const patience = this.#patience()
    for (let pending = batches; ; ) {
      const left = await this.#produceOnce(pending)
      if (left.batches.length === 0) return
      pending = left.batches
      await patience.pause(left.why)
      for (const topic of new Set(pending.map((batch) => batch.topic))) await this.#lookForLeaders(topic)
    }
  }

  /** Commits what was written since the last commit or abort. After a rejection it may or may not have been committed. */
  async commit(): Promise<void> {
    await this.#end(true)
  }

  /** Takes back what was written since the last commit or abort. */
  async abort(): Promise<void> {
    await this.#end(false)
  }

  /** Ends the connections; calls under way reject. The coordinator aborts what is open after its timeout. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await this.cluster.close()
  }

  async #end(commit: boolean): Promise<void> {
    if (this.#added.size === 0) return
    const what = commit ? 'committing a transaction' : 'aborting a transaction'
    await this.#coordinate('end', what, async (connection) => {
      const [key, version] = transactionApis.endTxn
      const identity = this.identity
      const write = (writer: Parameters<typeof writeEndTxn>[0]): void => writeEndTxn(writer, this.#id, identity, commit)
      return { code: await connection.request(key, version, false, write, readEndTxn), value: undefined }
    })
    this.#added.clear()
  }

  async #addPartitions(batches: readonly PartitionBatch[]): Promise<void> {
    const topics = new Map<string, number[]>()
    for (const { topic, partition } of batches) {
      if (this.#added.has(`${topic}/${partition}`)) continue
      const partitions = topics.get(topic) ?? []
      topics.set(topic, partitions)
      partitions.push(partition)
    }
    if (topics.size === 0) return
    if (this.#added.size === 0) this.#written.clear()
    // Asked for is as good as added, as far as there may be something to abort.
    for (const [topic, partitions] of topics) for (const each of partitions) this.#added.add(`${topic}/${each}`)
    await this.#coordinate('add', 'adding partitions to a transaction', async (connection) => {
      const [key, version] = transactionApis.addPartitionsToTxn
      const identity = this.identity
      const verdicts = await connection.request(
        key,
        version,
        false,
        (writer) => writeAddPartitions(writer, this.#id, identity, topics),
        readAddPartitions,
      )
      const bad = worst(verdicts)
      if (bad === undefined) return { code: kafkaErrors.NONE, value: undefined }
      return { code: bad.errorCode, value: undefined, what: `adding ${bad.topic}-${bad.partition} to a transaction` }
    })
  }

  /** One round of Produce: a request to each leader at the same time. Returns what is to be tried again, and why. */
  async #produceOnce(batches: readonly PartitionBatch[]): Promise<{ batches: PartitionBatch[]; why: MillraceError }> {
    let why = new MillraceError('BROKER_UNREACHABLE', 'the partition has no leader now')
    const left: PartitionBatch[] = []
    const byLeader = Map.groupBy(batches, (batch) => this.#leaderOf(batch))
    const asked = [...byLeader].map(async ([leader, ofLeader]) => {
      let verdicts: ProduceVerdict[]
      try {
        verdicts = leader < 0 ? [] : await this.#produceTo(leader, ofLeader)
      } catch (error) {
        // Written or not: the sequence numbers tell when it is sent again.
        why = passing(error)
        left.push(...ofLeader)
        return
      }
      for (const batch of ofLeader) {
        const { topic, partition } = batch
        const said = verdicts.find((v) => v.topic === topic && v.partition === partition)
        const { errorCode, offset } = said ?? { errorCode: leader < 0 ? 5 : -1, offset: -1 }
        const verdict = transactionVerdict('produce', errorCode)
        if (verdict === 'done') {
          this.#written.set(`${topic}/${partition}`, { topic, partition, leader, offset })
          continue
        }
        const error = this.#failure('produce', errorCode, `producing to ${batch.topic}-${batch.partition}`)
        if (verdict !== 'again' && verdict !== 'elsewhere') throw error
        why = error
        left.push(batch)
      }
    })
    const outcomes = await Promise.allSettled(asked)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    return { batches: left, why }
  }

  async #produceTo(leader: number, batches: readonly PartitionBatch[]): Promise<ProduceVerdict[]> {
    const connection = await this.cluster.connectionTo(leader)
    requireVersions(connection.offered, connection.address, transactionApis)
    const [key, version] = transactionApis.produce
    return connection.request(
      key,
      version,
      false,
      (writer) => writeProduce(writer, this.#id, PRODUCE_TIMEOUT_MS, batches),
      readProduce,
    )
  }

  #leaderOf({ topic, partition }: PartitionBatch): number {
    const partitions = this.#leaders.get(topic)?.partitions ?? []
    return partitions.find((each) => each.partition === partition)?.leader ?? -1
  }

  /** Leaders as they are now; brokers that cannot say leave them as they were. */
  async #lookForLeaders(topic: string): Promise<void> {
    try {
      await this.metadata(topic)
    } catch (error) {
      const failure = MillraceError.from(error)
      if (failure.retry !== 'backoff' && failure.code !== 'TOPIC_NOT_FOUND') throw failure
    }
  }

  /** Asks the coordinator, whoever it is by now, until its answer is final or patience ends. */
  async #coordinate<T>(
    step: TransactionStep,
    what: string,
    ask: (connection: KafkaConnection) => Promise<{ readonly code: number; readonly value: T; readonly what?: string }>,
  ): Promise<T> {
    const patience = this.#patience()
    for (;;) {
      let why: MillraceError
      const connection = await this.#connectCoordinator(patience)
      try {
        const answer = await ask(connection)
        const verdict = transactionVerdict(step, answer.code)
        if (verdict === 'done') return answer.value
        why = this.#failure(step, answer.code, answer.what ?? what)
        if (verdict !== 'again' && verdict !== 'elsewhere') throw why
        if (verdict === 'elsewhere') this.#coordinator = undefined
      } catch (error) {
        if (step === 'end') throw error
        why = passing(error)
        this.#coordinator = undefined
      }
      await patience.pause(why)
    }
  }

  async #connectCoordinator(patience: Patience): Promise<KafkaConnection> {
    for (;;) {
      if (this.#coordinator?.isOpen() === true) return this.#coordinator
      let why: MillraceError
      try {
        const found = await this.cluster.findCoordinator('transaction', this.#id)
        const verdict = transactionVerdict('find', found.errorCode)
        if (verdict === 'done') {
          const connection = await this.cluster.connectionTo(found)
          requireVersions(connection.offered, connection.address, transactionApis)
          this.#coordinator = connection
          return connection
        }
        why = this.#failure('find', found.errorCode, 'finding the coordinator of transactions')
        if (verdict !== 'again' && verdict !== 'elsewhere') throw why
      } catch (error) {
        why = passing(error)
      }
      await patience.pause(why)
    }
  }

  #failure(step: TransactionStep, code: number, what: string): MillraceError {
    const verdict = transactionVerdict(step, code)
    const where = `${what} under transactional id ${this.#id}`
    if (verdict === 'fenced') {
      const message =
        `${where} failed with ${kafkaErrorName(code)}: another owner has taken the id, or the broker has ended the ` +
        'transaction because it was open for longer than its timeout (MILLRACE_KAFKA_TRANSACTION_TIMEOUT).'
      return new MillraceError('BROKER_ERROR', message, { retry: 'restart' })
    }
    if (code === 50) {
      const message = `${where} failed: the broker takes no transaction timeout of ${this.#timeoutMs} ms. Raise its transaction.max.timeout.ms, or lower MILLRACE_KAFKA_TRANSACTION_TIMEOUT.`
      return new MillraceError('BROKER_ERROR', message, { retry: 'never' })
    }
    if (code === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) {
      return new MillraceError('TOPIC_NOT_FOUND', `${where} failed: the topic or partition does not exist.`)
    }
    const cause = brokerError(code, where)
    if (verdict !== 'failed') return cause
    return new MillraceError('BROKER_ERROR', cause.message, { retry: 'restart' })
  }

  #patience(): Patience {
    const { patienceMs = 30_000, backoffMs = 5 } = this.#options
    return new Patience(this.#ports, patienceMs, backoffMs, () => this.#closed)
  }
}

/** The partition whose code decides about the whole request: those not looked at because of another say nothing. */
function worst(verdicts: readonly PartitionVerdict[]): PartitionVerdict | undefined {
  return verdicts.find(({ errorCode: code }) => code !== 0 && code !== kafkaErrors.OPERATION_NOT_ATTEMPTED)
}
