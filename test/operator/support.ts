/** Tables at any parallelism, fed through the real exchange, without threads: time and flushes are the test's. */
import { keyGroupOf, keyGroupRangeOf } from '../../src/core/key-groups.ts'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../../src/exchange/partial-batch.ts'
import type { AccumulatorPlan, TablePlan } from '../../src/job/plan.ts'
import { layOutAccumulators, readAccumulator } from '../../src/operator/accumulators.ts'
import { EventAggregator } from '../../src/operator/aggregate-events.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { dimensionTexts, GroupKeyBuilder } from '../../src/operator/group-key.ts'
import { itself } from '../../src/operator/held-table.ts'
import { PartialMerger } from '../../src/operator/merge-partials.ts'
import { openResultTable, PaneTable } from '../../src/operator/pane-table.ts'
import { PartialTable } from '../../src/operator/partial-table.ts'
import type { FiredRow, ResultSink } from '../../src/operator/result-sink.ts'
import { membersOfEvents, membersOfPartials, ResultTable } from '../../src/operator/result-table.ts'
import { adoptTable, type StoredPage, takeOverRows } from '../../src/operator/table-restore.ts'
import {
  decodeMeta,
  encodeMeta,
  type SnapshotTable,
  tableMetaOf,
  undescribedTables,
  visitPages,
} from '../../src/operator/table-snapshot.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { fillScan, newScan, type Row, recordingChannels } from '../exchange/support.ts'
import { nameOf, type Result } from './reference.ts'

export const NUMBERS = 2
export const TEXTS = 2
export const KEY_GROUPS = 32
export const WINDOW_MS = 100

const layout = layOutEventBatch(NUMBERS, TEXTS, false)
const columns = { numbers: [0, 1], texts: [NUMBERS, NUMBERS + 1] }
const textAt = (column: number) => column - NUMBERS

export function accumulator(
  kind: AccumulatorPlan['kind'],
  predicate: number,
  column = -1,
  floating = false,
): AccumulatorPlan {
  return { kind, predicate, column, floating }
}

export function tablePlan(
  dimensions: readonly number[],
  accumulators: readonly AccumulatorPlan[],
  change: Partial<TablePlan> = {},
): TablePlan {
  return {
    id: 'table',
    dimensions,
    dimensionNames: dimensions.map((column) => (column < 0 ? 'key' : `text${column}`)),
    keyed: dimensions.includes(-1),
    window: { kind: 'tumbling', sizeMs: WINDOW_MS, offsetMs: 0, timezone: 'UTC', time: 'event' },
    trigger: null,
    earlyMs: 0,
    allowedLatenessMs: 0,
    retainMs: 1e9,
    accumulators,
    ...change,
  }
}

/** Keeps what it gets. */
export class RecordingSink implements ResultSink {
  readonly full = false
  readonly #table: () => ResultTable
  results: Result[] = []
  /** Of each result, the values that it said to correct; null where it said nothing. */
  readonly before: (readonly number[] | null)[] = []

  constructor(table: () => ResultTable) {
    this.#table = table
  }

  accept(fired: FiredRow): void {
    const { startMs, endMs, groups, row, f64, at, revision, watermarkMs, lateCount, before, beforeAt } = fired
    const { plan, accumulators } = this.#table()
    const read = (columns: Float64Array, from: number) =>
      plan.accumulators.map((_, i) => readAccumulator(accumulators, columns, from, i))
    this.before.push(before === null ? null : read(before, beforeAt))
    this.results.push({
      startMs,
      endMs,
      group: dimensionTexts(groups.keyOf(row), plan.dimensions.length),
      values: read(f64, at),
      revision,
      watermarkMs,
      late: plan.accumulators.map((_, i) => lateCount(i)),
    })
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}

interface Subtask {
  readonly pool: PagePool
  readonly table: ResultTable | PartialTable
  readonly aggregator: EventAggregator
  readonly sink: RecordingSink
}

interface Merge {
  readonly pool: PagePool
  readonly table: ResultTable
  readonly merger: PartialMerger
  readonly sink: RecordingSink
}

/** One table of a job with so many window subtasks, and as many merges where it is not keyed. */
export class Cluster {
  readonly plan: TablePlan
  readonly parallelism: number
  /** Whether groups are put together in merges; else windows give the results. */
  readonly merged: boolean
  readonly windows: Subtask[]
  readonly merges: Merge[]
  watermarkMs = -Infinity
  lateEvents = 0
  applied = 0
  readonly #events
  readonly #partials
  readonly #scan = newScan(NUMBERS, TEXTS)
  readonly #output: KeyedOutput
  readonly #partialOutput: PartialOutput
  readonly #accepted = new Uint8Array(ROWS_MAX)

  constructor(plan: TablePlan, parallelism: number, merged: boolean) {
    this.plan = plan
    this.parallelism = parallelism
    this.merged = merged
    this.windows = Array.from({ length: parallelism }, () => this.#newWindow())
    this.merges = merged ? Array.from({ length: parallelism }, () => this.#newMerge()) : []
    this.#events = recordingChannels(parallelism, 1, layout.byteLength)
    this.#partials = recordingChannels(parallelism, 1, PARTIAL_BATCH_BYTES)
    this.#output = new KeyedOutput(layout, columns, this.#events.channels, KEY_GROUPS)
    this.#partialOutput = new PartialOutput(this.#partials.channels, KEY_GROUPS)
  }

  /** Brings rows to their windows. Where results are made there, corrections leave too. */
  apply(rows: readonly Row[]): void {
    fillScan(this.#scan, rows)
    this.#output.write(this.#scan, null)
    this.#output.flush()
    for (const { receiver, message } of this.#events.sent.splice(0)) {
      const { buffer } = message as BatchMessage
      this.#applyBatch(this.windows[receiver]!, new EventBatch(layout, buffer))
      this.#events.channels.onCredit(receiver, buffer)
    }
  }

  /** Sends the gains of window `index` on. */
  flush(index: number): void {
    const { table } = this.windows[index % this.parallelism]!
    if (!(table instanceof PartialTable)) return
    while (!table.flush(this.#partialOutput)) this.#deliver()
    while (!this.#partialOutput.flush()) this.#deliver()
    this.#deliver()
    nextChange(table)
  }

  /** Time goes on everywhere, after every flush; `budget` rows at a time. */
  advance(watermarkMs: number, budget = 4096): void {
    for (let i = 0; i < this.parallelism; i++) this.flush(i)
    this.watermarkMs = watermarkMs
    for (const { table } of this.windows) {
      if (table instanceof PartialTable) table.close(watermarkMs)
      else run(table, watermarkMs, budget)
    }
    for (const { table } of this.merges) run(table, watermarkMs, budget)
  }

  /** What left since the last call. */
  takeResults(): Result[] {
    return [...this.windows, ...this.merges].flatMap(({ sink }) => sink.results.splice(0))
  }

  /** The tables in which results are made. */
  get tables(): ResultTable[] {
    return this.merged ? this.merges.map(({ table }) => table) : this.windows.map(({ table }) => table as ResultTable)
  }

  /** The same state at another parallelism, or at the same one, by way of a snapshot of every subtask. */
  restore(parallelism: number): Cluster {
    for (let i = 0; i < this.parallelism; i++) this.flush(i)
    const next = new Cluster(this.plan, parallelism, this.merged)
    next.watermarkMs = this.watermarkMs
    for (const side of ['windows', 'merges'] as const) {
      const snapshots = this[side].map(({ table }) => snapshotOf([table]))
      next[side].forEach(({ table }, i) => {
        if (parallelism === this.parallelism) adopt(table, snapshots[i]!)
        else for (const snapshot of snapshots) takeOver(table, snapshot, i, parallelism)
        if (table instanceof PaneTable) table.restored()
        if (table instanceof PartialTable) table.markAllSent()
        else run(table, this.watermarkMs, 4096)
      })
    }
    return next
  }

  release(): void {
    for (const { table, pool } of [...this.windows, ...this.merges]) {
      while (table.slices.slices.length > 0) table.slices.dropFirst()
      if (table instanceof PaneTable) while (table.windows.slices.length > 0) table.windows.dropFirst()
      if (table instanceof ResultTable) table.history.release()
      if (pool.bytesInUse !== 0) throw new Error(`${pool.bytesInUse} bytes were not given back`)
    }
  }

  #newWindow(): Subtask {
    const pool = new PagePool()
    const accumulators = layOutAccumulators(this.plan, (column) => column, textAt, pool)
    const sink = new RecordingSink(() => table as ResultTable)
    const table: ResultTable | PartialTable = this.merged
      ? new PartialTable(this.plan, 0, accumulators, pool)
      : openResultTable(this.plan, 0, accumulators, pool, membersOfEvents, [sink])
    const dimensions = this.plan.dimensions.map((column) => (column < 0 ? -1 : textAt(column)))
    return {
      pool,
      table,
      sink,
      aggregator: new EventAggregator(this.plan, dimensions, accumulators, table.slices, this.merged),
    }
  }

  #newMerge(): Merge {
    const pool = new PagePool()
    const accumulators = layOutAccumulators(this.plan, (column) => column, textAt, pool)
    const sink = new RecordingSink(() => table)
    const table: ResultTable = openResultTable(this.plan, 0, accumulators, pool, membersOfPartials, [sink])
    return { pool, table, sink, merger: new PartialMerger([table], this.parallelism) }
  }

  #applyBatch({ table, aggregator }: Subtask, batch: EventBatch): void {
    const keys = new GroupKeyBuilder(this.plan.dimensions.map((column) => (column < 0 ? -1 : textAt(column))))
    aggregator.change = table.change
    const accepted = this.#accepted.fill(0)
    const late = new Set<number>()
    this.applied += aggregator.apply(batch, this.watermarkMs, accepted, (row, startMs, endMs, bits) => {
      late.add(row)
      keys.build(batch, row)
      table.late.change = table.change
      table.late.addEvents(startMs, endMs, keys.bytes, keys.length, keys.hash, bits, 1)
    })
    for (const row of late) if (accepted[row] === 0) this.lateEvents++
    if (table instanceof ResultTable) this.#settle(table)
  }

  #deliver(): void {
    for (const { receiver, message } of this.#partials.sent.splice(0)) {
      const { buffer, byteLength } = message as BatchMessage
      const { merger, table } = this.merges[receiver]!
      merger.apply(buffer, byteLength)
      this.#partials.channels.onCredit(receiver, buffer)
      this.#settle(table)
    }
  }

  #settle(table: ResultTable): void {
    table.correct(this.watermarkMs)
    run(table, this.watermarkMs, 4096)
  }
}

function run(table: ResultTable, watermarkMs: number, budget: number): void {
  // A firing goes on where its budget ended; what is touched from now on is another change than what was given out.
  while (table.advance(watermarkMs, budget) < 0);
  nextChange(table)
}

/** The snapshot of some tables as a checkpoint would read it back. */
export interface Snapshot {
  readonly meta: Uint8Array
  readonly pages: Map<string, StoredPage[]>
}

export function snapshotOf(tables: readonly SnapshotTable[]): Snapshot {
  const pages = new Map<string, StoredPage[]>()
  visitPages(tables, (sequence, _number, units, byteLength, page) => {
    const bytes = page.u8.slice(0, byteLength)
    const location = { chunk: 'chunk', offset: 0, length: byteLength, crc: 0 }
    pages.set(sequence, [...(pages.get(sequence) ?? []), { units, bytes, location }])
  })
  return { meta: encodeMeta(tables, undescribedTables), pages }
}

export function adopt(table: SnapshotTable, { meta, pages }: Snapshot): void {
  const tableMeta = tableMetaOf(decodeMeta(meta), table.plan.id)
  if (tableMeta !== undefined) adoptTable(table, tableMeta, pages, itself(table))
}

export function takeOver(table: SnapshotTable, { meta, pages }: Snapshot, index: number, parallelism: number): void {
  const tableMeta = tableMetaOf(decodeMeta(meta), table.plan.id)
  if (tableMeta === undefined) return
  takeOverRows(table, tableMeta, pages, itself(table), keyGroupRangeOf(index, KEY_GROUPS, parallelism), KEY_GROUPS)
}

/** Values of every group of every window, open or closed, by `nameOf`; throws when one is there twice. */
export function valuesOf(tables: readonly ResultTable[]): Map<string, readonly number[]> {
  const found = new Map<string, readonly number[]>()
  for (const table of tables) {
    const add = (startMs: number, endMs: number, key: Uint8Array, f64: Float64Array, at: number): true => {
      const name = nameOf({ startMs, endMs, group: dimensionTexts(key, table.plan.dimensions.length) })
      if (found.has(name)) throw new Error(`${name} is in two tables`)
      found.set(
        name,
        table.plan.accumulators.map((_, i) => readAccumulator(table.accumulators, f64, at, i)),
      )
      return true
    }
    table.history.scan(-Infinity, Infinity, ({ startMs, endMs, key, f64, at }) => add(startMs, endMs, key, f64, at))
    table.visitOpen(-Infinity, Infinity, null, (startMs, endMs, key, _revision, _change, f64, at) =>
      add(startMs, endMs, key, f64, at),
    )
  }
  return found
}

/** Late events by window and group, summed over subtasks. */
export function lateOf(tables: readonly ResultTable[]): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const { late, plan } of tables) {
    for (const { startMs, endMs, group, counts } of late.entries()) {
      const name = nameOf({ startMs, endMs, group: dimensionTexts(group, plan.dimensions.length) })
      const before = found.get(name)
      found.set(
        name,
        Array.from(counts, (count, i) => count + (before?.[i] ?? 0)),
      )
    }
  }
  return found
}

export const groupOf = (hash: number) => keyGroupOf(hash, KEY_GROUPS)

/** Results in an order of their own, to compare what has none. */
export function sorted(results: readonly Result[]): Result[] {
  return results.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
}

const order = (r: Result) => `${r.startMs}|${r.endMs}|${JSON.stringify(r.group)}|${String(r.revision).padStart(6, '0')}`

export const sortedMap = <V>(map: ReadonlyMap<string, V>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
