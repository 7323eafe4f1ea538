/** Weights of events: 1 for an event, -1 for one that is taken back. */
import type { Column } from './schema.ts'

/** The weights of a scan's rows. */
export class EventWeights {
  readonly #values: Float64Array
  /** A field that does not tell absent from 0: then 0 is none, and so an event. */
  readonly #zeroIsNone: boolean

  /** `values`: the scan's numbers of `column`. */
  constructor(values: Float64Array, column: Pick<Column, 'nullable'>) {
    this.#values = values
    this.#zeroIsNone = column.nullable !== true
  }

  /** Whether the weight of a row is 1, -1 or absent. */
  holds(row: number): boolean {
    const value = this.#values[row]!
    return value === 1 || value === -1 || Number.isNaN(value) || (value === 0 && this.#zeroIsNone)
  }
}
