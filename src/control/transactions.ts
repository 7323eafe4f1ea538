/**
 * Transactions of jobs' Kafka sinks, and whatever else holds back the topics of jobs: showing them, and ending one.
 *
 * Owns: whose a transaction is, and who may be ended. Does not own: what brokers are asked (source/kafka/), the sinks
 * (sink/kafka-outbox.ts), which need none of this: a sink that opens ends what its predecessor left.
 */
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import { markerTopicOf, sinkOfTransactionalId } from '../sink/kafka-outbox.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import { endFromOutside } from '../source/kafka/hanging-transactions.ts'
import type { PartitionProducer } from '../source/kafka/inspect-protocol.ts'
import { KafkaCluster } from '../source/kafka/kafka-cluster.ts'
import { isOpen, listTransactions, openProducers } from '../source/kafka/open-transactions.ts'
import type { KafkaPorts } from '../source/kafka/patience.ts'
import { type PartitionEnds, partitionEnds } from '../source/kafka/stable-offsets.ts'
import { TransactionalProducer } from '../source/kafka/transactional-producer.ts'
import { kafkaTopicsOf } from './kafka-topics.ts'

/** A transaction, as control.proto's Transaction. Times in epoch ms. */
export interface TransactionInfo {
  readonly transactionalId: string
  readonly job: string
  readonly sink: string
  readonly jobRuns: boolean
  readonly state: string
  readonly producerId: number
  /** -1 when nothing is open, or nobody knows. */
  readonly startedAtMs: number
  /** -1 for one that hangs. */
  readonly timeoutMs: number
  readonly partitions: readonly {
    readonly topic: string
    readonly partition: number
    readonly startOffset: number
    readonly lastStableOffset: number
    readonly highWatermark: number
    readonly holds: boolean
  }[]
  readonly brokers: string
}

/** Which transaction to end. */
export type TransactionTarget =
  | { readonly transactionalId: string }
  | { readonly topic: string; readonly partition: number; readonly producerId: number; readonly brokers: string }

/** What became of a transaction that was to be ended. */
export type TransactionOutcome = 'aborted' | 'committed' | 'nothing was open'

/** A transaction that was to be ended. */
export interface EndedTransaction {
  readonly outcome: TransactionOutcome
  /** '' when it was none of this deployment's. */
  readonly job: string
  /** '' for one that hung. */
  readonly transactionalId: string
  readonly producerId: number
  /** -1 when nothing was open that says it. */
  readonly producerEpoch: number
  /** What it had been written to, as `topic-0`. */
  readonly partitions: readonly string[]
}

/** Looks at transactions and ends them. Methods reject with BROKER_UNREACHABLE, BROKER_UNSUPPORTED, BROKER_ERROR. */
export interface TransactionsApi {
  /** Those of a job, '' for all; with `idle` also ids under which nothing is open. JOB_NOT_FOUND. */
  listTransactions(
    job: string,
    idle: boolean,
  ): Promise<{ readonly transactions: readonly TransactionInfo[]; readonly unasked: readonly string[] }>
  /** Ends one. JOB_STATE and INPUT_INVALID as the target is not to be ended; `force` overrules the first. */
  endTransaction(target: TransactionTarget, force: boolean): Promise<EndedTransaction>
}

/** A job as the desk has to know it. */
export interface DeskJob {
  readonly name: string
  /** It is not over, so that its sinks end their transactions themselves. */
  readonly runs: boolean
  /** With brokers filled in. */
  readonly definition: JobDefinition
}

/** What a TransactionDesk is made of. */
export interface TransactionDeskOptions {
  readonly jobs: () => readonly DeskJob[]
  /** The server's own cluster, `host:port,…`; '' for none. */
  readonly brokers: string
  readonly prefix: string
  readonly security: KafkaSecurity
  readonly ports: KafkaPorts
}

/** A producer that wrote within this may still end its transaction: the longest timeout that brokers allow by default. */
const HANGS_AFTER_MS = 15 * 60_000

/** TransactionsApi over the clusters of a server and its jobs. */
export class TransactionDesk implements TransactionsApi {
  readonly #options: TransactionDeskOptions

  constructor(options: TransactionDeskOptions) {
    this.#options = options
  }

  async listTransactions(
    job: string,
    idle: boolean,
  ): Promise<{ readonly transactions: TransactionInfo[]; readonly unasked: string[] }> {
    const jobs = this.#options.jobs().filter(({ name }) => job === '' || name === job)
    if (job !== '' && jobs.length === 0) throw new MillraceError('JOB_NOT_FOUND', `there is no job named ${job}`)
    const transactions: TransactionInfo[] = []
    const unasked: string[] = []
    for (const brokers of this.#clusters(jobs)) {
      try {
        transactions.push(...(await this.#on(brokers, (cluster) => this.#list(cluster, brokers, jobs, idle))))
      } catch (thrown) {
        unasked.push(`${brokers}: ${MillraceError.from(thrown).message}`)
      }
    }
    const wanted = transactions.filter((each) => job === '' || each.job === job || each.job === '')
    const rank = ({ partitions }: TransactionInfo): number => (partitions.some(({ holds }) => holds) ? 0 : 1)
    const age = ({ startedAtMs }: TransactionInfo): number => (startedAtMs < 0 ? Number.POSITIVE_INFINITY : startedAtMs)
    return { transactions: wanted.sort((a, b) => rank(a) - rank(b) || age(a) - age(b) || 0), unasked }
  }

  async endTransaction(target: TransactionTarget, force: boolean): Promise<EndedTransaction> {
    return 'transactionalId' in target ? this.#endById(target.transactionalId, force) : this.#endHanging(target, force)
  }

  async #list(
    cluster: KafkaCluster,
    brokers: string,
    jobs: readonly DeskJob[],
    idle: boolean,
  ): Promise<TransactionInfo[]> {
    const ofJobs = jobs
      .flatMap(({ definition }) => kafkaTopicsOf(definition))
      .filter((each) => each.brokers === brokers)
    const topics = new Set([markerTopicOf(this.#options.prefix), ...ofJobs.map(({ topic }) => topic)])
    const ends = new Map<string, PartitionEnds>()
    const open = new Map<string, readonly PartitionProducer[]>()
    const lookAt = async (topic: string): Promise<void> => {
      for (const end of await partitionEnds(cluster, topic)) {
        const where = `${topic}-${end.partition}`
        ends.set(where, end)
        if (end.lastStableOffset < end.highWatermark) open.set(where, await openProducers(cluster, end, end.leader))
      }
    }
    for (const topic of topics) await lookAt(topic)
    const holding = new Set([...open.values()].flat().map(({ producerId }) => producerId))
    const listed = await listTransactions(
      cluster,
      ({ transactionalId, producerId }) => this.#owner(transactionalId) !== undefined || holding.has(producerId),
    )
    for (const { partitions } of listed) {
      for (const { topic } of partitions) {
        if (topics.has(topic)) continue
        topics.add(topic)
        await lookAt(topic)
      }
    }
    const partition = (where: string, producerId: bigint): TransactionInfo['partitions'][number] => {
      const at = where.lastIndexOf('-')
      const producers = open.get(where) ?? []
      const { lastStableOffset = -1, highWatermark = -1 } = ends.get(where) ?? {}
      return {
        topic: where.slice(0, at),
        partition: Number(where.slice(at + 1)),
        startOffset: producers.find((each) => each.producerId === producerId)?.openOffset ?? -1,
        lastStableOffset,
        highWatermark,
        holds: producers[0]?.producerId === producerId,
      }
    }
    const infos: TransactionInfo[] = []
    for (const each of listed) {
      if (!idle && !isOpen(each.state)) continue
      const owner = this.#owner(each.transactionalId)
      infos.push({
        transactionalId: each.transactionalId,
        job: owner?.job ?? '',
        sink: owner?.sink ?? '',
        jobRuns: owner !== undefined && this.#runs(owner.job),
        state: each.state,
        producerId: Number(each.producerId),
        startedAtMs: isOpen(each.state) ? each.startedMs : -1,
        timeoutMs: each.timeoutMs,
        partitions: each.partitions.map((at) => partition(`${at.topic}-${at.partition}`, each.producerId)),
        brokers,
      })
    }
    const known = new Set(listed.filter(({ state }) => isOpen(state)).map(({ producerId }) => producerId))
    for (const producerId of holding) {
      if (known.has(producerId)) continue
      const where = [...open].filter(([, producers]) => producers.some((each) => each.producerId === producerId))
      const none = { transactionalId: '', job: '', sink: '', jobRuns: false, startedAtMs: -1, timeoutMs: -1 }
      const partitions = where.map(([name]) => partition(name, producerId))
      infos.push({ ...none, state: 'Hanging', producerId: Number(producerId), partitions, brokers })
    }
    return infos
  }

  async #endById(id: string, force: boolean): Promise<EndedTransaction> {
    const owner = this.#owner(id)
    if (owner === undefined && !force) {
      const message = `transactional id ${id} is none of this deployment's (${this.#options.prefix}/JOB/SINK); to end it all the same, use force`
      throw new MillraceError('INPUT_INVALID', message)
    }
    if (owner !== undefined && this.#runs(owner.job) && !force) {
      const message = `job ${owner.job} runs, and ends its transactions itself. Stop or cancel it first; force makes its sink fail and the job restart`
      throw new MillraceError('JOB_STATE', message)
    }
    const job = owner?.job ?? ''
    let failure: unknown
    for (const brokers of this.#clusters(this.#options.jobs())) {
      try {
        const found = await this.#on(brokers, async (cluster) => {
          await cluster.metadata(markerTopicOf(this.#options.prefix))
          return listTransactions(cluster, ({ transactionalId }) => transactionalId === id)
        })
        const [known] = found
        if (known === undefined) continue
        const { state, producerEpoch } = known
        const partitions = known.partitions.map(({ topic, partition }) => `${topic}-${partition}`)
        const which = { job, transactionalId: id, producerId: Number(known.producerId), producerEpoch, partitions }
        if (!isOpen(state)) return { ...which, outcome: 'nothing was open' }
        await this.#takeOver(brokers, id)
        return { ...which, outcome: state === 'PrepareCommit' ? 'committed' : 'aborted' }
      } catch (thrown) {
        failure = thrown
      }
    }
    if (failure !== undefined) throw failure
    throw new MillraceError('INPUT_INVALID', `no broker knows the transactional id ${id}; list them first`)
  }

  /** Opens the id as a new owner does: whatever is open under it ends before that is answered. */
  async #takeOver(brokers: string, transactionalId: string): Promise<void> {
    const { security, ports } = this.#options
    const producer = new TransactionalProducer({ brokers: split(brokers), transactionalId, ...security }, ports)
    try {
      await producer.init()
    } finally {
      await producer.close()
    }
  }

  async #endHanging(
    target: Exclude<TransactionTarget, { readonly transactionalId: string }>,
    force: boolean,
  ): Promise<EndedTransaction> {
    const { topic, partition } = target
    const brokers = target.brokers || this.#options.brokers
    if (!this.#clusters(this.#options.jobs()).includes(brokers)) {
      throw new MillraceError(
        'INPUT_INVALID',
        `${brokers || 'no brokers'}: not a cluster of this server or of its jobs`,
      )
    }
    return this.#on(brokers, async (cluster) => {
      const end = (await partitionEnds(cluster, topic)).find((each) => each.partition === partition)
      const producers = end === undefined ? [] : await openProducers(cluster, end, end.leader)
      const producer = producers.find(({ producerId }) => producerId === BigInt(target.producerId))
      const which = { job: '', transactionalId: '', producerId: target.producerId }
      const partitions = [`${topic}-${partition}`]
      if (end === undefined || producer === undefined)
        return { ...which, outcome: 'nothing was open', producerEpoch: -1, partitions }
      const known = await listTransactions(cluster, ({ producerId }) => producerId === producer.producerId)
      const [open] = known.filter(({ state }) => isOpen(state))
      if (open !== undefined) {
        const message = `the transaction of producer ${target.producerId} does not hang: end it by its id, ${open.transactionalId}`
        throw new MillraceError('INPUT_INVALID', message)
      }
      const silentMs = this.#options.ports.clock.nowMs() - producer.lastTimestampMs
      if (silentMs < HANGS_AFTER_MS && !force) {
        const message = `producer ${target.producerId} wrote ${Math.round(silentMs / 1000)} s ago and may still end its transaction; after 15 minutes it counts as hanging. Force ends it now`
        throw new MillraceError('JOB_STATE', message)
      }
      // What a sink of ours has committed is committed; of others nobody can tell.
      const ours = known.find(({ transactionalId, state }) => {
        return this.#owner(transactionalId) !== undefined && state === 'CompleteCommit'
      })
      await endFromOutside(cluster, end, producer, ours === undefined ? 'abort' : 'commit')
      const ended = { ...which, producerEpoch: producer.producerEpoch, partitions }
      if (ours === undefined) return { ...ended, outcome: 'aborted' }
      const { transactionalId } = ours
      return { ...ended, outcome: 'committed', job: this.#owner(transactionalId)!.job, transactionalId }
    })
  }

  async #on<T>(brokers: string, work: (cluster: KafkaCluster) => Promise<T>): Promise<T> {
    const cluster = new KafkaCluster({ brokers: split(brokers), ...this.#options.security })
    try {
      return await work(cluster)
    } finally {
      await cluster.close()
    }
  }

  #clusters(jobs: readonly DeskJob[]): string[] {
    const ofJobs = jobs.flatMap(({ definition }) => kafkaTopicsOf(definition)).map(({ brokers }) => brokers)
    return [...new Set([this.#options.brokers, ...ofJobs])].filter((brokers) => brokers !== '')
  }

  #owner(transactionalId: string): { readonly job: string; readonly sink: string } | undefined {
    return sinkOfTransactionalId(this.#options.prefix, transactionalId)
  }

  #runs(job: string): boolean {
    return this.#options.jobs().some(({ name, runs }) => name === job && runs)
  }
}

function split(brokers: string): string[] {
  return brokers.split(',').map((broker) => broker.trim())
}
