/**
 * What the store keeps of a job beside its checkpoints: the definition, and what people want of it.
 *
 * JSON, because a person may have to read it; versioned, because it outlives the program. Fields are only ever added.
 */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobBasis } from './job-memory.ts'
import type { RedeployRecord } from './redeploys.ts'

/** What people want of a job; where it was left when nobody can want otherwise (`failed`). */
export type WantedState = 'running' | 'suspended' | 'cancelled' | 'failed'

/** The stored form of a job. */
export interface StoredJob {
  /** Tells this submission from others of the same name. */
  readonly jobId: string
  readonly wanted: WantedState
  /** Why it is wanted so, for people. */
  readonly reason: string
  /** What failed it; null otherwise. */
  readonly error: ErrorData | null
  /** Wall clock of the submission, epoch ms. */
  readonly createdAtMs: number
  /** As it was submitted. */
  readonly text: string
  readonly definition: JobDefinition
  /** Its descriptor set in base64; absent for that of the program. */
  readonly schema?: string
  /** Savepoint (`job/name`) that is deleted once the job has a checkpoint of its own; absent for none. */
  readonly claims?: string
  /** Subtasks of each operator, where the job was given another number than its definition has (rescaled). */
  readonly parallelism?: number
  /** What of a checkpoint's state may go, by name: consent to what this definition lacks (job/state-diff.ts). */
  readonly dropState?: readonly string[]
  /** Changes of parallelism and definition, newest first. */
  readonly redeploys?: readonly RedeployRecord[]
  /** Highest number of an attempt that has got the lease; absent before the first. */
  readonly attempts?: number
  /** Newest checkpoint up to which sinks are known to have everything, as of when the job came to rest; absent for none. */
  readonly settledId?: number
  /** Where its first start began, see positionsPart; absent before that. */
  readonly firstPositions?: readonly StoredPosition[]
}

/** Where the first start began to read a partition: `latest` is somewhere else a moment later. */
interface StoredPosition {
  readonly partition: number
  readonly offset: number
  /** Null for an unbounded run. */
  readonly stopOffset: number | null
  readonly topicId: string
}

/** The part of a stored job that holds where its first start began. */
export function positionsPart(splits: readonly SplitSnapshot[]): Pick<StoredJob, 'firstPositions'> {
  const firstPositions = splits.map(({ partition, offset, stopOffset, topicId }) => ({
    ...{ partition, offset, topicId },
    stopOffset: stopOffset === Number.POSITIVE_INFINITY ? null : stopOffset,
  }))
  return { firstPositions }
}

/** The next attempt of a stored job that has got the lease, under its number: `attempt`, or above all before it. */
export function withNextAttempt(job: StoredJob, attempt: number): StoredJob & { readonly attempts: number } {
  return { ...job, attempts: Math.max(attempt, (job.attempts ?? 0) + 1) }
}

/** Where the first start of a stored job began; null when it has not begun. */
export function firstSplitsOf(job: StoredJob): readonly SplitSnapshot[] | null {
  if (job.firstPositions === undefined) return null
  return job.firstPositions.map(({ partition, offset, stopOffset, topicId }) => ({
    ...{ partition, offset, topicId },
    stopOffset: stopOffset ?? Number.POSITIVE_INFINITY,
    state: '',
    maxTimestampMs: Number.NEGATIVE_INFINITY,
  }))
}

/** What attempts of a stored job go by. */
export function basisOf(job: StoredJob): JobBasis {
  const { jobId, dropState = [], attempts = 0, settledId = 0 } = job
  return { jobId, firstSplits: firstSplitsOf(job), dropState, attempts, settledId }
}

/** The definition that a job runs by: as submitted, but for the parallelism that it has been given since. */
export function runDefinition({ definition, parallelism }: StoredJob): JobDefinition {
  return parallelism === undefined ? definition : { ...definition, parallelism }
}

/** The descriptor set that a job was submitted with; null for that of the program. */
export function storedSchema(job: StoredJob): Uint8Array | null {
  return job.schema === undefined ? null : new Uint8Array(Buffer.from(job.schema, 'base64'))
}

const FORMAT_VERSION = 1

/** The record as bytes. */
export function encodeStoredJob(job: StoredJob): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ version: FORMAT_VERSION, ...job }))
}

/** The record again. Throws STATE_INCOMPATIBLE for bytes of another version, or that are not a record at all. */
export function decodeStoredJob(name: string, bytes: Uint8Array): StoredJob {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new MillraceError(
      'STATE_INCOMPATIBLE',
      `the stored definition of job ${name} cannot be read: it is damaged`,
      {
        cause,
      },
    )
  }
  const version = typeof value === 'object' && value !== null ? (value as { version?: unknown }).version : undefined
  if (version !== FORMAT_VERSION) {
    throw new MillraceError(
      'STATE_INCOMPATIBLE',
      `the stored definition of job ${name} has version ${String(version)}; this program reads version ${FORMAT_VERSION}`,
    )
  }
  return value as StoredJob
}
