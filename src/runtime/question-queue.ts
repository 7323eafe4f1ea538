/**
 * Questions about state, answered between turns of a worker's loop.
 *
 * Owns: when a question gets its turn. An answer may walk a whole table, and whoever only looks must not hold up what is
 * counted: while there is input, questions have at most a fifth of the thread's time. A thread with nothing else to do
 * answers at once.
 */
import type { Clock } from '../core/clock.ts'

/** Longest time for questions at a stretch, unless one of them takes longer. */
const STRETCH_MS = 1

/** Time for input after a stretch, in stretches. */
const PAUSE = 4

/** Questions in the order in which they came. */
export class QuestionQueue {
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #worked = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(answer: () => void): void {
    this.#waiting.push(answer)
  }

  /** There was input in a turn. One such turn is reason enough to pause: the next input may be on its way. */
  worked(): void {
    this.#worked = true
  }

  /** Whether a question waits that may be answered now. */
  get due(): boolean {
    if (this.#waiting.length === 0) return false
    return !this.#worked || this.#clock.monotonicMs() >= this.#notBeforeMs
  }

  /** Answers some of those that are due. */
  serve(): void {
    if (!this.due) return
    const startMs = this.#clock.monotonicMs()
    let nowMs = startMs
    while (this.#waiting.length > 0 && nowMs - startMs < STRETCH_MS) {
      this.#waiting.shift()!()
      nowMs = this.#clock.monotonicMs()
    }
    this.#worked = false
    this.#notBeforeMs = nowMs + (nowMs - startMs) * PAUSE
  }
}
