/** Promises that wait for numbered things: requests for checkpoints wait for the checkpoint that answers them. */
import type { MillraceError } from '../core/errors.ts'

interface Waiter<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: MillraceError) => void
}

/** Waiters by number. Each is settled once. */
export class Waiters<T> {
  readonly #waiters = new Map<number, Waiter<T>[]>()

  /** Waits for number `id`. */
  wait(id: number): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiters.set(id, [...(this.#waiters.get(id) ?? []), { resolve, reject }])
    return promise
  }

  /** Settles all that wait for `id`. */
  resolve(id: number, value: T): void {
    for (const waiter of this.#take(id)) waiter.resolve(value)
  }

  /** Numbers that are waited for. */
  get ids(): readonly number[] {
    return [...this.#waiters.keys()]
  }

  /** The same without success. */
  reject(id: number, error: MillraceError): void {
    for (const waiter of this.#take(id)) waiter.reject(error)
  }

  /** Settles everybody. */
  rejectAll(error: MillraceError): void {
    for (const id of [...this.#waiters.keys()]) this.reject(id, error)
  }

  #take(id: number): readonly Waiter<T>[] {
    const waiters = this.#waiters.get(id) ?? []
    this.#waiters.delete(id)
    return waiters
  }
}
