/** A few rows of many: those of the newest windows, and of these the first by key. Pure. */
import type { SampleRow } from './inspection.ts'

interface Sample {
  readonly rank: number
  readonly row: SampleRow
}

/** Keeps up to `max` rows. */
export class Samples {
  readonly #max: number
  #kept: Sample[] = []

  constructor(max: number) {
    this.#max = max
  }

  /** Whether a row of that rank may be kept: worth making one. */
  takes(rank: number): boolean {
    if (this.#kept.length < this.#max) return true
    const last = this.#kept.at(-1)
    return last !== undefined && rank >= last.rank
  }

  /** Offers a row; the highest ranks stay. */
  add(rank: number, row: SampleRow): void {
    if (!this.takes(rank)) return
    this.#kept.push({ rank, row })
    this.#kept.sort((a, b) => b.rank - a.rank || (a.row.key.join('\0') < b.row.key.join('\0') ? -1 : 1))
    this.#kept.length = Math.min(this.#kept.length, this.#max)
  }

  /** Those kept, newest first. */
  get rows(): readonly SampleRow[] {
    return this.#kept.map(({ row }) => row)
  }
}
