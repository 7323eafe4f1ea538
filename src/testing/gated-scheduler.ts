/**
 * The scheduler of something that may be stopped: a process, or a thread of one.
 *
 * What is due while it is frozen runs when it is thawed, as after SIGSTOP; what is due after its end never does.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'

/** A scheduler behind a gate. */
export class GatedScheduler implements Scheduler {
  readonly #inner: Scheduler
  readonly #held: (() => void)[] = []
  #state: 'open' | 'frozen' | 'dead' = 'open'

  constructor(inner: Scheduler) {
    this.#inner = inner
  }

  get frozen(): boolean {
    return this.#state === 'frozen'
  }

  get dead(): boolean {
    return this.#state === 'dead'
  }

  after(delayMs: number, task: () => void): Cancel {
    let cancelled = false
    const run = (): void => {
      if (cancelled || this.#state === 'dead') return
      if (this.#state === 'frozen') this.#held.push(run)
      else task()
    }
    const cancel = this.#inner.after(delayMs, run)
    return () => {
      cancelled = true
      cancel()
    }
  }

  soon(task: () => void): Cancel {
    return this.after(0, task)
  }

  /** Nothing runs until `thaw`. */
  freeze(): void {
    if (this.#state === 'open') this.#state = 'frozen'
  }

  /** What has become due meanwhile runs soon. */
  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'open'
    for (const run of this.#held.splice(0)) this.#inner.soon(run)
  }

  /** Nothing ever runs again. */
  kill(): void {
    this.#state = 'dead'
    this.#held.length = 0
  }
}
