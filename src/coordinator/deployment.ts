/**
 * One attempt on its threads: deploy, run, dispose, and the messages in between.
 *
 * Owns: which threads host the attempt and how far each of them is. Does not own: what is deployed, or what an error
 * means. `deploy` ends when every thread has answered; `run` begins only after that, so that no subtask sends to one
 * that is not there yet. `dispose` ends when every thread has answered or is gone, however far each had come.
 */
import type { Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { AttemptRef, DeployMessage, ToWorker } from '../runtime/messages.ts'
import type { ThreadHub } from './thread-hub.ts'

/** A message of the protocol to an attempt, without the attempt. */
export type ToAttempt = ToWorker extends infer Message
  ? Message extends AttemptRef
    ? Omit<Message, keyof AttemptRef>
    : never
  : never

/** How long a thread may take to answer; beyond it is fenced, since nothing else can free what it holds. */
export interface DeploymentDeadlines {
  readonly deployMs: number
  readonly disposeMs: number
}

/** An attempt on its threads. */
export class Deployment {
  readonly ref: AttemptRef
  /** Thread of each subtask. */
  readonly placement: readonly number[]
  /** Threads that host subtasks, ascending. */
  readonly threads: readonly number[]
  readonly #hub: ThreadHub
  readonly #scheduler: Scheduler
  readonly #deadlines: DeploymentDeadlines
  readonly #deploying = new Set<number>()
  /** Threads that must say `disposed` before the attempt is over. */
  readonly #hosting = new Set<number>()
  readonly #releases = new Map<number, () => void>()
  readonly #deployed = Promise.withResolvers<void>()
  #disposed: PromiseWithResolvers<void> | undefined

  constructor(
    hub: ThreadHub,
    scheduler: Scheduler,
    deadlines: DeploymentDeadlines,
    ref: AttemptRef,
    placement: readonly number[],
  ) {
    this.#hub = hub
    this.#scheduler = scheduler
    this.#deadlines = deadlines
    this.ref = ref
    this.placement = placement
    this.threads = [...new Set(placement)].sort((a, b) => a - b)
    // An attempt may be disposed while nobody awaits its deployment any more.
    this.#deployed.promise.catch(() => {})
  }

  /** Deploys on all threads. Rejects when the attempt is disposed first, and WORKER_SILENT past the deadline. */
  async deploy(message: Omit<DeployMessage, keyof AttemptRef | 'type' | 'placement'>): Promise<void> {
    const ready = new Set(this.#hub.ready())
    for (const thread of this.threads) {
      if (!ready.has(thread))
        throw new MillraceError('WORKER_LOST', `worker thread ${thread} ended before the deployment`)
    }
    for (const thread of this.threads) {
      this.#deploying.add(thread)
      this.#hosting.add(thread)
      this.#releases.set(thread, this.#hub.holdDeadline(thread))
      this.#hub.send(thread, { type: 'deploy', ...this.ref, placement: this.placement, ...message })
    }
    const { deployMs } = this.#deadlines
    const cancel = this.#scheduler.after(deployMs, () => {
      const late = [...this.#deploying].join(', ')
      const text = `worker thread ${late} has not deployed job ${message.plan.jobName} within ${deployMs} ms`
      this.#deployed.reject(new MillraceError('WORKER_SILENT', text))
    })
    try {
      await this.#deployed.promise
    } finally {
      cancel()
    }
  }

  /** Sends to every thread of the attempt. */
  broadcast(message: ToAttempt): void {
    for (const thread of this.threads) this.#send(thread, message)
  }

  /** Sends to the thread of one subtask. */
  sendTo(subtask: number, message: ToAttempt): void {
    this.#send(this.placement[subtask]!, message)
  }

  /** Gives the attempt up. Resolves when no thread holds anything of it. Idempotent. */
  dispose(): Promise<void> {
    if (this.#disposed !== undefined) return this.#disposed.promise
    this.#disposed = Promise.withResolvers<void>()
    this.#deployed.reject(new MillraceError('CANCELLED', 'the attempt is disposed'))
    for (const thread of this.#hosting) this.#send(thread, { type: 'dispose' })
    const { disposeMs } = this.#deadlines
    const cancel = this.#scheduler.after(disposeMs, () => {
      for (const thread of [...this.#hosting]) {
        this.#hub.fence(thread, `it has not disposed of attempt ${this.ref.attempt} within ${disposeMs} ms`)
      }
    })
    this.#settle()
    return this.#disposed.promise.finally(cancel)
  }

  /** A thread has said `deployed`. */
  onDeployed(thread: number): void {
    this.#release(thread)
    if (this.#deploying.delete(thread) && this.#deploying.size === 0) this.#deployed.resolve()
  }

  /** A thread has said `disposed`. */
  onDisposed(thread: number): void {
    this.#gone(thread)
  }

  /** A thread is lost. Says whether it hosted anything of the attempt. */
  onThreadLost(thread: number): boolean {
    const hosted = this.#hosting.has(thread)
    this.#gone(thread)
    return hosted
  }

  #gone(thread: number): void {
    this.#release(thread)
    this.#hosting.delete(thread)
    this.#settle()
  }

  #settle(): void {
    if (this.#hosting.size === 0) this.#disposed?.resolve()
  }

  #release(thread: number): void {
    this.#releases.get(thread)?.()
    this.#releases.delete(thread)
  }

  #send(thread: number, message: ToAttempt): void {
    this.#hub.send(thread, { ...message, ...this.ref } as ToWorker)
  }
}
