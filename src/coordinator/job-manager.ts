/**
 * The jobs of one process.
 *
 * Owns: which jobs there are, and what people want of each, stored so that a restarted process goes on. Does not own:
 * how a job works (job-coordinator.ts), what a document means (job/), how jobs are shown (control/).
 *
 * Invariants:
 * M1. What a person asked is stored before it is done, so that a crash in between does it later rather than never.
 * M2. Requests about one name are handled one after the other; jobs never wait for each other.
 * M3. A job that another process owns (STORE_FENCED) is not written to: its stored wish is the owner's.
 */
import { randomId } from '../checkpoint/store-errors.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import { JobCoordinator } from './job-coordinator.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobPorts, JobSettings } from './job-ports.ts'
import { type JobSource, sameJob, schemaPart, sourceOf } from './job-source.ts'
import { type JobState, restStates } from './job-state.ts'
import type { JobStatus } from './job-status.ts'
import { listCheckpoints } from './retention.ts'
import { StatsBook, type SubtaskReading } from './stats-book.ts'
import { decodeStoredJob, encodeStoredJob, type StoredJob, storedSchema, type WantedState } from './stored-job.ts'

/** What a manager is made of. */
export interface JobManagerOptions {
  readonly ports: JobPorts
  /** Plans a checked definition for this process. Throws JOB_INVALID when it no longer fits. */
  readonly planJob: (definition: JobDefinition, schema: Uint8Array | null) => JobPlan
  /** Throws SCHEMA_INCOMPATIBLE when a job cannot go on from its state with another definition and schema. */
  readonly checkEvolution?: (before: JobSource, after: JobSource, plan: JobPlan) => void
  readonly settings?: Partial<JobSettings>
}

/** A job as the manager holds it. */
export interface ManagedJob {
  readonly coordinator: JobCoordinator
  readonly stored: StoredJob
}

/** How a stop ended. */
export interface StopResult {
  /** The checkpoint from which the job can go on; 0 when there is none. */
  readonly checkpointId: number
}

/** The jobs of one process. */
export class JobManager {
  readonly #options: JobManagerOptions
  readonly #jobs = new Map<string, { coordinator: JobCoordinator; stored: StoredJob }>()
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #waiting = new Set<{
    coordinator: JobCoordinator
    done: (status: JobStatus) => boolean
    resolve: () => void
  }>()
  readonly #stats: StatsBook
  readonly #stateListeners = new Set<(name: string, status: JobStatus) => void>()
  #nextNumber = 1
  #recovered = false
  #recoveryFailure = 'jobs have not been recovered yet'
  #closed = false

  constructor(options: JobManagerOptions) {
    this.#options = options
    this.#stats = new StatsBook(options.ports.clock)
    options.ports.hub.onStats((_thread, subtasks) => this.#stats.add(subtasks))
  }

  /**
   * Brings back every job that the store knows, and lets those run that should. Waits for a store that is away, with
   * growing pauses. A job that cannot be read is said and left alone; the others are not touched by it.
   */
  async recover(): Promise<void> {
    const { log, scheduler, store } = this.#options.ports
    for (let pauseMs = 500; !this.#closed; pauseMs = Math.min(10_000, pauseMs * 2)) {
      try {
        for (const name of await store.listJobs()) await this.#recoverJob(name)
        this.#recovered = true
        return
      } catch (thrown) {
        this.#recoveryFailure = MillraceError.from(thrown).message
        log('warn', `jobs cannot be recovered yet: ${this.#recoveryFailure}`, {})
        await new Promise<void>((resolve) => scheduler.after(pauseMs, resolve))
      }
    }
  }

  /** False until every job that the store knows is known here. */
  get recovered(): boolean {
    return this.#recovered
  }

  /** Throws UNAVAILABLE, saying what is waited for, until jobs are recovered. */
  checkRecovered(): void {
    if (!this.#recovered) throw new MillraceError('UNAVAILABLE', `jobs are being recovered: ${this.#recoveryFailure}`)
  }

  /** All jobs, by name. */
  jobs(): readonly ManagedJob[] {
    return [...this.#jobs.values()].sort((a, b) => (a.coordinator.name < b.coordinator.name ? -1 : 1))
  }

  /** A job by name. Throws JOB_NOT_FOUND, naming those that there are. */
  job(name: string): ManagedJob {
    const job = this.#jobs.get(name)
    if (job !== undefined) return job
    this.checkRecovered()
    const names = this.jobs().map((other) => other.coordinator.name)
    const there = names.length === 0 ? 'there are none' : `there are ${names.slice(0, 20).join(', ')}`
    throw new MillraceError('JOB_NOT_FOUND', `there is no job ${JSON.stringify(name)}: ${there}`)
  }

  /** The last statistics of a job's subtasks. */
  statsOf(job: ManagedJob): readonly SubtaskReading[] {
    return this.#stats.of(job.coordinator.number)
  }

  /**
   * Stores a job and lets it run; resolves once it is stored. The same definition again, while it runs, changes nothing.
   * Another one rejects JOB_EXISTS unless the job is at rest; then it goes on from its checkpoints, which a cancelled
   * job does not have. SCHEMA_INCOMPATIBLE when it could not read on; UNAVAILABLE before recovery; the store's errors.
   */
  submit(definition: JobDefinition, text: string, schema: Uint8Array | null = null): Promise<ManagedJob> {
    return this.#inTurn(definition.name, async () => {
      this.checkRecovered()
      const plan = this.#options.planJob(definition, schema)
      const known = this.#jobs.get(definition.name)
      if (known === undefined) return this.#submitNew(definition, plan, text, schema)
      const { state } = known.coordinator.status
      if (!restStates.has(state)) {
        known.coordinator.check('submit')
        if (sameJob(sourceOf(known.stored), { definition, schema })) return known
        throw new MillraceError(
          'JOB_EXISTS',
          `job ${definition.name} is ${state} with another definition: stop it to keep its state, or cancel it, then submit again`,
        )
      }
      if (state !== 'CANCELLED') this.#options.checkEvolution?.(sourceOf(known.stored), { definition, schema }, plan)
      const jobId = state === 'CANCELLED' ? randomId(this.#options.ports.random) : known.stored.jobId
      const createdAtMs = this.#options.ports.clock.nowMs()
      const reason = 'submitted again'
      const stored: StoredJob = {
        ...{ jobId, wanted: 'running', reason, error: null, createdAtMs, text, definition },
        ...schemaPart(schema),
      }
      await this.#store(stored)
      known.stored = stored
      known.coordinator.resubmit(plan, jobId, reason)
      return known
    })
  }

  /** Ends a job and drops its state; resolves when it is CANCELLED. JOB_NOT_FOUND, JOB_STATE. */
  async cancel(name: string): Promise<void> {
    const job = this.job(name)
    await this.#inTurn(name, async () => {
      this.#refuseForeign(job, 'cancel')
      await this.#want(name, 'cancelled', 'cancelled on request')
      job.coordinator.cancel('cancelled on request')
    })
    await this.#until(job.coordinator, (status) => status.state === 'CANCELLED' || status.state === 'FAILED')
    await job.coordinator.storeWork()
    // Somebody who was faster may have taken it elsewhere.
    if (job.coordinator.status.state === 'FAILED') throw MillraceError.fromData(job.coordinator.status.error!)
  }

  /**
   * Stops a job after a last checkpoint; resolves when it is SUSPENDED. JOB_NOT_FOUND, JOB_STATE; CHECKPOINT_FAILED when
   * it stopped without that checkpoint: it then goes on from the one before.
   */
  async stop(name: string): Promise<StopResult> {
    const job = this.job(name)
    await this.#inTurn(name, async () => {
      this.#refuseForeign(job, 'stop')
      job.coordinator.check('stop')
      await this.#want(name, 'suspended', 'stopped on request')
      job.coordinator.stop('stopped on request')
    })
    const ends: readonly JobState[] = ['SUSPENDED', 'FAILED', 'CANCELLED']
    await this.#until(job.coordinator, (status) => ends.includes(status.state))
    const { state, reason, error } = job.coordinator.status
    const checkpointId = job.coordinator.lastCheckpointId
    if (state === 'SUSPENDED' && error === null) return { checkpointId }
    if (state !== 'SUSPENDED') throw new MillraceError('JOB_STATE', `job ${name} is ${state} instead: ${reason}`)
    const next = checkpointId === 0 ? 'afresh' : `from checkpoint ${checkpointId}`
    throw new MillraceError(
      'CHECKPOINT_FAILED',
      `job ${name} has stopped without a last checkpoint and will go on ${next}: ${reason}`,
    )
  }

  /** Makes a checkpoint now. JOB_NOT_FOUND, JOB_STATE, CHECKPOINT_FAILED. */
  async checkpoint(name: string): Promise<CheckpointRecord> {
    return this.job(name).coordinator.checkpoint()
  }

  /** The checkpoints that are held, newest first; what only this process knew of them (durations) is 0 otherwise. */
  async checkpoints(name: string): Promise<readonly CheckpointRecord[]> {
    const { jobId, history } = this.job(name).coordinator
    return listCheckpoints(this.#options.ports.store, name, jobId, history)
  }

  /** Rows of a job's views. JOB_NOT_FOUND, UNAVAILABLE, DEADLINE_EXCEEDED. */
  async query(name: string, query: ViewQuery, deadlineMs: number): Promise<readonly ViewRows[]> {
    return this.job(name).coordinator.query(query, deadlineMs)
  }

  /** Calls `listener` after each change of state of any job, until the returned function is called. */
  onState(listener: (name: string, status: JobStatus) => void): () => void {
    this.#stateListeners.add(listener)
    return () => this.#stateListeners.delete(listener)
  }

  /** Leaves all jobs for the next process, as they are wanted. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.jobs().map((job) => job.coordinator.close()))
  }

  /** `definition` is stored as submitted: what this server fills in (plan.definition) may be another value tomorrow. */
  async #submitNew(
    definition: JobDefinition,
    plan: JobPlan,
    text: string,
    schema: Uint8Array | null,
  ): Promise<ManagedJob> {
    const { random, clock } = this.#options.ports
    const jobId = randomId(random)
    const createdAtMs = clock.nowMs()
    const stored: StoredJob = {
      jobId,
      wanted: 'running',
      reason: 'submitted',
      error: null,
      createdAtMs,
      text,
      definition,
      ...schemaPart(schema),
    }
    await this.#store(stored)
    const job = this.#add(plan, stored)
    job.coordinator.submit('submitted')
    return job
  }

  async #recoverJob(name: string): Promise<void> {
    if (this.#jobs.has(name)) return
    const bytes = await this.#options.ports.store.readJob(name)
    if (bytes === undefined) return
    try {
      const stored = decodeStoredJob(name, bytes)
      const job = this.#add(this.#options.planJob(stored.definition, storedSchema(stored)), stored)
      if (stored.wanted === 'running') job.coordinator.submit('recovered at process start')
    } catch (thrown) {
      const { code, message } = MillraceError.from(thrown)
      this.#options.ports.log('error', `job ${name} cannot be recovered: ${message}`, { job: name, code })
    }
  }

  #add(plan: JobPlan, stored: StoredJob): { coordinator: JobCoordinator; stored: StoredJob } {
    const { ports, settings } = this.#options
    const coordinator = new JobCoordinator(
      this.#nextNumber++,
      plan,
      stored.jobId,
      ports,
      {
        onState: (status) => this.#onState(coordinator, status),
        storeRecord: () => this.#storeAgain(plan.jobName),
      },
      settings,
    )
    const rest = { running: undefined, suspended: 'SUSPENDED', cancelled: 'CANCELLED', failed: 'FAILED' } as const
    const state = rest[stored.wanted]
    if (state !== undefined) coordinator.restAt(state, stored.reason, stored.error)
    const job = { coordinator, stored }
    this.#jobs.set(plan.jobName, job)
    return job
  }

  #onState(coordinator: JobCoordinator, status: JobStatus): void {
    if (status.state === 'FAILED' && status.error?.code !== 'STORE_FENCED') {
      const noted = this.#inTurn(coordinator.name, async () => {
        // Somebody may have asked for something else meanwhile.
        if (coordinator.status === status) await this.#want(coordinator.name, 'failed', status.reason, status)
      })
      noted.catch((thrown: unknown) => {
        this.#options.ports.log('warn', `the failure of job ${coordinator.name} could not be stored`, {
          job: coordinator.name,
          error: MillraceError.from(thrown).message,
        })
      })
    }
    for (const listener of this.#stateListeners) listener(coordinator.name, status)
    for (const waiter of [...this.#waiting]) {
      if (waiter.coordinator === coordinator && waiter.done(status)) waiter.resolve()
    }
  }

  async #until(coordinator: JobCoordinator, done: (status: JobStatus) => boolean): Promise<void> {
    if (done(coordinator.status)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { coordinator, done, resolve }
    this.#waiting.add(waiter)
    await promise
    this.#waiting.delete(waiter)
  }

  async #want(name: string, wanted: WantedState, reason: string, failed?: JobStatus): Promise<void> {
    const job = this.job(name) as { coordinator: JobCoordinator; stored: StoredJob }
    const stored = { ...job.stored, wanted, reason, error: failed?.error ?? null }
    await this.#store(stored)
    job.stored = stored
  }

  async #storeAgain(name: string): Promise<void> {
    const job = this.#jobs.get(name)
    if (job !== undefined) await this.#store(job.stored)
  }

  async #store(stored: StoredJob): Promise<void> {
    await this.#options.ports.store.putJob(stored.definition.name, encodeStoredJob(stored))
  }

  #refuseForeign(job: ManagedJob, what: string): void {
    const { name, status, heldBy } = job.coordinator
    if (heldBy === '' && !(status.state === 'FAILED' && status.error?.code === 'STORE_FENCED')) return
    const owner = heldBy === '' ? 'another process' : heldBy
    throw new MillraceError('JOB_STATE', `${owner} owns job ${name} now: ${what} it there`)
  }

  #inTurn<T>(name: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(task)
    const settled = turn.then(
      () => {},
      () => {},
    )
    this.#turns.set(name, settled)
    void settled.then(() => {
      if (this.#turns.get(name) === settled) this.#turns.delete(name)
    })
    return turn
  }
}
