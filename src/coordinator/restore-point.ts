/**
 * What the store holds of a job when an attempt begins, and what the attempt goes on from.
 *
 * Owns: reading manifests and the list of chunks. Does not own: which checkpoint counts, and when to refuse
 * (checkpoint/protocol-restore.ts), or how state is read back (runtime/).
 */
import { type CheckpointManifest, chunksOf, decodeManifest } from '../checkpoint/manifest.ts'
import { type ObservedCheckpoint, resolveRestore, type SkippedCheckpoint } from '../checkpoint/protocol-restore.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import { KEY_HASH_NAME, KEY_HASH_SEED } from '../core/hash.ts'
import type { JobPlan } from '../job/plan.ts'
import { type FittedCheckpoint, fitCheckpoint } from './held-state.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { CoordinatorLog } from './log.ts'

/** A checkpoint to go on from, fitted to the plan. */
export interface RestorePoint extends FittedCheckpoint {
  readonly checkpointId: number
  readonly record: CheckpointRecord
}

/** What the store holds of a job. */
export interface StoredCheckpoints {
  /** Null for a fresh start. */
  readonly restore: RestorePoint | null
  /** Checkpoints of this submission of the job. */
  readonly retained: readonly CheckpointManifest[]
  /** Ids of checkpoints of earlier submissions of the name: garbage. */
  readonly foreign: readonly number[]
  /** Checkpoints that were passed over, and why. */
  readonly skipped: readonly SkippedCheckpoint[]
  /** Keys of all chunks there are. */
  readonly chunkKeys: readonly string[]
  /** Highest checkpoint id that must not be used again. */
  readonly lastCheckpointId: number
}

/** Operators that have state. */
export function operatorIdsOf(plan: JobPlan): readonly string[] {
  if (plan.program !== undefined) {
    const keyed = plan.program.nodes.filter((node) => node.inputs.some((input) => input.route !== 'forward'))
    return [plan.definition.source.id, ...keyed.map((node) => node.id)]
  }
  const merged = plan.tables.some((table) => !table.keyed)
  return [plan.definition.source.id, 'window', ...(merged ? ['merge'] : [])]
}

/**
 * Reads the store. `publishedId` is the highest id ever published, as the lease says. Throws what `resolveRestore`
 * refuses with (STORE_LOST, CHECKPOINT_CORRUPT, STATE_INCOMPATIBLE), and the store's errors. Remembers the store's id.
 */
export async function readStoredCheckpoints(
  store: CheckpointStore,
  plan: JobPlan,
  memory: JobMemory,
  publishedId: number,
): Promise<StoredCheckpoints> {
  const { jobName } = plan
  const storeId = await store.storeId()
  const chunkKeys = await store.listChunks(jobName)
  const present = new Set(chunkKeys)
  const checkpoints: ObservedCheckpoint[] = []
  for (const checkpointId of await store.listCheckpoints(jobName)) {
    checkpoints.push(await observe(store, jobName, checkpointId, present))
  }
  const decision = resolveRestore(
    { storeId, lastCheckpointId: publishedId, checkpoints },
    {
      jobName,
      jobId: memory.jobId,
      knownStoreId: memory.storeId,
      knownCheckpointId: memory.completedCheckpointId,
      keyHashName: KEY_HASH_NAME,
      keyHashSeed: KEY_HASH_SEED,
      checkpointId: null,
      allowFallback: false,
    },
  )
  if (decision.kind === 'refuse') throw new MillraceError(decision.code, decision.message, { retry: 'never' })
  memory.storeId = storeId
  const ours = (c: ObservedCheckpoint): boolean => c.manifest === null || c.manifest.jobId === memory.jobId
  return {
    restore: decision.kind === 'restore' ? restorePoint(decision.manifest, plan, memory.dropState) : null,
    retained: checkpoints.filter(ours).flatMap(({ manifest }) => (manifest === null ? [] : [manifest])),
    foreign: checkpoints.filter((c) => !ours(c)).map((c) => c.checkpointId),
    skipped: decision.skipped,
    chunkKeys,
    lastCheckpointId: Math.max(decision.nextCheckpointId - 1, memory.lastCheckpointId),
  }
}

/** What an attempt began from, for people. */
export function startText(from: Pick<RestorePoint, 'checkpointId'> | null): string {
  return from === null ? 'started afresh' : `restored from checkpoint ${from.checkpointId}`
}

/** Says which checkpoints were passed over. */
export function logSkipped({ skipped }: StoredCheckpoints, job: string, log: CoordinatorLog): void {
  for (const { checkpointId, why } of skipped) {
    log('warn', `checkpoint ${checkpointId} of job ${job} was passed over: ${why}`, { job, checkpointId })
  }
}

async function observe(
  store: CheckpointStore,
  jobName: string,
  checkpointId: number,
  present: ReadonlySet<string>,
): Promise<ObservedCheckpoint> {
  const bytes = await store.readManifest(jobName, checkpointId)
  if (bytes === undefined) {
    return { checkpointId, manifest: null, problem: 'its manifest is missing', missingChunks: [] }
  }
  try {
    const manifest = decodeManifest(bytes, `checkpoint ${checkpointId} of job ${jobName}`)
    const missingChunks = chunksOf(manifest).flatMap(({ key }) => (present.has(key) ? [] : [key]))
    return { checkpointId, manifest, problem: '', missingChunks }
  } catch (thrown) {
    return { checkpointId, manifest: null, problem: MillraceError.from(thrown).message, missingChunks: [] }
  }
}

function restorePoint(manifest: CheckpointManifest, plan: JobPlan, dropState: readonly string[]): RestorePoint {
  const { checkpointId, createdAtMs, attempt } = manifest
  const fitted = fitCheckpoint(manifest, plan, dropState, `checkpoint ${checkpointId} of job ${plan.jobName}`)
  const sizeBytes = chunksOf(manifest).reduce((sum, chunk) => sum + chunk.sizeBytes, 0)
  const record = { id: checkpointId, createdAtMs, durationMs: 0, sizeBytes, writtenBytes: 0, attempt, failure: '' }
  return { ...fitted, checkpointId, record }
}
