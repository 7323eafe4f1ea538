/**
 * How far back one event of a retention can matter: the first cohort that it can change.
 *
 * Owns: that bound. Most events of persons who are active are one of several of their period, and change nothing: that is
 * seen from the events beside it.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ElapsedPeriods } from './elapsed-periods.ts'
import { RETENTION_RETURN, RETENTION_START, type RetentionShape } from './retention-shape.ts'
import type { EventsBefore, VisitEvent } from './timeline.ts'

/** Periods whose first cohort is kept; then all are forgotten. */
const PERIODS_MAX = 4096

/** The bound for one event after the other. */
export class RetentionReach {
  readonly #shape: RetentionShape
  readonly #windows: WindowAssigner
  readonly #elapsed: ElapsedPeriods | null
  readonly #hasTexts: boolean
  /** By start of a period: that of the period so many before it. */
  readonly #firstCohorts = new Map<number, number>()
  #periodMs = Number.NaN
  #firstCohortMs = Number.NaN
  /** The event at hand, and what the others of its period leave for it to change. */
  #timeMs = Number.NaN
  #bits = 0
  #left = 0
  readonly #visit: VisitEvent

  constructor(shape: RetentionShape, windows: WindowAssigner, elapsed: ElapsedPeriods | null, hasTexts: boolean) {
    this.#hasTexts = hasTexts
    this.#shape = shape
    this.#windows = windows
    this.#elapsed = elapsed
    this.#visit = (timeMs, bits) => this.#take(timeMs, bits)
  }

  /** The first window that the event can change, which is kept as of `keptMs`; Infinity for none. */
  fromMs(timeMs: number, keptMs: number, bits: number, before: EventsBefore | null): number {
    const windows = this.#windows
    windows.assign(timeMs)
    const { startMs, endMs } = windows
    this.#left = bits
    if (before !== null) {
      this.#timeMs = keptMs
      this.#bits = bits
      before(startMs, endMs - 1, this.#visit)
    }
    if ((this.#left & RETENTION_RETURN) !== 0) return this.#firstCohortOf(startMs, timeMs)
    return (this.#left & RETENTION_START) !== 0 ? startMs : Infinity
  }

  /** Takes another event of the period; false when nothing is left to change. */
  #take(timeMs: number, bits: number): boolean {
    // What looks like the event at hand may be it.
    if (timeMs === this.#timeMs && bits === this.#bits) return true
    // The first start of a period is the one that counts; of one instant, texts decide.
    const sooner = timeMs < this.#timeMs || (timeMs === this.#timeMs && !this.#hasTexts)
    if (sooner && (bits & RETENTION_START) !== 0) this.#left &= ~RETENTION_START
    // Of periods of their own, two events may lie in different ones.
    if (this.#elapsed === null && (bits & RETENTION_RETURN) !== 0) this.#left &= ~RETENTION_RETURN
    return this.#left !== 0
  }

  #firstCohortOf(periodMs: number, timeMs: number): number {
    const windows = this.#windows
    if (this.#elapsed !== null) {
      windows.assign(timeMs - this.#shape.settleMs)
      return windows.startMs
    }
    if (periodMs === this.#periodMs) return this.#firstCohortMs
    let firstMs = this.#firstCohorts.get(periodMs)
    if (firstMs === undefined) {
      firstMs = periodMs
      for (let period = 0; period < this.#shape.periods; period++) {
        windows.assign(firstMs - 1)
        firstMs = windows.startMs
      }
      if (this.#firstCohorts.size >= PERIODS_MAX) this.#firstCohorts.clear()
      this.#firstCohorts.set(periodMs, firstMs)
    }
    this.#periodMs = periodMs
    this.#firstCohortMs = firstMs
    return firstMs
  }
}
