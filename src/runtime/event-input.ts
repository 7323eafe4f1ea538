/**
 * The window subtask's input: event batches into all its tables.
 *
 * Owns: event accounting behind the exchange (applied, late), late counts per window and group, the late output. An
 * event is applied when at least one window took it, late when there were windows for it and none took it any more, and
 * filtered when it lies between windows. A copy of one that was counted is deduplicated, before any of that: tables do
 * not see it.
 */
import { EventBatch, type EventBatchLayout, ROWS_MAX } from '../exchange/event-batch.ts'
import type { BatchMessage } from '../exchange/message.ts'
import type { MetricPlan } from '../job/plan.ts'
import type { EventAggregator, LateRow } from '../operator/aggregate-events.ts'
import type { PersonAggregator } from '../operator/aggregate-persons.ts'
import type { SessionAggregator } from '../operator/aggregate-sessions.ts'
import type { Deduplicator, UnjudgedRow } from '../operator/deduplicate.ts'
import { GroupKeyBuilder } from '../operator/group-key.ts'
import type { SnapshotTable } from '../operator/table-snapshot.ts'
import { type Origin, writeLateEvent } from '../sink/side-output.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import { buildAggregator } from './build-tables.ts'
import type { BatchInput, InputCounters } from './keyed-parts.ts'

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
  readonly counters: { -readonly [K in keyof InputCounters]: InputCounters[K] }
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
  readonly #dedupe: Deduplicator | null
  readonly #onUnjudged: UnjudgedRow
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
    dedupe: Deduplicator | null = null,
  ) {
    this.#dedupe = dedupe
    this.#onUnjudged = (row, mask) => {
      this.#lateRows.push(row)
      this.#lateBits[row] = mask
    }
    this.#layout = layout
    this.#metrics = metrics
    this.#lateOutput = lateOutput
    this.#origin = { ...origin, partition: 0, offset: 0 }
    const { applied = 0, late = 0, filtered = 0, deduplicated = 0, dedupeForgotten = 0 } = counters
    this.counters = { applied, late, filtered, deduplicated, dedupeForgotten }
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
    this.#batch = batch
    accepted.fill(0, 0, rows)
    const dedupe = this.#dedupe
    if (dedupe === null) this.#account(rows, batch.count, this.#fill(batch, watermarkMs, nowMs), 0)
    else {
      dedupe.judge(batch, watermarkMs, this.#onUnjudged)
      let all: boolean
      do all = this.#fill(batch, watermarkMs, nowMs)
      while (!dedupe.settle(batch, accepted, watermarkMs, this.#onUnjudged))
      this.#account(rows, batch.count, all, dedupe.finish(batch))
      this.counters.dedupeForgotten = dedupe.forgotten
    }
    if (this.#lateRows.length > 0) this.#reportLate(batch, watermarkMs)
    this.newestMs = rows > 0 ? batch.timeMs[rows - 1]! : Number.NaN
    this.#batch = null
    return rows
  }

  /** Gives a batch to all tables; whether one of them has taken all rows. */
  #fill(batch: EventBatch, watermarkMs: number, nowMs: number): boolean {
    let all = false
    for (const target of this.#targets) {
      target.aggregator.change = target.table.change
      // Processing time has passed up to the instant before: nothing is late in it.
      const passedMs = target.table.plan.window.time === 'processing' ? nowMs - 1 : watermarkMs
      if (target.aggregator.apply(batch, passedMs, this.#accepted, target.onLate, nowMs) === batch.rows) all = true
    }
    return all
  }

  /** `all`: some table has taken all rows. `copies`: rows that are no events of their own. */
  #account(rows: number, count: Uint32Array | null, all: boolean, copies: number): void {
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
    this.counters.filtered += events - applied - late - copies
    this.counters.deduplicated += copies
  }

  get stateBytes(): number {
    return this.#dedupe?.byteLength ?? 0
  }

  advance(watermarkMs: number): void {
    this.#dedupe?.ids.advance(watermarkMs)
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
