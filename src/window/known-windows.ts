/**
 * Windows that were found before, for those who ask for times in no order: a person's events lie in many windows, and
 * those of a time zone cost a look at its calendar each.
 */
import type { WindowAssigner } from './tumbling.ts'

/** Windows that are kept; then all are forgotten. */
const WINDOWS_MAX = 4096

/** An assigner that asks another one only for windows that it does not know. */
export class KnownWindows implements WindowAssigner {
  startMs = 0
  endMs = 0
  lastEndMs = 0
  readonly #windows: WindowAssigner
  /** Ascending; window i is [starts[i], ends[i]). */
  readonly #starts = new Float64Array(WINDOWS_MAX)
  readonly #ends = new Float64Array(WINDOWS_MAX)
  #count = 0
  #last = 0

  constructor(windows: WindowAssigner) {
    this.#windows = windows
  }

  assign(timestampMs: number): void {
    const starts = this.#starts
    const ends = this.#ends
    let at = this.#last
    // Times often go on to the next window.
    if (at + 1 < this.#count && timestampMs >= ends[at]! && timestampMs < ends[at + 1]!) at++
    if (at >= this.#count || timestampMs < starts[at]! || timestampMs >= ends[at]!) {
      // The last window that starts at or before the time, or -1.
      at = -1
      for (let step = 1 << 12; step > 0; step >>>= 1) {
        if (at + step < this.#count && starts[at + step]! <= timestampMs) at += step
      }
      if (at < 0 || timestampMs >= ends[at]!) at = this.#find(timestampMs, at + 1)
    }
    this.#last = at
    this.startMs = starts[at]!
    this.endMs = ends[at]!
    this.lastEndMs = this.endMs
  }

  /** Asks, and keeps the answer at place `at`; returns where it is. */
  #find(timestampMs: number, at: number): number {
    this.#windows.assign(timestampMs)
    if (this.#count === WINDOWS_MAX) this.#count = 0
    const place = Math.min(at, this.#count)
    this.#starts.copyWithin(place + 1, place, this.#count)
    this.#ends.copyWithin(place + 1, place, this.#count)
    this.#starts[place] = this.#windows.startMs
    this.#ends[place] = this.#windows.endMs
    this.#count++
    return place
  }
}
