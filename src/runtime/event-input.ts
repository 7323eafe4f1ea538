/**
 * The window subtask's input: event batches into all its tables.
 *
 * Owns: event accounting behind the exchange (applied, late), late counts per window and group, the late output. An
 * event is applied when at least one window took it, late when there were windows for it and none took it any more, and
 * filtered when it lies between windows.
 */
import { EventBatch, type EventBatchLayout, ROWS_MAX } from '../exchange/event-batch.ts'
import type { BatchMessage } from '../exchange/message.ts'
import type { MetricPlan } from '../job/plan.ts'
import type { EventAggregator, LateRow } from '../operator/aggregate-events.ts'
import type { PersonAggregator } from '../operator/aggregate-persons.ts'
import type { SessionAggregator } from '../operator/aggregate-sessions.ts'
import { GroupKeyBuilder } from '../operator/group-key.ts'
import type { SnapshotTable } from '../operator/table-snapshot.ts'
import { type Origin, writeLateEvent } from '../sink/side-output.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import { buildAggregator } from './build-tables.ts'
import type { BatchInput } from './keyed-parts.ts'

/** No predicate has this bit of the mask. */
const LATE_FOR_PERSONS = 2 ** 31

interface Target {
  readonly table: SnapshotTable
  readonly aggregator: EventAggregator | SessionAggregator | PersonAggregator
  readonly keys: GroupKeyBuilder
  readonly onLate: LateRow
}

/** Applies event batches to the tables of one window subtask. */
export class EventInput implements BatchInput {
  readonly counters: { applied: number; late: number; filtered: number }
  newestMs = Number.NaN
  readonly #layout: EventBatchLayout
  readonly #targets: readonly Target[]
  readonly #metrics: readonly MetricPlan[]
  readonly #lateOutput: SubtaskWriter | null
  readonly #origin: Origin
  readonly #accepted = new Uint8Array(ROWS_MAX)
  /** Rows that were late for some table, and the metrics' predicate bits that missed them, in this batch. */
  readonly #lateBits = new Uint32Array(ROWS_MAX)
  readonly #lateRows: number[] = []
  /** Indexes of the tables about persons that a row was late for; conditions do not tell them. */
  readonly #lateFor = new Map<number, number[]>()
  readonly #aboutPersons: ReadonlySet<number>
  #batch: EventBatch | null = null

  /** `dimensions[i]`: positions of table i's dimensions among the batch's text columns, -1 for the key. */
  constructor(
    layout: EventBatchLayout,
    tables: readonly SnapshotTable[],
    dimensions: readonly (readonly number[])[],
    metrics: readonly MetricPlan[],
    lateOutput: SubtaskWriter | null,
    origin: { readonly job: string; readonly topic: string },
    counters: Readonly<Record<string, number>>,
  ) {
    this.#layout = layout
    this.#metrics = metrics
    this.#lateOutput = lateOutput
    this.#origin = { ...origin, partition: 0, offset: 0 }
    this.counters = { applied: counters.applied ?? 0, late: counters.late ?? 0, filtered: counters.filtered ?? 0 }
    this.#aboutPersons = new Set(tables.flatMap((table) => ('timelines' in table ? [table.index] : [])))
    this.#targets = tables.map((table, i) => {
      const keys = new GroupKeyBuilder(dimensions[i]!)
      const aggregator = buildAggregator(table, dimensions[i]!)
      const missed: LateRow = (row) => {
        if (this.#lateBits[row] === 0) this.#lateRows.push(row)
        this.#lateBits[row]! |= LATE_FOR_PERSONS
        const before = this.#lateFor.get(row)
        if (before === undefined) this.#lateFor.set(row, [table.index])
        else before.push(table.index)
      }
      const onLate: LateRow = (row, startMs, endMs, mask) => {
        keys.build(this.#batch!, row)
        table.late.change = table.change
        const events = this.#batch!.count?.[row] ?? 1
        table.late.addEvents(startMs, endMs, keys.bytes, keys.length, keys.hash, mask, events)
        if (this.#lateBits[row] === 0) this.#lateRows.push(row)
        this.#lateBits[row]! |= mask
      }
      return { table, aggregator, keys, onLate: 'timelines' in table ? missed : onLate }
    })
  }

  apply(message: BatchMessage, watermarkMs: number, nowMs: number): number {
    const batch = new EventBatch(this.#layout, message.buffer)
    const rows = batch.rows
    const accepted = this.#accepted
    let all = false
    this.#batch = batch
    accepted.fill(0, 0, rows)
    for (const target of this.#targets) {
      target.aggregator.change = target.table.change
      // Processing time has passed up to the instant before: nothing is late in it.
      const passedMs = target.table.plan.window.time === 'processing' ? nowMs - 1 : watermarkMs
      if (target.aggregator.apply(batch, passedMs, accepted, target.onLate, nowMs) === rows) all = true
    }
    this.#account(rows, batch.count, all)
    if (this.#lateRows.length > 0) this.#reportLate(batch, watermarkMs)
    this.newestMs = rows > 0 ? batch.timeMs[rows - 1]! : Number.NaN
    this.#batch = null
    return rows
  }

  /** `all`: some table has taken all rows. */
  #account(rows: number, count: Uint32Array | null, all: boolean): void {
    const accepted = this.#accepted
    let events = rows
    let applied = 0
    if (count === null) {
      if (all) applied = rows
      else for (let row = 0; row < rows; row++) applied += accepted[row]!
    } else {
      events = 0
      for (let row = 0; row < rows; row++) {
        events += count[row]!
        applied += accepted[row]! * count[row]!
      }
    }
    let late = 0
    for (const row of this.#lateRows) if (accepted[row] === 0) late += count?.[row] ?? 1
    this.counters.applied += applied
    this.counters.late += late
    // Events between windows (a slide longer than the size) are wanted by nobody.
    this.counters.filtered += events - applied - late
  }

  get full(): boolean {
    return this.#lateOutput?.full ?? false
  }

  async flush(): Promise<void> {
    await this.#lateOutput?.flush()
  }

  async close(): Promise<void> {
    await this.#lateOutput?.close()
  }

  #reportLate(batch: EventBatch, watermarkMs: number): void {
    const writer = this.#lateOutput
    for (const row of this.#lateRows) {
      if (writer !== null && batch.offset !== null && this.#accepted[row] === 0) {
        this.#origin.partition = batch.partition![row]!
        this.#origin.offset = batch.offset[row]!
        const start = batch.keyStart[row]!
        const key = batch.bytes.subarray(start, start + batch.keyLength[row]!)
        const bits = this.#lateBits[row]!
        const missed = this.#lateFor.get(row) ?? []
        const metrics = this.#metrics
          .filter((m) => (this.#aboutPersons.has(m.table) ? missed.includes(m.table) : bits & (1 << m.predicate)))
          .map((m) => m.id)
        writeLateEvent(writer, this.#origin, key, batch.timeMs[row]!, watermarkMs, metrics)
      }
      this.#lateBits[row] = 0
    }
    this.#lateRows.length = 0
    this.#lateFor.clear()
  }
}
