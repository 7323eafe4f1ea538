/**
 * Worker threads in memory, under virtual time: well-behaved unless a test says otherwise.
 *
 * Each source subtask "reads" its splits a few records a turn; the window subtask of the same number counts them. Both
 * go into snapshots and come back from them, so that a run of failures can be checked:
 * what the windows counted is what the partitions hold.
 */
import { noPages, type SubtaskSnapshot } from '../../../src/checkpoint/snapshot.ts'
import type { ChunkWriter } from '../../../src/checkpoint/store.ts'
import type { WorkerSet } from '../../../src/coordinator/worker-set.ts'
import { nextBelow, SeededRandom } from '../../../src/core/clock.ts'
import { type ErrorCode, type ErrorData, MillraceError, type RecordOrigin } from '../../../src/core/errors.ts'
import type {
  AttemptRef,
  DeployMessage,
  FromWorker,
  SplitStart,
  ToWorker,
  WorkerPort,
} from '../../../src/runtime/messages.ts'
import type { ManualScheduler } from '../../../src/testing/manual-clock.ts'
import { FakeMailbox } from './fake-mailbox.ts'
import { FakePages } from './fake-pages.ts'
import type { Script } from './fake-script.ts'
import { sourceStats } from './fake-stats.ts'

interface HostedSubtask {
  readonly subtask: number
  readonly splits: { -readonly [K in keyof SplitStart]: SplitStart[K] }[]
  readonly pages: FakePages
  counted: number
  finished: boolean
}

interface HostedAttempt {
  readonly deploy: DeployMessage
  readonly subtasks: HostedSubtask[]
  running: boolean
  /** Its sources read no further. */
  drained: boolean
}

/** Records that a source subtask reads in one turn of 10 ms. */
const RECORDS_A_TURN = 7

/** One life of one thread. */
export class FakeThread implements WorkerPort {
  readonly thread: number
  readonly script: Script = {
    silent: false,
    neverDisposes: false,
    neverDeploys: false,
    dropAcks: false,
    decline: undefined,
    failDeploy: undefined,
  }
  /** All that was sent here, in order. */
  readonly received: ToWorker[] = []
  readonly hosted = new Map<string, HostedAttempt>()
  /** Attempts that were hosted here at the same time as another of the same job: must stay empty. */
  readonly overlaps: string[] = []
  terminated = false
  readonly #workers: FakeWorkers
  #listener: (message: FromWorker) => void = () => {}
  #exit: (error: ErrorData) => void = () => {}
  #dead = false
  readonly #mail: FakeMailbox
  /** Messages keep their order per direction, whatever the scheduler draws. */
  #inDueMs = 0
  #outDueMs = 0

  constructor(workers: FakeWorkers, thread: number) {
    this.#workers = workers
    this.thread = thread
    const blocked = () => this.script.silent
    this.#mail = new FakeMailbox(workers.scheduler, blocked, (message) => this.#take(message))
  }

  send(message: ToWorker): void {
    // As over a port: what is sent is a copy.
    const copy = structuredClone(message)
    this.#inDueMs = this.#workers.later(this.#inDueMs, () => {
      if (!this.#dead) this.#mail.arrived(copy)
    })
  }

  onMessage(listener: (message: FromWorker) => void): void {
    this.#listener = listener
  }

  onExit(listener: (error: ErrorData) => void): void {
    this.#exit = listener
  }

  async terminate(): Promise<void> {
    this.terminated = true
    this.die('it was terminated')
  }

  /** Ends the thread, as a crash does, and has it replaced. */
  die(why: string): void {
    if (this.#dead) return
    this.#dead = true
    this.hosted.clear()
    this.#mail.burn()
    const error = new MillraceError('WORKER_LOST', `worker thread ${this.thread} ended: ${why}`).toData()
    this.#workers.scheduler.after(1, () => {
      this.#exit(error)
      this.#workers.replace(this.thread)
    })
  }

  /** Says something to the coordinator. */
  say(message: FromWorker): void {
    const copy = structuredClone(message)
    this.#outDueMs = this.#workers.later(this.#outDueMs, () => {
      if (!this.#dead) this.#listener(copy)
    })
  }

  /** Makes a subtask of the newest attempt fail. */
  fail(code: ErrorCode, operator = 'window', record?: RecordOrigin): void {
    const attempt = [...this.hosted.values()].at(-1)
    if (attempt === undefined) return
    const error = new MillraceError(code, `${code} asked for by the test`, { record }).toData()
    this.say({ type: 'failed', ...ref(attempt.deploy), thread: this.thread, operator, subtask: 0, error })
  }

  #take(message: ToWorker): void {
    this.received.push(message)
    if (message.type === 'stats') {
      const subtasks = [...this.hosted.values()].flatMap((attempt) =>
        attempt.subtasks.map((one) => sourceStats(attempt.deploy, one.subtask, one.counted, one.finished)),
      )
      this.say({ type: 'stats', thread: this.thread, request: message.request, subtasks })
      return
    }
    if (message.type === 'shutdown') return
    const key = `${message.job}/${message.attempt}`
    if (message.type === 'deploy') {
      this.#deploy(key, message)
      return
    }
    const attempt = this.hosted.get(key)
    if (message.type === 'dispose') {
      if (this.script.neverDisposes) return
      this.hosted.delete(key)
      this.say({ type: 'disposed', job: message.job, attempt: message.attempt, thread: this.thread })
      return
    }
    if (attempt === undefined) return
    switch (message.type) {
      case 'run':
        attempt.running = true
        this.#read(key, attempt)
        return
      case 'barrier':
        for (const subtask of attempt.subtasks) this.#barrier(attempt, subtask, message.checkpointId)
        return
      case 'drain':
        attempt.drained = true
        for (const subtask of attempt.subtasks) this.#finish(attempt, subtask)
        return
      case 'assign': {
        const subtask = attempt.subtasks.find((one) => one.subtask === message.subtask)
        subtask?.splits.push(...message.splits.map((split) => ({ ...split })))
        return
      }
      case 'checkpointComplete':
        for (const subtask of attempt.subtasks) subtask.pages.rewrite(message.rewrite)
        return
      case 'query':
        this.say({ type: 'queryResult', ...ref(message), thread: this.thread, request: message.request, rows: [] })
        return
      default:
        return
    }
  }

  #deploy(key: string, message: DeployMessage): void {
    for (const other of this.hosted.keys())
      if (other.startsWith(`${message.job}/`)) this.overlaps.push(`${other} ${key}`)
    if (this.script.neverDeploys) return
    const subtasks = message.placement.flatMap((thread, subtask): HostedSubtask[] => {
      if (thread !== this.thread) return []
      // Whatever the old parallelism was, subtask 0 takes all that was counted.
      const counted = subtask === 0 ? countedIn(message.restore) : 0
      const splits = message.splits[subtask]!.map((split) => ({ ...split }))
      const restored = message.restore?.find((one) => one.operatorId === 'window' && one.subtask === subtask)
      return [{ subtask, splits, pages: new FakePages(restored), counted, finished: false }]
    })
    this.hosted.set(key, { deploy: message, subtasks, running: false, drained: false })
    if (this.script.failDeploy === undefined) {
      this.say({ type: 'deployed', ...ref(message), thread: this.thread })
    } else {
      this.fail(this.script.failDeploy)
    }
  }

  #read(key: string, attempt: HostedAttempt): void {
    if (this.#dead || this.hosted.get(key) !== attempt) return
    for (const subtask of attempt.subtasks) {
      if (this.script.silent || attempt.drained) break
      for (const split of subtask.splits) {
        const end = Math.min(split.stopOffset, this.#workers.endOf(split.partition))
        const count = Math.max(0, Math.min(RECORDS_A_TURN, end - split.offset))
        split.offset += count
        subtask.counted += count
      }
      const done = subtask.splits.every((split) => split.offset >= split.stopOffset)
      if (done) this.#finish(attempt, subtask)
    }
    this.#workers.scheduler.after(10, () => this.#read(key, attempt))
  }

  #finish(attempt: HostedAttempt, subtask: HostedSubtask): void {
    if (subtask.finished) return
    subtask.finished = true
    this.say({ type: 'sourceFinished', ...ref(attempt.deploy), subtask: subtask.subtask })
  }

  #barrier(attempt: HostedAttempt, hosted: HostedSubtask, checkpointId: number): void {
    if (this.script.dropAcks) return
    const { plan, chunkPrefix } = attempt.deploy
    const { subtask, counted } = hosted
    const at = ref(attempt.deploy)
    const decline = (code: ErrorCode) => {
      const error = new MillraceError(code, 'declined by the test').toData()
      this.say({ type: 'decline', ...at, checkpointId, operator: 'window', subtask, error })
    }
    if (this.script.decline !== undefined) {
      decline(this.script.decline)
      return
    }
    const { parallelism } = plan
    const base = {
      subtask,
      parallelism,
      watermarkMs: 0,
      counters: {},
      splits: [],
      pages: noPages,
      outbox: [],
      written: [],
    }
    const splits = hosted.splits.map((split) => ({ ...split, state: split.state ?? '', maxTimestampMs: split.offset }))
    const source: SubtaskSnapshot = {
      ...base,
      operatorId: plan.definition.source.id,
      meta: new Uint8Array(0),
      splits,
      counters: { read: counted },
    }
    // Of the same instant as the source's: in this model records travel in no time.
    const meta = Buffer.from(JSON.stringify({ version: 3, tables: {}, counted }))
    const ack = (snapshot: SubtaskSnapshot) => {
      const delayMs = nextBelow(this.#workers.random, 5)
      this.#workers.scheduler.after(delayMs, () => this.say({ type: 'ack', ...at, checkpointId, snapshot }))
    }
    ack(source)
    hosted.pages.snapshot(this.#workers.store, chunkPrefix, subtask, this.#workers.random).then(
      (pages) => ack({ ...base, operatorId: 'window', meta, ...pages }),
      (error: unknown) => decline(MillraceError.from(error).code),
    )
  }
}

/** The threads of a simulated process. */
export class FakeWorkers implements WorkerSet {
  readonly size: number
  readonly scheduler: ManualScheduler
  readonly random: SeededRandom
  /** The live thread of each place. */
  readonly threads: FakeThread[] = []
  /** Every thread that ever lived. */
  readonly all: FakeThread[] = []
  /** Virtual ms before a dead thread's place is filled again. */
  replaceAfterMs = 50
  /** End offsets by partition. */
  readonly ends = new Map<number, number>()
  readonly store: ChunkWriter
  #join: (port: WorkerPort) => void = () => {}

  constructor(scheduler: ManualScheduler, store: ChunkWriter, size: number, seed: number) {
    this.store = store
    this.scheduler = scheduler
    this.size = size
    this.random = new SeededRandom(seed)
  }

  onJoin(listener: (port: WorkerPort) => void): void {
    this.#join = listener
    for (let thread = 0; thread < this.size; thread++) this.#add(thread)
  }

  /** Fills the place of a thread that died. */
  replace(thread: number): void {
    this.scheduler.after(this.replaceAfterMs, () => this.#add(thread))
  }

  /** End of a partition's log. */
  endOf(partition: number): number {
    return this.ends.get(partition) ?? 0
  }

  /** Runs `task` after a small random latency, and not before `dueMs`; returns when it is due. */
  later(dueMs: number, task: () => void): number {
    const nowMs = this.scheduler.clock.monotonicMs()
    // Strictly after what was sent before, so that order is kept.
    const atMs = Math.max(dueMs + 0.001, nowMs + nextBelow(this.random, 3))
    this.scheduler.after(atMs - nowMs, task)
    return atMs
  }

  /** What the windows of the newest attempt of a job have counted, over all threads. */
  counted(job: number): number {
    const attempts = this.threads.flatMap((thread) => [...thread.hosted.values()]).filter((a) => a.deploy.job === job)
    const newest = Math.max(...attempts.map((attempt) => attempt.deploy.attempt))
    return attempts
      .filter((attempt) => attempt.deploy.attempt === newest)
      .flatMap((attempt) => attempt.subtasks)
      .reduce((sum, subtask) => sum + subtask.counted, 0)
  }

  /** Attempts hosted anywhere. */
  hostedAttempts(): string[] {
    return [...new Set(this.threads.flatMap((thread) => [...thread.hosted.keys()]))].sort()
  }

  #add(thread: number): void {
    const fresh = new FakeThread(this, thread)
    this.threads[thread] = fresh
    this.all.push(fresh)
    this.#join(fresh)
  }
}

function countedIn(snapshots: readonly SubtaskSnapshot[] | null): number {
  const windows = (snapshots ?? []).filter((snapshot) => snapshot.operatorId === 'window')
  const counted = ({ meta }: SubtaskSnapshot) =>
    (JSON.parse(Buffer.from(meta).toString()) as { counted: number }).counted
  return windows.reduce((sum, snapshot) => sum + counted(snapshot), 0)
}

function ref(of: AttemptRef): AttemptRef {
  return { job: of.job, attempt: of.attempt }
}
