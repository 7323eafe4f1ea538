/**
 * What to restore: the decision, from what was found in the store and what the job wants.
 *
 * Pure. Owns: which checkpoint counts, when to begin anew, when to refuse. Does not own: reading the store, dealing
 * state out to subtasks.
 *
 * Rules:
 * 1. The newest checkpoint of this very job (id, not name) counts. One that cannot be used stops the job: an older one
 *    would silently lose what came after it. `allowFallback` says that this is wanted.
 * 2. No checkpoint: a fresh start, but not when this process has seen one published: then the store has lost its data
 *    (STORE_LOST). Stores list what they should have, so a manifest that went missing alone is not "no checkpoint".
 * 3. State is never read under another key hash: STATE_INCOMPATIBLE. Whether the job has a place for all that is in it is
 *    asked when it is known which checkpoint it is (job/state-diff.ts).
 */
import type { CheckpointManifest } from './manifest.ts'

/** One checkpoint as it was found. */
export interface ObservedCheckpoint {
  readonly checkpointId: number
  /** Null when the manifest is missing or cannot be decoded; `problem` says why. */
  readonly manifest: CheckpointManifest | null
  readonly problem: string
  /** Chunks that it refers to and the store does not have. */
  readonly missingChunks: readonly string[]
}

/** What was found. */
export interface ObservedStore {
  readonly storeId: string
  /** Highest id ever published under this job's name, as the lease says. */
  readonly lastCheckpointId: number
  readonly checkpoints: readonly ObservedCheckpoint[]
}

/** What the job wants. */
export interface RestoreWish {
  readonly jobName: string
  readonly jobId: string
  /** Id of the store that this process knew before; '' when it knew none. */
  readonly knownStoreId: string
  /** Highest checkpoint of this job that this process has seen published; 0 for none. */
  readonly knownCheckpointId: number
  readonly keyHashName: string
  readonly keyHashSeed: number
  /** A certain checkpoint; null for the newest. */
  readonly checkpointId: number | null
  readonly allowFallback: boolean
}

/** A checkpoint that was passed over, and why. */
export interface SkippedCheckpoint {
  readonly checkpointId: number
  readonly why: string
}

/** What to do. `nextCheckpointId` is above everything ever published. */
export type RestoreDecision =
  | { readonly kind: 'fresh'; readonly nextCheckpointId: number; readonly skipped: readonly SkippedCheckpoint[] }
  | {
      readonly kind: 'restore'
      readonly manifest: CheckpointManifest
      readonly nextCheckpointId: number
      readonly skipped: readonly SkippedCheckpoint[]
    }
  | {
      readonly kind: 'refuse'
      readonly code: 'CHECKPOINT_CORRUPT' | 'CHECKPOINT_NOT_FOUND' | 'STATE_INCOMPATIBLE' | 'STORE_LOST'
      readonly message: string
    }

/** Decides what a job starts from. */
export function resolveRestore(observed: ObservedStore, wish: RestoreWish): RestoreDecision {
  const { jobName } = wish
  if (wish.knownStoreId !== '' && wish.knownStoreId !== observed.storeId) {
    return refuse('STORE_LOST', `the checkpoint store of job ${jobName} is another one than before: its data is gone`)
  }
  const floor = Math.max(observed.lastCheckpointId, wish.knownCheckpointId)
  const highest = observed.checkpoints.reduce((max, c) => Math.max(max, c.checkpointId), floor)
  const nextCheckpointId = highest + 1
  const skipped: SkippedCheckpoint[] = []
  if (wish.checkpointId === null && wish.knownCheckpointId > 0) {
    const there = observed.checkpoints.some((c) => c.checkpointId >= wish.knownCheckpointId)
    if (!there)
      skipped.push({ checkpointId: wish.knownCheckpointId, why: 'it was published, and the store has lost it' })
  }
  const candidates = [...observed.checkpoints].sort((a, b) => b.checkpointId - a.checkpointId)
  const foreign = (c: ObservedCheckpoint): boolean => c.manifest !== null && c.manifest.jobId !== wish.jobId
  if (wish.checkpointId !== null && !candidates.some((c) => c.checkpointId === wish.checkpointId)) {
    const there = candidates.map((c) => c.checkpointId).join(', ') || 'none'
    return refuse('CHECKPOINT_NOT_FOUND', `job ${jobName} has no checkpoint ${wish.checkpointId}; there are: ${there}`)
  }
  for (const candidate of candidates) {
    const { checkpointId, manifest } = candidate
    if (wish.checkpointId !== null && checkpointId > wish.checkpointId) continue
    if (foreign(candidate)) {
      skipped.push({ checkpointId, why: 'it belongs to an earlier job of the same name' })
      continue
    }
    const problem = problemOf(candidate)
    if (manifest === null || problem !== '') {
      if (!wish.allowFallback) {
        return refuse(
          'CHECKPOINT_CORRUPT',
          `checkpoint ${checkpointId} of job ${jobName} cannot be restored: ${problem}. Repair the store, or allow ` +
            'falling back to an older checkpoint, which repeats what came after it',
        )
      }
      skipped.push({ checkpointId, why: problem })
      continue
    }
    const mismatch = keyHashMismatch(manifest, wish)
    if (mismatch !== '') {
      return refuse('STATE_INCOMPATIBLE', `checkpoint ${checkpointId} of job ${jobName} does not fit: ${mismatch}`)
    }
    return { kind: 'restore', manifest, nextCheckpointId, skipped }
  }
  if (candidates.every(foreign)) {
    if (wish.knownCheckpointId === 0) return { kind: 'fresh', nextCheckpointId, skipped }
    return refuse(
      'STORE_LOST',
      `checkpoint ${wish.knownCheckpointId} of job ${jobName} was published, but the store has none: a fresh start ` +
        'would count everything again. Restore the store, or cancel the job and submit it anew',
    )
  }
  const why = skipped.map((s) => `${s.checkpointId}: ${s.why}`).join('; ')
  return refuse('CHECKPOINT_CORRUPT', `no checkpoint of job ${jobName} can be restored (${why})`)
}

function problemOf(candidate: ObservedCheckpoint): string {
  if (candidate.manifest === null) return candidate.problem || 'its manifest cannot be read'
  const [first] = candidate.missingChunks
  if (first === undefined) return ''
  const more = candidate.missingChunks.length - 1
  return `chunk ${first} is missing${more > 0 ? `, and ${more} more` : ''}`
}

/** Why state is not read by this build: its keys are placed by another hash; '' when they are not. */
export function keyHashMismatch(
  { keyHashName, keyHashSeed }: Pick<CheckpointManifest, 'keyHashName' | 'keyHashSeed'>,
  wish: Pick<RestoreWish, 'keyHashName' | 'keyHashSeed'>,
): string {
  if (keyHashName !== wish.keyHashName || keyHashSeed !== wish.keyHashSeed) {
    return `its keys are placed by ${keyHashName} with seed ${keyHashSeed}, this build uses ${wish.keyHashName} with seed ${wish.keyHashSeed}`
  }
  return ''
}

function refuse(code: Extract<RestoreDecision, { kind: 'refuse' }>['code'], message: string): RestoreDecision {
  return { kind: 'refuse', code, message }
}
