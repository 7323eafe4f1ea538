/**
 * What became of a position that the broker answers OFFSET_OUT_OF_RANGE to, and the errors that say so.
 *
 * Retention and deleted records move the first offset past it; a truncation moves the end before it; a topic that was
 * deleted and created again does either. The topic id, where the broker has one, tells the last case from the others.
 */
import { MillraceError } from '../../core/errors.ts'
import { brokerError } from './errors.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { EARLIEST_TIMESTAMP, LATEST_TIMESTAMP } from './protocol.ts'

/** A position that a leader refused. */
export interface RefusedPosition {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  /** '' where ids are not known. */
  readonly topicId: string
  readonly fetchOffset: number
}

/** `held`: the offset is there now, try again. `expired`: deleted before it was read. `other`: another or a cut log. */
export type PositionVerdict =
  | { readonly kind: 'held' }
  | { readonly kind: 'expired'; readonly earliest: number; readonly failure: MillraceError }
  | { readonly kind: 'other'; readonly failure: MillraceError }

/** Asks the cluster for the bounds and the id of the log. Throws what asking throws: try again later. */
export async function lookIntoPosition(cluster: KafkaCluster, refused: RefusedPosition): Promise<PositionVerdict> {
  const { topic, partition, leader, topicId } = refused
  // Copied: the position may move on while we ask.
  const position = refused.fetchOffset
  const ask = async (timestampMs: number): Promise<number> => {
    // A partition may stand in one request only once, so earliest and latest take two.
    const answers = await cluster.listOffsets(leader, topic, 'read_uncommitted', [{ partition, timestampMs }])
    const answer = answers.find((each) => each.partition === partition)
    if (answer?.errorCode === 0) return answer.offset
    throw brokerError(answer?.errorCode ?? -1, `ListOffsets of ${topic}-${partition}`)
  }
  const earliest = await ask(EARLIEST_TIMESTAMP)
  const end = await ask(LATEST_TIMESTAMP)
  const idNow = (await cluster.metadata(topic)).topicId
  const idsKnown = topicId !== '' && idNow !== ''
  if (idsKnown && idNow !== topicId) {
    return { kind: 'other', failure: topicRecreated(topic, partition, `by its id, ${topicId} then, ${idNow} now`) }
  }
  if (position > end) {
    const failure = idsKnown
      ? truncated(topic, partition, position, end)
      : topicRecreated(topic, partition, `at position ${position}, with its end now at ${end}`)
    return { kind: 'other', failure }
  }
  if (position >= earliest) return { kind: 'held' }
  return { kind: 'expired', earliest, failure: expired(topic, partition, position, earliest) }
}

/** TOPIC_RECREATED: the stored position belongs to a log that is no more. */
export function topicRecreated(topic: string, partition: number, how: string): MillraceError {
  return new MillraceError(
    'TOPIC_RECREATED',
    `${topic}-${partition} is not the log that was read before: the topic was deleted and created again (seen ${how}). ` +
      'Its old positions mean nothing now; start the job anew, from earliest or from given offsets.',
  )
}

function expired(topic: string, partition: number, position: number, earliest: number): MillraceError {
  return new MillraceError(
    'POSITION_LOST',
    `${topic}-${partition}: position ${position} is gone, the first offset held is ${earliest}: ` +
      `${earliest - position} records were deleted unread. Lengthen the topic's retention; to go on without them, ` +
      'allow the source to skip lost records.',
  )
}

function truncated(topic: string, partition: number, position: number, end: number): MillraceError {
  return new MillraceError(
    'POSITION_LOST',
    `${topic}-${partition}: position ${position} is gone, the log ends at ${end}: ${position - end} records that were ` +
      'read are not in it any more (truncated, as by an unclean leader election). Restore from a checkpoint before ' +
      `offset ${end}, or start from given offsets.`,
  )
}
