/**
 * Carries out the checkpoint protocol for one attempt.
 *
 * Owns: the protocol's state, its timer, the snapshots of the checkpoint in flight, publishing. Does not own: what
 * follows from what (checkpoint/protocol.ts), deleting (checkpoint-cleaner.ts), what a failure means for the job.
 *
 * A store that cannot be reached is waited out: its failures end a checkpoint but are not counted against the job. To
 * restart would need the store as well, and meanwhile the job reads on and answers queries.
 */
import type { CheckpointKind, CheckpointManifest } from '../checkpoint/manifest.ts'
import { rewriteHints, stateBytes } from '../checkpoint/manifest-merge.ts'
import { nextWakeMs, startProtocol, stepProtocol } from '../checkpoint/protocol.ts'
import type { CheckpointFailure, ProtocolEffect, ProtocolEvent, ProtocolState } from '../checkpoint/protocol-types.ts'
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { Cancel } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import { CheckpointCleaner } from './checkpoint-cleaner.ts'
import type { Deployment } from './deployment.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts } from './job-ports.ts'
import type { LeaseKeeper } from './lease.ts'
import { ManifestPublisher } from './manifest-publisher.ts'
import type { OutboxCoordinator } from './outbox-coordinator.ts'
import { operatorIdsOf, type StoredCheckpoints } from './restore-point.ts'
import { Settling } from './settling.ts'
import { Waiters } from './waiters.ts'

/** What it is made of. */
export interface CheckpointOptions {
  readonly ports: JobPorts
  readonly plan: JobPlan
  readonly attempt: number
  readonly memory: JobMemory
  readonly lease: LeaseKeeper
  readonly deployment: Deployment
  readonly outbox: OutboxCoordinator
  /** What the store held when the attempt began. */
  readonly stored: StoredCheckpoints
  readonly pauseMs: number
  /** A checkpoint has ended, well or not. */
  readonly onEnded: (record: CheckpointRecord) => void
  /** Positions of a completed checkpoint by partition. */
  readonly onPositions: (positions: Readonly<Record<number, number>>) => void
  /** More failures than are tolerated, or a sink that failed. */
  readonly onFailed: (error: MillraceError) => void
}

/** The checkpoints of one attempt. */
export class CheckpointCoordinator {
  readonly #options: CheckpointOptions
  readonly #cleaner: CheckpointCleaner
  readonly #waiters = new Waiters<CheckpointRecord>()
  readonly #settling: Settling
  readonly #publisher: ManifestPublisher
  #state: ProtocolState
  #snapshots = new Map<string, SubtaskSnapshot>()
  #manifest: CheckpointManifest | undefined
  /** What a sink has failed with. */
  #sinkFailure: MillraceError | null = null
  #triggeredMs = 0
  #periodic = false
  /** True while chunks that subtasks believe durable may not be in the store. */
  #distrust = false
  #cancelWake: Cancel = () => {}
  #publishing: Promise<void> = Promise.resolve()

  constructor(options: CheckpointOptions) {
    this.#options = options
    const { plan, stored, ports, pauseMs, lease, memory } = options
    this.#settling = new Settling(ports.scheduler, memory.outbox)
    this.#cleaner = new CheckpointCleaner(plan.jobName, ports.store, lease, ports.log)
    this.#publisher = new ManifestPublisher(options, this.#cleaner)
    const { everyMs, timeoutMs, retain, tolerableFailures } = plan.definition.checkpoint
    const operators = operatorIdsOf(plan)
    this.#state = startProtocol({
      settings: { intervalMs: everyMs, minPauseMs: pauseMs, timeoutMs, retain, tolerableFailures },
      tasks: operators.flatMap((id) => Array.from({ length: plan.parallelism }, (_, subtask) => taskName(id, subtask))),
      lastCheckpointId: stored.lastCheckpointId,
      // Savepoints are copied out of the store: what an earlier process began to copy is a checkpoint like any other.
      retained: stored.retained.map(({ checkpointId }) => ({
        checkpointId,
        kind: memory.savepoints.has(checkpointId) ? 'savepoint' : 'checkpoint',
      })),
      nowMs: ports.clock.monotonicMs(),
    })
    for (const manifest of stored.retained) this.#cleaner.keep(manifest)
  }

  /** Deletes what earlier attempts, owners and submissions have left behind, in the background. */
  cleanUp(): void {
    const { stored, attempt } = this.#options
    this.#cleaner.addStray(stored.chunkKeys, attempt)
    this.#cleaner.forget(stored.foreign)
  }

  /** Periodic checkpoints begin. */
  startPeriodic(): void {
    this.#periodic = true
    this.#armWake()
  }

  /** They end; the one in flight goes on. */
  stopPeriodic(): void {
    this.#periodic = false
    this.#armWake()
  }

  /** Aborts the one in flight; everybody who waits gets `why`. `request` is possible afterwards. */
  stop(why: MillraceError): void {
    this.#periodic = false
    this.#abort(why.message)
    this.#rejectAll(why)
  }

  /**
   * A checkpoint that begins after this call, once it is complete, or settled: sinks have applied what it has for them. A
   * savepoint stays until it is released. Rejects CHECKPOINT_FAILED, what a sink fails with, or what `stop` is called with.
   */
  request(until: 'complete' | 'settled' = 'complete', savepoint = false): Promise<CheckpointRecord> {
    if (this.#state.phase === 'stopped') {
      return Promise.reject(new MillraceError('CHECKPOINT_FAILED', 'checkpoints of this attempt have been given up'))
    }
    const answer = (until === 'settled' ? this.#settling : this.#waiters).wait(this.#state.base.nextId)
    this.#dispatch({ type: 'trigger', reason: savepoint ? 'savepoint' : 'requested', nowMs: this.#nowMs() })
    return answer
  }

  /** A savepoint has been copied, or will not be. */
  release(checkpointId: number): void {
    this.#dispatch({ type: 'savepointReleased', checkpointId })
  }

  /** Whoever waits for sinks hears of it when they take longer than `limitMs`. */
  limitSettling(limitMs: number): void {
    this.#settling.limit(limitMs)
  }

  /** An epoch has so much for sinks that it should end. */
  onEpochFull(): void {
    if (this.#periodic) this.#dispatch({ type: 'trigger', reason: 'outboxFull', nowMs: this.#nowMs() })
  }

  /** From now on a chunk counts as written only when the store lists it: it has lost what it had. */
  distrustStore(): void {
    this.#distrust = true
  }

  /** A subtask's snapshot is durable. */
  onAck(checkpointId: number, snapshot: SubtaskSnapshot): void {
    // Also for a checkpoint that is over: the chunks are there, and may be referred to by the next one.
    this.#cleaner.note(snapshot.written)
    const task = taskName(snapshot.operatorId, snapshot.subtask)
    if (this.#state.phase === 'collecting' && this.#state.current.checkpointId === checkpointId) {
      if (this.#state.waiting.has(task)) this.#snapshots.set(task, snapshot)
    }
    this.#dispatch({ type: 'ack', checkpointId, task, nowMs: this.#nowMs() })
  }

  /** A subtask cannot take part. */
  onDecline(checkpointId: number, operator: string, subtask: number, error: ErrorData): void {
    const task = taskName(operator, subtask)
    const message = `${error.code}: ${error.message}`
    const current = this.#state.phase === 'collecting' ? this.#state.current.checkpointId : 0
    if (error.code === 'STORE_UNREACHABLE') {
      if (checkpointId === current) this.#endUncounted(checkpointId, `${task}: ${message}`)
      return
    }
    const failure = error.domain === 'external' ? 'async' : 'declined'
    this.#dispatch({ type: 'decline', checkpointId, task, failure, message, nowMs: this.#nowMs() })
  }

  #rejectAll(why: MillraceError): void {
    this.#waiters.rejectAll(why)
    this.#settling.rejectAll(why)
  }

  /** Resolves when nothing of this attempt is on its way to the store any more. */
  async drain(): Promise<void> {
    await this.#publishing
    await this.#cleaner.drain()
  }

  #dispatch(event: ProtocolEvent): void {
    const { state, effects } = (this.#options.ports.protocol ?? stepProtocol)(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#execute(effect)
    this.#armWake()
  }

  #execute(effect: ProtocolEffect): void {
    switch (effect.type) {
      case 'injectBarriers':
        this.#options.memory.lastCheckpointId = effect.checkpointId
        this.#snapshots = new Map()
        this.#triggeredMs = this.#nowMs()
        this.#options.deployment.broadcast({ type: 'barrier', checkpointId: effect.checkpointId })
        return
      case 'publish':
        // A publish that timed out may still be under way: `drain` waits for every one.
        this.#publishing = Promise.all([this.#publishing, this.#publish(effect.checkpointId, effect.kind)]).then(
          () => {},
        )
        return
      case 'notifyComplete':
        this.#completed(effect.checkpointId)
        return
      case 'applyOutbox':
        void this.#applyOutbox(effect.checkpointId)
        return
      case 'settled':
        this.#settling.settled(effect.checkpointId)
        return
      case 'hold':
        this.#options.outbox.hold(effect.held)
        return
      case 'subsume':
        this.#cleaner.forget(effect.checkpointIds)
        return
      case 'abort':
        this.#aborted(effect.checkpointId, effect.failure, effect.message)
        return
      case 'failJob': {
        const error = this.#sinkFailure ?? new MillraceError(effect.code, effect.message)
        this.#rejectAll(error)
        this.#options.onFailed(error)
      }
    }
  }

  async #publish(checkpointId: number, kind: CheckpointKind): Promise<void> {
    const outcome = await this.#publisher.publish({
      checkpointId,
      kind,
      snapshots: [...this.#snapshots.values()],
      unapplied: this.#options.outbox.owed,
      distrust: this.#distrust,
    })
    switch (outcome.kind) {
      case 'published': {
        this.#manifest = outcome.manifest
        const outbox = outcome.manifest.subtasks.some((subtask) => subtask.outbox.length > 0)
        this.#dispatch({ type: 'publishDone', checkpointId, outbox, nowMs: this.#nowMs() })
        return
      }
      case 'uncounted':
        this.#endUncounted(checkpointId, outcome.message)
        return
      case 'failed':
        this.#dispatch({ type: 'publishFailed', checkpointId, message: outcome.message, nowMs: this.#nowMs() })
        return
      case 'lost':
        this.#options.onFailed(outcome.error)
    }
  }

  #completed(checkpointId: number): void {
    const { memory, deployment, ports, attempt, onEnded, onPositions } = this.#options
    const manifest = this.#manifest!
    this.#distrust = false
    memory.completedCheckpointId = checkpointId
    memory.firstSplits = null
    deployment.broadcast({ type: 'checkpointComplete', checkpointId, rewrite: rewriteHints(manifest) })
    const written = [...this.#snapshots.values()].flatMap((snapshot) => snapshot.written)
    const record: CheckpointRecord = {
      id: checkpointId,
      createdAtMs: ports.clock.nowMs(),
      durationMs: this.#nowMs() - this.#triggeredMs,
      sizeBytes: stateBytes(manifest).stored,
      writtenBytes: written.reduce((sum, chunk) => sum + chunk.sizeBytes, 0),
      attempt,
      failure: '',
    }
    onEnded(record)
    onPositions(Object.fromEntries(manifest.subtasks.flatMap((s) => s.splits).map((s) => [s.partition, s.offset])))
    this.#cleaner.forget([])
    this.#waiters.resolve(checkpointId, record)
    this.#settling.completed(record)
    this.#options.outbox.owe(manifest)
  }

  async #applyOutbox(checkpointId: number): Promise<void> {
    try {
      await this.#options.outbox.apply(checkpointId)
      this.#dispatch({ type: 'outboxApplied', checkpointId, nowMs: this.#nowMs() })
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      this.#sinkFailure = error
      this.#dispatch({ type: 'outboxFailed', checkpointId, message: error.message, nowMs: this.#nowMs() })
    }
  }

  #aborted(checkpointId: number, failure: CheckpointFailure, message: string): void {
    const { deployment, ports, attempt, onEnded } = this.#options
    this.#snapshots = new Map()
    deployment.broadcast({ type: 'checkpointAborted', checkpointId })
    const text = failure === 'cancelled' ? message : `${failure}: ${message}`
    onEnded({
      id: checkpointId,
      createdAtMs: ports.clock.nowMs(),
      durationMs: this.#nowMs() - this.#triggeredMs,
      sizeBytes: 0,
      writtenBytes: 0,
      attempt,
      failure: text,
    })
    const error = new MillraceError('CHECKPOINT_FAILED', `checkpoint ${checkpointId} failed: ${text}`)
    this.#waiters.reject(checkpointId, error)
    this.#settling.reject(checkpointId, error)
  }

  /** Ends the checkpoint in flight without counting it as a failure; what waited for the next one is let go too. */
  #endUncounted(checkpointId: number, message: string): void {
    const state = this.#state
    if (state.phase !== 'collecting' && state.phase !== 'publishing') return
    if (state.current.checkpointId !== checkpointId) return
    this.#abort(message)
    const error = new MillraceError('CHECKPOINT_FAILED', `checkpoint ${checkpointId} failed: ${message}`)
    this.#waiters.rejectAll(error)
    this.#settling.rejectIncomplete(error)
  }

  #abort(message: string): void {
    this.#dispatch({ type: 'abort', message, nowMs: this.#nowMs() })
  }

  #armWake(): void {
    this.#cancelWake()
    const state = this.#state
    if (state.phase === 'idle' && !this.#periodic) return
    const delayMs = nextWakeMs(state) - this.#nowMs()
    if (delayMs === Number.POSITIVE_INFINITY) return
    this.#cancelWake = this.#options.ports.scheduler.after(delayMs, () => {
      const nowMs = this.#nowMs()
      if (state.phase === 'idle') this.#dispatch({ type: 'trigger', reason: 'periodic', nowMs })
      else if (state.phase !== 'stopped') {
        this.#dispatch({ type: 'timeout', checkpointId: state.current.checkpointId, nowMs })
      }
    })
  }

  #nowMs(): number {
    return this.#options.ports.clock.monotonicMs()
  }
}

function taskName(operatorId: string, subtask: number): string {
  return `${operatorId}/${subtask}`
}
