/**
 * Answers questions about one table's values from the subtask that has them.
 *
 * Owns: walking open slices and history, filtering by time, group and change. Does not own: merging subtasks, status,
 * rolling up (query/). Runs between two batches, so an answer is of one moment.
 */
import type { MetricPlan } from '../job/plan.ts'
import { ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT, ROW_REVISION } from '../state/keyed-table.ts'
import { readAccumulator } from './accumulators.ts'
import { dimensionTexts } from './group-key.ts'
import type { ResultTable } from './result-table.ts'
import type { ViewQuery, ViewRows } from './view-rows.ts'

/** Rows of one metric, gathered in arrays that become a ViewRows. */
class Gathered {
  readonly start: number[] = []
  readonly end: number[] = []
  readonly dimensions: string[][] = []
  readonly values: number[] = []
  readonly events: number[] = []
  readonly revisions: number[] = []
  readonly late: number[] = []
  truncated = false
  readonly #table: ResultTable
  readonly #metric: MetricPlan
  readonly #query: ViewQuery
  readonly #since: number

  constructor(table: ResultTable, metric: MetricPlan, query: ViewQuery, since: number) {
    this.#table = table
    this.#metric = metric
    this.#query = query
    this.#since = since
  }

  /** Takes one row if it is asked for; false when no more fit. */
  add(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    revision: number,
    change: number,
    f64: Float64Array,
    at: number,
  ): boolean {
    const { accumulators, plan, late } = this.#table
    if (change <= this.#since && !late.changedSince(this.#since, startMs, key)) return true
    const { events: eventsOf, read } = this.#metric
    const events = f64[at + eventsOf]!
    const lateCount = late.count(startMs, key, eventsOf)
    if (events === 0) return true
    const texts = dimensionTexts(key, plan.dimensions.length)
    const filter = this.#query.filter
    for (let i = 0; i < filter.length; i++) if (filter[i] != null && filter[i] !== texts[i]) return true
    if (this.values.length >= this.#query.rowsMax) {
      this.truncated = true
      return false
    }
    const value = readAccumulator(accumulators, f64, at, read.of)
    this.start.push(startMs)
    this.end.push(endMs)
    this.dimensions.push(texts)
    this.values.push(read.kind === 'value' ? value : value / readAccumulator(accumulators, f64, at, read.by))
    this.events.push(events)
    this.revisions.push(revision)
    this.late.push(lateCount)
    return true
  }
}

/** The rows of `metric` that `query` asks for. `since` is the change number up to which the asker knows everything. */
export function queryTable(
  table: ResultTable,
  metric: MetricPlan,
  query: ViewQuery,
  since: number,
  about: { readonly operator: 'window' | 'merge'; readonly subtask: number; readonly watermarkMs: number },
): ViewRows {
  const rows = new Gathered(table, metric, query, since)
  table.history.scan(query.fromMs, query.toMs, (row) =>
    rows.add(row.startMs, row.endMs, row.key, row.revision, row.change, row.f64, row.at),
  )
  for (const slice of table.slices.slices) {
    if (slice.endMs <= query.fromMs || slice.startMs >= query.toMs || rows.truncated) continue
    const groups = slice.groups
    for (let row = slice === table.slices.slices[0] ? table.movedRows : 0; row < groups.count; row++) {
      const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const place = row & ROW_PAGE_MASK
      const u32 = place * groups.strideU32
      const at = place * groups.strideF64 + ROW_HEADER_F64
      const change = page.u32[u32 + ROW_CHANGE]!
      if (!rows.add(slice.startMs, slice.endMs, groups.keyOf(row), page.u32[u32 + ROW_REVISION]!, change, page.f64, at))
        break
    }
  }
  return {
    ...about,
    change: table.change,
    truncated: rows.truncated,
    count: rows.values.length,
    windowStartMs: Float64Array.from(rows.start),
    windowEndMs: Float64Array.from(rows.end),
    dimensions: rows.dimensions,
    values: Float64Array.from(rows.values),
    events: Float64Array.from(rows.events),
    revision: Uint32Array.from(rows.revisions),
    lateCount: Float64Array.from(rows.late),
  }
}
