/**
 * What a table must say, computed the slow way: maps, lists and sets, an event at a time.
 *
 * Shares nothing with the tables but the plan. Windows in UTC, by their definitions in Flink, unless it is told others.
 */
import { invariant } from '../../src/core/errors.ts'
import type { WindowDefinition } from '../../src/job/definition.ts'
import type { TablePlan } from '../../src/job/plan.ts'
import type { Row } from '../exchange/support.ts'

/** A result as it leaves a table. */
export interface Result {
  readonly startMs: number
  readonly endMs: number
  readonly group: readonly string[]
  readonly values: readonly number[]
  readonly revision: number
  readonly watermarkMs: number
  /** Late events, by accumulator; 0 for all but counts. */
  readonly late: readonly number[]
}

/** What names a value: its window and its group. Begins with the window's start and a bar. */
export function nameOf({ startMs, endMs, group }: Pick<Result, 'startMs' | 'endMs' | 'group'>): string {
  return `${startMs}|${JSON.stringify(group)}|${endMs}`
}

/** The windows of an instant. */
function windowsOf(window: WindowDefinition, timeMs: number): { startMs: number; endMs: number }[] {
  invariant('sizeMs' in window, 'the reference knows windows of a length')
  const { sizeMs, offsetMs } = window
  const floor = (stepMs: number) => Math.floor((timeMs - offsetMs) / stepMs) * stepMs + offsetMs
  const windows: { startMs: number; endMs: number }[] = []
  if (window.kind === 'sliding') {
    for (let startMs = floor(window.slideMs); startMs > timeMs - sizeMs; startMs -= window.slideMs)
      windows.push({ startMs, endMs: startMs + sizeMs })
  } else {
    const startMs = floor(sizeMs)
    const stepMs = window.kind === 'cumulate' ? window.stepMs : sizeMs
    for (let endMs = startMs + stepMs; endMs <= startMs + sizeMs; endMs += stepMs)
      if (endMs > timeMs) windows.push({ startMs, endMs })
  }
  return windows
}

/** Tells the windows of an instant, in the order of their starts or not. */
export type WindowsOf = (timeMs: number) => readonly { readonly startMs: number; readonly endMs: number }[]

interface Group {
  readonly texts: readonly string[]
  /** The contributions to each accumulator. */
  readonly gathered: (number | string)[][]
  revision: number
  touched: boolean
}

interface Window {
  readonly startMs: number
  readonly endMs: number
  readonly groups: Map<string, Group>
  fired: boolean
}

/** One table of one job, whatever its parallelism. */
export class Reference {
  readonly plan: TablePlan
  readonly #numbers: number
  readonly #windowsOf: WindowsOf
  readonly windows = new Map<string, Window>()
  readonly late = new Map<string, number[]>()
  watermarkMs = -Infinity
  applied = 0
  lateEvents = 0
  /** Events that are in no window. */
  skipped = 0

  /** `numbers`: number columns of the schema, which come before the texts. `windowsOf`: default the plan's, in UTC. */
  constructor(plan: TablePlan, numbers: number, windowsOfTime?: WindowsOf) {
    this.plan = plan
    this.#windowsOf = windowsOfTime ?? ((timeMs) => windowsOf(plan.window, timeMs))
    this.#numbers = numbers
  }

  /** Takes a batch; returns what must leave because of it. */
  apply(rows: readonly Row[]): Result[] {
    for (const row of rows) this.#applyRow(row)
    const results: Result[] = []
    for (const window of this.windows.values()) {
      for (const group of window.groups.values()) {
        if (window.fired && group.touched) results.push(this.#emit(window, group, this.watermarkMs))
        group.touched = false
      }
    }
    return [...results, ...this.#fire(this.watermarkMs)]
  }

  /** Time goes on; returns what is due. */
  advance(watermarkMs: number): Result[] {
    const passedMs = this.watermarkMs
    this.watermarkMs = watermarkMs
    return this.#fire(passedMs)
  }

  /** The last value of every group of every window, by `nameOf`. */
  values(): Map<string, readonly number[]> {
    const found = new Map<string, readonly number[]>()
    for (const { startMs, endMs, groups } of this.windows.values()) {
      for (const group of groups.values())
        found.set(nameOf({ startMs, endMs, group: group.texts }), this.#valuesOf(group))
    }
    return found
  }

  #applyRow(row: Row): void {
    const { accumulators, allowedLatenessMs, dimensions } = this.plan
    const wanted = accumulators.map(({ predicate }) => (row.mask >>> predicate) % 2 === 1)
    if (!wanted.includes(true)) return
    const texts = dimensions.map((column) => (column < 0 ? row.key : row.texts[column - this.#numbers]!))
    const windows = this.#windowsOf(row.timeMs)
    const taken = windows.filter(({ endMs }) => endMs - 1 + allowedLatenessMs > this.watermarkMs)
    for (const missed of windows.filter((one) => !taken.includes(one))) {
      const name = nameOf({ ...missed, group: texts })
      const counts = this.late.get(name) ?? accumulators.map(() => 0)
      this.late.set(
        name,
        counts.map((n, i) => (wanted[i] && accumulators[i]!.kind === 'count' ? n + 1 : n)),
      )
    }
    if (windows.length === 0) this.skipped++
    else if (taken.length === 0) this.lateEvents++
    else this.applied++
    for (const { startMs, endMs } of taken) this.#applyTo(startMs, endMs, texts, row, wanted)
  }

  #applyTo(startMs: number, endMs: number, texts: readonly string[], row: Row, wanted: readonly boolean[]): void {
    const { accumulators } = this.plan
    const name = JSON.stringify(texts)
    const of = this.windows.get(`${startMs}/${endMs}`) ?? { startMs, endMs, groups: new Map(), fired: false }
    this.windows.set(`${startMs}/${endMs}`, of)
    const group = of.groups.get(name) ?? { texts, gathered: accumulators.map(() => []), revision: 0, touched: false }
    of.groups.set(name, group)
    group.touched = true
    accumulators.forEach(({ kind, column }, i) => {
      if (!wanted[i]) return
      if (kind === 'count') group.gathered[i]!.push(1)
      else if (kind !== 'distinct') group.gathered[i]!.push(row.numbers[column]!)
      else {
        const text = column < 0 ? row.key : row.texts[column - this.#numbers]!
        if (column < 0 || text !== '') group.gathered[i]!.push(text)
      }
    })
  }

  #fire(passedMs: number): Result[] {
    const results: Result[] = []
    for (const window of this.windows.values()) {
      if (window.fired || window.endMs - 1 > this.watermarkMs) continue
      window.fired = true
      for (const group of window.groups.values()) {
        // On time it is the window's end that makes it due, however far the mark goes.
        results.push(this.#emit(window, group, window.endMs - 1 > passedMs ? window.endMs - 1 : this.watermarkMs))
      }
    }
    return results
  }

  #emit(window: Window, group: Group, watermarkMs: number): Result {
    const { startMs, endMs } = window
    group.revision++
    return {
      startMs,
      endMs,
      group: group.texts,
      values: this.#valuesOf(group),
      revision: group.revision,
      watermarkMs,
      late: this.late.get(nameOf({ startMs, endMs, group: group.texts })) ?? this.plan.accumulators.map(() => 0),
    }
  }

  #valuesOf({ gathered }: Group): number[] {
    return this.plan.accumulators.map(({ kind }, i) => {
      if (kind === 'distinct') return new Set(gathered[i]).size
      const numbers = (gathered[i] as number[]).filter((n) => !Number.isNaN(n))
      if (kind === 'min') return Math.min(...numbers)
      if (kind === 'max') return Math.max(...numbers)
      return numbers.reduce((sum, n) => sum + n, 0)
    })
  }
}
