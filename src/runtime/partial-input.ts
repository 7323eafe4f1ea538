/** The merge subtask's input: batches of partials into its tables. Nothing is late here. */
import type { BatchMessage } from '../exchange/message.ts'
import { PartialMerger } from '../operator/merge-partials.ts'
import type { ResultTable } from '../operator/result-table.ts'
import type { BatchInput } from './keyed-parts.ts'

/** Applies partial batches to the tables of one merge subtask. */
export class PartialInput implements BatchInput {
  readonly counters = { applied: 0, late: 0, filtered: 0, deduplicated: 0, dedupeForgotten: 0 }
  readonly stateBytes = 0
  readonly newestMs = Number.NaN
  readonly full = false
  readonly #merger: PartialMerger

  /** `tables` by index in the plan; null where the table is not merged. `senders`: subtasks on the other side. */
  constructor(tables: readonly (ResultTable | null)[], senders: number) {
    this.#merger = new PartialMerger(tables, senders)
  }

  get passedMs(): number {
    return this.#merger.passedMs
  }

  apply(message: BatchMessage): number {
    const before = this.#merger.recordsIn
    this.#merger.apply(message.buffer, message.byteLength)
    return this.#merger.recordsIn - before
  }

  advance(): void {}

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}
