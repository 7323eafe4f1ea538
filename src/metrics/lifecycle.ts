/**
 * Lifecycle: what the persons of a period are, by the periods before.
 *
 * Owns: the four statuses. The definition, with its sources and edge cases, is in docs/metrics.md. Pure.
 *
 * In a period in which a person was active they are `returning` if they were active in the period before, else
 * `resurrecting` if they were in one that starts within the lookback, else `new`. In the period behind one in which they
 * were active, and in which they are not, they are `dormant`. Where events have dimensions, each group is judged by
 * itself.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ContributionRows, Contributions, PersonFunction, Timeline } from './timeline.ts'

/** What persons can be, by label. */
export const lifecycleStatuses = ['new', 'returning', 'resurrecting', 'dormant'] as const

const NEW = 0
const RETURNING = 1
const RESURRECTING = 2
const DORMANT = 3

/** Lifecycle as a function of timelines. */
export class Lifecycle implements PersonFunction {
  readonly width = 1
  /** The status. */
  readonly entryWidth = 1
  readonly labels: readonly string[] = lifecycleStatuses
  readonly copiesMatter = false
  readonly onlyLatestBefore = true
  readonly #lookbackMs: number
  readonly #periods: WindowAssigner
  /** Rows whose group was judged. */
  #done = new Uint8Array(64)

  /** `lookbackMs`: a person who was seen in no period that starts within it is new. */
  constructor(lookbackMs: number, periods: WindowAssigner) {
    this.#lookbackMs = lookbackMs
    this.#periods = periods
  }

  keptTimeMs(timeMs: number): number {
    this.#periods.assign(timeMs)
    return this.#periods.startMs
  }

  keepFromMs(openFromMs: number): number {
    if (!Number.isFinite(openFromMs)) return openFromMs
    return Math.min(this.keptTimeMs(openFromMs - 1), openFromMs - this.#lookbackMs)
  }

  changesFromMs(timeMs: number): number {
    return this.keptTimeMs(timeMs)
  }

  changesToMs(): number {
    return Infinity
  }

  looksToMs(): number {
    return Infinity
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { count } = timeline
    if (this.#done.length < count) this.#done = new Uint8Array(count * 2)
    this.#done.fill(0, 0, count)
    for (let first = 0; first < count; first++) {
      if (this.#done[first] === 0) this.#judge(timeline, first, fromMs, toMs, into)
    }
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const row = into.add(from.values[entry]!)
    into.values[row] = 1
  }

  /** The events that have the texts of row `first`, which is their earliest. */
  #judge(timeline: Timeline, first: number, fromMs: number, toMs: number, into: Contributions): void {
    let beforeStartMs = -Infinity
    let beforeEndMs = -Infinity
    for (let row = first; row < timeline.count; row++) {
      if (row !== first && !timeline.sameTexts(first, row)) continue
      this.#done[row] = 1
      if (timeline.timeMs[row]! < beforeEndMs) continue
      this.#periods.assign(timeline.timeMs[row]!)
      const { startMs, endMs } = this.#periods
      if (beforeEndMs < startMs) this.#dormant(timeline, first, beforeEndMs, fromMs, toMs, into)
      const status =
        beforeEndMs === startMs ? RETURNING : beforeStartMs >= startMs - this.#lookbackMs ? RESURRECTING : NEW
      if (startMs >= fromMs && startMs < toMs) give(startMs, endMs, status, timeline, first, into)
      beforeStartMs = startMs
      beforeEndMs = endMs
    }
    this.#dormant(timeline, first, beforeEndMs, fromMs, toMs, into)
  }

  #dormant(timeline: Timeline, row: number, startMs: number, fromMs: number, toMs: number, into: Contributions): void {
    if (startMs === -Infinity || startMs < fromMs || startMs >= toMs) return
    this.#periods.assign(startMs)
    give(startMs, this.#periods.endMs, DORMANT, timeline, row, into)
  }
}

function give(
  startMs: number,
  endMs: number,
  status: number,
  timeline: Timeline,
  row: number,
  into: Contributions,
): void {
  const at = into.add(startMs, endMs, timeline, row, 0)
  into.values[at] = status
}
