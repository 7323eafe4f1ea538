/**
 * What a submission does to a name: a new job, one that goes on, one that is there already, one that is elsewhere.
 *
 * Owns: that choice, and that the record is swapped in last. Does not own: turns of a name, tries (job-manager.ts), how
 * state is brought for a job that begins from elsewhere (JobStart).
 */
import { randomId } from '../checkpoint/store-errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobPorts } from './job-ports.ts'
import type { JobRecord, JobRecords } from './job-records.ts'
import { type JobSource, newStoredJob, type SubmittedJob, sameJob, sourceOf } from './job-source.ts'
import { restStates } from './job-state.ts'
import { type HeldJob, isElsewhere, type ManagedJob, type ManagedJobs } from './managed-jobs.ts'
import { busy, exists } from './refusals.ts'
import { firstSplitsOf, type StoredJob } from './stored-job.ts'

/** What a job begins from, in place of its own checkpoints. */
export interface JobStart {
  /** The job that the state is of. */
  readonly before: JobSource
  /** Savepoint (`job/name`) that is deleted once the job has a checkpoint of its own. */
  readonly claims?: string
  /** Puts the state into the store, for a submission with this id whose record is not there yet. */
  bring(jobId: string, plan: JobPlan): Promise<void>
}

/** A job as somebody wants it now. */
export interface Submission extends SubmittedJob {
  readonly plan: JobPlan
  /** Null to begin anew, or to go on. */
  readonly start: JobStart | null
}

/** What submissions are decided with. */
export interface SubmissionsOptions {
  readonly ports: JobPorts
  readonly records: JobRecords
  readonly jobs: ManagedJobs
  /** Throws SCHEMA_INCOMPATIBLE when a job cannot go on from its state with another definition and schema. */
  readonly checkEvolution?: (before: JobSource, after: JobSource, plan: JobPlan) => void
}

/** Decides submissions. */
export class Submissions {
  readonly #options: SubmissionsOptions

  constructor(options: SubmissionsOptions) {
    this.#options = options
  }

  /** Undefined when another server was faster: then what it wrote is to be looked at. JOB_EXISTS, JOB_STATE. */
  async try(submission: Submission): Promise<ManagedJob | undefined> {
    const { definition, plan, start } = submission
    const { records, jobs } = this.#options
    const record = await records.read(definition.name)
    let job = jobs.get(definition.name)
    if (record !== undefined && isElsewhere(job, record)) {
      const runs = record.stored.wanted === 'running'
      if (runs && start !== null) throw busy(definition.name, 'running, or about to, on another server')
      if (runs && !sameJob(sourceOf(record.stored), submission))
        throw exists(definition.name, 'running, or about to, on another server')
      job = job === undefined ? jobs.add(plan, record) : await jobs.replace(job, plan, record)
      if (runs) {
        job.coordinator.submit('submitted before, on another server')
        return job
      }
    }
    if (job === undefined) return this.#submitNew(submission)
    const { state } = job.coordinator.status
    if (restStates.has(state)) return this.#submitAgain(job, record, submission)
    job.coordinator.check('submit')
    if (start !== null) throw busy(definition.name, state)
    if (!sameJob(sourceOf(job.stored), submission)) throw exists(definition.name, state)
    return job
  }

  /** The definition is stored as submitted: what this server fills in (plan.definition) may be another tomorrow. */
  async #submitNew(submission: Submission): Promise<ManagedJob | undefined> {
    const stored = await this.#prepare(submission, undefined, 'submitted')
    const record = await this.#options.records.swap(undefined, stored)
    if (record === undefined) return undefined
    const job = this.#options.jobs.add(submission.plan, record)
    job.coordinator.submit(stored.reason)
    return job
  }

  async #submitAgain(
    job: HeldJob,
    there: JobRecord | undefined,
    submission: Submission,
  ): Promise<ManagedJob | undefined> {
    const goesOn = submission.start === null && job.coordinator.status.state !== 'CANCELLED'
    if (goesOn) this.#options.checkEvolution?.(sourceOf(job.stored), submission, submission.plan)
    // What a cancel still deletes must not meet what is brought.
    if (submission.start !== null) await job.coordinator.storeWork()
    const stored = await this.#prepare(submission, goesOn ? job.stored : undefined, 'submitted again')
    const record = await this.#options.records.swap(there, stored)
    if (record === undefined) return undefined
    job.record = record
    job.coordinator.resubmit(submission.plan, stored.jobId, firstSplitsOf(stored), stored.reason)
    return job
  }

  /** The record to be, once the state that it goes on from is in the store. `before` is a job that goes on. */
  async #prepare(submission: Submission, before: StoredJob | undefined, reason: string): Promise<StoredJob> {
    const { plan, start } = submission
    const { random, clock } = this.#options.ports
    const stored = newStoredJob(
      start?.claims === undefined ? submission : { ...submission, claims: start.claims },
      before,
      {
        freshId: randomId(random),
        createdAtMs: clock.nowMs(),
        reason: start === null ? reason : `${reason}, from a savepoint`,
      },
    )
    if (start !== null) {
      this.#options.checkEvolution?.(start.before, submission, plan)
      await start.bring(stored.jobId, plan)
    }
    return stored
  }
}
