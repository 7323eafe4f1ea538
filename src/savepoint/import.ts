/**
 * Copies a savepoint into a store, as the first checkpoint of a job that begins from it.
 *
 * Owns: the order (chunks, then the manifest under a lease), new names for everything, and what is left out. Does not own:
 * whether the state fits (checkpoint/protocol-restore.ts), the job's record, which makes it count
 * (coordinator/savepoint-starts.ts). Until that record is swapped in, what is here belongs to no submission: the next start
 * under the name deletes it.
 */
import { chunkKey, chunkKeyPrefix } from '../checkpoint/chunk-key.ts'
import { type CheckpointManifest, chunksOf, encodeManifest } from '../checkpoint/manifest.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { invariant } from '../core/errors.ts'
import { withChunkKeys } from './savepoint.ts'
import type { SavepointReader } from './store.ts'

/** Chunks in memory at a time, of about 1 MB each. */
const LANES = 4
/** What chunk keys name as their operator: no operator's own, so that none meets one of its own making. */
const IMPORTER = 'import'

/** The job that begins, and the lease under which it does. */
export interface ImportTarget {
  readonly jobName: string
  readonly jobId: string
  readonly generation: number
  readonly nonce: string
  /** Above everything ever published under the name. */
  readonly checkpointId: number
  readonly createdAtMs: number
}

/**
 * Writes the chunks of `manifest` (that of the reader's savepoint, less what is dropped) and publishes it. Rejects
 * SAVEPOINT_CORRUPT, and with the store's errors; what was written by then is deleted, as far as the store lets it.
 */
export async function importSavepoint(
  reader: SavepointReader,
  manifest: CheckpointManifest,
  target: ImportTarget,
  store: CheckpointStore,
): Promise<void> {
  const { jobName, jobId, generation, nonce, checkpointId, createdAtMs } = target
  const prefix = chunkKeyPrefix(jobName, generation, 0, nonce)
  const refs = chunksOf(manifest)
  const keys = new Map(refs.map(({ key }, index) => [key, chunkKey(prefix, IMPORTER, 0, index)]))
  const work = refs[Symbol.iterator]()
  const lane = async (): Promise<void> => {
    for (const { key } of work) {
      const bytes = await reader.readChunk(key)
      invariant(bytes !== undefined, `savepoint without blob ${key}`)
      await store.putChunk(keys.get(key)!, bytes)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: Math.min(LANES, refs.length) }, lane))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) {
    await store.deleteChunks([...keys.values()]).catch(() => {})
    throw failed.reason
  }
  const first: CheckpointManifest = {
    ...withChunkKeys(manifest, (key) => keys.get(key)!),
    ...{
      jobName,
      jobId,
      checkpointId,
      previousCheckpointId: 0,
      generation,
      attempt: 0,
      kind: 'checkpoint',
      createdAtMs,
    },
  }
  await store.publishManifest(jobName, generation, nonce, checkpointId, encodeManifest(first), checkpointId - 1)
}
