/** The restart that is scheduled for a job, if any: the strategy of restart.ts with its memory and its timer. */
import type { Cancel, Clock, Random, Scheduler } from '../core/clock.ts'
import type { ErrorData } from '../core/errors.ts'
import type { RestartDefinition } from '../job/restart-definition.ts'
import { decideRestart, noFailures, type RestartMemory, restartBegun, whyNoMore } from './restart.ts'

/** At most one restart is scheduled. */
export class RestartSchedule {
  #policy: RestartDefinition
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #random: Random
  #memory: RestartMemory = noFailures
  #cancel: Cancel = () => {}
  #due = false

  constructor(policy: RestartDefinition, clock: Clock, scheduler: Scheduler, random: Random) {
    this.#policy = policy
    this.#clock = clock
    this.#scheduler = scheduler
    this.#random = random
  }

  /** True from the end of the delay until the restart has begun or was called off. */
  get due(): boolean {
    return this.#due
  }

  /** Why the strategy would not restart after a failure now, for people; '' when it would. */
  whyNoMore(): string {
    return whyNoMore(this.#policy, this.#memory, this.#clock.monotonicMs())
  }

  /** Goes by another strategy from now on. */
  use(policy: RestartDefinition): void {
    this.#policy = policy
  }

  /** Schedules a restart after a failure and returns its delay in ms; `onDue` is called when it is over. */
  after(error: ErrorData, onDue: () => void): number {
    const decision = decideRestart(this.#policy, this.#memory, error, this.#clock.monotonicMs(), this.#random)
    this.#memory = decision.memory
    const delayMs = decision.kind === 'restart' ? decision.delayMs : 0
    this.#cancel = this.#scheduler.after(delayMs, () => {
      this.#due = true
      onDue()
    })
    return delayMs
  }

  /** The restart begins, or is called off. */
  clear(): void {
    this.#cancel()
    this.#due = false
    this.#memory = restartBegun(this.#memory)
  }

  /** Forgets all failures: somebody has looked at the job and wants it to run. */
  reset(): void {
    this.clear()
    this.#memory = noFailures
  }
}
