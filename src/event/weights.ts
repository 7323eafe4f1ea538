/**
 * Weights of events: 1 for an event, -1 for one that is taken back. What is neither is told record by record, for such a
 * record is a dead letter; all others are read as fast as without weights.
 *
 * Owns: what a weight is, and going back where a kernel has read past one that is none. Does not own: what becomes of such
 * a record (runtime/source-subtask), or what weights do to state (operator/).
 */
import type { Kernel } from './kernel.ts'
import type { RecordCursor } from './records.ts'
import type { ScanBatch } from './scan.ts'
import type { Column } from './schema.ts'

/** The weights of a scan's rows. */
export class EventWeights {
  readonly #values: Float64Array
  /** A field that does not tell absent from 0: then 0 is none, and so an event. */
  readonly #zeroIsNone: boolean
  /** Entries of each dictionary before a kernel's turn. */
  readonly #entries: number[] = []
  /** How often the scan had been emptied when its kernel had read a weight that is none; see `run`. */
  #withoutKernel = -1

  /** `values`: the scan's numbers of `column`. */
  constructor(values: Float64Array, { field }: Pick<Column, 'field'>) {
    this.#values = values
    this.#zeroIsNone = field.explicit !== true
  }

  /** Whether the weight of a row is 1, -1 or absent. */
  holds(row: number): boolean {
    const value = this.#values[row]!
    return value === 1 || value === -1 || Number.isNaN(value) || (value === 0 && this.#zeroIsNone)
  }

  /**
   * As `kernel.run`. Where it reads a weight that is none, what it has read is taken back, the cursor stands where it
   * stood, and what else comes into the scan comes without the kernel: its texts and the scan's are not in step then.
   */
  run(kernel: Kernel, cursor: RecordCursor, scan: ScanBatch, latestMs: number): number {
    if (this.#withoutKernel === scan.resets) return 0
    const { rows, dictionaries } = scan
    const { position, left, offsetDelta } = cursor
    const entries = this.#entries
    for (let i = 0; i < dictionaries.length; i++) entries[i] = dictionaries[i]!.count
    const read = kernel.run(cursor, scan, latestMs)
    let row = rows
    while (row < scan.rows && this.holds(row)) row++
    if (row === scan.rows) return read
    scan.rows = rows
    for (let i = 0; i < dictionaries.length; i++) dictionaries[i]!.truncate(entries[i]!)
    cursor.skipTo(position, left, offsetDelta)
    this.#withoutKernel = scan.resets
    return 0
  }
}
