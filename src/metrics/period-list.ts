/**
 * A person's events by calendar period: in which periods there was a start, in which a return, and how many periods lie
 * between.
 *
 * Owns: the list, filled anew for each person. Does not own: what follows from it (metrics/retention.ts).
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { Timeline } from './timeline.ts'

/** Periods in which there were events, ascending. Period i of each column. */
export class PeriodList {
  count = 0
  startMs = new Float64Array(32)
  endMs = new Float64Array(32)
  /** Number of the period, counted from the first; where more than `most` lie between two, some are left out. */
  ordinal = new Int32Array(32)
  /** The row that is the first start of the period: of several at its instant the one whose texts come first; -1 for none. */
  startRow = new Int32Array(32)
  returns = new Uint8Array(32)
  /** The first period that ends after the time since which there may be a change; `count` for none. */
  sinceIndex = 0
  /** Ordinal of the last period before `sinceIndex` with a return; a number below all where there is none. */
  lastReturn = -1
  readonly #windows: WindowAssigner
  readonly #most: number

  constructor(windows: WindowAssigner, most: number) {
    this.#windows = windows
    this.#most = most
  }

  /** Fills the list; rows have the bits that are given. */
  fill(timeline: Timeline, startBit: number, returnBit: number, sinceMs: number): void {
    this.count = 0
    this.sinceIndex = 0
    this.lastReturn = Number.NEGATIVE_INFINITY
    const { timeMs, bits, count } = timeline
    let endMs = Number.NEGATIVE_INFINITY
    for (let row = 0; row < count; row++) {
      const timeOfRow = timeMs[row]!
      if (timeOfRow >= endMs) endMs = this.#begin(timeOfRow)
      const at = this.count - 1
      if ((bits[row]! & returnBit) !== 0) this.returns[at] = 1
      if ((bits[row]! & startBit) === 0) continue
      const first = this.startRow[at]!
      if (first < 0 || (timeMs[first] === timeOfRow && timeline.compareTexts(row, first) < 0)) this.startRow[at] = row
    }
    for (; this.sinceIndex < this.count && this.endMs[this.sinceIndex]! <= sinceMs; this.sinceIndex++) {
      if (this.returns[this.sinceIndex] === 1) this.lastReturn = this.ordinal[this.sinceIndex]!
    }
  }

  /** Begins the period of `timeMs`, later than all so far; returns its end. */
  #begin(timeMs: number): number {
    const windows = this.#windows
    const at = this.count++
    if (at === this.startMs.length) this.#grow()
    let ordinal = 0
    if (at > 0) {
      ordinal = this.ordinal[at - 1]! + 1
      const last = ordinal + this.#most
      windows.assign(this.endMs[at - 1]!)
      while (windows.endMs <= timeMs && ordinal < last) {
        windows.assign(windows.endMs)
        ordinal++
      }
    }
    windows.assign(timeMs)
    this.startMs[at] = windows.startMs
    this.endMs[at] = windows.endMs
    this.ordinal[at] = ordinal
    this.startRow[at] = -1
    this.returns[at] = 0
    return windows.endMs
  }

  #grow(): void {
    const size = this.startMs.length * 2
    this.startMs = into(this.startMs, new Float64Array(size))
    this.endMs = into(this.endMs, new Float64Array(size))
    this.ordinal = into(this.ordinal, new Int32Array(size))
    this.startRow = into(this.startRow, new Int32Array(size))
    this.returns = into(this.returns, new Uint8Array(size))
  }
}

function into<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}
