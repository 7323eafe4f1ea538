/**
 * Rolling actives: who was active in each of many windows that overlap.
 *
 * Owns: which windows a person is in. Pure. Of a person one row a pane is kept, however many windows have it, and whatever
 * their number, a pane more is one row more: the windows of it that no other pane of the person has are found then.
 */
import { KnownWindows } from '../window/known-windows.ts'
import type { PaneAssigner, Span } from '../window/panes.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline, VisitEvent } from './timeline.ts'

/** Panes whose windows are kept; then all are forgotten. */
const PANES_MAX = 4096
/** How much longer than its size a window of days can be, where clocks are changed. */
const CLOCKS_MS = 3 * 3_600_000

/** Persons in overlapping windows as a function of timelines. */
export class Actives implements PersonFunction {
  readonly width = 1
  /** Always 1. */
  readonly entryWidth = 1
  readonly labels: readonly string[] = ['']
  readonly copiesMatter = false
  readonly onlyLatestBefore = false
  readonly #panes: PaneAssigner
  readonly #known: WindowAssigner
  readonly #sizeMs: number
  readonly #texts: boolean
  readonly #windows = new Map<number, readonly Span[]>()
  #lastMs = Number.NaN
  #last: readonly Span[] = []
  /** Of a walk: the latest event before the pane at hand. */
  #beforeMs = -Infinity
  readonly #visitBefore: VisitEvent = (timeMs) => {
    this.#beforeMs = timeMs
    return false
  }
  /** Rows whose group was judged. */
  #done = new Uint8Array(64)

  /** `texts`: whether events have dimensions; then a person is active in each group by itself. */
  constructor(panes: PaneAssigner, sizeMs: number, texts: boolean) {
    this.#panes = panes
    this.#known = new KnownWindows(panes)
    this.#sizeMs = sizeMs
    this.#texts = texts
  }

  keptTimeMs(timeMs: number): number {
    this.#known.assign(timeMs)
    return this.#known.startMs
  }

  keepFromMs(openFromMs: number): number {
    return openFromMs
  }

  changesFromMs(timeMs: number, _bits: number, before: EventsBefore | null): number {
    const paneMs = this.keptTimeMs(timeMs)
    const windows = this.#windowsOf(paneMs)
    const firstMs = windows[0]!.startMs
    if (before === null || this.#texts) return firstMs
    this.#beforeMs = -Infinity
    before(firstMs, paneMs - 1, this.#visitBefore)
    // Windows that have the pane before have the person already.
    for (let i = 0; i < windows.length; i++) if (windows[i]!.startMs > this.#beforeMs) return windows[i]!.startMs
    return Infinity
  }

  changesToMs(timeMs: number): number {
    this.#known.assign(timeMs)
    return this.#known.endMs
  }

  looksToMs(toMs: number): number {
    return toMs + this.#sizeMs + CLOCKS_MS
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const { count } = timeline
    if (!this.#texts) {
      this.#give(timeline, 0, fromMs, toMs, into)
      return
    }
    if (this.#done.length < count) this.#done = new Uint8Array(count * 2)
    this.#done.fill(0, 0, count)
    for (let first = 0; first < count; first++) {
      if (this.#done[first] === 0) this.#give(timeline, first, fromMs, toMs, into)
    }
  }

  rows(_from: Contributions, _entry: number, into: ContributionRows): void {
    into.values[into.add(0)] = 1
  }

  /** Each window that has one of the events with the texts of row `first`, once. */
  #give(timeline: Timeline, first: number, fromMs: number, toMs: number, into: Contributions): void {
    let nextMs = fromMs
    for (let row = first; row < timeline.count; row++) {
      if (this.#texts && row !== first && !timeline.sameTexts(first, row)) continue
      this.#done[row] = 1
      const windows = this.#windowsOf(timeline.timeMs[row]!)
      for (let i = 0; i < windows.length; i++) {
        const { startMs, endMs } = windows[i]!
        if (startMs < nextMs) continue
        if (startMs >= toMs) break
        into.values[into.add(startMs, endMs, timeline, first, 0)] = 1
        nextMs = startMs + 1
      }
    }
  }

  #windowsOf(paneMs: number): readonly Span[] {
    if (paneMs === this.#lastMs) return this.#last
    let windows = this.#windows.get(paneMs)
    if (windows === undefined) {
      windows = this.#panes.windowsOf(paneMs)
      if (this.#windows.size >= PANES_MAX) this.#windows.clear()
      this.#windows.set(paneMs, windows)
    }
    this.#lastMs = paneMs
    this.#last = windows
    return windows
  }
}
