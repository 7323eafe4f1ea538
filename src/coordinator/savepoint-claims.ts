/** Savepoints that a job owns once it has begun from them: deleted when it has a checkpoint of its own, never before. */
import { MillraceError } from '../core/errors.ts'
import type { SavepointRef } from '../savepoint/names.ts'
import type { SavepointStore } from '../savepoint/store.ts'
import type { CoordinatorLog } from './log.ts'
import type { StoredJob } from './stored-job.ts'

/**
 * Deletes the savepoint that a job's record claims; resolves to whether the claim is settled. A claim that cannot be
 * settled now is tried again with the next checkpoint.
 */
export async function settleClaim(stored: StoredJob, store: SavepointStore, log: CoordinatorLog): Promise<boolean> {
  const [job = '', name = ''] = stored.claims?.split('/') ?? []
  const ref: SavepointRef = { job, name }
  const fields = { job: stored.definition.name, savepoint: stored.claims }
  try {
    await store.delete(ref)
    log('info', `savepoint ${stored.claims} was claimed, and is deleted: the job has a checkpoint of its own`, fields)
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'SAVEPOINT_NOT_FOUND') {
      log('warn', `savepoint ${stored.claims} was claimed and could not be deleted: ${error.message}`, fields)
      return false
    }
  }
  return true
}

/** A record without its claim. */
export function withoutClaim({ claims: _settled, ...stored }: StoredJob): StoredJob {
  return stored
}
