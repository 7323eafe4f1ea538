/**
 * Which source subtask reads which partition, from where. Pure.
 *
 * Rules: subtask = partition modulo parallelism, so that partitions found later fall into place by themselves. A
 * checkpoint's positions win over the definition's start. Partitions that a checkpoint does not know were added after
 * the job began, and are read from their first record, whatever the start position says: nothing of them may be missed.
 * A bounded run reads up to the ends that the partitions had when it first started, so it ignores partitions that were
 * added since. A run that has become bounded reads up to the ends that they have now; one that is bounded no more reads
 * on, unless all its windows had been closed by the end of its input.
 */
import type { SplitSnapshot, SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK } from '../core/time.ts'
import type { SourceDefinition } from '../job/definition.ts'
import type { SplitStart } from '../runtime/messages.ts'
import type { PartitionInfo } from '../source/source.ts'

/** The positions that the source operator `sourceId` had in a checkpoint, by partition. */
export function restoredSplits(snapshots: readonly SubtaskSnapshot[], sourceId: string): readonly SplitSnapshot[] {
  const splits = snapshots.filter((snapshot) => snapshot.operatorId === sourceId).flatMap((snapshot) => snapshot.splits)
  return splits.toSorted((a, b) => a.partition - b.partition)
}

/**
 * Throws STATE_INCOMPATIBLE when a job would read on from a checkpoint that was made at the end of time: of a bounded run
 * at its end, or of one that was drained. Whatever follows would be late.
 */
export function checkNotEnded(snapshots: readonly SubtaskSnapshot[], source: SourceDefinition, job: string): void {
  if (!snapshots.some(({ operatorId, watermarkMs }) => operatorId !== source.id && watermarkMs === MAX_WATERMARK))
    return
  const isRead = ({ offset, stopOffset }: SplitSnapshot): boolean => offset >= stopOffset
  if (source.bounded && snapshots.every(({ splits }) => splits.every(isRead))) return
  throw new MillraceError(
    'STATE_INCOMPATIBLE',
    `job ${job} has come to the end of time, which closed all its windows (its input was bounded and ended, or it was ` +
      'drained): it cannot read on. Submit it under another name, or cancel it and submit it again to read its input anew',
  )
}

/** Splits of a first start: `offsets` as the enumerator resolved them for `partitions`, in the same order. */
export function freshSplits(
  partitions: readonly PartitionInfo[],
  offsets: readonly number[],
  bounded: boolean,
): readonly SplitStart[] {
  return partitions.map((partition, i) => ({
    partition: partition.partition,
    offset: offsets[i]!,
    stopOffset: bounded ? partition.end : Number.POSITIVE_INFINITY,
    topicId: partition.topicId,
    maxTimestampMs: Number.NEGATIVE_INFINITY,
  }))
}

/**
 * Splits of a restore. Throws TOPIC_RECREATED when a partition of the checkpoint is not there any more or belongs to
 * another topic of the same name: its offsets mean nothing there.
 */
export function resumedSplits(
  partitions: readonly PartitionInfo[],
  restored: readonly SplitSnapshot[],
  bounded: boolean,
): readonly SplitStart[] {
  const now = new Map(partitions.map((partition) => [partition.partition, partition]))
  const known = new Set<number>()
  const wasBounded = restored.some((split) => split.stopOffset !== Number.POSITIVE_INFINITY)
  const splits = restored.map((split): SplitStart => {
    const partition = now.get(split.partition)
    if (partition === undefined) {
      throw recreated(`partition ${split.partition}, read up to offset ${split.offset}, is not there any more`)
    }
    checkTopicId(split.partition, split.topicId, partition.topicId)
    known.add(split.partition)
    return {
      partition: split.partition,
      offset: split.offset,
      stopOffset: stopOffsetOf(split, partition.end, bounded),
      // A checkpoint made without topic ids learns them now.
      topicId: split.topicId === '' ? partition.topicId : split.topicId,
      maxTimestampMs: split.maxTimestampMs,
      ...(split.state === '' ? {} : { state: split.state }),
    }
  })
  if (bounded && wasBounded) return splits
  const added = addedSplits(partitions.filter((partition) => !known.has(partition.partition)))
  if (!bounded) return [...splits, ...added]
  return [...splits, ...added.map((split) => ({ ...split, stopOffset: now.get(split.partition)!.end }))]
}

function stopOffsetOf(split: SplitSnapshot, end: number, bounded: boolean): number {
  if (!bounded) return Number.POSITIVE_INFINITY
  return split.stopOffset === Number.POSITIVE_INFINITY ? Math.max(split.offset, end) : split.stopOffset
}

/** Splits of partitions that were added while the job ran: from their first record, without end. */
export function addedSplits(partitions: readonly PartitionInfo[]): readonly SplitStart[] {
  return partitions.map((partition) => ({
    partition: partition.partition,
    offset: partition.earliest,
    stopOffset: Number.POSITIVE_INFINITY,
    topicId: partition.topicId,
    maxTimestampMs: Number.NEGATIVE_INFINITY,
  }))
}

/** Throws TOPIC_RECREATED when both ids are known and differ. */
export function checkTopicId(partition: number, before: string, now: string): void {
  if (before === '' || now === '' || before === now) return
  throw recreated(`partition ${partition} had topic id ${before} and now has ${now}`)
}

/** Splits by subtask, each list by partition. */
export function distribute(splits: readonly SplitStart[], parallelism: number): readonly (readonly SplitStart[])[] {
  const bySubtask: SplitStart[][] = Array.from({ length: parallelism }, () => [])
  for (const split of splits) bySubtask[subtaskOfPartition(split.partition, parallelism)]!.push(split)
  for (const list of bySubtask) list.sort((a, b) => a.partition - b.partition)
  return bySubtask
}

/** The source subtask that reads `partition`. */
export function subtaskOfPartition(partition: number, parallelism: number): number {
  return partition % parallelism
}

/**
 * The thread of each subtask: round the threads that are ready, each job beginning at another one. `threads` must not
 * be empty.
 */
export function placeSubtasks(parallelism: number, threads: readonly number[], job: number): readonly number[] {
  return Array.from({ length: parallelism }, (_, subtask) => threads[(job + subtask) % threads.length]!)
}

function recreated(what: string): MillraceError {
  return new MillraceError(
    'TOPIC_RECREATED',
    `the topic is not the one that the checkpoint was made of: ${what}. ` +
      'Cancel the job to drop its state and submit it again to read the new topic from its start position',
  )
}
