/**
 * Names to be worked on, each by one worker at a time, again after a failure, and not more often than it has to be.
 *
 * Owns: that a name that is added while it is worked on is worked on once more, and how long a failure waits. Does not own:
 * what working is. A failure is not an answer: `work` says when it wants to be called again.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'

/** How a piece of work ended: done until something happens, or to be done again after a while. */
export interface WorkResult {
  /** Null: when it is added again. */
  readonly againAfterMs: number | null
}

/** Longest a failure waits, ms. */
const RETRY_MAX_MS = 60_000

/** A queue of names. */
export class WorkQueue {
  readonly #scheduler: Scheduler
  readonly #work: (name: string) => Promise<WorkResult>
  /** Name to whether it has been added again since its work began. */
  readonly #busy = new Map<string, boolean>()
  readonly #waiting = new Map<string, Cancel>()
  readonly #failures = new Map<string, number>()
  readonly #retryMs: number
  #closed = false
  #idle: () => void = () => {}

  /** `work` may reject: it is then called again, after a time that grows from `retryMs` with each rejection in a row. */
  constructor(scheduler: Scheduler, work: (name: string) => Promise<WorkResult>, retryMs: number) {
    this.#scheduler = scheduler
    this.#work = work
    this.#retryMs = retryMs
  }

  /** Has a name worked on, now or as soon as the work on it that is under way has ended. */
  add(name: string): void {
    if (this.#closed) return
    if (this.#busy.has(name)) {
      this.#busy.set(name, true)
      return
    }
    this.#waiting.get(name)?.()
    this.#waiting.delete(name)
    this.#busy.set(name, false)
    void this.#run(name)
  }

  /** Takes no more; resolves once nothing is worked on. */
  async close(): Promise<void> {
    this.#closed = true
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
    if (this.#busy.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
  }

  async #run(name: string): Promise<void> {
    let againAfterMs: number | null
    try {
      againAfterMs = (await this.#work(name)).againAfterMs
      this.#failures.delete(name)
    } catch {
      const failures = this.#failures.get(name) ?? 0
      this.#failures.set(name, failures + 1)
      againAfterMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2 ** Math.min(failures, 20))
    }
    const added = this.#busy.get(name) === true
    this.#busy.delete(name)
    if (this.#busy.size === 0 && this.#closed) this.#idle()
    if (this.#closed) return
    if (added) this.add(name)
    else if (againAfterMs !== null)
      this.#waiting.set(
        name,
        this.#scheduler.after(againAfterMs, () => this.add(name)),
      )
  }
}
