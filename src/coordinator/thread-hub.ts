/**
 * The threads as all jobs share them: routes messages to jobs, and watches that each thread lives.
 *
 * Owns: one listener on every WorkerPort, the poll for statistics that is also the heartbeat, and the fencing of a
 * thread that has gone silent. Does not own: starting and replacing threads (worker-pool.ts), or what becomes of jobs
 * that lose one (job-coordinator.ts).
 *
 * Invariants:
 * H1. A message is delivered only while its thread is in `ready()`: nothing of a lost thread counts any more.
 * H2. Each loss of a thread is told once to every attached job, after the thread has left `ready()`.
 * H3. Silence is measured in time during which this thread itself ran: when the poll comes late (a suspended machine, a
 *     long pause), the lateness is not held against anybody.
 */
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { AttemptRef, FromWorker, SubtaskStats, ToWorker, WorkerPort } from '../runtime/messages.ts'
import type { CoordinatorLog } from './log.ts'
import type { WorkerSet } from './worker-set.ts'

/** A message from a thread that belongs to an attempt of a job. */
export type JobMessage = Extract<FromWorker, AttemptRef>

/** What a job hears of the threads. */
export interface ThreadListener {
  onMessage(thread: number, message: JobMessage): void
  onThreadLost(thread: number, error: ErrorData): void
}

/** What a hub is made of. */
export interface ThreadHubOptions {
  readonly workers: WorkerSet
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly log: CoordinatorLog
  /** How often statistics are asked for; 1 s by default. */
  readonly pollMs?: number
  /** Silence after which a thread is taken for lost; 30 s by default. */
  readonly silentMs?: number
  /** The same while the thread deploys (`holdDeadline`): reading state may take long; 5 min by default. */
  readonly silentDeployingMs?: number
}

interface Thread {
  readonly port: WorkerPort
  heardMs: number
  /** The request that waits for its answer; 0 for none. */
  asked: number
  /** Deployments under way. */
  holds: number
}

/** The threads, shared by all jobs of the process. */
export class ThreadHub {
  readonly size: number
  readonly #options: ThreadHubOptions
  readonly #threads = new Map<number, Thread>()
  readonly #jobs = new Map<number, ThreadListener>()
  /** Called when all places have a thread. */
  readonly #waiting = new Set<() => void>()
  readonly #pollMs: number
  #onStats: (thread: number, subtasks: readonly SubtaskStats[]) => void = () => {}
  #request = 0
  #expectedPollMs: number
  #cancelPoll: Cancel
  #closed = false

  constructor(options: ThreadHubOptions) {
    this.#options = options
    this.size = options.workers.size
    this.#pollMs = options.pollMs ?? 1000
    this.#expectedPollMs = options.clock.monotonicMs() + this.#pollMs
    this.#cancelPoll = options.scheduler.after(this.#pollMs, () => this.#poll())
    options.workers.onJoin((port) => this.#joined(port))
  }

  /** Threads that can be deployed to now, ascending. */
  ready(): readonly number[] {
    return [...this.#threads.keys()].sort((a, b) => a - b)
  }

  /** The ready threads, once all places have one or `waitMs` has passed. */
  async whenReady(waitMs: number): Promise<readonly number[]> {
    if (this.#threads.size < this.size) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const cancel = this.#options.scheduler.after(waitMs, resolve)
      this.#waiting.add(resolve)
      await promise
      this.#waiting.delete(resolve)
      cancel()
    }
    return this.ready()
  }

  /** Sends to a thread; a thread that is not there gets nothing, and its loss has been told. */
  send(thread: number, message: ToWorker): void {
    this.#threads.get(thread)?.port.send(message)
  }

  /** Delivers everything about job number `job` to `listener` until the returned function is called. */
  attach(job: number, listener: ThreadListener): () => void {
    this.#jobs.set(job, listener)
    return () => {
      if (this.#jobs.get(job) === listener) this.#jobs.delete(job)
    }
  }

  /** One listener for the answers to the poll. */
  onStats(listener: (thread: number, subtasks: readonly SubtaskStats[]) => void): void {
    this.#onStats = listener
  }

  /** Passes statistics of threads that are not this hub's on to the same listener. */
  relayStats(thread: number, subtasks: readonly SubtaskStats[]): void {
    this.#onStats(thread, subtasks)
  }

  /** Gives `thread` the longer deadline until the returned function is called. */
  holdDeadline(thread: number): () => void {
    const held = this.#threads.get(thread)
    if (held === undefined) return () => {}
    held.holds++
    let released = false
    return () => {
      if (released) return
      released = true
      held.holds--
      // What it did not say meanwhile is forgiven.
      held.heardMs = this.#options.clock.monotonicMs()
    }
  }

  /** Takes a thread for lost, ends it by force, and has it replaced. For one that cannot be worked with any more. */
  fence(thread: number, why: string): void {
    const fenced = this.#threads.get(thread)
    if (fenced !== undefined) this.#fence(fenced, why)
  }

  /** Stops polling; threads are left as they are. */
  close(): void {
    this.#closed = true
    this.#cancelPoll()
  }

  #joined(port: WorkerPort): void {
    if (this.#closed) return
    const thread: Thread = { port, heardMs: this.#options.clock.monotonicMs(), asked: 0, holds: 0 }
    this.#threads.set(port.thread, thread)
    port.onMessage((message) => this.#received(thread, message))
    port.onExit((error) => this.#lost(thread, error))
    if (this.#threads.size === this.size) for (const resolve of this.#waiting) resolve()
  }

  #received(thread: Thread, message: FromWorker): void {
    if (this.#threads.get(thread.port.thread) !== thread) return
    thread.heardMs = this.#options.clock.monotonicMs()
    switch (message.type) {
      case 'ready':
        return
      case 'stats':
        if (message.request !== thread.asked) return
        thread.asked = 0
        this.#onStats(thread.port.thread, message.subtasks)
        return
      case 'log':
        this.#options.log(message.level, message.message, { thread: thread.port.thread, ...message.fields })
        return
      default:
        this.#jobs.get(message.job)?.onMessage(thread.port.thread, message)
    }
  }

  #lost(thread: Thread, error: ErrorData): void {
    if (this.#threads.get(thread.port.thread) !== thread) return
    this.#threads.delete(thread.port.thread)
    for (const listener of [...this.#jobs.values()]) listener.onThreadLost(thread.port.thread, error)
  }

  #poll(): void {
    if (this.#closed) return
    const nowMs = this.#options.clock.monotonicMs()
    const lateMs = Math.max(0, nowMs - this.#expectedPollMs)
    const silentMs = this.#options.silentMs ?? 30_000
    const silentDeployingMs = this.#options.silentDeployingMs ?? 300_000
    for (const thread of [...this.#threads.values()]) {
      // Half a poll of jitter is normal; more means that this thread did not run.
      if (lateMs > this.#pollMs / 2) thread.heardMs += lateMs
      const limitMs = thread.holds > 0 ? silentDeployingMs : silentMs
      const silenceMs = nowMs - thread.heardMs
      if (silenceMs > limitMs) {
        this.#fence(thread, `it has not answered for ${Math.round(silenceMs)} ms`)
      } else if (thread.asked === 0) {
        thread.asked = ++this.#request
        thread.port.send({ type: 'stats', request: thread.asked })
      }
    }
    this.#expectedPollMs = this.#options.clock.monotonicMs() + this.#pollMs
    this.#cancelPoll = this.#options.scheduler.after(this.#pollMs, () => this.#poll())
  }

  #fence(thread: Thread, why: string): void {
    const message = `worker thread ${thread.port.thread} is terminated and replaced: ${why}`
    const error = new MillraceError('WORKER_SILENT', message).toData()
    this.#options.log('error', message, { thread: thread.port.thread })
    this.#lost(thread, error)
    thread.port.terminate().catch((thrown: unknown) => {
      this.#options.log('error', `worker thread ${thread.port.thread} could not be terminated`, {
        thread: thread.port.thread,
        error: MillraceError.from(thrown).message,
      })
    })
  }
}
