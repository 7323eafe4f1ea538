/**
 * How far readers of committed records get in a topic, and how far the topic goes.
 */
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
  const metadata = await cluster.metadata(topic)
  if (metadata.errorCode === kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION) return []
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
  return ends.sort((a, b) => a.partition - b.partition)
}
