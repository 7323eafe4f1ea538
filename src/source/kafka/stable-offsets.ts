/**
 * How far readers of committed records get in a topic, and how far the topic goes.
 */
import { MillraceError } from '../../core/errors.ts'
import { brokerError, kafkaErrors } from './errors.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { type Isolation, LATEST_TIMESTAMP } from './protocol.ts'

/** The ends of one partition: without open transactions they are equal. */
export interface PartitionEnds {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  readonly lastStableOffset: number
  readonly highWatermark: number
}

/**
 * The ends of every partition of a topic that has a leader; none for a topic that does not exist. Throws BROKER_UNREACHABLE,
 * BROKER_ERROR.
 */
export async function partitionEnds(cluster: KafkaCluster, topic: string): Promise<PartitionEnds[]> {
  return (await lookAt(cluster, topic)).ends
}

/**
 * As `partitionEnds`, of every partition that `wanted` takes: rejects with BROKER_UNREACHABLE, which passes, while one of
 * them cannot be asked.
 */
export async function everyEnd(
  cluster: KafkaCluster,
  topic: string,
  wanted: (partition: number) => boolean,
): Promise<PartitionEnds[]> {
  const { partitions, ends } = await lookAt(cluster, topic)
  const silent = partitions.find((each) => wanted(each) && !ends.some(({ partition }) => partition === each))
  if (silent !== undefined) {
    const message = `${topic}-${silent} has no leader that answers now. This passes when its broker is back.`
    throw new MillraceError('BROKER_UNREACHABLE', message)
  }
  return ends.filter(({ partition }) => wanted(partition))
}

async function lookAt(
  cluster: KafkaCluster,
  topic: string,
): Promise<{ readonly partitions: readonly number[]; readonly ends: PartitionEnds[] }> {
  const metadata = await cluster.metadata(topic)
  if (metadata.errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) return { partitions: [], ends: [] }
  if (metadata.errorCode !== kafkaErrors.NONE) throw brokerError(metadata.errorCode, `Metadata of ${topic}`)
  const byLeader = Map.groupBy(metadata.partitions, ({ leader }) => leader)
  const ends: PartitionEnds[] = []
  for (const [leader, led] of byLeader) {
    if (leader < 0) continue
    const queries = led.map(({ partition }) => ({ partition, timestampMs: LATEST_TIMESTAMP }))
    const ask = async (isolation: Isolation): Promise<Map<number, number>> => {
      const answers = await cluster.listOffsets(leader, topic, isolation, queries)
      return new Map(answers.flatMap((each) => (each.errorCode === 0 ? [[each.partition, each.offset] as const] : [])))
    }
    // In this order the first is never beyond the second.
    const stable = await ask('read_committed')
    const high = await ask('read_uncommitted')
    for (const { partition } of led) {
      const lastStableOffset = stable.get(partition)
      const highWatermark = high.get(partition)
      if (lastStableOffset === undefined || highWatermark === undefined) continue
      ends.push({ topic, partition, leader, lastStableOffset, highWatermark })
    }
  }
  const partitions = metadata.partitions.map(({ partition }) => partition)
  return { partitions, ends: ends.sort((a, b) => a.partition - b.partition) }
}

/** The last batch that a producer has written to a partition. */
export interface WrittenBatch {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  /** Offset of its first record; -1 when the leader did not say. */
  readonly offset: number
}

/** Whether readers of committed records are past all of these batches. False also where that cannot be told now. */
export async function arePassed(cluster: KafkaCluster, written: readonly WrittenBatch[]): Promise<boolean> {
  for (const ofTopic of Map.groupBy(written, ({ topic }) => topic).values()) {
    for (const [leader, led] of Map.groupBy(ofTopic, (batch) => batch.leader)) {
      const queries = led.map(({ partition }) => ({ partition, timestampMs: LATEST_TIMESTAMP }))
      const answers = await cluster.listOffsets(leader, led[0]!.topic, 'read_committed', queries)
      for (const { partition, offset } of led) {
        const answer = answers.find((each) => each.partition === partition)
        if (offset < 0 || answer?.errorCode !== 0 || answer.offset <= offset) return false
      }
    }
  }
  return true
}
