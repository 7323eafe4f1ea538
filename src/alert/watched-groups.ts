/**
 * All series of one detector, from the rows of its metric as they come: which windows are judged, and when.
 *
 * Owns: the order of windows, the ones that no row tells of, which groups are watched, and corrections. Does not own: where
 * rows come from (detection/), what a series makes of a window (series.ts).
 *
 * A window is judged when the watermark has made it final, and never changes after it is closed. What is closed is taken
 * into the state for good; the final windows since then are taken anew into a copy of it whenever one of them changes. So
 * a correction costs the windows of the allowed lateness, and the outcome is that of the values as they are now.
 *
 * Watched are the `groupsMax` groups that come first in a history, those of one window by their texts.
 */
import { maxTimestampMs } from '../core/time.ts'
import { createAssigner } from '../window/assigner.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import type { Observation } from './detector.ts'
import {
  episodesOfSeries,
  fork,
  historyOf,
  isForgotten,
  type KnownEpisode,
  newSeries,
  type SeriesState,
  take,
} from './series.ts'
import type { WatchPlan } from './watch-plan.ts'

/** One value of the metric. */
export interface WatchedRow {
  readonly startMs: number
  readonly endMs: number
  readonly dimensions: readonly string[]
  readonly value: number
  /** What a share is of; 0 for others. */
  readonly volume: number
  /** Times that it was told as final; at least 1. */
  readonly revision: number
  /** Events behind it: 0 where late events have left nothing. */
  readonly events: number
}

/** The series of a group. */
export interface WatchedSeries {
  readonly dimensions: readonly string[]
  readonly series: SeriesState
}

/** Series by the name of their group, and which groups are watched, by history. */
interface GroupsState {
  readonly series: Map<string, WatchedSeries>
  readonly admitted: Map<number, Set<string>>
  readonly leftOut: Map<number, Set<string>>
}

/** Windows that can still change, by their start. */
interface OpenWindow {
  readonly endMs: number
  readonly rows: Map<string, WatchedRow>
}

/** Groups that are counted as left out. */
const LEFT_OUT_MAX = 10_000

/** Follows the series of one detector. */
export class WatchedGroups {
  readonly #plan: WatchPlan
  readonly #assigner: WindowAssigner
  /** Of closed windows. */
  readonly #settled: GroupsState = { series: new Map(), admitted: new Map(), leftOut: new Map() }
  /** Of all final ones. */
  #current: GroupsState = this.#settled
  readonly #open = new Map<number, OpenWindow>()
  /** Start of the first window that is not closed; null before any row. */
  #nextMs: number | null = null
  #newestMs = Number.NEGATIVE_INFINITY
  #judgedThroughMs = Number.NEGATIVE_INFINITY
  #settledThroughMs = Number.NEGATIVE_INFINITY
  #changed = false
  /** What is being judged. */
  #work: Generator<number, void> | null = null

  constructor(plan: WatchPlan) {
    this.#plan = plan
    this.#assigner = createAssigner(plan.window)
  }

  /** Windows that end until then have been judged: -Infinity before the first. */
  get judgedThroughMs(): number {
    return this.#judgedThroughMs
  }

  /** Windows that end until then cannot change any more. */
  get settledThroughMs(): number {
    return this.#settledThroughMs
  }

  /** Rows before this change nothing. */
  get openFromMs(): number {
    return this.#nextMs ?? Number.NEGATIVE_INFINITY
  }

  /** Groups that are not watched, as far as they are counted. */
  get groupsLeftOut(): number {
    return Math.max(0, ...Array.from(this.#current.leftOut.values(), (groups) => groups.size))
  }

  /** All series that anything is known of, by group. */
  series(): WatchedSeries[] {
    return [...this.#current.series].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, series]) => series)
  }

  /** The episodes that are known of a series. */
  episodesOf({ series }: WatchedSeries): KnownEpisode[] {
    return episodesOfSeries(this.#plan, series)
  }

  /** Takes rows as they are now, in any order and as often as they come. */
  put(rows: Iterable<WatchedRow>): void {
    for (const row of rows) {
      const { startMs, endMs } = row
      if (this.#settledThroughMs > startMs) continue
      this.#nextMs = Math.min(this.#nextMs ?? startMs, startMs)
      this.#newestMs = Math.max(this.#newestMs, startMs)
      let window = this.#open.get(startMs)
      if (window === undefined) this.#open.set(startMs, (window = { endMs, rows: new Map() }))
      const name = JSON.stringify(row.dimensions)
      if (row.events > 0) window.rows.set(name, row)
      else window.rows.delete(name)
      if (endMs <= this.#judgedThroughMs) this.#changed = true
    }
  }

  /**
   * Judges what is final at `watermarkMs`, at most about `budget` windows of series; false when there is more to do, for
   * further calls. Until then what is known is of some time before.
   */
  advance(watermarkMs: number, budget = Number.POSITIVE_INFINITY): boolean {
    this.#work ??= this.#judge(watermarkMs)
    for (let left = budget; left > 0; ) {
      const step = this.#work.next()
      if (step.done === true) {
        this.#work = null
        return true
      }
      left -= step.value
    }
    return false
  }

  /** Yields what each step has cost. */
  *#judge(watermarkMs: number): Generator<number, void> {
    const { settleMs, latenessMs } = this.#plan
    for (let next = this.#window(this.#nextMs); next !== null; next = this.#window(this.#nextMs)) {
      if (!this.#isPast(next, watermarkMs, settleMs + latenessMs)) break
      yield* this.#takeInto(this.#settled, next)
      this.#open.delete(next.startMs)
      this.#nextMs = next.endMs
      this.#settledThroughMs = next.endMs
      this.#changed = true
    }
    const final: Window[] = []
    for (let next = this.#window(this.#nextMs); next !== null; next = this.#window(next.endMs)) {
      if (!this.#isPast(next, watermarkMs, settleMs)) break
      final.push(next)
    }
    const throughMs = final.at(-1)?.endMs ?? this.#settledThroughMs
    if (!this.#changed && throughMs <= this.#judgedThroughMs) return
    const current = final.length === 0 ? this.#settled : copyOf(this.#settled)
    for (const window of final) yield* this.#takeInto(current, window)
    this.#current = current
    this.#changed = false
    this.#judgedThroughMs = Math.max(throughMs, this.#judgedThroughMs)
  }

  /** The end of a bounded input passes every window, of which there is no last one: then those with rows are judged. */
  #isPast({ startMs, endMs }: Window, watermarkMs: number, laterMs: number): boolean {
    if (watermarkMs === Number.POSITIVE_INFINITY) return startMs <= this.#newestMs
    return maxTimestampMs(endMs) + laterMs <= watermarkMs
  }

  #window(startMs: number | null): Window | null {
    if (startMs === null) return null
    this.#assigner.assign(startMs)
    return { startMs: this.#assigner.startMs, endMs: this.#assigner.endMs }
  }

  *#takeInto(into: GroupsState, { startMs, endMs }: Window): Generator<number, void> {
    yield 1
    const plan = this.#plan
    const rows = this.#open.get(startMs)?.rows ?? noRows
    const history = historyOf(plan, startMs)
    for (const sets of [into.admitted, into.leftOut])
      for (const old of sets.keys()) if (old < history - 1) sets.delete(old)
    for (const name of [...rows.keys()].sort()) {
      for (const number of [history - 1, history]) admit(into, number, name, plan.groupsMax)
      const watched = isAdmitted(into, history - 1, name) || isAdmitted(into, history, name)
      if (watched && !into.series.has(name))
        into.series.set(name, { dimensions: rows.get(name)!.dimensions, series: newSeries() })
    }
    const unknown = rows.size === 0 && plan.gapsAreUnknown
    for (const [name, { series }] of into.series) {
      const row = rows.get(name)
      const window: Observation = {
        ...{ startMs, endMs, final: true },
        value: row?.value ?? (unknown ? Number.NaN : plan.emptyValue),
        volume: row?.volume ?? 0,
      }
      const judged = isAdmitted(into, history - 1, name)
      const learned = isAdmitted(into, history, name)
      yield take(plan, series, window, row?.revision ?? 1, row === undefined, { judged, learned })
      if (isForgotten(series)) into.series.delete(name)
    }
  }
}

interface Window {
  readonly startMs: number
  readonly endMs: number
}

const noRows: ReadonlyMap<string, WatchedRow> = new Map()

function admit(into: GroupsState, history: number, name: string, most: number): void {
  const admitted = setOf(into.admitted, history)
  if (admitted.has(name)) return
  if (admitted.size < most) admitted.add(name)
  else if (setOf(into.leftOut, history).size < LEFT_OUT_MAX) setOf(into.leftOut, history).add(name)
}

function isAdmitted({ admitted }: GroupsState, history: number, name: string): boolean {
  return admitted.get(history)?.has(name) === true
}

function setOf(sets: Map<number, Set<string>>, history: number): Set<string> {
  let set = sets.get(history)
  if (set === undefined) sets.set(history, (set = new Set()))
  return set
}

function copyOf({ series, admitted, leftOut }: GroupsState): GroupsState {
  const sets = (of: Map<number, Set<string>>) => new Map(Array.from(of, ([k, set]) => [k, new Set(set)]))
  return {
    series: new Map(Array.from(series, ([name, one]) => [name, { ...one, series: fork(one.series) }])),
    admitted: sets(admitted),
    leftOut: sets(leftOut),
  }
}
