/**
 * The values behind the totals that a watch follows, by window.
 *
 * Owns: which windows are held, and adding up those of a change. When there are too many values, the oldest windows are let
 * go; a late change to one of them is added up from an answer about that window alone. So a watch may go on for ever, and
 * costs what changes, not what there ever was.
 */
import { type MetricInfo, type MetricValue, maxQueryLimit } from './api.ts'
import { rollUp, valueKey } from './render.ts'

/** Values by window, the windows in the order in which they came. */
export class GroupTotals {
  readonly #kept: readonly number[]
  readonly #window: MetricInfo['window']
  readonly #max: number
  readonly #windows = new Map<string, Map<string, MetricValue>>()
  #size = 0
  /** Some window was let go: one that is not held may be an old one. */
  #forgot = false

  constructor(kept: readonly number[], window: MetricInfo['window'], max = maxQueryLimit) {
    this.#kept = kept
    this.#window = window
    this.#max = max
  }

  clear(): void {
    this.#windows.clear()
    this.#size = 0
    this.#forgot = false
  }

  /** A value of each window that must be asked about before `changed` can be added up. */
  missing(changed: readonly MetricValue[]): MetricValue[] {
    if (!this.#forgot) return []
    const found = new Map<string, MetricValue>()
    for (const value of changed) {
      const name = this.#nameOf(value)
      if (!this.#windows.has(name)) found.set(name, value)
    }
    return [...found.values()]
  }

  /** Takes those of `values` that are of the same window as `of`. */
  fill(of: MetricValue, values: readonly MetricValue[]): void {
    const name = this.#nameOf(of)
    for (const value of values) if (this.#nameOf(value) === name) this.#put(value)
  }

  /** The totals that `changed` is part of; null when they alone are too many values. */
  add(changed: readonly MetricValue[]): MetricValue[] | null {
    const windows = new Set<string>()
    const affected = new Set<string>()
    for (const value of changed) {
      this.#put(value)
      windows.add(this.#nameOf(value))
      affected.add(this.#totalOf(value))
    }
    const values = [...windows].flatMap((name) => [...this.#windows.get(name)!.values()])
    if (values.length > this.#max) return null
    this.#letGo(windows)
    return rollUp(values, this.#kept, this.#window).filter((total) => affected.has(valueKey(total, this.#window)))
  }

  #put(value: MetricValue): void {
    const name = this.#nameOf(value)
    let window = this.#windows.get(name)
    if (window === undefined) this.#windows.set(name, (window = new Map()))
    this.#size -= window.size
    window.set(valueKey(value, this.#window), value)
    this.#size += window.size
  }

  #letGo(needed: ReadonlySet<string>): void {
    for (const [name, values] of this.#windows) {
      if (this.#size <= this.#max) return
      if (needed.has(name)) continue
      this.#windows.delete(name)
      this.#size -= values.size
      this.#forgot = true
    }
  }

  #nameOf(value: MetricValue): string {
    return valueKey({ ...value, dimensions: [] }, this.#window)
  }

  #totalOf(value: MetricValue): string {
    return valueKey({ ...value, dimensions: this.#kept.map((index) => value.dimensions[index] ?? '') }, this.#window)
  }
}
