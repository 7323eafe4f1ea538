/** What a job is made from, whether two of them are the same, and the record of a new one. Pure. */
import type { JobDefinition } from '../job/definition.ts'
import { type StoredJob, storedSchema } from './stored-job.ts'

/** A definition, and the descriptor set that it is read by (null: that of the program). */
export interface JobSource {
  readonly definition: JobDefinition
  readonly schema: Uint8Array | null
}

/** A job as it was submitted. */
export interface SubmittedJob extends JobSource {
  readonly text: string
  /** Savepoint (`job/name`) that it claims. */
  readonly claims?: string
  /** What of a checkpoint's state may go, by name. */
  readonly dropState?: readonly string[]
}

/**
 * The record of a submission. It goes on from the checkpoints of `before`, or begins anew under `freshId`. A parallelism
 * that the job was given since stays, unless the definition has another one than it had.
 */
export function newStoredJob(
  { definition, schema, text, claims, dropState = [] }: SubmittedJob,
  before: StoredJob | undefined,
  context: {
    readonly freshId: string
    readonly createdAtMs: number
    readonly reason: string
    /** Of the submission before it, which it may not go on from. */
    readonly attempts?: number
  },
): StoredJob {
  const { freshId, createdAtMs, reason, attempts = before?.attempts } = context
  const positions = before !== undefined && sameStart(before.definition, definition) ? before.firstPositions : undefined
  const parallelism = before?.definition.parallelism === definition.parallelism ? before.parallelism : undefined
  return {
    jobId: before?.jobId ?? freshId,
    ...{ wanted: 'running', reason, error: null, createdAtMs, text, definition },
    ...(schema === null ? {} : { schema: schemaText(schema) }),
    ...(positions === undefined ? {} : { firstPositions: positions }),
    ...claimPart(claims ?? before?.claims),
    ...(parallelism === undefined ? {} : { parallelism }),
    ...(dropState.length === 0 ? {} : { dropState }),
    ...(before?.redeploys === undefined ? {} : { redeploys: before.redeploys }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(before?.settledId === undefined ? {} : { settledId: before.settledId }),
  }
}

function claimPart(claims: string | undefined): Pick<StoredJob, 'claims'> {
  return claims === undefined ? {} : { claims }
}

/** Whether two jobs say the same; the order of keys counts for nothing, nor does a registry's latest version. */
export function sameJob(a: JobSource, b: JobSource): boolean {
  if (canonical(a.definition) !== canonical(b.definition)) return false
  return a.definition.event.schema?.kind === 'registry' || schemaText(a.schema) === schemaText(b.schema)
}

/** Whether a first start of both would begin at the same place. */
function sameStart(a: JobDefinition, b: JobDefinition): boolean {
  const startOf = ({ source }: JobDefinition) => canonical([source.id, source.input, source.start])
  return startOf(a) === startOf(b)
}

/** What a stored job was made from. */
export function sourceOf(stored: StoredJob): JobSource {
  return { definition: stored.definition, schema: storedSchema(stored) }
}

function schemaText(schema: Uint8Array | null): string {
  return schema === null ? '' : Buffer.from(schema).toString('base64')
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
