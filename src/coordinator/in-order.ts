/** Handles what comes one at a time, to its end: what is pushed while one is handled waits for it. */
export class InOrder<T> {
  readonly #handle: (item: T) => void
  readonly #waiting: T[] = []
  #busy = false

  constructor(handle: (item: T) => void) {
    this.#handle = handle
  }

  /** Handles an item now, or after those before it. */
  push(item: T): void {
    this.#waiting.push(item)
    if (this.#busy) return
    this.#busy = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#handle(next)
    } finally {
      this.#busy = false
    }
  }
}
