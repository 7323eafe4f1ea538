/**
 * The requests that look at transactions from outside, and the one that ends a hanging one.
 *
 * ListTransactions 0, DescribeTransactions 0, DescribeProducers 0 (Kafka 3.0, Redpanda 22.3), WriteTxnMarkers 1 (Kafka
 * 2.4): all of flexible encoding. Nobody needs them to run a job: a broker without them is asked for nothing here.
 */
import type { WantedVersions } from './protocol.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** The APIs that look at transactions, each with its number and the version spoken. */
export const inspectApis = {
  writeTxnMarkers: [27, 1],
  describeProducers: [61, 0],
  describeTransactions: [65, 0],
  listTransactions: [66, 0],
} as const satisfies WantedVersions

/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A transactional id as its coordinator lists it. */
export interface ListedTransaction {
  readonly transactionalId: string
  readonly producerId: bigint
  /** `Ongoing`, `PrepareCommit`, `CompleteAbort`, `Empty` and so on, as Kafka spells them. */
  readonly state: string
}

/** Writes a ListTransactions v0 request: all states, all producers. */
export function writeListTransactions(writer: WireWriter): void {
  writer.unsignedVarint(1).unsignedVarint(1).noTags()
}

/** Parses a ListTransactions v0 response. */
export function readListTransactions(reader: WireReader): {
  readonly errorCode: number
  readonly transactions: readonly ListedTransaction[]
} {
  reader.skipTags()
  reader.int32()
  const errorCode = reader.int16()
  reader.compactArray((r) => r.compactString())
  const transactions = reader.compactArray((r) => {
    const listed = { transactionalId: r.compactString(), producerId: r.bigint64(), state: r.compactString() }
    r.skipTags()
    return listed
  })
  return { errorCode, transactions }
}

/** A transactional id as its coordinator describes it. */
export interface DescribedTransaction extends ListedTransaction {
  readonly errorCode: number
  readonly producerEpoch: number
  readonly timeoutMs: number
  /** When the transaction that is open began, epoch ms; -1 when none is. */
  readonly startedMs: number
  /** What the open transaction has been written to. */
  readonly partitions: readonly TopicPartition[]
}

/** Writes a DescribeTransactions v0 request. */
export function writeDescribeTransactions(writer: WireWriter, transactionalIds: readonly string[]): void {
  writer.unsignedVarint(transactionalIds.length + 1)
  for (const id of transactionalIds) writer.compactString(id)
  writer.noTags()
}

/** Parses a DescribeTransactions v0 response. */
export function readDescribeTransactions(reader: WireReader): DescribedTransaction[] {
  reader.skipTags()
  reader.int32()
  return reader.compactArray((r) => {
    const described = {
      errorCode: r.int16(),
      transactionalId: r.compactString(),
      state: r.compactString(),
      timeoutMs: r.int32(),
      startedMs: r.int64(),
      producerId: r.bigint64(),
      producerEpoch: r.int16(),
      partitions: r.compactArray(readTopic).flat(),
    }
    r.skipTags()
    return described
  })
}

function readTopic(reader: WireReader): TopicPartition[] {
  const topic = reader.compactString()
  const partitions = reader.compactArray((p) => ({ topic, partition: p.int32() }))
  reader.skipTags()
  return partitions
}

/** A producer as the leader of a partition knows it. */
export interface PartitionProducer {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  /** Epoch ms of its last record. */
  readonly lastTimestampMs: number
  /** First offset of the transaction that it has open here; -1 when it has none. */
  readonly openOffset: number
}

/** Writes a DescribeProducers v0 request about partitions of one topic. */
export function writeDescribeProducers(writer: WireWriter, topic: string, partitions: readonly number[]): void {
  writer
    .unsignedVarint(2)
    .compactString(topic)
    .unsignedVarint(partitions.length + 1)
  for (const partition of partitions) writer.int32(partition)
  writer.noTags().noTags()
}

/** Parses a DescribeProducers v0 response about one topic. */
export function readDescribeProducers(
  reader: WireReader,
): { readonly partition: number; readonly errorCode: number; readonly producers: readonly PartitionProducer[] }[] {
  reader.skipTags()
  reader.int32()
  const topics = reader.compactArray((r) => {
    r.compactString()
    const partitions = r.compactArray((p) => {
      const partition = p.int32()
      const errorCode = p.int16()
      p.compactNullableString()
      const producers = p.compactArray(readProducer)
      p.skipTags()
      return { partition, errorCode, producers }
    })
    r.skipTags()
    return partitions
  })
  return topics.flat()
}

function readProducer(reader: WireReader): PartitionProducer {
  const producerId = reader.bigint64()
  const producerEpoch = reader.int32()
  reader.int32()
  const lastTimestampMs = reader.int64()
  const coordinatorEpoch = reader.int32()
  const openOffset = reader.int64()
  reader.skipTags()
  return { producerId, producerEpoch, coordinatorEpoch, lastTimestampMs, openOffset }
}

/** How a transaction ends. */
export type TransactionEnd = 'commit' | 'abort'

/** Writes a WriteTxnMarkers v1 request that ends one producer's transaction on one partition. */
export function writeEndMarker(
  writer: WireWriter,
  where: TopicPartition,
  producer: PartitionProducer,
  end: TransactionEnd,
): void {
  writer
    .unsignedVarint(2)
    .bigint64(producer.producerId)
    .int16(producer.producerEpoch)
    .boolean(end === 'commit')
  writer.unsignedVarint(2).compactString(where.topic).unsignedVarint(2).int32(where.partition).noTags()
  // A leader without word of a coordinator takes epoch 0, as Kafka's own tool sends it.
  writer.int32(Math.max(0, producer.coordinatorEpoch)).noTags().noTags()
}

/** Parses a WriteTxnMarkers v1 response about one partition: its error code. */
export function readEndMarker(reader: WireReader): number {
  reader.skipTags()
  const codes = reader.compactArray((r) => {
    r.bigint64()
    const ofTopics = r.compactArray((t) => {
      t.compactString()
      const ofPartitions = t.compactArray((p) => {
        p.int32()
        const errorCode = p.int16()
        p.skipTags()
        return errorCode
      })
      t.skipTags()
      return ofPartitions
    })
    r.skipTags()
    return ofTopics.flat()
  })
  return codes.flat()[0] ?? -1
}
