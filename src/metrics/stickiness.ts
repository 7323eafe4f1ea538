/**
 * Stickiness: on how many intervals of a window persons are active.
 *
 * Owns: counting a person's intervals. The definition, with its sources and edge cases, is in docs/metrics.md. Pure. Where
 * events have dimensions, each group is judged by itself.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ContributionRows, Contributions, PersonFunction, Timeline } from './timeline.ts'

/** Stickiness as a function of timelines. */
export class Stickiness implements PersonFunction {
  readonly width = 1
  /** Intervals with events, 1 or more. */
  readonly entryWidth = 1
  readonly labels: readonly string[]
  readonly copiesMatter = false
  readonly onlyLatestBefore = false
  readonly #windows: WindowAssigner
  readonly #intervals: WindowAssigner
  /** Rows that were counted. */
  #done = new Uint8Array(64)

  /** `most`: intervals that a window may touch. */
  constructor(most: number, windows: WindowAssigner, intervals: WindowAssigner) {
    this.#windows = windows
    this.#intervals = intervals
    this.labels = Array.from({ length: most }, (_, i) => String(i + 1))
  }

  /** The interval's start, or the window's where that lies in it. */
  keptTimeMs(timeMs: number): number {
    this.#intervals.assign(timeMs)
    this.#windows.assign(timeMs)
    return Math.max(this.#intervals.startMs, this.#windows.startMs)
  }

  keepFromMs(openFromMs: number): number {
    return openFromMs
  }

  changesFromMs(timeMs: number): number {
    this.#windows.assign(timeMs)
    return this.#windows.startMs
  }

  changesToMs(timeMs: number): number {
    this.#windows.assign(timeMs)
    return this.#windows.endMs
  }

  looksToMs(toMs: number): number {
    return toMs
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { count } = timeline
    if (this.#done.length < count) this.#done = new Uint8Array(count * 2)
    this.#done.fill(0, 0, count)
    for (let first = timeline.firstFrom(fromMs); first < count && timeline.timeMs[first]! < toMs; first++) {
      if (this.#done[first] === 0) this.#count(timeline, first, into)
    }
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const row = into.add(Math.min(from.values[entry]!, this.labels.length) - 1)
    into.values[row] = 1
  }

  /** The intervals of the window of row `first` in which there are events of its texts. */
  #count(timeline: Timeline, first: number, into: Contributions): void {
    const { timeMs, count } = timeline
    this.#windows.assign(timeMs[first]!)
    const { startMs, endMs } = this.#windows
    let intervals = 0
    let beforeMs = Number.NaN
    for (let row = first; row < count && timeMs[row]! < endMs; row++) {
      if (row !== first && !timeline.sameTexts(first, row)) continue
      this.#done[row] = 1
      // Events are kept by their interval.
      if (timeMs[row] === beforeMs) continue
      beforeMs = timeMs[row]!
      intervals++
    }
    const at = into.add(startMs, endMs, timeline, first, 0)
    into.values[at] = intervals
  }
}
