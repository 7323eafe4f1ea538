/**
 * What transactions a cluster has, and which one holds a partition's last stable offset.
 *
 * Owns: asking every broker that may know (each coordinates some ids, each leads some partitions). Does not own: ending
 * them, whose they are (control/). All of it is for people: where brokers do not offer it, answers are empty.
 */
import { MillraceError } from '../../core/errors.ts'
import type { KafkaConnection } from './connection.ts'
import { brokerError, kafkaErrors } from './errors.ts'
import {
  type DescribedTransaction,
  inspectApis,
  type ListedTransaction,
  type PartitionProducer,
  readDescribeProducers,
  readDescribeTransactions,
  readListTransactions,
  type TopicPartition,
  writeDescribeProducers,
  writeDescribeTransactions,
  writeListTransactions,
} from './inspect-protocol.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** A transactional id with all that its coordinator says of it. */
export interface KnownTransaction extends DescribedTransaction {
  /** The broker that coordinates it. */
  readonly coordinator: number
}

/** Whether `connection`'s broker offers `api` in the version spoken. */
export function offers(connection: KafkaConnection, api: keyof typeof inspectApis): boolean {
  const [key, version] = inspectApis[api]
  const range = connection.offered.get(key)
  return range !== undefined && range[0] <= version && version <= range[1]
}

/** One request of `inspectApis`, all of which are of flexible encoding. */
export function inspect<T>(
  connection: KafkaConnection,
  api: keyof typeof inspectApis,
  write: (writer: WireWriter) => void,
  read: (reader: WireReader) => T,
): Promise<T> {
  const [key, version] = inspectApis[api]
  return connection.request(key, version, true, write, read)
}

/**
 * Every transactional id that `wanted` takes. Asks all brokers of the metadata asked for last. BROKER_ERROR for a missing
 * right, BROKER_UNREACHABLE, BROKER_UNSUPPORTED.
 */
export async function listTransactions(
  cluster: KafkaCluster,
  wanted: (listed: ListedTransaction) => boolean,
): Promise<KnownTransaction[]> {
  const found: KnownTransaction[] = []
  for (const coordinator of cluster.brokers) {
    const connection = await cluster.connectionTo(coordinator)
    if (!offers(connection, 'listTransactions') || !offers(connection, 'describeTransactions')) {
      const message = `broker ${connection.address} cannot list transactions. Use Apache Kafka 3.0 or Redpanda 22.3, or later.`
      throw new MillraceError('BROKER_UNSUPPORTED', message)
    }
    const listed = await inspect(connection, 'listTransactions', writeListTransactions, readListTransactions)
    if (listed.errorCode !== 0) throw brokerError(listed.errorCode, `ListTransactions at ${connection.address}`)
    const ids = listed.transactions.filter(wanted).map((each) => each.transactionalId)
    if (ids.length === 0) continue
    const write = (writer: WireWriter): void => writeDescribeTransactions(writer, ids)
    for (const described of await inspect(connection, 'describeTransactions', write, readDescribeTransactions)) {
      // One that has been forgotten, or has moved, between the two answers is none of this broker's any more.
      if (described.errorCode === 0) found.push({ ...described, coordinator })
    }
  }
  return found
}

/**
 * The producers with an open transaction in a partition, by its first offset there: the first holds the last stable offset.
 * Empty where the broker does not tell.
 */
export async function openProducers(
  cluster: KafkaCluster,
  where: TopicPartition,
  leader: number,
): Promise<PartitionProducer[]> {
  const answer = await askProducers(cluster, where, leader)
  return typeof answer === 'number' ? [] : answer
}

/** As `openProducers`; the error code of a leader that does not tell, 35 of one that cannot. */
export async function askProducers(
  cluster: KafkaCluster,
  { topic, partition }: TopicPartition,
  leader: number,
): Promise<PartitionProducer[] | number> {
  const connection = await cluster.connectionTo(leader)
  if (!offers(connection, 'describeProducers')) return kafkaErrors.UNSUPPORTED_VERSION
  const write = (writer: WireWriter): void => writeDescribeProducers(writer, topic, [partition])
  const [answer] = await inspect(connection, 'describeProducers', write, readDescribeProducers)
  if (answer === undefined || answer.errorCode !== 0) return answer?.errorCode ?? -1
  const open = answer.producers.filter((producer) => producer.openOffset >= 0)
  return open.sort((a, b) => a.openOffset - b.openOffset)
}

/** What holds a partition's last stable offset, in words; '' when it cannot be told. Never throws. */
export async function nameHolder(cluster: KafkaCluster, topic: string, partition: number): Promise<string> {
  try {
    const metadata = await cluster.metadata(topic)
    const leader = metadata.partitions.find((each) => each.partition === partition)?.leader ?? -1
    const [holder] = await openProducers(cluster, { topic, partition }, leader)
    if (holder === undefined) return ''
    const producer = `that of producer ${holder.producerId}`
    const [known] = await listTransactions(cluster, (listed) => listed.producerId === holder.producerId)
    if (known === undefined || !isOpen(known.state)) return `${producer}, which no coordinator knows: it hangs`
    const since = known.startedMs < 0 ? '' : ` since ${new Date(known.startedMs).toISOString()}`
    return `${producer} (transactional id ${known.transactionalId}, ${known.state}${since})`
  } catch {
    return ''
  }
}

/** Whether a transaction in this state is not over. */
export function isOpen(state: string): boolean {
  return state === 'Ongoing' || state.startsWith('Prepare')
}
