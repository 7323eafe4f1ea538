/**
 * Gives rows of one table to the sinks of a job.
 *
 * Owns: the one row object that all sinks are handed, and the count of what left. Does not own: which rows, and when.
 */
import type { Accumulators } from './accumulators.ts'
import type { LateLedger } from './late-ledger.ts'
import type { FiredRow, GroupKeys, ResultSink } from './result-sink.ts'

/** The way out of a table. */
export class ResultEmitter {
  /** Results given out. */
  results = 0
  readonly #sinks: readonly ResultSink[]
  readonly #fired: FiredRow

  /** `table`: index into JobPlan.tables. */
  constructor(table: number, accumulators: Accumulators, late: LateLedger, sinks: readonly ResultSink[]) {
    this.#sinks = sinks
    const fired: FiredRow = {
      table,
      startMs: 0,
      endMs: 0,
      groups: null as never,
      row: 0,
      f64: noColumns,
      at: 0,
      accumulators,
      revision: 0,
      watermarkMs: 0,
      lateCount: (accumulator) =>
        late.size === 0 ? 0 : late.count(fired.startMs, fired.endMs, fired.groups.keyOf(fired.row), accumulator),
      retracted: false,
      before: null,
      beforeAt: 0,
    }
    this.#fired = fired
  }

  /** True while a sink cannot take more. */
  get full(): boolean {
    for (let i = 0; i < this.#sinks.length; i++) if (this.#sinks[i]!.full) return true
    return false
  }

  /** Gives one row; `revision` is 0 for a provisional result. Its columns are `f64[at ..]`; those of the result before, `before[beforeAt ..]`. */
  emit(
    startMs: number,
    endMs: number,
    groups: GroupKeys,
    row: number,
    f64: Float64Array,
    at: number,
    revision: number,
    watermarkMs: number,
    before: Float64Array | null = null,
    beforeAt = 0,
  ): void {
    this.results++
    const fired = this.#fired
    fired.startMs = startMs
    fired.endMs = endMs
    fired.groups = groups
    fired.row = row
    fired.f64 = f64
    fired.at = at
    fired.revision = revision
    fired.watermarkMs = watermarkMs
    fired.before = before
    fired.beforeAt = beforeAt
    for (let i = 0; i < this.#sinks.length; i++) this.#sinks[i]!.accept(fired)
  }
}

const noColumns = new Float64Array(0)
