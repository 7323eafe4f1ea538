/**
 * The coordinators of one process, by the name of their job.
 *
 * Owns: making them from records and letting them go, who hears of their states, who waits for one. Does not own: what
 * people want of a job (job-manager.ts), what is stored of it (job-records.ts).
 */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import { JobCoordinator } from './job-coordinator.ts'
import type { CheckpointRecord } from './job-history.ts'
import { newJobMemory } from './job-memory.ts'
import type { JobPorts, JobSettings } from './job-ports.ts'
import { type JobRecord, sameRecord } from './job-records.ts'
import type { JobStatus } from './job-status.ts'
import type { RedeployRecord } from './redeploys.ts'
import { basisOf, type StoredJob } from './stored-job.ts'

/** A job as the manager holds it. */
export interface ManagedJob {
  readonly coordinator: JobCoordinator
  readonly stored: StoredJob
}

/** The same for its owner. */
export interface HeldJob extends ManagedJob {
  /** What the store holds of it, as last seen. */
  record: JobRecord
}

/** What coordinators ask of the owner of their jobs; see CoordinatorListener. */
export interface JobsListener {
  onState(job: HeldJob, status: JobStatus): void
  storeRecord(job: HeldJob): Promise<void>
  confirm(job: HeldJob, attempt: number): Promise<number | null>
  onCheckpoint(job: HeldJob, record: CheckpointRecord): void
  storeFirstSplits(job: HeldJob, splits: readonly SplitSnapshot[]): Promise<void>
  onRedeployed(job: HeldJob, record: RedeployRecord): void
}

interface Waiter {
  readonly job: HeldJob
  readonly done: (status: JobStatus) => boolean
  readonly resolve: () => void
}

/** Jobs by name. */
export class ManagedJobs {
  readonly #ports: JobPorts
  readonly #settings: Partial<JobSettings>
  readonly #listener: JobsListener
  readonly #jobs = new Map<string, HeldJob>()
  readonly #waiting = new Set<Waiter>()
  readonly #stateListeners = new Set<(name: string, status: JobStatus) => void>()
  #nextNumber = 1

  constructor(ports: JobPorts, settings: Partial<JobSettings>, listener: JobsListener) {
    this.#ports = ports
    this.#settings = settings
    this.#listener = listener
  }

  /** All jobs, by name. */
  all(): readonly HeldJob[] {
    return [...this.#jobs.values()].sort((a, b) => (a.coordinator.name < b.coordinator.name ? -1 : 1))
  }

  /** The job of that name, if there is one. */
  get(name: string): HeldJob | undefined {
    return this.#jobs.get(name)
  }

  /** Makes a job from its record, at rest where the record says so, and otherwise not started. */
  add(plan: JobPlan, record: JobRecord): HeldJob {
    const { stored } = record
    const coordinator = new JobCoordinator(
      this.#nextNumber++,
      plan,
      newJobMemory(stored.jobId, basisOf(stored)),
      this.#ports,
      {
        onState: (status) => this.#onState(job, status),
        storeRecord: () => this.#listener.storeRecord(job),
        confirm: (attempt) => this.#listener.confirm(job, attempt),
        onCheckpoint: (record) => this.#listener.onCheckpoint(job, record),
        storeFirstSplits: (splits) => this.#listener.storeFirstSplits(job, splits),
        onRedeployed: (record) => this.#listener.onRedeployed(job, record),
      },
      this.#settings,
    )
    const job: HeldJob = {
      coordinator,
      record,
      get stored() {
        return this.record.stored
      },
    }
    const rest = { running: undefined, suspended: 'SUSPENDED', cancelled: 'CANCELLED', failed: 'FAILED' } as const
    const state = rest[stored.wanted]
    if (state !== undefined) coordinator.restAt(state, stored.reason, stored.error)
    // A change that an earlier process did not come to the end of: the plan is made with it.
    const pending = stored.redeploys?.find(({ outcome }) => outcome === 'pending')
    if (pending !== undefined) coordinator.redeploys.begin(pending)
    this.#jobs.set(plan.jobName, job)
    return job
  }

  /**
   * Puts a job made from `record` in the place of another of its name, which gives everything up; those who wait for
   * that one wait no longer.
   */
  async replace(before: HeldJob, plan: JobPlan, record: JobRecord): Promise<HeldJob> {
    await before.coordinator.close()
    const job = this.add(plan, record)
    for (const waiter of [...this.#waiting]) if (waiter.job === before) waiter.resolve()
    for (const listener of this.#stateListeners) listener(plan.jobName, job.coordinator.status)
    return job
  }

  /** Resolves when a status of the job is `done`. Rejects JOB_STATE when another job has taken its place. */
  async until(job: HeldJob, done: (status: JobStatus) => boolean): Promise<void> {
    if (done(job.coordinator.status)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { job, done, resolve }
    this.#waiting.add(waiter)
    await promise
    this.#waiting.delete(waiter)
    const { name } = job.coordinator
    if (this.#jobs.get(name) === job) return
    throw new MillraceError('JOB_STATE', `job ${name} was changed on another server meanwhile: ask for its state`)
  }

  /** Calls `listener` after each change of state of any job, until the returned function is called. */
  onState(listener: (name: string, status: JobStatus) => void): () => void {
    this.#stateListeners.add(listener)
    return () => this.#stateListeners.delete(listener)
  }

  #onState(job: HeldJob, status: JobStatus): void {
    this.#listener.onState(job, status)
    for (const listener of this.#stateListeners) listener(job.coordinator.name, status)
    for (const waiter of [...this.#waiting]) {
      if (waiter.job === job && waiter.done(status)) waiter.resolve()
    }
  }
}

/** Whether a record tells of something that another server did, or does. */
export function isElsewhere(job: HeldJob | undefined, record: JobRecord): boolean {
  if (job === undefined) return true
  if (job.coordinator.ownsLease) return false
  return isFenced(job.coordinator.status) || !sameRecord(job.record, record)
}

/** Whether a job ended because another process has taken it. */
export function isFenced({ state, error }: JobStatus): boolean {
  return state === 'FAILED' && error?.code === 'STORE_FENCED'
}
