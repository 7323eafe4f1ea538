/**
 * A job that begins from a savepoint: its state is copied into the job's own store as the first checkpoint of the new
 * submission, and only then is the submission's record swapped in (submissions.ts). A crash in between leaves what belongs
 * to nobody, and the next start under the name deletes it.
 *
 * Owns: what is refused before anything is written, and the lease under which it is. Does not own: copying
 * (savepoint/import.ts).
 */
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import { keyHashMismatch } from '../checkpoint/protocol-restore.ts'
import { MillraceError } from '../core/errors.ts'
import { KEY_HASH_NAME, KEY_HASH_SEED } from '../core/hash.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import { needlessNames } from '../job/state-diff.ts'
import { importSavepoint } from '../savepoint/import.ts'
import { parseSavepointRef, refText } from '../savepoint/names.ts'
import { corruptSavepoint, type Savepoint } from '../savepoint/savepoint.ts'
import type { SavepointStore } from '../savepoint/store.ts'
import { checkNotEnded } from './assignment.ts'
import { diffCheckpoint, type FittedCheckpoint, fitCheckpoint } from './held-state.ts'
import { defaultJobSettings, type JobPorts } from './job-ports.ts'
import { LeaseKeeper } from './lease.ts'
import { foreign } from './refusals.ts'
import type { JobStart } from './submissions.ts'

/** Where a job is to begin. */
export interface StartWish {
  /** Name of a savepoint of the job, `job/name` of any, or its path in the folder of savepoints. */
  readonly savepoint: string
  /** Whether it is deleted once the job has a checkpoint of its own. */
  readonly claim: boolean
  /** What of the state may go, by name (job/state-diff.ts). */
  readonly dropState: readonly string[]
}

/**
 * Opens the savepoint for a submission of `definition`. INPUT_INVALID, SAVEPOINT_NOT_FOUND, SAVEPOINT_CORRUPT;
 * STATE_INCOMPATIBLE for one that was drained. What does not fit the job is said by `bring`, before it writes.
 */
export async function openSavepointStart(
  wish: StartWish,
  definition: JobDefinition,
  savepoints: SavepointStore,
  ports: JobPorts,
): Promise<JobStart> {
  const ref = parseSavepointRef(wish.savepoint, definition.name, savepoints.root)
  const what = `savepoint ${refText(ref)}`
  const reader = await savepoints.open(ref)
  const { savepoint } = reader
  if (savepoint.drained) {
    throw new MillraceError(
      'STATE_INCOMPATIBLE',
      `${what} was made by draining: all its windows have fired, and whatever follows would be late. It is for keeping ` +
        'and looking at; begin from one that was made without draining',
    )
  }
  const { dropState } = wish
  const manifest = savepoint.checkpoint
  return {
    dropState,
    before: { definition: definitionOf(savepoint, what), schema: savepoint.descriptorSet },
    ...(wish.claim ? { claims: refText(ref) } : {}),
    bring: async (jobId, plan) => {
      const fitted = fitState(manifest, plan, dropState, what)
      checkNotEnded(fitted.snapshots, plan.definition.source, plan.jobName)
      await underLease(plan, ports, (generation, nonce, checkpointId) => {
        const createdAtMs = ports.clock.nowMs()
        const target = { jobName: plan.jobName, jobId, generation, nonce, checkpointId, createdAtMs }
        return importSavepoint(reader, manifest, target, ports.store)
      })
    },
  }
}

/** What is dropped is not left out of the copy: the job's record has the consent, and its first start leaves it. */
function fitState(
  manifest: CheckpointManifest,
  plan: JobPlan,
  dropState: readonly string[],
  what: string,
): FittedCheckpoint {
  const mismatch = keyHashMismatch(manifest, { keyHashName: KEY_HASH_NAME, keyHashSeed: KEY_HASH_SEED })
  if (mismatch !== '') {
    throw new MillraceError('STATE_INCOMPATIBLE', `${what} does not fit job ${plan.jobName}: ${mismatch}`)
  }
  const needless = needlessNames(diffCheckpoint(manifest, plan, what), dropState)
  if (needless.length > 0) {
    throw new MillraceError('INPUT_INVALID', `nothing would be dropped that is named ${needless.join(', ')}`)
  }
  return fitCheckpoint(manifest, plan, dropState, what)
}

async function underLease(
  { jobName }: JobPlan,
  ports: JobPorts,
  work: (generation: number, nonce: string, checkpointId: number) => Promise<void>,
): Promise<void> {
  const lease = new LeaseKeeper(jobName, ports, defaultJobSettings.leaseTtlMs, () => {})
  let owner = ''
  try {
    const { generation, nonce, lastCheckpointId } = await lease.acquire((heldBy) => {
      owner = heldBy
      void lease.release()
    }, 0)
    await work(generation, nonce, lastCheckpointId + 1)
  } catch (thrown) {
    throw owner === '' ? thrown : foreign(jobName, owner, 'submit')
  } finally {
    await lease.release()
  }
}

function definitionOf({ definitionJson }: Savepoint, what: string): JobDefinition {
  try {
    return JSON.parse(definitionJson) as JobDefinition
  } catch (thrown) {
    throw corruptSavepoint(what, 'the definition in it cannot be read', thrown)
  }
}
