/**
 * The groups of a window up to a number, and all others as one row.
 *
 * Owns: which groups are shown (those with the most events behind them; of equally many, those whose dimensions come
 * first), and what the rest comes to. It is decided by what the rows are when they are asked for: no order of events, no
 * late event and no parallelism makes a difference. Parts of several subtasks put together are the whole: a group among the
 * first of all is among the first of its subtask. Pure.
 */
import type { GatheredRow, RowCollector } from './view-collect.ts'
import type { GroupCap, RestOf } from './view-rows.ts'

/** What the cap looks at. */
interface Ranked {
  readonly events: number
  readonly dimensions: readonly string[]
}

/** Negative when group `a` is shown rather than `b`. */
export function compareShown(a: Ranked, b: Ranked): number {
  if (a.events !== b.events) return b.events - a.events
  for (let index = 0; index < a.dimensions.length; index++) {
    const left = a.dimensions[index] ?? ''
    const right = b.dimensions[index] ?? ''
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/** The value of two parts of the rest together; NaN where it is not known. */
export function restValue(rest: RestOf, a: number, b: number): number {
  switch (rest) {
    case 'sum':
      return a + b
    case 'min':
      return Math.min(a, b)
    case 'max':
      return Math.max(a, b)
    case 'none':
      return Number.NaN
  }
}

/** The groups of one window. */
interface CappedWindow {
  readonly shown: GatheredRow[]
  other: GatheredRow | null
}

/** Gathers windows, each with at most `cap.count` groups and one row for the rest. */
export class CappedWindows implements RowCollector {
  readonly #cap: GroupCap
  readonly #rowsMax: number
  readonly #newest: boolean
  readonly #windows = new Map<string, CappedWindow>()
  /** Rows that are held, of groups that will not be shown too. */
  #held = 0
  /** Windows that begin before this are let go. */
  #fromMs = Number.NEGATIVE_INFINITY
  #full = false

  /** Of more than `rowsMax` rows, those of the newest windows where `newest`; else there are too many. */
  constructor(cap: GroupCap, rowsMax: number, newest: boolean) {
    this.#cap = cap
    this.#rowsMax = rowsMax
    this.#newest = newest
  }

  get truncated(): boolean {
    if (this.#newest) return false
    if (this.#held > this.#rowsMax) this.#fold()
    return this.#full || this.#held > this.#rowsMax
  }

  wants(startMs: number): boolean {
    return startMs >= this.#fromMs
  }

  add(row: GatheredRow): boolean {
    const name = `${row.startMs}/${row.endMs}`
    let window = this.#windows.get(name)
    if (window === undefined) this.#windows.set(name, (window = { shown: [], other: null }))
    window.shown.push(row)
    this.#held++
    // Now and then: each row is part of two sorts on average.
    if (window.shown.length >= this.#cap.count * 2 + 100) this.#foldWindow(window)
    if (this.#held < this.#rowsMax * 2 + 1000) return true
    this.#fold()
    if (this.#newest) this.#letGo()
    else if (this.#held > this.#rowsMax) this.#full = true
    return !this.#full
  }

  rows(): readonly GatheredRow[] {
    this.#fold()
    return [...this.#windows.values()].flatMap(({ shown, other }) => (other === null ? shown : [...shown, other]))
  }

  #fold(): void {
    for (const window of this.#windows.values()) this.#foldWindow(window)
  }

  #foldWindow(window: CappedWindow): void {
    const { shown } = window
    const { count, rest } = this.#cap
    if (shown.length <= count) return
    this.#held -= shown.length + (window.other === null ? 0 : 1)
    shown.sort(compareShown)
    for (const row of shown.splice(count)) window.other = addToRest(window.other, row, rest)
    this.#held += shown.length + 1
  }

  #letGo(): void {
    const windows = [...this.#windows].sort(([, a], [, b]) => b.shown[0]!.startMs - a.shown[0]!.startMs)
    let kept = 0
    for (const [name, { shown, other }] of windows) {
      const { startMs } = shown[0]!
      // Of windows with one start all stay, or all go.
      if (kept >= this.#rowsMax && startMs < this.#fromMs) {
        this.#windows.delete(name)
        continue
      }
      kept += shown.length + (other === null ? 0 : 1)
      this.#fromMs = startMs
    }
    this.#held = kept
  }
}

function addToRest(other: GatheredRow | null, row: GatheredRow, rest: RestOf): GatheredRow {
  if (other === null) {
    const value = rest === 'none' ? Number.NaN : row.value
    return { ...row, dimensions: row.dimensions.map(() => ''), value, detail: null, otherGroups: 1 }
  }
  other.value = restValue(rest, other.value, row.value)
  other.events += row.events
  other.late += row.late
  other.revision = Math.max(other.revision, row.revision)
  other.provisional ||= row.provisional
  other.otherGroups = (other.otherGroups ?? 0) + 1
  return other
}
