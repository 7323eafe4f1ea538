/** Work about one name is done one after the other; names never wait for each other. */

/** Queues by name. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `task` when all that was given for `name` before has ended, well or not. */
  take<T>(name: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(task)
    const settled = turn.then(
      () => {},
      () => {},
    )
    this.#last.set(name, settled)
    void settled.then(() => {
      if (this.#last.get(name) === settled) this.#last.delete(name)
    })
    return turn
  }
}
