/**
 * The values behind the totals that a watch follows, by window.
 *
 * Owns: which windows are held, and adding up those of a change. When there are too many values, the oldest windows are let
 * go; a late change to one of them is added up from an answer about that window alone. So a watch may go on for ever, and
 * costs what changes, not what there ever was.
 */

import { maxQueryLimit } from './api.ts'
import type { MetricInfo, MetricValue } from './metric-info.ts'
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

  /** `changed` by window: each part is given to the methods below before the next one. */
  parts(changed: readonly MetricValue[]): MetricValue[][] {
    return [...Map.groupBy(changed, (value) => this.#nameOf(value)).values()]
  }

  /** Whether the other values of that window are not known: they must be asked for, and filled in. */
  lacks(part: readonly MetricValue[]): boolean {
    return this.#forgot && !this.#windows.has(this.#nameOf(part[0]!))
  }

  /** Takes those of `values` that are of the window of `part`. */
  fill(part: readonly MetricValue[], values: readonly MetricValue[]): void {
    const name = this.#nameOf(part[0]!)
    for (const value of values) if (this.#nameOf(value) === name) this.#put(name, value)
  }

  /** The totals that the changes of one window are part of; null when that window has too many values. */
  add(part: readonly MetricValue[]): MetricValue[] | null {
    const name = this.#nameOf(part[0]!)
    for (const value of part) this.#put(name, value)
    const affected = new Set(part.map((value) => this.#totalOf(value)))
    const values = this.#windows.get(name)!
    if (values.size > this.#max) return null
    this.#letGo(name)
    const totals = rollUp([...values.values()], this.#kept, this.#window)
    return totals.filter((total) => affected.has(valueKey(total, this.#window)))
  }

  #put(name: string, value: MetricValue): void {
    let window = this.#windows.get(name)
    if (window === undefined) this.#windows.set(name, (window = new Map()))
    this.#size -= window.size
    window.set(valueKey(value, this.#window), value)
    this.#size += window.size
  }

  #letGo(needed: string): void {
    for (const [name, values] of this.#windows) {
      if (this.#size <= this.#max) return
      if (name === needed) continue
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
