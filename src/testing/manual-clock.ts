/**
 * Virtual time: a clock that stands still and a scheduler that a test drives by hand.
 *
 * Owns: the order in which due tasks run. Among tasks that are due at the same virtual time the order is drawn from a
 * seed, so that every legal interleaving can be reached and any of them replayed. Time moves only when nothing is due.
 *
 * Does not own: promises. Between two tasks `runUntil` and `runFor` let every pending promise callback run (one turn of
 * the real event loop), so code that awaits in-memory ports is part of the same deterministic run. Code that waits for
 * real I/O is not: virtual time would overtake it.
 */
import { type Cancel, type Clock, nextBelow, type Random, type Scheduler, SeededRandom } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { systemScheduler } from '../core/system.ts'

/** A clock that moves only when told. Wall clock and monotonic clock advance together; the wall clock may also jump. */
export class ManualClock implements Clock {
  #wallMs: number
  #monotonicMs = 0

  /** Starts at `startMs` wall clock (epoch ms) and monotonic 0. */
  constructor(startMs = 1_700_000_000_000) {
    this.#wallMs = startMs
  }

  nowMs(): number {
    return this.#wallMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  /** Lets `ms` (not negative) pass. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new MillraceError('INTERNAL', `a clock cannot advance by ${ms} ms`)
    this.#wallMs += ms
    this.#monotonicMs += ms
  }

  /** Steps the wall clock alone, in either direction, as an operator or NTP would. */
  jumpWall(ms: number): void {
    this.#wallMs += ms
  }
}

interface Task {
  readonly dueMs: number
  readonly run: () => void
  cancelled: boolean
}

/** Bounds of a run, so that a test that waits for what never comes fails with a message instead of hanging. */
export interface RunLimits {
  /** Most virtual milliseconds that may pass; one hour by default. */
  readonly virtualMs?: number
  /** Most tasks that may run; a million by default. */
  readonly tasks?: number
}

/**
 * A scheduler over a ManualClock. `after` and `soon` keep their promise (not before the delay, never inside the call
 * that asked); everything else about order is drawn from the seed.
 */
export class ManualScheduler implements Scheduler {
  readonly clock: ManualClock
  /** The seed of the order, to print when a run fails. */
  readonly seed: number
  readonly #random: Random
  /** Not sorted: a run has tens of tasks, and a scan lets the choice among due ones be fair. */
  readonly #tasks: Task[] = []
  #ran = 0

  constructor(clock: ManualClock, seed = 1) {
    this.clock = clock
    this.seed = seed
    this.#random = new SeededRandom(seed)
  }

  after(delayMs: number, task: () => void): Cancel {
    const entry: Task = { dueMs: this.clock.monotonicMs() + Math.max(0, delayMs), run: task, cancelled: false }
    this.#tasks.push(entry)
    return () => {
      if (entry.cancelled) return
      entry.cancelled = true
      const at = this.#tasks.indexOf(entry)
      if (at >= 0) this.#tasks.splice(at, 1)
    }
  }

  soon(task: () => void): Cancel {
    return this.after(0, task)
  }

  /** Tasks that wait, due or not. */
  get pending(): number {
    return this.#tasks.length
  }

  /** Tasks run so far. */
  get ran(): number {
    return this.#ran
  }

  /** Runs one task that is due now, if any; time does not move. Says whether one ran. Synchronous. */
  step(): boolean {
    const nowMs = this.clock.monotonicMs()
    let due = 0
    let chosen = -1
    for (let i = 0; i < this.#tasks.length; i++) {
      if (this.#tasks[i]!.dueMs > nowMs) continue
      due++
      // Reservoir sampling: each due task is equally likely, in one pass.
      if (nextBelow(this.#random, due) === 0) chosen = i
    }
    if (chosen < 0) return false
    const task = this.#tasks.splice(chosen, 1)[0]!
    task.cancelled = true
    this.#ran++
    task.run()
    return true
  }

  /** Moves time to the next task's due time, at most to `limitMs` (monotonic). Says whether a task became due. */
  advanceToNext(limitMs = Number.POSITIVE_INFINITY): boolean {
    let nextMs = Number.POSITIVE_INFINITY
    for (const task of this.#tasks) nextMs = Math.min(nextMs, task.dueMs)
    const nowMs = this.clock.monotonicMs()
    if (nextMs <= nowMs) return true
    const toMs = Math.min(nextMs, limitMs)
    if (toMs !== Number.POSITIVE_INFINITY && toMs > nowMs) this.clock.advance(toMs - nowMs)
    return nextMs <= limitMs && nextMs !== Number.POSITIVE_INFINITY
  }

  /** Lets every promise callback run that can run without time passing. */
  async settle(): Promise<void> {
    // A turn of the real event loop begins only when no microtask is left, however many await each other.
    await new Promise<void>((resolve) => {
      systemScheduler.soon(resolve)
    })
  }

  /**
   * Runs tasks, promises and time until `condition` holds. Throws INTERNAL naming seed and virtual time when a limit is
   * reached first or when nothing is left that could make it true.
   */
  async runUntil(condition: () => boolean, what = 'the condition', limits: RunLimits = {}): Promise<void> {
    const endMs = this.clock.monotonicMs() + (limits.virtualMs ?? 3_600_000)
    const endTasks = this.#ran + (limits.tasks ?? 1_000_000)
    for (;;) {
      await this.settle()
      if (condition()) return
      if (this.step()) {
        if (this.#ran > endTasks) throw this.#gaveUp(what, `${limits.tasks ?? 1_000_000} tasks ran`)
        continue
      }
      if (!this.advanceToNext(endMs)) {
        await this.settle()
        if (condition()) return
        if (this.#tasks.length > 0) throw this.#gaveUp(what, `${limits.virtualMs ?? 3_600_000} virtual ms passed`)
        throw this.#gaveUp(what, 'nothing is scheduled any more')
      }
    }
  }

  /** Runs everything that happens in the next `ms` of virtual time. */
  async runFor(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms
    for (;;) {
      await this.settle()
      if (this.step()) continue
      if (this.clock.monotonicMs() >= endMs) return
      this.advanceToNext(endMs)
    }
  }

  #gaveUp(what: string, why: string): MillraceError {
    const atMs = this.clock.monotonicMs()
    return new MillraceError('INTERNAL', `waited for ${what}: ${why} (seed ${this.seed}, virtual time ${atMs} ms)`)
  }
}
