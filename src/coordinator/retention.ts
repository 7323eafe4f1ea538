/** What is done with a job's checkpoints from outside an attempt: listing them, and dropping them all. */
import { chunksOf, decodeManifest } from '../checkpoint/manifest.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import { episodeStateName } from '../job/delivery.ts'
import type { CheckpointRecord, JobHistory } from './job-history.ts'
import type { JobPorts } from './job-ports.ts'
import type { CoordinatorListener } from './job-status.ts'
import type { LeaseKeeper } from './lease.ts'

/**
 * The checkpoints that the store holds of a job, newest first. What a manifest does not say (duration, bytes written)
 * comes from the history, and is 0 for checkpoints of earlier processes.
 */
export async function listCheckpoints(
  store: CheckpointStore,
  job: string,
  jobId: string,
  history: JobHistory,
): Promise<readonly CheckpointRecord[]> {
  const records: CheckpointRecord[] = []
  for (const id of (await store.listCheckpoints(job)).toReversed()) {
    const bytes = await store.readManifest(job, id)
    // Retention may have taken it between the two calls.
    if (bytes === undefined) continue
    const manifest = decodeManifest(bytes, `checkpoint ${id} of job ${job}`)
    if (manifest.jobId !== jobId) continue
    const known = history.checkpoints.find((record) => record.id === id && record.failure === '')
    records.push(
      known ?? {
        id,
        createdAtMs: manifest.createdAtMs,
        durationMs: 0,
        sizeBytes: chunksOf(manifest).reduce((sum, chunk) => sum + chunk.sizeBytes, 0),
        writtenBytes: 0,
        attempt: manifest.attempt,
        failure: '',
      },
    )
  }
  return records
}

/**
 * Deletes everything that the store holds of a job that is over, its record included. Needs the lease, and does nothing
 * when another instance holds it: then the state is not ours. What a failure leaves behind belongs to a submission that
 * is over, and is deleted by the next start under this name. The record is written again, for what is wanted of the job.
 */
export async function dropState(
  ports: JobPorts,
  job: string,
  lease: LeaseKeeper,
  { storeRecord }: Pick<CoordinatorListener, 'storeRecord'>,
): Promise<void> {
  const { store, log } = ports
  let owner = ''
  try {
    await lease.acquire((heldBy) => {
      owner = heldBy
      void lease.release()
    }, 0)
    await store.deleteJob(job)
    await store.deleteJob(episodeStateName(job))
  } catch (thrown) {
    const why = owner === '' ? MillraceError.from(thrown).message : `${owner} holds its lease`
    log('warn', `the state of job ${job} was not dropped: ${why}`, { job })
    return
  }
  await storeRecord()
}
