import type { ToWorker } from '../../../src/runtime/messages.ts'
import type { ManualScheduler } from '../../../src/testing/manual-clock.ts'

/** What was sent to a thread and is not read yet: a port loses nothing, a blocked thread reads it when it goes on. */
export class FakeMailbox {
  readonly #scheduler: ManualScheduler
  readonly #blocked: () => boolean
  readonly #take: (message: ToWorker) => void
  readonly #unread: ToWorker[] = []

  constructor(scheduler: ManualScheduler, blocked: () => boolean, take: (message: ToWorker) => void) {
    this.#scheduler = scheduler
    this.#blocked = blocked
    this.#take = take
  }

  /** A message has arrived: it is read now, or after all before it. */
  arrived(message: ToWorker): void {
    this.#unread.push(message)
    if (this.#unread.length === 1) this.#read()
  }

  /** The thread is dead: nothing is read any more. */
  burn(): void {
    this.#unread.length = 0
  }

  #read(): void {
    while (this.#unread.length > 0) {
      if (this.#blocked()) {
        this.#scheduler.after(1, () => this.#read())
        return
      }
      const message = this.#unread[0]!
      this.#take(message)
      this.#unread.shift()
    }
  }
}
