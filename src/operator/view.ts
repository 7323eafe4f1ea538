/**
 * Answers questions about one table's values from the subtask that has them.
 *
 * Owns: walking open slices and history, filtering by time, group, value and change. Does not own: what an answer keeps
 * (operator/view-collect.ts), merging subtasks, status (query/). Runs between two batches, so an answer is of one moment.
 */
import type { Accumulators } from './accumulators.ts'
import type { FiringTable, VanishedWindow } from './firing-table.ts'
import { dimensionTexts } from './group-key.ts'
import { type RowRead, readDetail, readMetric, readVolume } from './read-metric.ts'
import { CappedWindows } from './view-cap.ts'
import { AddedUp, AllRows, columnsOf, NewestRows, type RowCollector, TopOfWindows } from './view-collect.ts'
import { type KeyTest, keyTest, TooMuchWork, valuePasses } from './view-filter.ts'
import type { ValueCondition, ViewQuery, ViewRows } from './view-rows.ts'

/** Rows of one metric: those that pass the conditions, as the collector keeps them. */
class Gathered {
  readonly collector: RowCollector
  readonly #table: FiringTable
  readonly #metric: RowRead
  readonly #since: number
  readonly passes: KeyTest | null
  readonly #values: readonly ValueCondition[]

  constructor(table: FiringTable, metric: RowRead, query: ViewQuery, since: number) {
    this.#table = table
    this.#metric = query.read === undefined ? metric : { ...metric, read: query.read }
    this.#since = since
    this.passes = keyTest(table.plan.dimensions.length, query.filter, query.conditions ?? [])
    this.#values = query.keep === undefined && query.cap === undefined ? (query.values ?? []) : []
    if (query.cap !== undefined)
      this.collector = new CappedWindows(query.cap, query.newest ?? query.rowsMax, query.newest !== undefined)
    else if (query.keep !== undefined) this.collector = new AddedUp(query.keep, query.rowsMax)
    else if (query.top !== undefined)
      this.collector = new TopOfWindows(query.top, query.newest ?? query.rowsMax, query.newest !== undefined)
    else if (query.newest !== undefined) this.collector = new NewestRows(query.newest)
    else this.collector = new AllRows(query.rowsMax)
  }

  /** Takes one row if it is asked for; false when no more fit. */
  add(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    revision: number,
    change: number,
    accumulators: Accumulators,
    f64: Float64Array,
    at: number,
    open = revision === 0,
  ): boolean {
    const { plan, late } = this.#table
    if (change <= this.#since && !late.changedSince(this.#since, startMs, endMs, key)) return true
    const { events: eventsOf } = this.#metric
    const events = f64[at + eventsOf]!
    if (events <= 0) {
      // Persons leave numbers, and events are taken back: who follows changes hears that there is nothing any more.
      const left = (plan.person !== undefined || plan.takesBack === true) && this.#since >= 0 && change > this.#since
      return !left || this.addVanished({ startMs, endMs, key, revision }, open)
    }
    if (this.passes !== null && !this.passes(key)) return true
    const value = readMetric(this.#metric, accumulators, f64, at)
    if (!valuePasses(value, this.#values) || !this.collector.wants(startMs, endMs, value)) return true
    return this.collector.add({
      startMs,
      endMs,
      dimensions: dimensionTexts(key, plan.dimensions.length),
      value,
      volume: readVolume(this.#metric, accumulators, f64, at),
      events,
      revision,
      late: late.count(startMs, endMs, key, eventsOf),
      provisional: open,
      detail: readDetail(this.#metric, accumulators, f64, at),
    })
  }

  /** Tells who follows changes that a value is there no more: no events are behind it. */
  addVanished({ startMs, endMs, key, revision }: VanishedWindow, provisional = false): boolean {
    if (this.passes !== null && !this.passes(key)) return true
    const dimensions = dimensionTexts(key, this.#table.plan.dimensions.length)
    return this.collector.add({
      ...{ startMs, endMs, dimensions, revision },
      ...{ value: 0, volume: 0, events: 0, late: 0, provisional, detail: null },
    })
  }
}

/** The rows of `metric` that `query` asks for. `since` is the change number up to which the asker knows everything. */
export function queryTable(
  table: FiringTable,
  metric: RowRead,
  query: ViewQuery,
  since: number,
  about: { readonly operator: 'window' | 'merge'; readonly subtask: number; readonly watermarkMs: number },
): ViewRows {
  const known = since < 0 ? -1 : since - table.changeBase
  const rows = new Gathered(table, metric, query, known)
  // First, as another session may have come to the same start since.
  for (const vanished of table.vanishedSince?.(known) ?? []) rows.addVanished(vanished)
  const finished = walk(table, query, rows)
  return {
    ...about,
    change: table.changeBase + table.change,
    truncated: rows.collector.truncated || !finished,
    ...columnsOf(rows.collector.rows()),
  }
}

/** Takes all rows; false when there is too much to test or to add up. */
function walk(table: FiringTable, query: ViewQuery, rows: Gathered): boolean {
  try {
    table.history.scan(
      query.fromMs,
      query.toMs,
      (row) => rows.add(row.startMs, row.endMs, row.key, row.revision, row.change, table.settled, row.f64, row.at),
      rows.passes?.onlyKey,
    )
    if (rows.collector.truncated) return true
    table.visitOpen(query.fromMs, query.toMs, rows.passes, (startMs, endMs, key, revision, change, f64, at, _, open) =>
      rows.add(startMs, endMs, key, revision, change, table.accumulators, f64, at, open),
    )
    return true
  } catch (error) {
    if (error instanceof TooMuchWork) return false
    throw error
  }
}
