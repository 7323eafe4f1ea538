/** Work on the store that follows an attempt: in order, and never in the way of what comes next for good. */
import { MillraceError } from '../core/errors.ts'
import type { CoordinatorLog } from './log.ts'

/** Does one thing after the other; what fails is said. */
export class StoreWork {
  readonly #job: string
  readonly #log: CoordinatorLog
  #last: Promise<void> = Promise.resolve()

  constructor(job: string, log: CoordinatorLog) {
    this.#job = job
    this.#log = log
  }

  /** Resolves when all that was begun is done. */
  get done(): Promise<void> {
    return this.#last
  }

  /** Does it when what was begun before is done. */
  begin(work: () => Promise<void>): void {
    this.#last = this.#last.then(work).catch((thrown: unknown) => {
      this.#log('warn', `job ${this.#job}: ${MillraceError.from(thrown).message}`, { job: this.#job })
    })
  }
}
