/**
 * What the store keeps of jobs beside their checkpoints, for servers that share it.
 *
 * Owns: reading records, and replacing them so that no server overwrites what another one wrote meanwhile. Does not own:
 * what a record says (stored-job.ts), what follows from finding another's (job-manager.ts).
 */
import type { CheckpointStore } from '../checkpoint/store.ts'
import { sameBytes } from '../checkpoint/store-errors.ts'
import { MillraceError } from '../core/errors.ts'
import { sameJob, sourceOf } from './job-source.ts'
import { contended } from './refusals.ts'
import { decodeStoredJob, encodeStoredJob, type StoredJob } from './stored-job.ts'

/** A record as this server last saw it. */
export interface JobRecord {
  readonly stored: StoredJob
  /** As it lies in the store. */
  readonly bytes: Uint8Array
}

const TRIES_MAX = 5

/** The records of all jobs in one store. */
export class JobRecords {
  readonly #store: CheckpointStore

  constructor(store: CheckpointStore) {
    this.#store = store
  }

  /** Names of all jobs, ascending. Rejects with the store's errors. */
  names(): Promise<readonly string[]> {
    return this.#store.listJobs()
  }

  /** A job's record; undefined when there is none. STATE_INCOMPATIBLE when it cannot be read; the store's errors. */
  async read(name: string): Promise<JobRecord | undefined> {
    const bytes = await this.#store.readJob(name)
    return bytes === undefined ? undefined : { stored: decodeStoredJob(name, bytes), bytes }
  }

  /** Stores `stored` where `before` lies, or nothing for undefined; undefined when something else lies there. */
  async swap(before: JobRecord | undefined, stored: StoredJob): Promise<JobRecord | undefined> {
    const bytes = encodeStoredJob(stored)
    const done = await this.#store.swapJob(stored.definition.name, before?.bytes, bytes)
    return done ? { stored, bytes } : undefined
  }

  /**
   * Replaces `record` by `change` of it, also where the store has lost it. Where something else lies there, `change` is
   * made of that, provided that it is the same submission and that `accept` does not throw; JOB_STATE otherwise.
   */
  async update(
    record: JobRecord,
    change: (stored: StoredJob) => StoredJob,
    accept: (there: StoredJob) => void = () => {},
  ): Promise<JobRecord> {
    const { name } = record.stored.definition
    let before: JobRecord | undefined = record
    let { stored } = record
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const after = await this.swap(before, change(stored))
      if (after !== undefined) return after
      before = await this.read(name)
      if (before === undefined) continue
      if (!sameSubmission(before.stored, stored)) throw elsewhere(name)
      accept(before.stored)
      stored = before.stored
    }
    throw contended(name)
  }
}

/** Whether two records say the same; how often the job has started since changes nothing of it. */
export function sameRecord(a: JobRecord, b: JobRecord): boolean {
  return sameBytes(a.bytes, b.bytes) || sameBytes(unnumbered(a), unnumbered(b))
}

function unnumbered({ stored }: JobRecord): Uint8Array {
  return encodeStoredJob({ ...stored, attempts: 0 })
}

/** Whether two records tell of the same submission of a name: one whose checkpoints and definition they share. */
export function sameSubmission(a: StoredJob, b: StoredJob): boolean {
  return a.jobId === b.jobId && sameJob(sourceOf(a), sourceOf(b))
}

function elsewhere(name: string): MillraceError {
  return new MillraceError('JOB_STATE', `job ${name} has been submitted on another server meanwhile: ask there`)
}
