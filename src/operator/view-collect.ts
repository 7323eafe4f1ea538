/**
 * Gathers the rows of an answer: as they come, the top of each window, or added up over dimensions.
 *
 * Owns: what an answer keeps of the rows that passed its conditions, and its bound. Does not own: which rows pass
 * (operator/view-filter.ts), walking them (operator/view.ts), putting subtasks together (query/). A question is answered
 * between two batches, so what is gathered is bounded by the answer, not by the table.
 */
import type { MetricDetail } from './read-metric.ts'
import type { TopRows, ViewRows } from './view-rows.ts'

/** One row of an answer. */
export interface GatheredRow {
  readonly startMs: number
  readonly endMs: number
  readonly dimensions: readonly string[]
  value: number
  /** What a share or a mean is of; absent or 0 for others. */
  readonly volume?: number
  events: number
  revision: number
  late: number
  provisional: boolean
  /** What the value has beside its number; absent or null for nothing. */
  readonly detail?: MetricDetail | null
  /** So many groups are in this row, which is what is left beside those that are shown; absent for a group. */
  otherGroups?: number
}

/** Takes rows. */
export interface RowCollector {
  /** True when rows were left out for want of room. */
  readonly truncated: boolean
  /** Whether a row of this value has a chance; asked before its texts are decoded. */
  wants(startMs: number, endMs: number, value: number): boolean
  /** Takes a row; false when no more fit. */
  add(row: GatheredRow): boolean
  /** All rows, to be called once. */
  rows(): readonly GatheredRow[]
}

/** Keeps rows as they come, `rowsMax` of them. */
export class AllRows implements RowCollector {
  truncated = false
  readonly #rowsMax: number
  readonly #rows: GatheredRow[] = []

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax
  }

  wants(): boolean {
    return true
  }

  add(row: GatheredRow): boolean {
    if (this.#rows.length >= this.#rowsMax) {
      this.truncated = true
      return false
    }
    this.#rows.push(row)
    return true
  }

  rows(): readonly GatheredRow[] {
    return this.#rows
  }
}

/** Keeps the last `count` rows by window, then by dimension texts. */
export class NewestRows implements RowCollector {
  readonly truncated = false
  readonly #count: number
  #rows: GatheredRow[] = []
  /** Start of the oldest window kept, once there are enough. */
  #fromMs = Number.NEGATIVE_INFINITY

  constructor(count: number) {
    this.#count = count
  }

  wants(startMs: number): boolean {
    return startMs >= this.#fromMs
  }

  add(row: GatheredRow): boolean {
    this.#rows.push(row)
    // Sorted now and then: each row is part of two sorts on average.
    if (this.#rows.length >= this.#count * 2 + 1000) this.#trim()
    return true
  }

  rows(): readonly GatheredRow[] {
    this.#trim()
    return this.#rows
  }

  #trim(): void {
    if (this.#rows.length <= this.#count) return
    this.#rows.sort(compareRows)
    this.#rows = this.#rows.slice(this.#rows.length - this.#count)
    this.#fromMs = this.#rows[0]!.startMs
  }
}

function compareRows(a: GatheredRow, b: GatheredRow): number {
  if (a.startMs !== b.startMs) return a.startMs - b.startMs
  if (a.endMs !== b.endMs) return a.endMs - b.endMs
  for (let i = 0; i < a.dimensions.length; i++) {
    const left = a.dimensions[i]!
    const right = b.dimensions[i]!
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/**
 * Keeps the `count` first rows of each window in the order of `compareTop`: a heap a window, its worst row on top. Of more
 * than `rowsMax` rows, those of the newest windows where `newest`: as many windows as have so many rows, whole.
 */
export class TopOfWindows implements RowCollector {
  truncated = false
  readonly #top: TopRows
  readonly #rowsMax: number
  readonly #newest: boolean
  readonly #windows = new Map<string, GatheredRow[]>()
  #held = 0
  /** Windows that begin before this are let go. */
  #fromMs = Number.NEGATIVE_INFINITY

  constructor(top: TopRows, rowsMax: number, newest = false) {
    this.#top = top
    this.#rowsMax = rowsMax
    this.#newest = newest
  }

  wants(startMs: number, endMs: number, value: number): boolean {
    if (startMs < this.#fromMs) return false
    const heap = this.#windows.get(`${startMs}/${endMs}`)
    return heap === undefined || heap.length < this.#top.count || compareTopValue(this.#top, value, heap[0]!.value) <= 0
  }

  add(row: GatheredRow): boolean {
    const name = `${row.startMs}/${row.endMs}`
    let heap = this.#windows.get(name)
    if (heap === undefined) {
      heap = []
      this.#windows.set(name, heap)
    }
    if (heap.length < this.#top.count) {
      if (this.#held >= this.#rowsMax && !this.#newest) {
        this.truncated = true
        return false
      }
      this.#held++
      heap.push(row)
      this.#up(heap, heap.length - 1)
      // Now and then: each window is looked at twice on average.
      if (this.#newest && this.#held >= this.#rowsMax * 2 + 1000) this.#letGo()
    } else if (compareTop(this.#top, row, heap[0]!) < 0) {
      heap[0] = row
      this.#down(heap)
    }
    return true
  }

  rows(): readonly GatheredRow[] {
    return [...this.#windows.values()].flatMap((heap) => heap.sort((a, b) => compareTop(this.#top, a, b)))
  }

  #letGo(): void {
    const windows = [...this.#windows].sort(([, a], [, b]) => b[0]!.startMs - a[0]!.startMs)
    let kept = 0
    for (const [name, heap] of windows) {
      const { startMs } = heap[0]!
      // Of windows with one start all stay, or all go.
      if (kept >= this.#rowsMax && startMs < this.#fromMs) {
        this.#windows.delete(name)
        continue
      }
      kept += heap.length
      this.#fromMs = startMs
    }
    this.#held = kept
  }

  #up(heap: GatheredRow[], from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (compareTop(this.#top, heap[at]!, heap[parent]!) <= 0) return
      swap(heap, at, parent)
      at = parent
    }
  }

  #down(heap: GatheredRow[]): void {
    let at = 0
    for (;;) {
      let worst = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && compareTop(this.#top, heap[child]!, heap[worst]!) > 0) worst = child
      }
      if (worst === at) return
      swap(heap, at, worst)
      at = worst
    }
  }
}

function swap(heap: GatheredRow[], a: number, b: number): void {
  const row = heap[a]!
  heap[a] = heap[b]!
  heap[b] = row
}

/** Adds rows up that agree in window and in the dimensions that are kept; only for values that add up. */
export class AddedUp implements RowCollector {
  truncated = false
  readonly #keep: readonly number[]
  readonly #rowsMax: number
  readonly #groups = new Map<string, GatheredRow>()

  constructor(keep: readonly number[], rowsMax: number) {
    this.#keep = keep
    this.#rowsMax = rowsMax
  }

  wants(): boolean {
    return true
  }

  add(row: GatheredRow): boolean {
    const dimensions = this.#keep.map((index) => row.dimensions[index] ?? '')
    let name = `${row.startMs}/${row.endMs}`
    for (const text of dimensions) name += `/${text.length}:${text}`
    const sum = this.#groups.get(name)
    if (sum !== undefined) {
      sum.value += row.value
      sum.events += row.events
      sum.late += row.late
      sum.revision = Math.max(sum.revision, row.revision)
      sum.provisional ||= row.provisional
      return true
    }
    if (this.#groups.size >= this.#rowsMax) {
      this.truncated = true
      return false
    }
    this.#groups.set(name, { ...row, dimensions })
    return true
  }

  rows(): readonly GatheredRow[] {
    return [...this.#groups.values()]
  }
}

/** Negative when value `a` comes before `b`. What is no number comes last. */
function compareTopValue(top: TopRows, a: number, b: number): number {
  if (a === b) return 0
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1
  if (Number.isNaN(b)) return -1
  return a < b === top.ascending ? -1 : 1
}

/** The order of a top list: by value, then by dimension texts in code-unit order. Negative when `a` comes first. */
export function compareTop(
  top: TopRows,
  a: { readonly value: number; readonly dimensions: readonly string[] },
  b: { readonly value: number; readonly dimensions: readonly string[] },
): number {
  const byValue = compareTopValue(top, a.value, b.value)
  if (byValue !== 0) return byValue
  for (let index = 0; index < a.dimensions.length; index++) {
    const left = a.dimensions[index] ?? ''
    const right = b.dimensions[index] ?? ''
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/** The columns of an answer. */
export function columnsOf(
  rows: readonly GatheredRow[],
): Omit<ViewRows, 'operator' | 'subtask' | 'watermarkMs' | 'change' | 'truncated'> {
  return {
    count: rows.length,
    windowStartMs: Float64Array.from(rows, (row) => row.startMs),
    windowEndMs: Float64Array.from(rows, (row) => row.endMs),
    dimensions: rows.map((row) => row.dimensions),
    values: Float64Array.from(rows, (row) => row.value),
    volumes: Float64Array.from(rows, (row) => row.volume ?? 0),
    events: Float64Array.from(rows, (row) => row.events),
    revision: Uint32Array.from(rows, (row) => row.revision),
    lateCount: Float64Array.from(rows, (row) => row.late),
    provisional: Uint8Array.from(rows, (row) => (row.provisional ? 1 : 0)),
    ...(rows.some((row) => row.otherGroups !== undefined)
      ? { otherGroups: Float64Array.from(rows, (row) => row.otherGroups ?? 0) }
      : {}),
    ...(rows.some((row) => row.detail != null) ? { details: rows.map((row) => row.detail ?? null) } : {}),
  }
}
