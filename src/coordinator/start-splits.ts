/** Where an attempt begins to read. Asks the source; which position wins is assignment.ts's. */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import type { JobPlan } from '../job/plan.ts'
import type { SplitStart } from '../runtime/messages.ts'
import type { SourceEnumerator } from '../source/source.ts'
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
 * The splits to read: from the checkpoint; without one from where the first start began; on a first start from the start
 * position of the definition, which is stored before it is used. Rejects with the source's errors, `first.store`'s, and
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
  if (restored !== null) {
    checkNotEnded(restored.snapshots, source, plan.jobName)
    return resumedSplits(partitions, restoredSplits(restored.snapshots, source.id), source.bounded)
  }
  // A first start that failed before its first checkpoint must begin where it began: `latest` is later by now.
  if (first.known !== null) return resumedSplits(partitions, first.known, source.bounded)
  const splits = freshSplits(partitions, await enumerator.resolve(source.start, partitions), source.bounded)
  await first.store(splits.map((split) => ({ ...split, state: split.state ?? '' })))
  return splits
}
