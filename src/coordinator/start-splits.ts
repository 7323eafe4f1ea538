/** Where an attempt begins to read. Asks the source; which position wins is assignment.ts's. */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import type { JobPlan } from '../job/plan.ts'
import type { SplitStart } from '../runtime/messages.ts'
import { sourceOfPartition } from '../source/several-sources.ts'
import type { PartitionInfo, SourceEnumerator } from '../source/source.ts'
import { checkNotEnded, freshSplits, restoredSplits, resumedSplits } from './assignment.ts'
import type { RestorePoint } from './restore-point.ts'

/** Where the first start of a job began. */
export interface FirstSplits {
  /** Null when it has not begun. */
  readonly known: readonly SplitSnapshot[] | null
  /** Stores it, durably when resolved. */
  store(splits: readonly SplitSnapshot[]): Promise<void>
}

/**
 * The splits to read: from the checkpoint; without one, and for sources that it does not know, from where the first start
 * began; on a first start from the start position of the definition, which is stored before it is used. Rejects with the source's errors, `first.store`'s, and
 * what assignment.ts refuses with.
 */
export async function startSplits(
  enumerator: SourceEnumerator,
  plan: JobPlan,
  restored: RestorePoint | null,
  first: FirstSplits,
): Promise<readonly SplitStart[]> {
  const { source } = plan.definition
  const partitions = await enumerator.partitions()
  if (restored === null) return firstStart(enumerator, plan, partitions, first)
  checkNotEnded(restored.snapshots, source, plan.jobName)
  const begins = ({ partition }: PartitionInfo): boolean => restored.freshSources.includes(sourceOfPartition(partition))
  const [fresh, others] = [partitions.filter(begins), partitions.filter((partition) => !begins(partition))]
  const resumed = resumedSplits(others, restoredSplits(restored.snapshots, source.id), source.bounded)
  return fresh.length === 0 ? resumed : [...resumed, ...(await firstStart(enumerator, plan, fresh, first))]
}

/** Splits of partitions that a source begins to read. */
async function firstStart(
  enumerator: SourceEnumerator,
  plan: JobPlan,
  partitions: readonly PartitionInfo[],
  first: FirstSplits,
): Promise<readonly SplitStart[]> {
  const { start, bounded } = plan.definition.source
  // A first start that failed before its first checkpoint must begin where it began: `latest` is later by now.
  const known = first.known?.filter((split) => partitions.some(({ partition }) => partition === split.partition)) ?? []
  if (known.length > 0) return resumedSplits(partitions, known, bounded)
  const splits = freshSplits(partitions, await enumerator.resolve(start, partitions), bounded)
  await first.store(splits.map((split) => ({ ...split, state: split.state ?? '' })))
  return splits
}
