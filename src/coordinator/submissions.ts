/**
 * What a submission does to a name: a new job, one that goes on, one that is there already, one that is elsewhere.
 *
 * Owns: that choice, and that the record is swapped in last. Does not own: turns of a name, tries (job-manager.ts), how
 * state is brought for a job that begins from elsewhere (JobStart).
 */
import { randomId } from '../checkpoint/store-errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobRecord } from './job-records.ts'
import { type JobSource, newStoredJob, type SubmittedJob, sameJob, sourceOf } from './job-source.ts'
import { restStates } from './job-state.ts'
import { type JobsContext, planStored } from './jobs-context.ts'
import { type HeldJob, isElsewhere, type ManagedJob } from './managed-jobs.ts'
import { owedOf, refusalOfOwed } from './owed-sinks.ts'
import { busy, exists } from './refusals.ts'
import { judgeState } from './state-check.ts'
import { basisOf, runDefinition, type StoredJob } from './stored-job.ts'

/** What a job begins from, in place of its own checkpoints. */
export interface JobStart {
  /** The job that the state is of. */
  readonly before: JobSource
  /** Savepoint (`job/name`) that is deleted once the job has a checkpoint of its own. */
  readonly claims?: string
  /** What of the state may go, by name. */
  readonly dropState: readonly string[]
  /** Puts the state into the store, for a submission with this id whose record is not there yet. */
  bring(jobId: string, plan: JobPlan): Promise<void>
}

/** A job as somebody wants it now. */
export interface Submission extends SubmittedJob {
  /** Null to begin anew, or to go on. */
  readonly start: JobStart | null
}

/** The record that is to be swapped in, and its plan. */
interface Prepared {
  readonly stored: StoredJob
  readonly plan: JobPlan
}

/** Decides submissions. */
export class Submissions {
  readonly #context: JobsContext

  constructor(context: JobsContext) {
    this.#context = context
  }

  /** Undefined when another server was faster: then what it wrote is to be looked at. JOB_EXISTS, JOB_STATE. */
  async try(submission: Submission): Promise<ManagedJob | undefined> {
    const { definition, start } = submission
    const { options, records, jobs } = this.#context
    const record = await records.read(definition.name)
    let job = jobs.get(definition.name)
    if (record !== undefined && isElsewhere(job, record)) {
      const runs = record.stored.wanted === 'running'
      if (runs && start !== null) throw busy(definition.name, 'running, or about to, on another server')
      if (runs && !sameJob(sourceOf(record.stored), submission))
        throw exists(definition.name, 'running, or about to, on another server')
      const plan = runs ? planStored(options, record.stored) : options.planJob(definition, submission.schema)
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
    const { stored, plan } = await this.#prepare(submission, undefined, 'submitted', undefined)
    const record = await this.#context.records.swap(undefined, stored)
    if (record === undefined) return undefined
    const job = this.#context.jobs.add(plan, record)
    job.coordinator.submit(stored.reason)
    return job
  }

  async #submitAgain(
    job: HeldJob,
    there: JobRecord | undefined,
    submission: Submission,
  ): Promise<ManagedJob | undefined> {
    const goesOn = submission.start === null && job.coordinator.status.state !== 'CANCELLED'
    // What a cancel still deletes must not meet what is brought.
    if (submission.start !== null) await job.coordinator.storeWork()
    const { attempts } = there?.stored ?? job.stored
    const { stored, plan } = await this.#prepare(
      submission,
      goesOn ? job.stored : undefined,
      'submitted again',
      attempts,
    )
    const record = await this.#context.records.swap(there, stored)
    if (record === undefined) return undefined
    job.record = record
    job.coordinator.resubmit(plan, basisOf(stored), stored.reason)
    return job
  }

  /** What is to be, once the state that it goes on from is in the store. `before` is a job that goes on. */
  async #prepare(
    submission: Submission,
    before: StoredJob | undefined,
    reason: string,
    attempts: number | undefined,
  ): Promise<Prepared> {
    const { start } = submission
    const { options, jobs } = this.#context
    const { ports, planJob, checkEvolution } = options
    const wish = start === null ? submission : { ...submission, dropState: start.dropState, ...claimOf(start) }
    const stored = newStoredJob(wish, before, {
      freshId: randomId(ports.random),
      createdAtMs: ports.clock.nowMs(),
      reason: start === null ? reason : `${reason}, from a savepoint`,
      ...(attempts === undefined ? {} : { attempts }),
    })
    const plan = planJob(runDefinition(stored), submission.schema)
    if (start !== null) {
      checkEvolution?.(start.before, submission, plan)
      await start.bring(stored.jobId, plan)
    } else if (before !== undefined) {
      checkEvolution?.(sourceOf(before), submission, plan)
      const consent = { given: submission.dropState ?? [], before: before.dropState ?? [] }
      const { refusal, dropState } = await judgeState(ports.store, null, plan, stored.jobId, consent)
      if (refusal !== null) throw refusal
      const job = jobs.get(stored.definition.name)
      const lost = job && refusalOfOwed(await owedOf(ports.store, job.coordinator), plan, dropState)
      if (lost != null) throw lost
      return { stored: { ...stored, dropState }, plan }
    }
    return { stored, plan }
  }
}

function claimOf({ claims }: JobStart): Pick<JobStart, 'claims'> {
  return claims === undefined ? {} : { claims }
}
