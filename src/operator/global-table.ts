/**
 * Results of the global window: the state of a group for as long as the job lives.
 *
 * Owns: giving the result of a group when it has its count of events (Flink's CountTrigger), and beginning anew with it
 * where the trigger purges (PurgingTrigger). Does not own: how events get in (operator/aggregate-events). Time does
 * nothing here: a group that has not come to its count gives no result, not even at the end of a bounded input.
 *
 * The revision of a row is the number of its results. A purged row keeps it, so that results have an order.
 */
import type { TriggerDefinition } from '../job/definition.ts'
import { ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT, ROW_REVISION } from '../state/keyed-table.ts'
import { releaseCells } from './cells.ts'
import type { VisitOpen } from './open-rows.ts'
import { countOf, ResultTable } from './result-table.ts'
import type { Slice } from './slices.ts'
import type { KeyTest } from './view-filter.ts'

/** The global window of one table. */
export class GlobalTable extends ResultTable {
  readonly #trigger: TriggerDefinition | null = this.plan.trigger
  /** The count of a group's events: metrics of a table with a trigger share their condition. */
  readonly #countAt = countOf(this.accumulators, this.accumulators.predicates[0] ?? 0)

  /** Whether `counted` is to be told of each event. */
  get triggered(): boolean {
    return this.#trigger !== null
  }

  /** An event has been added to a row: gives its result if it has its count. */
  counted({ startMs, endMs, groups }: Slice, row: number, watermarkMs: number): void {
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    const at = place * groups.strideF64 + ROW_HEADER_F64
    const { count, purge } = this.#trigger!
    if (page.f64[at + this.#countAt]! % count !== 0) return
    const u32At = place * groups.strideU32
    const revision = ++page.u32[u32At + ROW_REVISION]!
    page.u32[u32At + ROW_CHANGE] = this.change
    page.dirty = 1
    this.emitter.emit(startMs, endMs, groups, row, page.f64, at, revision, watermarkMs)
    if (!purge) return
    releaseCells(this.accumulators, page.f64, at)
    page.f64.set(this.accumulators.initial, at)
  }

  /** Every value may still change. */
  override visitOpen(fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): void {
    super.visitOpen(fromMs, toMs, passes, (startMs, endMs, key, revision, change, f64, at, row) =>
      visit(startMs, endMs, key, revision, change, f64, at, row, true),
    )
  }

  /** Nothing was final, so nothing is corrected. */
  override correct(): void {}

  /** Nothing becomes due. */
  override get nextDueMs(): number {
    return Infinity
  }

  override advance(_watermarkMs: number, budget: number): number {
    return budget
  }
}
