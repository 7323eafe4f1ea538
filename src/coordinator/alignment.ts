/**
 * Watermark alignment: keeps fast partitions from running ahead of slow ones by more than a bound.
 *
 * Owns: the limit, min of the watermarks that source subtasks report, plus the drift. Idle subtasks do not hold others
 * back. As long as a subtask that is not idle has said nothing there is no limit: who waits for the first event of a
 * partition would wait for ever. The limit is sent when it changed, at most every `intervalMs`.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'

/** What a group of subtasks has reported. Pure; one per attempt. */
export class WatermarkGroup {
  readonly #watermarks: Float64Array
  readonly #idle: Uint8Array

  constructor(subtasks: number) {
    this.#watermarks = new Float64Array(subtasks).fill(Number.NEGATIVE_INFINITY)
    this.#idle = new Uint8Array(subtasks)
  }

  /** Takes one report. A watermark that goes back is ignored, its idleness is not. */
  report(subtask: number, watermarkMs: number, idle: boolean): void {
    if (watermarkMs > this.#watermarks[subtask]!) this.#watermarks[subtask] = watermarkMs
    this.#idle[subtask] = idle ? 1 : 0
  }

  /** Smallest watermark of those that are not idle: Infinity when all are idle, -Infinity before all have spoken. */
  minimum(): number {
    let minimum = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#watermarks.length; i++) {
      if (this.#idle[i] === 0 && this.#watermarks[i]! < minimum) minimum = this.#watermarks[i]!
    }
    return minimum
  }
}

/** Sends the limit of one attempt. */
export class Alignment {
  readonly #group: WatermarkGroup
  readonly #driftMs: number
  readonly #intervalMs: number
  readonly #scheduler: Scheduler
  readonly #send: (maxWatermarkMs: number) => void
  #sent = Number.POSITIVE_INFINITY
  #cancel: Cancel | undefined
  #stopped = false

  /** `driftMs` 0 switches alignment off. */
  constructor(
    subtasks: number,
    driftMs: number,
    scheduler: Scheduler,
    send: (maxWatermarkMs: number) => void,
    intervalMs = 200,
  ) {
    this.#group = new WatermarkGroup(subtasks)
    this.#driftMs = driftMs
    this.#scheduler = scheduler
    this.#send = send
    this.#intervalMs = intervalMs
  }

  /** Takes a report of a source subtask. */
  report(subtask: number, watermarkMs: number, idle: boolean): void {
    this.#group.report(subtask, watermarkMs, idle)
    if (this.#cancel === undefined) this.#flush()
  }

  /** No more sending. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #limit(): number {
    const minimum = this.#group.minimum()
    return minimum === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : minimum + this.#driftMs
  }

  #flush(): void {
    const limit = this.#limit()
    if (this.#driftMs <= 0 || this.#stopped || limit === this.#sent) return
    this.#sent = limit
    this.#send(limit)
    // What is reported meanwhile is sent then, all at once.
    this.#cancel = this.#scheduler.after(this.#intervalMs, () => {
      this.#cancel = undefined
      this.#flush()
    })
  }
}
