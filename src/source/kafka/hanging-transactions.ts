/**
 * Ending transactions of an own transactional id that hang: over for their coordinator, and open in a partition.
 *
 * Kafka 4 comes to that by itself: a coordinator that has to write the markers of an ended transaction to a partition
 * without a leader takes it for deleted and leaves it out (KAFKA-20734). It happens when a broker is killed and comes back.
 * Then readers of committed records stand still before what was committed, and only a marker from outside lets them go on.
 *
 * Owns: whether a transaction hangs, whose it is, and how it has to end. Does not own: who asks and when
 * (sink/kafka-outbox.ts), transactions of others (control/transactions.ts).
 *
 * Why it is safe
 * 1. Own is what the coordinator has under our transactional id: a producer id belongs to one transactional id, for ever.
 * 2. What was open before the coordinator said that nothing is under way, and still is after it, hangs: a coordinator says
 *    so only when it has nothing left to write, so nothing of it can follow.
 * 3. It ends as its coordinator has decided. An owner begins no transaction before it has seen the last one end in every
 *    partition, so what hangs is of the last one, and the coordinator's state is the decision about it. `Empty` follows
 *    InitProducerId, which an owner calls only when nothing committed hangs: what is found then was aborted by it.
 */
import { MillraceError } from '../../core/errors.ts'
import type { EndedTransaction } from './ended-transaction.ts'
import { brokerError, kafkaErrorName } from './errors.ts'
import {
  type DescribedTransaction,
  type ListedTransaction,
  type PartitionProducer,
  readDescribeTransactions,
  readEndMarker,
  type TopicPartition,
  type TransactionEnd,
  writeDescribeTransactions,
  writeEndMarker,
} from './inspect-protocol.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { askProducers, inspect, isOpen, listTransactions, offers, openProducers } from './open-transactions.ts'
import { type KafkaPorts, Patience, passing } from './patience.ts'
import { everyEnd, type PartitionEnds, partitionEnds } from './stable-offsets.ts'
import type { ProducerIdentity } from './transaction-protocol.ts'

/** What an open transaction of an own producer means, given the state of its id: `wait` until it has ended, or it hangs. */
export type HangingVerdict = TransactionEnd | 'wait' | 'leave'

const verdicts: ReadonlyMap<string, HangingVerdict> = new Map<string, HangingVerdict>([
  ['Ongoing', 'leave'], // under way, or left by an owner that is gone: InitProducerId aborts it
  ['PrepareCommit', 'wait'], // markers are being written
  ['PrepareAbort', 'wait'],
  ['PrepareEpochFence', 'wait'],
  ['CompleteCommit', 'commit'],
  ['CompleteAbort', 'abort'],
  ['Empty', 'abort'], // ended by InitProducerId, or never told to the coordinator
])

/** See HangingVerdict. States that are in no table are left alone. */
export function hangingVerdict(state: string): HangingVerdict {
  return verdicts.get(state) ?? 'leave'
}

/**
 * Ends the transaction of a producer in a partition from outside. BROKER_ERROR where that is refused, BROKER_UNSUPPORTED
 * where the broker takes no markers from clients.
 */
export async function endFromOutside(
  cluster: KafkaCluster,
  where: TopicPartition & { readonly leader: number },
  producer: PartitionProducer,
  end: TransactionEnd,
): Promise<void> {
  const connection = await cluster.connectionTo(where.leader)
  if (!offers(connection, 'writeTxnMarkers')) {
    const message = `broker ${connection.address} takes no markers from clients; end the transaction with the tool of its maker`
    throw new MillraceError('BROKER_UNSUPPORTED', message)
  }
  const code = await inspect(
    connection,
    'writeTxnMarkers',
    (writer) => writeEndMarker(writer, where, producer, end),
    readEndMarker,
  )
  if (code === 0) return
  const name = `${where.topic}-${where.partition}`
  if (code !== CLUSTER_AUTHORIZATION_FAILED) throw brokerError(code, `ending the transaction in ${name}`)
  const message =
    `a transaction of producer ${producer.producerId} hangs in ${name} at offset ${producer.openOffset}, and the user of ` +
    `this client may not ${end} it: ${kafkaErrorName(code)}. Grant that user ALTER (before Kafka 4: CLUSTER_ACTION) on the ` +
    `cluster; it is then ended by itself, or with \`millrace txn abort ${name} --hanging ${producer.producerId}\`.`
  throw new MillraceError('BROKER_ERROR', message, { retry: 'restart' })
}

const TOPIC_AUTHORIZATION_FAILED = 29
const CLUSTER_AUTHORIZATION_FAILED = 31
const UNSUPPORTED_VERSION = 35
const TRANSACTIONAL_ID_NOT_FOUND = 105

/** What an OwnTransactions is made of. */
export interface OwnTransactionsOptions {
  readonly cluster: KafkaCluster
  readonly transactionalId: string
  /** What transactions under the id write to. */
  readonly topics: readonly string[]
  readonly patienceMs: number
  readonly ports: KafkaPorts
  readonly closed: () => boolean
}

/**
 * Ends what holds a partition back if it hangs and is under one of the ids that are `ours`: that of a sink which nobody opens
 * any more. Does nothing where brokers do not tell.
 */
export async function settleHolder(
  options: Omit<OwnTransactionsOptions, 'transactionalId' | 'topics'>,
  { topic, partition }: TopicPartition,
  ours: (transactionalId: string) => boolean,
): Promise<EndedTransaction[]> {
  const { cluster } = options
  const leader = (await partitionEnds(cluster, topic)).find((each) => each.partition === partition)?.leader ?? -1
  const [holder] = leader < 0 ? [] : await openProducers(cluster, { topic, partition }, leader)
  if (holder === undefined) return []
  const wanted = (each: ListedTransaction): boolean =>
    each.producerId === holder.producerId && ours(each.transactionalId)
  const [known] = await listTransactions(cluster, wanted)
  if (known === undefined || isOpen(known.state)) return []
  return new OwnTransactions({ ...options, transactionalId: known.transactionalId, topics: [topic] }).settle()
}

/** A transaction that was committed: by whom, and what it has written to. */
export interface Committed {
  readonly by: ProducerIdentity
  readonly to: readonly TopicPartition[]
}

/** The transactions under one transactional id, as their partitions see them. */
export class OwnTransactions {
  readonly #options: OwnTransactionsOptions
  /** Producer ids that were seen under the id: another one follows when epochs run out. */
  readonly #ids = new Set<bigint>()
  #blind: readonly PartitionEnds[] = []

  constructor(options: OwnTransactionsOptions) {
    this.#options = options
  }

  /** Partitions that something holds back, whose leaders did not say what when last asked: the right to read is missing. */
  get blind(): readonly PartitionEnds[] {
    return this.#blind
  }

  /**
   * Resolves when no transaction of the id hangs, with those that did. An owner that has just committed says as whom and
   * where to: then no others are looked at. Rejects with BROKER_ERROR where a right is missing, where the id has got
   * another owner, or a transaction is still being ended when patience is over; with BROKER_UNREACHABLE when a partition
   * could not be looked at.
   */
  async settle(committed?: Committed): Promise<EndedTransaction[]> {
    const { ports, patienceMs, closed, transactionalId } = this.#options
    const patience = new Patience(ports, patienceMs, 5, closed)
    const ended: EndedTransaction[] = []
    for (;;) {
      let why: MillraceError
      try {
        if (await this.#look(committed, ended)) return ended
        const message = `the last transaction under transactional id ${transactionalId} is still being ended`
        why = new MillraceError('BROKER_ERROR', message, { retry: 'backoff' })
      } catch (error) {
        why = passing(error)
      }
      await patience.pause(why)
    }
  }

  /** One look; false when something has to be waited for. */
  async #look(committed: Committed | undefined, ended: EndedTransaction[]): Promise<boolean> {
    const { cluster, topics } = this.#options
    const ends: PartitionEnds[] = []
    for (const topic of topics) {
      const wanted = (partition: number): boolean =>
        committed === undefined || committed.to.some((to) => to.topic === topic && to.partition === partition)
      ends.push(...(await everyEnd(cluster, topic, wanted)))
    }
    const held = ends.filter(({ lastStableOffset, highWatermark }) => lastStableOffset < highWatermark)
    this.#blind = []
    if (held.length === 0) return true
    // Seen open before the coordinator is asked, and again after that: nothing that ends in between is taken for hanging.
    const before = await this.#openIn(held)
    const described = await this.#describe()
    if (described === undefined) return true
    this.#checkOwner(committed?.by, described)
    this.#ids.add(described.producerId)
    const own = before.filter(({ producer }) => this.#ids.has(producer.producerId))
    if (own.length === 0) return true
    const verdict = hangingVerdict(described.state)
    if (verdict === 'leave') return true
    if (verdict === 'wait') return false
    const after = await this.#openIn(own.map(({ where }) => where))
    for (const { where, producer } of own) {
      const { producerId, openOffset } = producer
      const still = after.find(({ where: { topic, partition }, producer: now }) => {
        return topic === where.topic && partition === where.partition && now.producerId === producerId
      })
      if (still?.producer.openOffset !== openOffset) continue
      // Where leaders take no markers from clients, coordinators are others than Kafka's, and end what they have begun.
      if (!offers(await cluster.connectionTo(where.leader), 'writeTxnMarkers')) continue
      await endFromOutside(cluster, where, still.producer, verdict)
      const { topic, partition } = where
      ended.push({ topic, partition, producerId, offset: openOffset, end: verdict })
    }
    return true
  }

  #checkOwner(owner: ProducerIdentity | undefined, now: DescribedTransaction): void {
    if (owner === undefined) return
    if (owner.producerId === now.producerId && owner.producerEpoch === now.producerEpoch) return
    const message = `another owner has taken transactional id ${this.#options.transactionalId}`
    throw new MillraceError('BROKER_ERROR', message, { retry: 'restart' })
  }

  async #openIn(
    held: readonly PartitionEnds[],
  ): Promise<{ readonly where: PartitionEnds; readonly producer: PartitionProducer }[]> {
    const found: { where: PartitionEnds; producer: PartitionProducer }[] = []
    for (const where of held) {
      const answer = await askProducers(this.#options.cluster, where, where.leader)
      if (typeof answer !== 'number') found.push(...answer.map((producer) => ({ where, producer })))
      else if (answer === TOPIC_AUTHORIZATION_FAILED) this.#blind = [...this.#blind, where]
      else if (answer !== UNSUPPORTED_VERSION) {
        throw brokerError(answer, `DescribeProducers of ${where.topic}-${where.partition}`)
      }
    }
    return found
  }

  /** The id as its coordinator has it; undefined when it has none, or brokers do not tell. */
  async #describe(): Promise<DescribedTransaction | undefined> {
    const { cluster, transactionalId } = this.#options
    const what = `DescribeTransactions of ${transactionalId}`
    const coordinator = await cluster.findCoordinator('transaction', transactionalId)
    if (coordinator.errorCode !== 0) throw brokerError(coordinator.errorCode, what)
    const connection = await cluster.connectionTo(coordinator)
    if (!offers(connection, 'describeTransactions')) return undefined
    const [described] = await inspect(
      connection,
      'describeTransactions',
      (writer) => writeDescribeTransactions(writer, [transactionalId]),
      readDescribeTransactions,
    )
    if (described === undefined || described.errorCode === TRANSACTIONAL_ID_NOT_FOUND) return undefined
    if (described.errorCode !== 0) throw brokerError(described.errorCode, what)
    return described
  }
}
