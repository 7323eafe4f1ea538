/**
 * The owner of one job: the only place that knows its state and carries out what the life-cycle table asks for.
 *
 * Owns: the state with its reason, the current attempt, the lease, the restart timer, the history. Does not own: which state
 * follows which (job-state.ts), how an attempt works (job-run.ts), what users wanted over restarts (job-manager.ts).
 *
 * Events are handled one at a time, in the order in which they were raised, each to its end: an effect that raises an
 * event queues it. A start waits for work on the store that follows the attempt before it (store-work.ts).
 */
import { type ErrorData, invariant, MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import { AttemptSlot } from './attempt-slot.ts'
import { type FailurePlace, Failures } from './failures.ts'
import { copyCheckpoint, plainStop, type StopWish, stopCheckpoint } from './final-checkpoint.ts'
import { InOrder } from './in-order.ts'
import { type CheckpointRecord, JobHistory } from './job-history.ts'
import { type JobBasis, type JobMemory, newJobMemory } from './job-memory.ts'
import { defaultJobSettings, type JobPorts, type JobSettings } from './job-ports.ts'
import type { JobRun } from './job-run.ts'
import { type JobEffect, type JobEventType, type JobState, jobTransition, restStates } from './job-state.ts'
import { type CoordinatorListener, type JobEvent, type JobStatus, logStatus } from './job-status.ts'
import { lastCheckpoint } from './last-checkpoint.ts'
import { LeaseKeeper } from './lease.ts'
import { type RedeployRecord, RedeployTracker } from './redeploys.ts'
import { notServing, refused } from './refusals.ts'
import { RestartSchedule } from './restart-schedule.ts'
import { startText } from './restore-point.ts'
import { dropState } from './retention.ts'
import { reclaimStore } from './store-loss.ts'
import { StoreWork } from './store-work.ts'

/** The coordinator of one job. */
export class JobCoordinator {
  readonly name: string
  /** Number of the job in this process; messages carry it. */
  readonly number: number
  readonly history: JobHistory
  readonly #ports: JobPorts
  readonly #settings: JobSettings
  readonly #listener: CoordinatorListener
  readonly #lease: LeaseKeeper
  readonly #restart: RestartSchedule
  readonly #failures: Failures
  readonly #storeWork: StoreWork
  readonly #slot: AttemptSlot
  readonly redeploys: RedeployTracker
  readonly #events = new InOrder<JobEvent>((event) => this.#handle(event))
  #plan: JobPlan
  /** What the next attempt is to run; null for the same. */
  #nextPlan: JobPlan | null = null
  #memory: JobMemory
  #status: JobStatus
  #heldBy = ''
  #stopWish = plainStop

  constructor(
    number: number,
    plan: JobPlan,
    memory: JobMemory,
    ports: JobPorts,
    listener: CoordinatorListener,
    settings: Partial<JobSettings> = {},
  ) {
    this.name = plan.jobName
    this.number = number
    this.#ports = ports
    this.#settings = { ...defaultJobSettings, ...settings }
    this.#listener = listener
    this.history = new JobHistory((record) => listener.onCheckpoint(record))
    this.#plan = plan
    this.#memory = memory
    this.#status = { state: 'CREATED', reason: '', error: null, sinceMs: ports.clock.nowMs(), attempt: 0, restarts: 0 }
    this.#lease = new LeaseKeeper(plan.jobName, ports, this.#settings.leaseTtlMs, (error) => this.#leaseLost(error))
    this.#restart = new RestartSchedule(this.#strategyOf(plan), ports.clock, ports.scheduler, ports.random)
    this.#failures = new Failures(this.history, this.#restart, ports)
    this.redeploys = new RedeployTracker(ports.clock, (record) => listener.onRedeployed(record))
    this.#storeWork = new StoreWork(plan.jobName, ports.log)
    this.#slot = new AttemptSlot(number, ports, this.#settings, this.#lease)
  }

  get status(): JobStatus {
    return this.#status
  }

  get plan(): JobPlan {
    return this.#plan
  }

  /** What the job is to run. */
  get wantedPlan(): JobPlan {
    return this.#nextPlan ?? this.#plan
  }

  /** What the attempt that is deployed runs: the plan, fitted to the checkpoint that it began from. Null when none is. */
  get deployedPlan(): JobPlan | null {
    return this.#slot.run === undefined ? null : (this.#slot.run.restored?.plan ?? this.#slot.run.spec.plan)
  }

  get jobId(): string {
    return this.#memory.jobId
  }

  /** What the current attempt began from. */
  get restored(): JobRun['restored'] {
    return this.#slot.run?.restored ?? null
  }

  /** Id of the newest completed checkpoint known; 0 for none. */
  get lastCheckpointId(): number {
    return this.#memory.completedCheckpointId
  }

  /** What sinks are owed, and whether sources wait for them. */
  get outbox(): JobMemory['outbox'] {
    return this.#memory.outbox
  }

  /** The instance whose lease a start waits for; '' for none. */
  get heldBy(): string {
    return this.#heldBy
  }

  /** Whether this process owns the job now. */
  get ownsLease(): boolean {
    return this.#lease.held !== undefined
  }

  /** Throws JOB_STATE when `what` would be refused now. */
  check(what: 'submit' | 'stop' | 'cancel' | 'redeploy'): void {
    if (jobTransition(this.#status.state, what) === 'refuse') throw refused(this.name, this.#status, what)
  }

  /** Puts a job that has not been started yet where an earlier process left it. */
  restAt(state: 'SUSPENDED' | 'CANCELLED' | 'FAILED', reason: string, error: ErrorData | null): void {
    invariant(this.#status.state === 'CREATED', `a job that is ${this.#status.state} is put to rest by events only`)
    this.#status = { ...this.#status, state, reason, error }
  }

  /** Resolves when what follows an attempt (dropping state, giving the lease back) is done. */
  storeWork(): Promise<void> {
    return this.#storeWork.done
  }

  /** Lets the job run, from its latest checkpoint. Throws JOB_STATE while it is stopping, cancelling or failing. */
  submit(reason: string): void {
    this.#ask('submit', reason)
  }

  /**
   * The same with another plan and id: for a name that is taken over. A new id lets go of the old checkpoints. Throws JOB_STATE unless the job is at rest.
   */
  resubmit(plan: JobPlan, { jobId, firstSplits, dropState, attempts }: JobBasis, reason: string): void {
    if (!restStates.has(this.#status.state)) throw refused(this.name, this.#status, 'submit')
    if (jobId !== this.#memory.jobId) this.#memory = newJobMemory(jobId)
    Object.assign(this.#memory, { firstSplits, dropState, attempts })
    this.#use(plan)
    this.#ask('submit', reason)
  }

  /** Lets the job go on with another plan: after a last checkpoint if it runs, else when it next starts. JOB_STATE. */
  redeploy(
    plan: JobPlan,
    { firstSplits, dropState }: Pick<JobBasis, 'firstSplits' | 'dropState'>,
    record: RedeployRecord,
  ): void {
    this.check('redeploy')
    Object.assign(this.#memory, { dropState, firstSplits: this.lastCheckpointId > 0 ? null : firstSplits })
    this.redeploys.begin(record)
    this.#nextPlan = plan
    if (this.#slot.run === undefined) this.#use(plan)
    this.#raise('redeploy', record.reason, null)
    this.#slot.run?.hurry()
  }

  /** Stops with a last checkpoint; the job is SUSPENDED later. Throws JOB_STATE where there is nothing to stop. */
  stop(reason: string, wish: StopWish = plainStop): void {
    this.check('stop')
    if (this.#status.state !== 'STOPPING') this.#stopWish = wish
    this.#ask('stop', reason)
    this.#slot.run?.hurry()
  }

  /** Ends the job and drops its state; CANCELLED later. */
  cancel(reason: string): void {
    this.#ask('cancel', reason)
  }

  /** A checkpoint that begins after this call. Rejects JOB_STATE unless the job runs, and CHECKPOINT_FAILED. */
  async checkpoint(): Promise<CheckpointRecord> {
    if (this.#status.state !== 'RUNNING' || this.#slot.run === undefined)
      throw refused(this.name, this.#status, 'checkpoint')
    return this.#slot.run.checkpoint()
  }

  /** A checkpoint that stays until `copy` of it has ended, whatever becomes of the attempt. Rejects as they do. */
  async savepoint<T>(copy: (checkpointId: number) => Promise<T>): Promise<T> {
    if (this.#status.state !== 'RUNNING' || this.#slot.run === undefined)
      throw refused(this.name, this.#status, 'savepoint')
    return copyCheckpoint(this.#slot.run, this.#memory, copy, (id) => this.#slot.run?.releaseSavepoint(id))
  }

  /** Rows of the views. Rejects UNAVAILABLE while nothing is deployed, DEADLINE_EXCEEDED. */
  async query(query: ViewQuery, deadlineMs: number): Promise<readonly ViewRows[]> {
    if (this.#slot.run === undefined) throw notServing(this.name, this.#status)
    return this.#slot.run.query(query, deadlineMs)
  }

  /**
   * Leaves the job for another process, which goes on from its latest checkpoint: from a last one, if the job runs and it
   * takes no longer than `graceMs`. The lease is given back.
   */
  async close(graceMs = 0): Promise<void> {
    this.#restart.clear()
    if (this.#status.state === 'RUNNING' && graceMs > 0) await lastCheckpoint(this.#slot.run!, this.#ports, graceMs)
    this.#restart.clear()
    await this.#slot.close()
    await this.#storeWork.done
    await this.#lease.release()
    this.#slot.detach()
  }

  #use(plan: JobPlan): void {
    this.#nextPlan = null
    if (plan === this.#plan) return
    this.#plan = plan
    this.#restart.use(this.#strategyOf(plan))
  }

  #strategyOf({ definition }: JobPlan) {
    return definition.restart ?? this.#settings.restart
  }

  #ask(type: 'submit' | 'stop' | 'cancel', reason: string): void {
    this.check(type)
    if (type === 'submit' && restStates.has(this.#status.state)) this.#restart.reset()
    this.#raise(type, reason, null)
  }

  #raise(type: JobEventType, reason: string, error: ErrorData | null): void {
    this.#events.push({ type, reason, error })
  }

  #handle({ type, reason, error }: JobEvent): void {
    const cell = jobTransition(this.#status.state, type)
    if (typeof cell === 'string') return
    this.redeploys.moved(this.#status.state, type, cell.to, reason)
    this.#enter(cell.to, reason, error ?? (restStates.has(cell.to) ? this.#status.error : null))
    for (const effect of cell.effects) this.#effects[effect](error)
  }

  #enter(state: JobState, reason: string, error: ErrorData | null): void {
    const sinceMs = state === this.#status.state ? this.#status.sinceMs : this.#ports.clock.nowMs()
    this.#status = { ...this.#status, state, reason, error, sinceMs }
    logStatus(this.#ports.log, this.name, this.#status)
    this.#listener.onState(this.#status)
  }

  readonly #effects: Readonly<Record<JobEffect, (error: ErrorData | null) => void>> = {
    start: () => this.#begin(),
    operate: () => this.#slot.run?.operate(),
    quiesce: () => this.#slot.run?.quiesce(),
    finalCheckpoint: () => this.#finalCheckpoint(),
    dispose: () => this.#dispose(),
    scheduleRestart: (error) => this.#scheduleRestart(error!),
    cancelRestart: () => this.#restart.clear(),
    dropState: () => this.#storeWork.begin(() => dropState(this.#ports, this.name, this.#lease, this.#listener)),
    releaseLease: () => this.#storeWork.begin(() => this.#lease.release()),
  }

  #begin(): void {
    this.#status = { ...this.#status, attempt: Math.max(this.#status.attempt, this.#memory.attempts) + 1 }
    this.#restart.clear()
    this.#stopWish = plainStop
    this.#use(this.wantedPlan)
    const spec = { job: this.number, attempt: this.#status.attempt, plan: this.#plan, memory: this.#memory }
    const run = this.#slot.put(spec, {
      onProgress: (reason, heldBy) => {
        if (this.#slot.run !== run || this.#status.state !== 'STARTING') return
        this.#status = { ...this.#status, reason }
        this.#heldBy = heldBy
        if (heldBy !== '') this.#listener.onState(this.#status)
      },
      confirm: async (wanted) => {
        const attempt = await this.#listener.confirm(wanted)
        if (attempt !== null && this.#slot.run === run) this.#status = { ...this.#status, attempt }
        return attempt
      },
      storeFirstSplits: (splits) => this.#listener.storeFirstSplits(splits),
      onStarted: () => this.#raise('started', startText(run.restored), null),
      onFailed: (error, operator, subtask) => this.#failed(error, { operator, subtask, attempt: run.attempt }),
      onSourcesFinished: () => this.#raise('sourcesFinished', 'all input has been read', null),
      onCheckpoint: (record) => this.history.addCheckpoint(record),
    })
    void this.#storeWork.done.then(() => run.start())
  }

  #failed(error: ErrorData, place: FailurePlace): void {
    const { type, reason } = this.#failures.judge(error, place, this.#plan.definition, this.#memory)
    this.#raise(type, reason, error)
  }

  #finalCheckpoint(): void {
    const run = this.#slot.run!
    stopCheckpoint(run, () => this.#stopWish).then(
      (record) => {
        if (this.#slot.run !== run) return
        if (this.#status.state === 'REDEPLOYING') this.redeploys.checkpointed(record)
        this.#raise('finalCheckpointCompleted', `checkpoint ${record.id} holds all that was read`, null)
      },
      (thrown: unknown) => {
        if (this.#slot.run !== run) return
        const error = MillraceError.from(thrown).toData()
        const { type, reason } = this.#failures.judgeFinal(error, this.#status.state)
        this.#raise(type, reason, error)
      },
    )
  }

  #dispose(): void {
    this.#heldBy = ''
    this.#slot.dispose(() => {
      this.#raise('disposed', this.#status.reason, null)
      this.#restartIfDue()
    })
  }

  #scheduleRestart(error: ErrorData): void {
    const delayMs = this.#restart.after(error, () => this.#restartIfDue())
    const next = `attempt ${this.#status.attempt + 1} follows in ${(delayMs / 1000).toFixed(1)} s`
    this.#status = { ...this.#status, restarts: this.#status.restarts + 1, reason: `${this.#status.reason}; ${next}` }
  }

  #restartIfDue(): void {
    if (!this.#restart.due || this.#slot.disposing) return
    this.#raise('backoffElapsed', `attempt ${this.#status.attempt + 1} begins`, null)
  }

  #leaseLost(error: MillraceError): void {
    const { run } = this.#slot
    const onOwned = (by: MillraceError): void => this.#raise('fenced', by.message, by.toData())
    if (error.code !== 'STORE_LOST' || run === undefined) onOwned(error)
    else {
      void reclaimStore({
        ...{ ports: this.#ports, lease: this.#lease, memory: this.#memory, listener: this.#listener, run, onOwned },
        wanted: () => this.#slot.run === run,
      })
    }
  }
}
