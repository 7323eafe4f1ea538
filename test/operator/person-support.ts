/** Tables about persons at any parallelism, without threads: windows with timelines, merges with results. */
import { hashBytes } from '../../src/core/hash.ts'
import { keyGroupOf, subtaskOf } from '../../src/core/key-groups.ts'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../../src/exchange/partial-batch.ts'
import { retentionColumns, retentionSettleMs } from '../../src/job/person/retention.ts'
import { sessionColumns } from '../../src/job/person/sessions.ts'
import type { AccumulatorPlan, PersonPlan, TablePlan } from '../../src/job/plan.ts'
import { maxSpanMs } from '../../src/job/window-span.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { PersonAggregator } from '../../src/operator/aggregate-persons.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { dimensionTexts } from '../../src/operator/group-key.ts'
import { PartialMerger } from '../../src/operator/merge-partials.ts'
import { openResultTable } from '../../src/operator/pane-table.ts'
import { PersonTable } from '../../src/operator/person-table.ts'
import type { FiredRow } from '../../src/operator/result-sink.ts'
import { membersOfPartials, type ResultTable } from '../../src/operator/result-table.ts'
import { textsOfEvents } from '../../src/runtime/plan-facts.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { recordingChannels } from '../exchange/support.ts'
import { adopt, KEY_GROUPS, snapshotOf, tablePlan, takeOver } from './support.ts'

export const WINDOW_MS = 10

/** One event, or with weight -1 one that is taken back. Its mask is its bits: condition i is bit i. */
export interface PersonRow {
  readonly person: string
  readonly timeMs: number
  readonly bits: number
  readonly text: string
  readonly weight: number
  /** Its number; absent: none. */
  readonly value?: number
}

/** A result as it left. */
export interface PersonResult {
  readonly name: string
  readonly values: readonly number[]
  readonly revision: number
}

const layout = layOutEventBatch(1, 1, false, false, true)
const unweighted = layOutEventBatch(1, 1, false, false, false)

function column(kind: AccumulatorPlan['kind'], measure: string, bounds?: readonly number[]): AccumulatorPlan {
  return { kind, predicate: 0, column: -1, floating: false, measure, ...(bounds === undefined ? {} : { bounds }) }
}

const milliseconds = { kind: 'tumbling', sizeMs: WINDOW_MS, offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const sliding = { ...milliseconds, kind: 'sliding', sizeMs: 3 * WINDOW_MS, slideMs: WINDOW_MS } as const

function settleOf(person: PersonPlan, window: TablePlan['window']): Pick<TablePlan, 'settleMs'> {
  if (person.kind === 'funnel') return { settleMs: person.withinMs }
  if (person.kind === 'lifetimeValue') return { settleMs: maxSpanMs(window, person.ages) }
  if (person.kind === 'sessions' || person.kind === 'paths') return { settleMs: person.maxDurationMs }
  return person.kind === 'retention' ? { settleMs: retentionSettleMs(person, window) } : {}
}

/** A table about persons by one text and its own dimension. */
export function personPlan(person: PersonPlan, change: Partial<TablePlan> = {}): TablePlan {
  const accumulators =
    person.kind === 'funnel'
      ? [
          ...['entered', 'previous', 'persons'].map((measure) => column('count', measure)),
          column('sum', 'time'),
          column('histogram', 'times', person.bucketsMs),
        ]
      : person.kind === 'retention'
        ? retentionColumns.map((measure) => column('count', measure))
        : person.kind === 'lifetimeValue'
          ? [column('count', 'cohort'), column('sum', 'revenue')]
          : person.kind === 'sessions'
            ? sessionColumns(person, column)
            : [column('count', person.kind === 'paths' ? 'transitions' : 'persons')]
  return tablePlan([0, -2], accumulators, {
    keyed: false,
    person,
    window: person.kind === 'actives' ? sliding : milliseconds,
    ...settleOf(person, change.window ?? milliseconds),
    ...change,
  })
}

interface Window {
  readonly pool: PagePool
  readonly table: PersonTable
  readonly aggregator: PersonAggregator
}

interface Merge {
  readonly pool: PagePool
  readonly table: ResultTable
  readonly merger: PartialMerger
  readonly results: PersonResult[]
}

/** One table about persons, with so many window subtasks and as many merges. */
export class PersonCluster {
  readonly plan: TablePlan
  readonly parallelism: number
  readonly windows: Window[]
  readonly merges: Merge[]
  watermarkMs = Number.NEGATIVE_INFINITY
  applied = 0
  late = 0
  /** Whether batches say how often each event counts; false for jobs of which nothing can be taken back. */
  weighted = true
  readonly #partials
  readonly #output: PartialOutput

  constructor(plan: TablePlan, parallelism: number) {
    this.plan = plan
    this.parallelism = parallelism
    this.windows = Array.from({ length: parallelism }, () => {
      const pool = new PagePool()
      const table = new PersonTable(plan, plan.person!, 0, columnsOf(plan, pool), pool, plan.person!.value?.column)
      return { pool, table, aggregator: new PersonAggregator(table, textsOfEvents(plan)) }
    })
    this.merges = Array.from({ length: parallelism }, () => {
      const pool = new PagePool()
      const results: PersonResult[] = []
      const accept = (fired: FiredRow): void => {
        const { startMs, groups, row, f64, at, revision } = fired
        const values = Array.from(f64.subarray(at, at + table.accumulators.initial.length))
        results.push({ name: nameOf(startMs, groups.keyOf(row), plan.dimensions.length), values, revision })
      }
      const sink = { full: false, accept, flush: async () => undefined, close: async () => undefined }
      const table: ResultTable = openResultTable(plan, 0, columnsOf(plan, pool), pool, membersOfPartials, [sink])
      return { pool, table, results, merger: new PartialMerger([table], parallelism) }
    })
    this.#partials = recordingChannels(parallelism, 1, PARTIAL_BATCH_BYTES)
    this.#output = new PartialOutput(this.#partials.channels, KEY_GROUPS)
  }

  /** One batch to each window that owns some of the rows. */
  apply(rows: readonly PersonRow[]): void {
    const owner = (row: PersonRow): number => {
      const key = Buffer.from(row.person)
      return subtaskOf(keyGroupOf(hashBytes(key, 0, key.length), KEY_GROUPS), KEY_GROUPS, this.parallelism)
    }
    this.windows.forEach(({ table, aggregator }, i) => {
      const batch = batchOf(
        rows.filter((row) => owner(row) === i),
        this.weighted ? layout : unweighted,
      )
      const accepted = new Uint8Array(ROWS_MAX)
      aggregator.change = table.change
      this.applied += aggregator.apply(batch, this.watermarkMs, accepted, () => this.late++)
    })
  }

  flush(index: number): void {
    const { table } = this.windows[index % this.parallelism]!
    while (!table.flush(this.#output)) this.#deliver()
    while (!this.#output.flush()) this.#deliver()
    this.#deliver()
    nextChange(table)
  }

  advance(watermarkMs: number): void {
    for (let i = 0; i < this.parallelism; i++) this.flush(i)
    this.watermarkMs = watermarkMs
    for (const { table } of this.windows) table.close(watermarkMs)
    for (const { table } of this.merges) this.#fire(table)
  }

  /** By way of a snapshot of every subtask. */
  restore(parallelism: number): PersonCluster {
    for (let i = 0; i < this.parallelism; i++) this.flush(i)
    const next = new PersonCluster(this.plan, parallelism)
    next.watermarkMs = this.watermarkMs
    next.weighted = this.weighted
    next.applied = this.applied
    next.late = this.late
    for (const side of ['windows', 'merges'] as const) {
      const snapshots = this[side].map(({ table }) => snapshotOf([table]))
      next[side].forEach(({ table }, i) => {
        if (parallelism === this.parallelism) adopt(table, snapshots[i]!)
        else for (const snapshot of snapshots) takeOver(table, snapshot, i, parallelism)
      })
    }
    next.merges[0]!.results.push(...this.takeResults())
    return next
  }

  takeResults(): PersonResult[] {
    return this.merges.flatMap(({ results }) => results.splice(0))
  }

  /** All columns of every group that has something in it, by window and texts. */
  values(): Map<string, readonly number[]> {
    const found = new Map<string, readonly number[]>()
    for (const { table } of this.merges) {
      const add = (startMs: number, key: Uint8Array, f64: Float64Array, at: number): true => {
        const values = Array.from(f64.subarray(at, at + table.accumulators.initial.length))
        const name = nameOf(startMs, key, this.plan.dimensions.length)
        if (found.has(name)) throw new Error(`${name} is there twice`)
        if (values.some((value) => value !== 0)) found.set(name, values)
        return true
      }
      table.history.scan(-Infinity, Infinity, ({ startMs, key, f64, at }) => add(startMs, key, f64, at))
      table.visitOpen(-Infinity, Infinity, null, (startMs, _end, key, _revision, _change, f64, at) =>
        add(startMs, key, f64, at),
      )
    }
    return found
  }

  /** Bytes and rows of state; nothing may be left when persons are gone. */
  get state(): { persons: number; events: number } {
    const sum = (of: (table: PersonTable) => number) => this.windows.reduce((all, { table }) => all + of(table), 0)
    return { persons: sum((t) => t.timelines.persons.live), events: sum((t) => t.timelines.events.live) }
  }

  #deliver(): void {
    for (const { receiver, message } of this.#partials.sent.splice(0)) {
      const { buffer, byteLength } = message as BatchMessage
      const { merger, table } = this.merges[receiver]!
      merger.apply(buffer, byteLength)
      this.#partials.channels.onCredit(receiver, buffer)
      table.correct(this.watermarkMs)
      this.#fire(table)
    }
  }

  #fire(table: ResultTable): void {
    while (table.advance(this.watermarkMs, 4096) < 0) {
      // A firing goes on where its budget ended.
    }
    nextChange(table)
  }
}

function columnsOf(plan: TablePlan, pool: PagePool) {
  const nowhere = () => -1
  return layOutAccumulators(plan, nowhere, nowhere, pool)
}

/** The name of a value; of a table without texts of events, as if they were empty. */
export function nameOf(startMs: number, key: Uint8Array, dimensions = 2): string {
  return JSON.stringify([startMs, ...(dimensions === 1 ? [''] : []), ...dimensionTexts(key, dimensions)])
}

function batchOf(rows: readonly PersonRow[], of: typeof layout): EventBatch {
  const batch = new EventBatch(of, new ArrayBuffer(of.byteLength))
  batch.clear()
  let used = batch.bytesUsed
  const put = (text: string): { start: number; length: number } => {
    const bytes = Buffer.from(text)
    const start = used
    batch.bytes.set(bytes, start)
    used = Math.ceil((used + bytes.length) / 4) * 4 + 12
    return { start, length: bytes.length }
  }
  rows.forEach(({ person, timeMs, bits, text, weight, value = Number.NaN }, row) => {
    const key = put(person)
    batch.keyStart[row] = key.start
    batch.keyLength[row] = key.length
    batch.hash[row] = hashBytes(batch.bytes, key.start, key.start + key.length)
    batch.timeMs[row] = timeMs
    batch.mask[row] = bits
    if (batch.weight !== null) batch.weight[row] = weight
    batch.numbers[0]![row] = value
    const entry = put(text)
    batch.texts[0]![row] = row + 1
    batch.entryStart[0]![row + 1] = entry.start
    batch.entryLength[0]![row + 1] = entry.length
    batch.header[0] = row + 1
  })
  return batch
}
