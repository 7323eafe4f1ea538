/** What a store that has lost its data lacks of a checkpoint: pages can be written again, what sinks are owed cannot. */
import { type CheckpointManifest, pageChunksOf } from '../checkpoint/manifest.ts'
import { type OutboxEpoch, outboxOf } from '../checkpoint/outbox-restore.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'

/**
 * Keys of chunks with pages of `manifest` that the store does not have, and STORE_LOST when it lacks blocks of an outbox,
 * of this one or of one that is still unapplied; null when it has them.
 */
export async function lostChunks(
  store: CheckpointStore,
  manifest: CheckpointManifest,
  unapplied: readonly OutboxEpoch[],
): Promise<{ readonly pages: readonly string[]; readonly owed: MillraceError | null }> {
  const present = new Set(await store.listChunks(manifest.jobName))
  const pages = pageChunksOf(manifest).flatMap(({ key }) => (present.has(key) ? [] : [key]))
  for (const epoch of [...unapplied, outboxOf(manifest)]) {
    const owed = lostOf(manifest.jobName, epoch, present)
    if (owed !== null) return { pages, owed }
  }
  return { pages, owed: null }
}

function lostOf(job: string, epoch: OutboxEpoch, present: ReadonlySet<string>): MillraceError | null {
  for (const [sink, blocks] of epoch.sinks) {
    const lost = blocks.filter(({ chunk }) => !present.has(chunk.key))
    if (lost.length === 0) continue
    const records = lost.reduce((sum, block) => sum + block.records, 0)
    return new MillraceError(
      'STORE_LOST',
      `the checkpoint store of job ${job} has lost ${records} records of checkpoint ${epoch.checkpointId} that sink ` +
        `${sink} was to get. Restore the store, or cancel the job and submit it anew`,
    )
  }
  return null
}
