/** Checkpoints of which more is wanted: the last of an attempt when the job is being stopped, and those that are copied. */
import type { CheckpointRecord } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobRun } from './job-run.ts'

/** How a job is to stop. */
export interface StopWish {
  /** All of time passes first: sources read no further, and every window fires. */
  readonly drain: boolean
  /** Is handed the last checkpoint, which stays in the store as long as this takes. Must not reject. */
  readonly onCheckpoint: (checkpointId: number) => Promise<void>
}

/** A stop that wants nothing but the checkpoint. */
export const plainStop: StopWish = { drain: false, onCheckpoint: async () => {} }

/** Makes it; `wish` is asked as late as may be, because a stop may come while it is being made. */
export async function stopCheckpoint(run: JobRun, wish: () => StopWish): Promise<CheckpointRecord> {
  const record = await run.finalCheckpoint(wish().drain)
  await wish().onCheckpoint(record.id)
  return record
}

/** Makes a checkpoint that retention leaves alone, in later attempts too, until `copy` of it has ended; then `release`. */
export async function copyCheckpoint<T>(
  run: JobRun,
  { savepoints }: JobMemory,
  copy: (checkpointId: number) => Promise<T>,
  release: (checkpointId: number) => void,
): Promise<T> {
  const { id } = await run.savepoint()
  // Of several that were asked for at once, all may copy one checkpoint.
  savepoints.set(id, (savepoints.get(id) ?? 0) + 1)
  try {
    return await copy(id)
  } finally {
    const left = savepoints.get(id)! - 1
    if (left > 0) savepoints.set(id, left)
    else {
      savepoints.delete(id)
      release(id)
    }
  }
}
