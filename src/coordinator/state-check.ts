/** What becomes of a job's state under another plan, asked before anything is changed. */
import { type CheckpointManifest, decodeManifest } from '../checkpoint/manifest.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import type { MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import { diffState, needlessNames, refusalOf, type StateDiff } from '../job/state-diff.ts'
import { describeState } from '../job/state-identity.ts'
import { diffCheckpoint } from './held-state.ts'

/** What becomes of a job's state, and why that is refused; null when it is not. */
export interface StateVerdict {
  readonly diff: StateDiff
  readonly refusal: MillraceError | null
  /** What may go: the names that were given, and those given before as long as a checkpoint has what they name. */
  readonly dropState: readonly string[]
}

/** What of a job's state may go, by name. */
export interface Consent {
  readonly given: readonly string[]
  /** Given with earlier changes: it holds for checkpoints from before those. */
  readonly before: readonly string[]
}

/**
 * Compares a plan with what a job has: with what is deployed, whose next checkpoint will have it, and with its newest
 * checkpoint, from which it goes on where there is no next one. Rejects with the store's errors, and STATE_INCOMPATIBLE
 * where a checkpoint does not say what it has.
 */
export async function judgeState(
  store: CheckpointStore,
  deployed: JobPlan | null,
  plan: JobPlan,
  jobId: string,
  { given, before }: Consent,
): Promise<StateVerdict> {
  const newest = await newestCheckpoint(store, plan.jobName, jobId)
  const what = newest === null ? '' : `checkpoint ${newest.checkpointId} of job ${plan.jobName}`
  const stored = newest === null ? null : diffCheckpoint(newest, plan, what)
  const live = deployed === null ? null : diffState(describeState(deployed), describeState(plan))
  const running = `the state of job ${plan.jobName}`
  const needless = new Set(stored === null ? before : needlessNames(stored, before))
  const dropState = [...new Set([...given, ...before.filter((name) => !needless.has(name))])]
  const refusal = (live && refusalOf(live, given, running)) ?? (stored && refusalOf(stored, dropState, what)) ?? null
  return { diff: live ?? stored ?? nothingHeld(plan), refusal, dropState }
}

/** A checkpoint that cannot be read is left to the restore, which says what is wrong with it. */
async function newestCheckpoint(
  store: CheckpointStore,
  job: string,
  jobId: string,
): Promise<CheckpointManifest | null> {
  for (const id of (await store.listCheckpoints(job)).toReversed()) {
    const bytes = await store.readManifest(job, id)
    if (bytes === undefined) return null
    try {
      const manifest = decodeManifest(bytes, `checkpoint ${id} of job ${job}`)
      if (manifest.jobId === jobId) return manifest
    } catch {
      return null
    }
  }
  return null
}

function nothingHeld(plan: JobPlan): StateDiff {
  const wanted = describeState(plan)
  return diffState({ ...wanted, sources: [], tables: [], operators: [] }, wanted)
}
