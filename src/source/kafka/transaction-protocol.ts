/**
 * The requests of a transaction: who the producer is, what it writes, how it ends.
 *
 * InitProducerId 1, AddPartitionsToTxn 1, Produce 7, EndTxn 1: the versions that Kafka 4 and Redpanda both serve, without
 * flexible encoding. Below EndTxn 5 and Produce 12 brokers keep a producer's epoch over its transactions, and from
 * InitProducerId on every start raises it: what an older start still sends is fenced.
 */
import type { WantedVersions } from './protocol.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** The APIs of a transaction, each with its number and the version spoken. */
export const transactionApis = {
  produce: [0, 7],
  initProducerId: [22, 1],
  addPartitionsToTxn: [24, 1],
  endTxn: [26, 1],
} as const satisfies WantedVersions

/** A producer as the coordinator knows it: its id, and its epoch, which rises with every start. */
export interface ProducerIdentity {
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** What a broker says of one partition. */
export interface PartitionVerdict {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
}

/** Writes an InitProducerId v1 request. The coordinator aborts transactions that stay open for longer than the timeout. */
export function writeInitProducerId(writer: WireWriter, transactionalId: string, transactionTimeoutMs: number): void {
  writer.string(transactionalId).int32(transactionTimeoutMs)
}

/** Parses an InitProducerId v1 response. */
export function readInitProducerId(reader: WireReader): ProducerIdentity & { readonly errorCode: number } {
  reader.int32()
  return { errorCode: reader.int16(), producerId: reader.bigint64(), producerEpoch: reader.int16() }
}

/** Writes an AddPartitionsToTxn v1 request. */
export function writeAddPartitions(
  writer: WireWriter,
  transactionalId: string,
  { producerId, producerEpoch }: ProducerIdentity,
  topics: ReadonlyMap<string, readonly number[]>,
): void {
  writer.string(transactionalId).bigint64(producerId).int16(producerEpoch).int32(topics.size)
  for (const [topic, partitions] of topics) {
    writer.string(topic).int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
}

/** Parses an AddPartitionsToTxn v1 response. */
export function readAddPartitions(reader: WireReader): PartitionVerdict[] {
  reader.int32()
  return reader
    .array((r) => {
      const topic = r.string()
      return r.array((p) => ({ topic, partition: p.int32(), errorCode: p.int16() }))
    })
    .flat()
}

/** A record batch on its way to a partition. */
export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  /** A whole record batch v2, with its producer and sequence in place. */
  readonly bytes: Uint8Array
}

/** Writes a Produce v7 request, to be acknowledged by all in-sync replicas within `timeoutMs`. */
export function writeProduce(
  writer: WireWriter,
  transactionalId: string,
  timeoutMs: number,
  batches: readonly PartitionBatch[],
): void {
  const topics = Map.groupBy(batches, (batch) => batch.topic)
  writer.string(transactionalId).int16(-1).int32(timeoutMs).int32(topics.size)
  for (const [topic, ofTopic] of topics) {
    writer.string(topic).int32(ofTopic.length)
    for (const { partition, bytes } of ofTopic) writer.int32(partition).int32(bytes.length).raw(bytes)
  }
}

/** What a leader says of a batch. */
export interface ProduceVerdict extends PartitionVerdict {
  /** Offset of its first record; -1 when the leader does not say. */
  readonly offset: number
}

/** Parses a Produce v7 response. */
export function readProduce(reader: WireReader): ProduceVerdict[] {
  return reader
    .array((r) => {
      const topic = r.string()
      return r.array((p) => {
        const verdict = { topic, partition: p.int32(), errorCode: p.int16(), offset: p.int64() }
        p.skip(16)
        return verdict
      })
    })
    .flat()
}

/** Writes an EndTxn v1 request. */
export function writeEndTxn(
  writer: WireWriter,
  transactionalId: string,
  { producerId, producerEpoch }: ProducerIdentity,
  commit: boolean,
): void {
  writer.string(transactionalId).bigint64(producerId).int16(producerEpoch).boolean(commit)
}

/** Parses an EndTxn v1 response: its error code. */
export function readEndTxn(reader: WireReader): number {
  reader.int32()
  return reader.int16()
}
