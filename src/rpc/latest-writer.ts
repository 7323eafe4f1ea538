/**
 * Latest-value conflation for one subscriber of a stream.
 *
 * Owns: what waits for a reader that is slower than the changes: the newest value of each key, nothing else. While the
 * stream's buffer has room a value goes out at once; when `write` says it has none, values wait under their keys, and
 * a newer one replaces an older, until `drain`. So a slow reader costs one value a key, however long it sleeps.
 */
import { MillraceError } from '../core/errors.ts'

/** The part of a writable stream that is used. */
export interface DrainingStream<M> {
  write(message: M): boolean
  once(event: 'drain', listener: () => void): unknown
}

/** Writes values to one stream, at most one waiting per key. */
export class LatestWriter<V, M> {
  readonly #stream: DrainingStream<M>
  readonly #keyOf: (value: V) => string
  readonly #messageOf: (values: readonly V[]) => M
  readonly #batchMax: number
  readonly #keysMax: number
  readonly #waiting = new Map<string, V>()
  #blocked = false
  #closed = false
  #onEmpty: (() => void) | null = null
  #notice: M | null = null
  /** Values that were replaced before the reader took them. */
  conflated = 0

  constructor(
    stream: DrainingStream<M>,
    options: {
      readonly keyOf: (value: V) => string
      readonly messageOf: (values: readonly V[]) => M
      /** Most values in one message. */
      readonly batchMax: number
      /** Most keys that may wait. */
      readonly keysMax: number
    },
  ) {
    this.#stream = stream
    this.#keyOf = options.keyOf
    this.#messageOf = options.messageOf
    this.#batchMax = options.batchMax
    this.#keysMax = options.keysMax
  }

  /** Values that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Writes a message that is no value, in order with those that were taken. Only before any value waits. */
  send(message: M): void {
    if (!this.#closed && !this.#stream.write(message)) this.#block()
  }

  /** Writes a message that is no value behind those that wait; of several that wait, the newest. */
  notify(message: M): void {
    this.#notice = message
    this.#flush()
  }

  /** Takes values. QUERY_TOO_LARGE when more keys wait than one subscriber may hold. */
  offer(values: readonly V[]): void {
    if (this.#closed) return
    for (const value of values) {
      const key = this.#keyOf(value)
      // Deleted first, so that what changed last is sent last.
      if (this.#waiting.delete(key)) this.conflated++
      this.#waiting.set(key, value)
    }
    if (this.#waiting.size > this.#keysMax) {
      this.close()
      throw new MillraceError(
        'QUERY_TOO_LARGE',
        `the reader is too slow: more than ${this.#keysMax} changed values wait for it. Narrow the watch, or read faster.`,
      )
    }
    this.#flush()
  }

  /** Calls `then` once everything that waits is written. */
  finish(then: () => void): void {
    this.#onEmpty = then
    this.#flush()
  }

  /** Forgets what waits; nothing is written any more. */
  close(): void {
    this.#closed = true
    this.#waiting.clear()
    this.#notice = null
  }

  #flush(): void {
    while (!this.#blocked && !this.#closed && this.#waiting.size > 0) {
      const batch: V[] = []
      for (const [key, value] of this.#waiting) {
        batch.push(value)
        this.#waiting.delete(key)
        if (batch.length === this.#batchMax) break
      }
      if (!this.#stream.write(this.#messageOf(batch))) this.#block()
    }
    if (!this.#blocked && !this.#closed && this.#notice !== null) {
      const notice = this.#notice
      this.#notice = null
      if (!this.#stream.write(notice)) this.#block()
    }
    if (this.#waiting.size === 0 && this.#notice === null && !this.#closed && this.#onEmpty !== null) {
      const then = this.#onEmpty
      this.#onEmpty = null
      then()
    }
  }

  #block(): void {
    this.#blocked = true
    this.#stream.once('drain', () => {
      this.#blocked = false
      this.#flush()
    })
  }
}
