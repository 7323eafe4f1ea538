/**
 * The jobs of one process.
 *
 * Owns: which jobs there are, and what people want of each, stored so that a restarted process goes on. Does not own:
 * how a job works (job-coordinator.ts), what a document means (job/), how jobs are shown (control/).
 *
 * Invariants:
 * M1. What a person asked is stored before it is done, so that a crash in between does it later rather than never.
 * M2. Requests about one name are handled one after the other; jobs never wait for each other.
 * M3. A job that another process owns is not written to: its stored wish is the owner's. What several servers that share
 *     a store write at the same moment, one of them writes; the others read it and go by it.
 * M4. A server that has waited for a job's lease reads the job's record again before it starts it.
 */
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import { plainStop, type StopWish } from './final-checkpoint.ts'
import { type AskedUpgrade, JobChanges, type UpgradeOptions } from './job-changes.ts'
import type { CheckpointRecord } from './job-history.ts'
import { type JobRecord, JobRecords, sameRecord, sameSubmission } from './job-records.ts'
import type { SubmittedJob } from './job-source.ts'
import { restStates } from './job-state.ts'
import type { JobStatus } from './job-status.ts'
import { type JobManagerOptions, planStored } from './jobs-context.ts'
import { type HeldJob, isFenced, type ManagedJob, ManagedJobs } from './managed-jobs.ts'
import type { RedeployRecord } from './redeploys.ts'
import { contended, foreign, stoppedWithout } from './refusals.ts'
import { listCheckpoints } from './retention.ts'
import { settleClaim, withoutClaim } from './savepoint-claims.ts'
import { StatsBook, type SubtaskReading } from './stats-book.ts'
import { positionsPart, type StoredJob, type WantedState, withNextAttempt } from './stored-job.ts'
import { type JobStart, Submissions } from './submissions.ts'
import { Turns } from './turns.ts'

/** How a stop ended. */
export interface StopResult {
  /** The checkpoint from which the job can go on; 0 when there is none. */
  readonly checkpointId: number
}

const SUBMIT_TRIES_MAX = 5

/** The jobs of one process. */
export class JobManager {
  readonly #options: JobManagerOptions
  readonly #records: JobRecords
  readonly #jobs: ManagedJobs
  readonly #submissions: Submissions
  readonly #turns = new Turns()
  readonly #changes: JobChanges
  readonly #stats: StatsBook
  #recovered = false
  #recoveryFailure = 'jobs have not been recovered yet'
  #closed = false

  constructor(options: JobManagerOptions) {
    this.#options = options
    this.#records = new JobRecords(options.ports.store)
    this.#jobs = new ManagedJobs(options.ports, options.settings ?? {}, {
      onState: (job, status) => this.#onState(job, status),
      storeRecord: async (job) => {
        await this.#storeAgain(job)
      },
      confirm: (job, attempt) => this.#confirm(job, attempt),
      onCheckpoint: (job, record) => this.#onCheckpoint(job, record),
      storeFirstSplits: async (job, splits) => {
        job.record = await this.#records.update(job.record, (stored) => ({ ...stored, ...positionsPart(splits) }))
      },
      onRedeployed: (job, record) => this.#afterTurn(job, 'a change of', () => this.#changes.ended(job, record)),
    })
    const context = { options, records: this.#records, jobs: this.#jobs }
    this.#submissions = new Submissions(context)
    this.#changes = new JobChanges(context)
    this.#stats = new StatsBook(options.ports.clock)
    options.ports.hub.onStats((_thread, subtasks) => this.#stats.add(subtasks))
  }

  /**
   * Brings back every job that the store knows, and lets those run that should. Waits for a store that is away, with
   * growing pauses. A job that cannot be read is said and left alone; the others are not touched by it.
   */
  async recover(): Promise<void> {
    const { log, scheduler } = this.#options.ports
    for (let pauseMs = 500; !this.#closed; pauseMs = Math.min(10_000, pauseMs * 2)) {
      try {
        for (const name of await this.#records.names()) await this.#recoverJob(name)
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
    return this.#jobs.all()
  }

  /** A job by name. Throws JOB_NOT_FOUND, naming those that there are. */
  job(name: string): ManagedJob {
    return this.#held(name)
  }

  /** The last statistics of a job's subtasks. */
  statsOf(job: ManagedJob): readonly SubtaskReading[] {
    return this.#stats.of(job.coordinator.number)
  }

  /**
   * Stores a job and lets it run; resolves once it is stored. The same definition again, while it runs, changes nothing;
   * where another server that shares the store runs it, this one stands by. Another definition rejects JOB_EXISTS unless
   * the job is at rest; then it goes on from its checkpoints, which a cancelled job does not have. SCHEMA_INCOMPATIBLE
   * when it could not read on, STATE_INCOMPATIBLE when it would lose state that `dropState` does not name; UNAVAILABLE
   * before recovery; the store's errors. With `start`, the job begins from that and must not be running; what it was
   * before is dropped.
   */
  submit(
    definition: JobDefinition,
    text: string,
    schema: Uint8Array | null = null,
    start: JobStart | null = null,
    dropState: readonly string[] = [],
  ): Promise<ManagedJob> {
    return this.#turns.take(definition.name, async () => {
      this.checkRecovered()
      const submission = { definition, schema, text, start, dropState }
      for (let tries = 0; tries < SUBMIT_TRIES_MAX; tries++) {
        const job = await this.#submissions.try(submission)
        if (job !== undefined) return job
      }
      throw contended(definition.name)
    })
  }

  /** Lets a job go on with another parallelism; see JobChanges. Resolves when it runs so, or at once at rest. */
  async rescale(name: string, parallelism: number): Promise<RedeployRecord | null> {
    const asked = await this.#turns.take(name, async () => {
      const held = this.#held(name)
      this.#refuseForeign(held, 'rescale')
      return this.#changes.rescale(held, parallelism)
    })
    return this.#changes.outcomeOf(asked)
  }

  /** Lets a job go on with another definition; see JobChanges. Resolves when it runs so, or at once at rest. */
  async upgrade(submission: SubmittedJob, options: UpgradeOptions): Promise<AskedUpgrade> {
    const { name } = submission.definition
    const asked = await this.#turns.take(name, async () => {
      const held = this.#held(name)
      if (!options.dryRun) this.#refuseForeign(held, 'upgrade')
      return this.#changes.upgrade(held, submission, options)
    })
    return { ...asked, record: await this.#changes.outcomeOf(asked) }
  }

  /** Ends a job and drops its state; resolves when it is CANCELLED. JOB_NOT_FOUND, JOB_STATE. */
  async cancel(name: string): Promise<void> {
    const job = await this.#turns.take(name, async () => {
      const held = this.#held(name)
      this.#refuseForeign(held, 'cancel')
      await this.#want(held, 'cancelled', 'cancelled on request')
      held.coordinator.cancel('cancelled on request')
      return held
    })
    await this.#jobs.until(job, (status) => status.state === 'CANCELLED' || status.state === 'FAILED')
    await job.coordinator.storeWork()
    // Somebody who was faster may have taken it elsewhere.
    if (job.coordinator.status.state === 'FAILED') throw MillraceError.fromData(job.coordinator.status.error!)
  }

  /**
   * Stops a job after a last checkpoint; resolves when it is SUSPENDED. JOB_NOT_FOUND, JOB_STATE; CHECKPOINT_FAILED when
   * it stopped without that checkpoint: it then goes on from the one before.
   */
  async stop(name: string, wish: StopWish = plainStop): Promise<StopResult> {
    const job = await this.#turns.take(name, async () => {
      const held = this.#held(name)
      this.#refuseForeign(held, 'stop')
      held.coordinator.check('stop')
      await this.#want(held, 'suspended', 'stopped on request')
      held.coordinator.stop('stopped on request', wish)
      return held
    })
    await this.#jobs.until(job, (status) => restStates.has(status.state))
    const { state, reason, error } = job.coordinator.status
    const checkpointId = job.coordinator.lastCheckpointId
    if (state === 'SUSPENDED' && error === null) return { checkpointId }
    if (state !== 'SUSPENDED') throw new MillraceError('JOB_STATE', `job ${name} is ${state} instead: ${reason}`)
    throw stoppedWithout(name, checkpointId, reason)
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
    return this.#jobs.onState(listener)
  }

  /** Leaves all jobs for the next process, as they are wanted; those that run after a last checkpoint, if it takes no longer than `graceMs`. */
  async close(graceMs = 0): Promise<void> {
    this.#closed = true
    await Promise.all(this.jobs().map((job) => job.coordinator.close(graceMs)))
  }

  #held(name: string): HeldJob {
    const job = this.#jobs.get(name)
    if (job !== undefined) return job
    this.checkRecovered()
    const names = this.jobs().map((other) => other.coordinator.name)
    const there = names.length === 0 ? 'there are none' : `there are ${names.slice(0, 20).join(', ')}`
    throw new MillraceError('JOB_NOT_FOUND', `there is no job ${JSON.stringify(name)}: ${there}`)
  }

  async #recoverJob(name: string): Promise<void> {
    if (this.#jobs.get(name) !== undefined) return
    try {
      const record = await this.#records.read(name)
      if (record === undefined) return
      const job = this.#jobs.add(this.#planOf(record.stored), record)
      if (record.stored.wanted === 'running') job.coordinator.submit('recovered at process start')
    } catch (thrown) {
      const { code, message } = MillraceError.from(thrown)
      if (code === 'STORE_UNREACHABLE') throw thrown
      this.#options.ports.log('error', `job ${name} cannot be recovered: ${message}`, { job: name, code })
    }
  }

  #planOf(stored: StoredJob): JobPlan {
    return planStored(this.#options, stored)
  }

  /** See CoordinatorListener.confirm. */
  async #confirm(job: HeldJob, attempt: number): Promise<number | null> {
    const { name } = job.coordinator
    const record = (await this.#records.read(name)) ?? (await this.#storeAgain(job)) ?? job.record
    if (this.#jobs.get(name) !== job) return null
    const samePlan = record.stored.parallelism === job.stored.parallelism
    const asWanted = record.stored.wanted === 'running' && samePlan && sameSubmission(record.stored, job.stored)
    if (asWanted || sameRecord(record, job.record)) {
      const numbered = await this.#records.swap(record, withNextAttempt(record.stored, attempt))
      // Another server was faster: what it wrote is to be looked at.
      if (numbered === undefined) return this.#confirm(job, attempt)
      job.record = numbered
      return numbered.stored.attempts ?? attempt
    }
    const plan = this.#planOf(record.stored)
    const followed = this.#turns.take(name, async () => {
      // A request may have dealt with it meanwhile.
      if (this.#jobs.get(name) !== job || job.coordinator.status.state !== 'STARTING') return
      const next = await this.#jobs.replace(job, plan, record)
      if (record.stored.wanted === 'running') next.coordinator.submit('submitted on another server')
    })
    followed.catch((thrown: unknown) => {
      const { message, code } = MillraceError.from(thrown)
      this.#options.ports.log('error', `job ${name} cannot follow its record: ${message}`, { job: name, code })
    })
    return null
  }

  #onState(job: HeldJob, status: JobStatus): void {
    if (status.error?.code === 'STORE_FENCED') return
    if (status.state === 'SUSPENDED' || status.state === 'FAILED') this.#noteSettled(job)
    if (status.state !== 'FAILED') return
    this.#afterTurn(job, 'the failure of', async () => {
      // Somebody may have asked for something else meanwhile.
      if (job.coordinator.status === status) await this.#want(job, 'failed', status.reason, status)
    })
  }

  /** A job rests: another process can know from its record only how far its sinks are. */
  #noteSettled(job: HeldJob): void {
    this.#afterTurn(job, 'how far sinks are with', async () => {
      const { settledId } = job.coordinator.outbox
      if (settledId > (job.stored.settledId ?? 0))
        job.record = await this.#records.update(job.record, (stored) => ({ ...stored, settledId }))
    })
  }

  /** Notes something in a job's record, when its turn comes. */
  #afterTurn(job: HeldJob, what: string, work: () => Promise<void>): void {
    const { name } = job.coordinator
    this.#turns.take(name, work).catch((thrown: unknown) => {
      const { message } = MillraceError.from(thrown)
      this.#options.ports.log('warn', `${what} job ${name} could not be stored`, { job: name, error: message })
    })
  }

  /** A job has a checkpoint of its own: what it has begun from is not needed any more. */
  #onCheckpoint(job: HeldJob, { failure }: CheckpointRecord): void {
    const { savepoints, log } = this.#options.ports
    if (failure !== '' || job.stored.claims === undefined || savepoints === undefined) return
    const { name } = job.coordinator
    const settled = this.#turns.take(name, async () => {
      if (this.#jobs.get(name) !== job || job.stored.claims === undefined) return
      if (await settleClaim(job.stored, savepoints, log))
        job.record = await this.#records.update(job.record, withoutClaim)
    })
    settled.catch((thrown: unknown) => log('warn', MillraceError.from(thrown).message, { job: name }))
  }

  async #want(job: HeldJob, wanted: WantedState, reason: string, failed?: JobStatus): Promise<void> {
    const { name, status } = job.coordinator
    const change = (stored: StoredJob) => ({ ...stored, wanted, reason, error: failed?.error ?? null })
    job.record = await this.#records.update(job.record, change, (there) => {
      if (there.wanted === 'running' && restStates.has(status.state) && failed === undefined) throw foreign(name, '')
    })
  }

  /** Writes a record that the store has lost; returns what is there then. */
  async #storeAgain(job: HeldJob): Promise<JobRecord | undefined> {
    const stored = await this.#records.swap(undefined, job.stored)
    if (stored === undefined) return this.#records.read(job.coordinator.name)
    job.record = stored
    return stored
  }

  #refuseForeign(job: ManagedJob, what: string): void {
    const { name, status, heldBy } = job.coordinator
    if (heldBy === '' && !isFenced(status)) return
    throw foreign(name, heldBy, what)
  }
}
