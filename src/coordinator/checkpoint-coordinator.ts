/**
 * Carries out the checkpoint protocol for one attempt.
 *
 * Owns: the protocol's state, its timer, the snapshots of the checkpoint in flight, publishing. Does not own: what
 * follows from what (checkpoint/protocol.ts), deleting (checkpoint-cleaner.ts), what a failure means for the job.
 *
 * A store that cannot be reached is waited out: its failures end a checkpoint but are not counted against the job. To
 * restart would need the store as well, and meanwhile the job reads on and answers queries.
 */
import { type CheckpointKind, type CheckpointManifest, chunksOf, encodeManifest } from '../checkpoint/manifest.ts'
import { mergeSnapshots, rewriteHints, stateBytes } from '../checkpoint/manifest-merge.ts'
import { nextWakeMs, startProtocol, stepProtocol } from '../checkpoint/protocol.ts'
import type { CheckpointFailure, ProtocolEffect, ProtocolEvent, ProtocolState } from '../checkpoint/protocol-types.ts'
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { Cancel } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import { KEY_HASH_NAME, KEY_HASH_SEED } from '../core/hash.ts'
import type { JobPlan } from '../job/plan.ts'
import { CheckpointCleaner } from './checkpoint-cleaner.ts'
import type { Deployment } from './deployment.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts } from './job-ports.ts'
import type { LeaseKeeper } from './lease.ts'
import { operatorIdsOf, type StoredCheckpoints } from './restore-point.ts'
import { Waiters } from './waiters.ts'

/** What it is made of. */
export interface CheckpointOptions {
  readonly ports: JobPorts
  readonly plan: JobPlan
  readonly attempt: number
  readonly memory: JobMemory
  readonly lease: LeaseKeeper
  readonly deployment: Deployment
  /** What the store held when the attempt began. */
  readonly stored: StoredCheckpoints
  readonly pauseMs: number
  /** A checkpoint has ended, well or not. */
  readonly onEnded: (record: CheckpointRecord) => void
  /** Positions of a completed checkpoint by partition. */
  readonly onPositions: (positions: Readonly<Record<number, number>>) => void
  /** More failures than are tolerated. */
  readonly onFailed: (error: MillraceError) => void
}

/** The checkpoints of one attempt. */
export class CheckpointCoordinator {
  readonly #options: CheckpointOptions
  readonly #cleaner: CheckpointCleaner
  readonly #waiters = new Waiters<CheckpointRecord>()
  #state: ProtocolState
  #snapshots = new Map<string, SubtaskSnapshot>()
  #manifest: CheckpointManifest | undefined
  #triggeredMs = 0
  #periodic = false
  /** True while chunks that subtasks believe durable may not be in the store. */
  #distrust = false
  #cancelWake: Cancel = () => {}
  #publishing: Promise<void> = Promise.resolve()

  constructor(options: CheckpointOptions) {
    this.#options = options
    const { plan, stored, ports, pauseMs, lease } = options
    this.#cleaner = new CheckpointCleaner(plan.jobName, ports.store, lease, ports.log)
    const { everyMs, timeoutMs, retain, tolerableFailures } = plan.definition.checkpoint
    const operators = operatorIdsOf(plan)
    this.#state = startProtocol({
      settings: { intervalMs: everyMs, minPauseMs: pauseMs, timeoutMs, retain, tolerableFailures },
      tasks: operators.flatMap((id) => Array.from({ length: plan.parallelism }, (_, subtask) => taskName(id, subtask))),
      lastCheckpointId: stored.lastCheckpointId,
      retained: stored.retained.map(({ checkpointId, kind }) => ({ checkpointId, kind })),
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
    this.#waiters.rejectAll(why)
  }

  /** A checkpoint that begins after this call. Rejects CHECKPOINT_FAILED, or what `stop` is called with. */
  request(): Promise<CheckpointRecord> {
    if (this.#state.phase === 'stopped') {
      return Promise.reject(new MillraceError('CHECKPOINT_FAILED', 'checkpoints of this attempt have been given up'))
    }
    const answer = this.#waiters.wait(this.#state.base.nextId)
    this.#dispatch({ type: 'trigger', reason: 'requested', nowMs: this.#nowMs() })
    return answer
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

  /** Resolves when nothing of this attempt is on its way to the store any more. */
  async drain(): Promise<void> {
    await this.#publishing
    await this.#cleaner.drain()
  }

  #dispatch(event: ProtocolEvent): void {
    const { state, effects } = stepProtocol(this.#state, event)
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
      case 'subsume':
        this.#cleaner.forget(effect.checkpointIds)
        return
      case 'abort':
        this.#aborted(effect.checkpointId, effect.failure, effect.message)
        return
      case 'failJob': {
        const error = new MillraceError(effect.code, effect.message)
        this.#waiters.rejectAll(error)
        this.#options.onFailed(error)
      }
    }
  }

  async #publish(checkpointId: number, kind: CheckpointKind): Promise<void> {
    const { ports, plan, lease } = this.#options
    const held = lease.held
    if (held === undefined) {
      this.#endUncounted(checkpointId, 'the lease is being acquired anew')
      return
    }
    try {
      const manifest = this.#merge(checkpointId, kind, held.generation)
      if (this.#distrust && !(await this.#allStored(checkpointId, manifest))) return
      this.#manifest = manifest
      this.#cleaner.keep(manifest)
      await ports.store.publishManifest(
        plan.jobName,
        held.generation,
        held.nonce,
        checkpointId,
        encodeManifest(manifest),
      )
      this.#dispatch({ type: 'publishDone', checkpointId, outbox: false, nowMs: this.#nowMs() })
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      if (error.code === 'STORE_FENCED' || error.code === 'STORE_LOST') lease.lost(held.generation, error)
      const uncounted =
        error.code === 'STORE_UNREACHABLE' || error.code === 'STORE_LOST' || error.code === 'STORE_FENCED'
      if (uncounted) this.#endUncounted(checkpointId, error.message)
      else this.#dispatch({ type: 'publishFailed', checkpointId, message: error.message, nowMs: this.#nowMs() })
    }
  }

  #merge(checkpointId: number, kind: CheckpointKind, generation: number): CheckpointManifest {
    const { plan, memory, attempt, ports } = this.#options
    return mergeSnapshots(
      {
        jobName: plan.jobName,
        jobId: memory.jobId,
        checkpointId,
        previousCheckpointId: memory.completedCheckpointId,
        generation,
        attempt,
        kind,
        createdAtMs: ports.clock.nowMs(),
        keyHashName: KEY_HASH_NAME,
        keyHashSeed: KEY_HASH_SEED,
        keyGroups: plan.keyGroups,
        definitionHash: plan.definitionHash,
        owed: [],
      },
      [...this.#snapshots.values()],
    )
  }

  /** After a loss: whether every chunk is in the store. If not, asks for those to be written and ends the checkpoint. */
  async #allStored(checkpointId: number, manifest: CheckpointManifest): Promise<boolean> {
    const { ports, plan, memory, deployment } = this.#options
    const present = new Set(await ports.store.listChunks(plan.jobName))
    const rewrite = chunksOf(manifest).flatMap(({ key }) => (present.has(key) ? [] : [key]))
    if (rewrite.length === 0) return true
    deployment.broadcast({ type: 'checkpointComplete', checkpointId: memory.completedCheckpointId, rewrite })
    this.#endUncounted(checkpointId, `${rewrite.length} chunks are lost and will be written again by the next one`)
    return false
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
    this.#waiters.reject(
      checkpointId,
      new MillraceError('CHECKPOINT_FAILED', `checkpoint ${checkpointId} failed: ${text}`),
    )
  }

  /** Ends the checkpoint in flight without counting it as a failure; what waited for the next one is let go too. */
  #endUncounted(checkpointId: number, message: string): void {
    const state = this.#state
    if (state.phase !== 'collecting' && state.phase !== 'publishing') return
    if (state.current.checkpointId !== checkpointId) return
    this.#abort(message)
    this.#waiters.rejectAll(new MillraceError('CHECKPOINT_FAILED', `checkpoint ${checkpointId} failed: ${message}`))
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
