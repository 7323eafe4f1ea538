/**
 * One attempt of a job, from the lease to the last `disposed`.
 *
 * Owns: the order of starting (lease, checkpoint, partitions, threads, deploy, run), and everything that lives and dies
 * with the attempt: deployment, checkpoints, outboxes, steering, queries. Does not own: what follows from success and
 * failure (job-coordinator.ts), which it tells through RunListener, at most one `failed` and nothing after `dispose`.
 *
 * Every step of starting is followed by a check that the attempt is still wanted: what arrives after `dispose` is
 * dropped, and nothing is deployed any more.
 */
import { chunkKeyPrefix } from '../checkpoint/chunk-key.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { SplitStart } from '../runtime/messages.ts'
import type { SourceEnumerator } from '../source/source.ts'
import { distribute, placeSubtasks } from './assignment.ts'
import { AttemptThreads } from './attempt-threads.ts'
import { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import { Deployment } from './deployment.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts, JobSettings } from './job-ports.ts'
import type { CoordinatorListener } from './job-status.ts'
import type { Lease, LeaseKeeper } from './lease.ts'
import { OutboxCoordinator } from './outbox-coordinator.ts'
import { publishPositions } from './publish-positions.ts'
import { QueryRouter } from './query-router.ts'
import { notDeployed } from './refusals.ts'
import { logSkipped, type RestorePoint, readStoredCheckpoints, type StoredCheckpoints } from './restore-point.ts'
import { SourceSteering } from './source-steering.ts'
import { startSplits } from './start-splits.ts'
import type { JobMessage, ThreadListener } from './thread-hub.ts'

/** What an attempt tells. */
export interface RunListener extends Pick<CoordinatorListener, 'confirm' | 'storeFirstSplits'> {
  /** What the attempt is doing while it starts, for people; `heldBy` names the instance whose lease it waits for. */
  onProgress(reason: string, heldBy: string): void
  onStarted(): void
  /** The attempt cannot go on. `operator` is empty for the coordinator's own failures. */
  onFailed(error: ErrorData, operator: string, subtask: number): void
  onSourcesFinished(): void
  onCheckpoint(record: CheckpointRecord): void
}

/** Which attempt of what. */
export interface RunSpec {
  /** Number of the job in this process. */
  readonly job: number
  /** Number of the attempt, unless other processes have come as far (CoordinatorListener.confirm). */
  readonly attempt: number
  readonly plan: JobPlan
  readonly memory: JobMemory
}

/** One attempt. `start` it once, `dispose` it once. */
export class JobRun implements ThreadListener {
  readonly spec: RunSpec
  readonly #ports: JobPorts
  readonly #settings: JobSettings
  readonly #lease: LeaseKeeper
  readonly #listener: RunListener
  readonly #queries: QueryRouter
  readonly #threads: AttemptThreads
  readonly #finishedSources = new Set<number>()
  readonly #sourcesFinished = Promise.withResolvers<void>()
  #deployment: Deployment | undefined
  #enumerator: SourceEnumerator | undefined
  #checkpoints: CheckpointCoordinator | undefined
  #outbox: OutboxCoordinator | undefined
  #steering: SourceSteering | undefined
  #splits: readonly SplitStart[] = []
  #restored: RestorePoint | null = null
  #running = false
  #over = false
  #attempt: number

  constructor(ports: JobPorts, settings: JobSettings, spec: RunSpec, lease: LeaseKeeper, listener: RunListener) {
    this.#ports = ports
    this.#settings = settings
    this.spec = spec
    this.#attempt = spec.attempt
    this.#lease = lease
    this.#listener = listener
    this.#queries = new QueryRouter(ports.scheduler, (thread, message) => this.#threads.hub.send(thread, message))
    this.#threads = new AttemptThreads(ports, spec.plan, spec.job, this)
  }

  /** Number of the attempt: final once anything is deployed. */
  get attempt(): number {
    return this.#attempt
  }

  /** The checkpoint that the attempt began from; null on a fresh start, and before it is known. */
  get restored(): RestorePoint | null {
    return this.#restored
  }

  /** Begins. Ends in `onStarted` or `onFailed`. */
  start(): void {
    if (this.#over) return
    this.#start().catch((thrown: unknown) => this.#fail(MillraceError.from(thrown).toData(), '', 0))
  }

  /** Periodic checkpoints and partition discovery begin. */
  operate(): void {
    this.#checkpoints?.startPeriodic()
    this.#steering?.startDiscovery()
  }

  /** They end, and the checkpoint in flight is aborted. */
  quiesce(): void {
    this.#checkpoints?.stop(new MillraceError('CANCELLED', 'checkpoints have been stopped'))
    this.#steering?.stopDiscovery()
  }

  /** A checkpoint that begins after this call. Rejects UNAVAILABLE when the attempt does not run. */
  checkpoint(): Promise<CheckpointRecord> {
    if (this.#checkpoints === undefined) return Promise.reject(notDeployed(this.spec.plan.jobName))
    return this.#checkpoints.request()
  }

  /** A checkpoint to copy: complete, its results applied, and left alone by retention until it is released. */
  savepoint(): Promise<CheckpointRecord> {
    return this.#checkpoints?.request('settled', true) ?? this.checkpoint()
  }

  /** A savepoint has been copied, or will not be: retention may take its checkpoint. */
  releaseSavepoint(checkpointId: number): void {
    this.#checkpoints?.release(checkpointId)
  }

  /**
   * The last checkpoint of the attempt, with all its results applied: no periodic ones follow. Rejects SINK_FAILED too.
   * `drain`: sources end first, and all of time passes.
   */
  async finalCheckpoint(drain = false): Promise<CheckpointRecord> {
    this.#steering?.stopDiscovery()
    this.#checkpoints?.stopPeriodic()
    if (drain) this.#deployment?.broadcast({ type: 'drain' })
    if (drain) await this.#sourcesFinished.promise
    return this.#checkpoints?.request('settled') ?? this.checkpoint()
  }

  /** A person waits: sinks that take long do not hold the last checkpoint up for ever. */
  hurry(): void {
    this.#checkpoints?.limitSettling(this.#settings.outboxStopMs)
  }

  /** The store has lost its data and the lease is a new one: all state must be written anew. */
  rewriteAll(): void {
    this.#checkpoints?.distrustStore()
  }

  /** Rows of the views. Rejects UNAVAILABLE when the attempt does not run. */
  query(query: ViewQuery, deadlineMs: number): Promise<readonly ViewRows[]> {
    if (!this.#running || this.#deployment === undefined) return Promise.reject(notDeployed(this.spec.plan.jobName))
    const { ref, placement, threads } = this.#deployment
    // A question about one key is for its owner alone.
    const asked = query.subtask === undefined ? threads : [placement[query.subtask]!]
    return this.#queries.ask({ ...ref, threads: asked }, query, deadlineMs)
  }

  /** Gives everything up. Resolves when no thread holds anything of the attempt. Idempotent. */
  async dispose(): Promise<void> {
    const first = !this.#over
    this.#over = true
    this.#running = false
    if (first) {
      this.quiesce()
      this.#steering?.close()
      this.#outbox?.close()
      this.#queries.failAll(notDeployed(this.spec.plan.jobName))
      const enumerator = this.#enumerator
      if (enumerator !== undefined) void enumerator.close().catch(() => {})
    }
    await this.#deployment?.dispose()
    await this.#checkpoints?.drain()
    await this.#threads.close()
  }

  onMessage(thread: number, message: JobMessage): void {
    if (message.attempt !== this.#attempt) return
    if (message.type === 'disposed') this.#deployment?.onDisposed(thread)
    else if (message.type === 'deployed') this.#deployment?.onDeployed(thread)
    else if (!this.#over) this.#onLiveMessage(message)
  }

  onThreadLost(thread: number, error: ErrorData): void {
    if (this.#deployment?.onThreadLost(thread) === true) this.#fail(error, '', 0)
  }

  #onLiveMessage(message: Exclude<JobMessage, { type: 'deployed' | 'disposed' }>): void {
    switch (message.type) {
      case 'failed':
        this.#fail(message.error, message.operator, message.subtask)
        return
      case 'ack':
        this.#checkpoints?.onAck(message.checkpointId, message.snapshot)
        return
      case 'decline':
        this.#checkpoints?.onDecline(message.checkpointId, message.operator, message.subtask, message.error)
        return
      case 'outboxOpened':
      case 'outboxApplied':
      case 'outboxFailed':
        this.#outbox?.onMessage(message)
        return
      case 'epochFull':
        this.#checkpoints?.onEpochFull()
        return
      case 'sourceFinished':
        this.#finishedSources.add(message.subtask)
        this.#steering?.onMessage(message)
        if (this.#finishedSources.size < this.spec.plan.parallelism) return
        this.#sourcesFinished.resolve()
        this.#listener.onSourcesFinished()
        return
      case 'sourceWatermark':
      case 'schemaWanted':
        this.#steering?.onMessage(message)
        return
      case 'queryResult':
        this.#queries.answer(message)
    }
  }

  async #start(): Promise<void> {
    const { plan, memory } = this.spec
    const { store } = this.#ports
    this.#progress('acquiring the lease')
    const lease = await this.#lease.acquire((heldBy) => {
      this.#progress(`waiting for the lease, held by ${heldBy}`, heldBy)
    }, memory.lastCheckpointId)
    this.#checkWanted()
    const attempt = await this.#listener.confirm(this.#attempt)
    if (attempt === null) return
    this.#attempt = attempt
    memory.attempts = attempt
    this.#checkWanted()
    this.#progress('reading the latest checkpoint')
    const stored = await readStoredCheckpoints(store, plan, memory, lease.lastCheckpointId)
    this.#checkWanted()
    this.#restored = stored.restore
    logSkipped(stored, plan.jobName, this.#ports.log)
    memory.completedCheckpointId = stored.restore?.checkpointId ?? 0
    this.#progress(`asking for the partitions of source ${plan.definition.source.id}`)
    const splits = await this.#findSplits(stored.restore)
    this.#checkWanted()
    this.#splits = splits
    this.#progress('waiting for worker threads')
    const threads = await this.#threads.open(this.#settings.threadWaitMs)
    this.#checkWanted()
    await this.#deploy(lease, stored, threads)
  }

  async #deploy(lease: Lease, stored: StoredCheckpoints, threads: readonly number[]): Promise<void> {
    const { job, plan, memory } = this.spec
    const attempt = this.#attempt
    const placement = placeSubtasks(plan.parallelism, threads, job)
    const { scheduler } = this.#ports
    const deployment = new Deployment(this.#threads.hub, scheduler, this.#settings, { job, attempt }, placement)
    this.#deployment = deployment
    const { restore } = stored
    const from = restore === null ? 'afresh' : `from checkpoint ${restore.checkpointId}`
    this.#progress(`deploying to ${deployment.threads.length} threads, ${from}`)
    await deployment.deploy({
      plan: restore?.plan ?? plan,
      splits: distribute(this.#splits, plan.parallelism),
      restore: restore?.snapshots ?? null,
      tables: restore?.tables ?? [],
      chunkStore: this.#ports.chunkStore,
      chunkPrefix: chunkKeyPrefix(plan.jobName, lease.generation, attempt, lease.nonce),
      poison: memory.poison.condemned(plan.definition.poison?.afterFailures ?? Number.POSITIVE_INFINITY),
    })
    this.#checkWanted()
    const owner = { generation: lease.generation, nonce: `${lease.nonce}_${attempt}` }
    const outbox = new OutboxCoordinator({
      plan,
      memory,
      deployment,
      owner,
      ports: this.#ports,
      settings: this.#settings,
    })
    this.#outbox = outbox
    this.#progress('asking sinks what they have, and giving them what they are owed')
    await outbox.start(stored)
    this.#checkWanted()
    this.#checkpoints = new CheckpointCoordinator({
      ports: this.#ports,
      plan,
      attempt,
      memory,
      lease: this.#lease,
      deployment,
      outbox,
      stored,
      pauseMs: this.#settings.checkpointPauseMs,
      onEnded: (record) => this.#listener.onCheckpoint(record),
      onPositions: (positions) => {
        memory.poison.passed(positions)
        publishPositions(this.#enumerator, plan, positions, this.#ports.log)
      },
      onFailed: (error) => this.#fail(error.toData(), '', 0),
    })
    this.#checkpoints.cleanUp()
    this.#steering = new SourceSteering({
      plan,
      ports: this.#ports,
      deployment,
      enumerator: this.#enumerator,
      known: this.#splits,
      onFailed: (error, source) => this.#fail(error, source, 0),
    })
    deployment.broadcast({ type: 'run' })
    this.#running = true
    this.#listener.onStarted()
  }

  async #findSplits(restored: RestorePoint | null): Promise<readonly SplitStart[]> {
    const { plan, memory } = this.spec
    const enumerator = await this.#ports.openEnumerator(plan.definition.source)
    if (this.#over) {
      await enumerator.close()
      this.#checkWanted()
    }
    this.#enumerator = enumerator
    return startSplits(enumerator, plan, restored, {
      known: memory.firstSplits,
      store: async (splits) => {
        this.#checkWanted()
        await this.#listener.storeFirstSplits(splits)
        memory.firstSplits = splits
      },
    })
  }

  #fail(error: ErrorData, operator: string, subtask: number): void {
    if (!this.#over) this.#listener.onFailed(error, operator, subtask)
  }

  #progress(reason: string, heldBy = ''): void {
    if (!this.#over) this.#listener.onProgress(reason, heldBy)
  }

  #checkWanted(): void {
    if (this.#over) throw new MillraceError('CANCELLED', 'the attempt is not wanted any more')
  }
}
