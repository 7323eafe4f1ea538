/**
 * The Kafka requests and responses that Millrace speaks itself.
 *
 * One classic version set serves Kafka 4.x and Redpanda: ApiVersions 0, Metadata 6, ListOffsets 3, Fetch 11,
 * FindCoordinator 2, OffsetCommit 5: no flexible encoding, no topic ids. Where the broker offers Metadata 10 it is used
 * instead of 6, because only from there on a response tells the topic id, and with it a re-created topic from the old.
 * Responses are parsed from raw bytes; record data is never touched, only located (`FetchedPartition.start .. end`).
 */
import { MillraceError } from '../../core/errors.ts'
import type { WireReader, WireWriter } from './wire.ts'

/** Numbers of the APIs in use. */
export const apiKeys = {
  fetch: 1,
  listOffsets: 2,
  metadata: 3,
  offsetCommit: 8,
  findCoordinator: 10,
  apiVersions: 18,
} as const

/** The version each API is spoken in. */
export const apiVersionsUsed = { fetch: 11, listOffsets: 3, metadata: 6, offsetCommit: 5, findCoordinator: 2 } as const

/** The Metadata version that carries topic ids, used where offered. */
export const METADATA_WITH_TOPIC_IDS = 10

/** What a broker offers: API number -> lowest and highest version. */
export type OfferedVersions = ReadonlyMap<number, readonly [min: number, max: number]>

/** How much of a transaction a reader sees: `committed` hides open and aborted ones. */
export type Isolation = 'read_committed' | 'read_uncommitted'

/** Offset asked by ListOffsets for the end of the log (last stable offset under read_committed). */
export const LATEST_TIMESTAMP = -1
/** Offset asked by ListOffsets for the first record still held. */
export const EARLIEST_TIMESTAMP = -2

/** Parses an ApiVersions v0 response. */
export function readApiVersions(reader: WireReader): OfferedVersions {
  const code = reader.int16()
  if (code !== 0) throw new MillraceError('BROKER_UNSUPPORTED', `the broker refused ApiVersions 0 with error ${code}`)
  const offered = new Map<number, readonly [number, number]>()
  for (const [key, min, max] of reader.array((r) => [r.int16(), r.int16(), r.int16()] as const)) {
    offered.set(key, [min, max])
  }
  return offered
}

/** APIs by name with the version that is spoken. */
export type WantedVersions = Readonly<Record<string, readonly [apiKey: number, version: number]>>

const always: WantedVersions = Object.fromEntries(
  Object.entries(apiVersionsUsed).map(([name, version]) => [
    name,
    [apiKeys[name as keyof typeof apiVersionsUsed], version],
  ]),
)

/**
 * Throws BROKER_UNSUPPORTED, naming all that is missing, unless `offered` covers every version wanted: those that every
 * client uses, unless told otherwise.
 */
export function requireVersions(offered: OfferedVersions, address: string, wanted: WantedVersions = always): void {
  const missing: string[] = []
  for (const [name, [apiKey, version]] of Object.entries(wanted)) {
    const range = offered.get(apiKey)
    if (range === undefined) missing.push(`${name} ${version} (not offered)`)
    else if (version < range[0] || version > range[1]) {
      missing.push(`${name} ${version} (offered: ${range[0]} to ${range[1]})`)
    }
  }
  if (missing.length === 0) return
  throw new MillraceError(
    'BROKER_UNSUPPORTED',
    `broker ${address} does not offer what Millrace needs: ${missing.join(', ')}. ` +
      'Use Apache Kafka 2.3 or later, or a current Redpanda.',
  )
}

/** A broker of the cluster. */
export interface BrokerAddress {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

/** A partition in a Metadata response; `leader` is -1 while there is none. */
export interface PartitionMetadata {
  readonly errorCode: number
  readonly partition: number
  readonly leader: number
}

/** A Metadata response about one topic. */
export interface TopicMetadata {
  readonly brokers: readonly BrokerAddress[]
  readonly errorCode: number
  /** The topic's id as text, '' where the broker's version has none. */
  readonly topicId: string
  /** Ascending by partition. */
  readonly partitions: readonly PartitionMetadata[]
}

/** Writes a Metadata request (version 6 or 10) for one topic, never creating it. */
export function writeMetadata(writer: WireWriter, version: number, topic: string): void {
  if (version < METADATA_WITH_TOPIC_IDS) {
    writer.int32(1).string(topic).boolean(false)
    return
  }
  writer.unsignedVarint(2).int64(0).int64(0).compactString(topic).noTags()
  writer.boolean(false).boolean(false).boolean(false).noTags()
}

/** Parses a Metadata response (version 6 or 10) about `topic`. */
export function readMetadata(reader: WireReader, version: number, topic: string): TopicMetadata {
  return version < METADATA_WITH_TOPIC_IDS ? readMetadata6(reader, topic) : readMetadata10(reader, topic)
}

const readInt32 = (reader: WireReader): number => reader.int32()
const byPartition = (a: PartitionMetadata, b: PartitionMetadata): number => a.partition - b.partition

function readMetadata6(reader: WireReader, wanted: string): TopicMetadata {
  reader.int32()
  const brokers = reader.array((r) => {
    const broker = { nodeId: r.int32(), host: r.string(), port: r.int32() }
    r.nullableString()
    return broker
  })
  reader.nullableString()
  reader.int32()
  const topics = reader.array((r) => {
    const errorCode = r.int16()
    const name = r.string()
    r.boolean()
    const partitions = r.array((p) => {
      const partition = { errorCode: p.int16(), partition: p.int32(), leader: p.int32() }
      p.array(readInt32)
      p.array(readInt32)
      p.array(readInt32)
      return partition
    })
    return { errorCode, name, topicId: '', partitions }
  })
  return about(wanted, brokers, topics)
}

function readMetadata10(reader: WireReader, wanted: string): TopicMetadata {
  reader.skipTags() // of the flexible response header
  reader.int32()
  const brokers = reader.compactArray((r) => {
    const broker = { nodeId: r.int32(), host: r.compactString(), port: r.int32() }
    r.compactNullableString()
    r.skipTags()
    return broker
  })
  reader.compactNullableString()
  reader.int32()
  const topics = reader.compactArray((r) => {
    const errorCode = r.int16()
    const name = r.compactString()
    const topicId = r.uuid()
    r.boolean()
    const partitions = r.compactArray((p) => {
      const partition = { errorCode: p.int16(), partition: p.int32(), leader: p.int32() }
      p.int32()
      p.compactArray(readInt32)
      p.compactArray(readInt32)
      p.compactArray(readInt32)
      p.skipTags()
      return partition
    })
    r.int32()
    r.skipTags()
    return { errorCode, name, topicId, partitions }
  })
  reader.int32()
  reader.skipTags()
  return about(wanted, brokers, topics)
}

function about(
  wanted: string,
  brokers: BrokerAddress[],
  topics: { errorCode: number; name: string; topicId: string; partitions: PartitionMetadata[] }[],
): TopicMetadata {
  const topic = topics.find((each) => each.name === wanted)
  if (topic === undefined) throw new MillraceError('BROKER_ERROR', `the broker's metadata leaves out topic ${wanted}`)
  const { errorCode, topicId, partitions } = topic
  return { brokers, errorCode, topicId, partitions: partitions.sort(byPartition) }
}

/** One partition of a ListOffsets request: a timestamp (epoch ms), LATEST_TIMESTAMP or EARLIEST_TIMESTAMP. */
export interface OffsetQuery {
  readonly partition: number
  readonly timestampMs: number
}

/** One partition of a ListOffsets response; `offset` is -1 when no record is at or after the timestamp. */
export interface OffsetAnswer {
  readonly partition: number
  readonly errorCode: number
  readonly offset: number
}

/** Writes a ListOffsets v3 request about one topic. */
export function writeListOffsets(
  writer: WireWriter,
  topic: string,
  isolation: Isolation,
  queries: readonly OffsetQuery[],
): void {
  writer.int32(-1).int8(isolation === 'read_committed' ? 1 : 0)
  writer.int32(1).string(topic).int32(queries.length)
  for (const query of queries) writer.int32(query.partition).int64(query.timestampMs)
}

/** Parses a ListOffsets v3 response. */
export function readListOffsets(reader: WireReader): OffsetAnswer[] {
  reader.int32()
  const topics = reader.array((r) => {
    r.string()
    return r.array((p) => {
      const partition = p.int32()
      const errorCode = p.int16()
      p.int64()
      return { partition, errorCode, offset: p.int64() }
    })
  })
  return topics.flat()
}

/** What a coordinator coordinates: a consumer group or a transactional id. */
export type CoordinatorKind = 'group' | 'transaction'

/** Writes a FindCoordinator v2 request. */
export function writeFindCoordinator(writer: WireWriter, kind: CoordinatorKind, key: string): void {
  writer.string(key).int8(kind === 'group' ? 0 : 1)
}

/** Who coordinates, unless `errorCode` says why that is not known. */
export interface CoordinatorAddress extends BrokerAddress {
  readonly errorCode: number
}

/** Parses a FindCoordinator v2 response. */
export function readFindCoordinator(reader: WireReader): CoordinatorAddress {
  reader.int32()
  const errorCode = reader.int16()
  reader.nullableString()
  return { errorCode, nodeId: reader.int32(), host: reader.string(), port: reader.int32() }
}

/** Writes an OffsetCommit v5 request from outside any group generation (as tools do). */
export function writeOffsetCommit(
  writer: WireWriter,
  groupId: string,
  topic: string,
  offsets: Readonly<Record<number, number>>,
): void {
  const partitions = Object.keys(offsets)
  writer.string(groupId).int32(-1).string('').int32(1).string(topic).int32(partitions.length)
  for (const partition of partitions) {
    writer.int32(Number(partition)).int64(offsets[Number(partition)]!).string('')
  }
}

/** Parses an OffsetCommit v5 response: the error code of each partition. */
export function readOffsetCommit(reader: WireReader): { readonly partition: number; readonly errorCode: number }[] {
  reader.int32()
  const topics = reader.array((r) => {
    r.string()
    return r.array((p) => ({ partition: p.int32(), errorCode: p.int16() }))
  })
  return topics.flat()
}
