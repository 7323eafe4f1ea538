/** Tables of sessions at any parallelism, fed through the real exchange, and what they must say, computed the slow way. */
import { keyGroupRangeOf } from '../../src/core/key-groups.ts'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import type { AccumulatorPlan, TablePlan } from '../../src/job/plan.ts'
import { layOutAccumulators, readAccumulator } from '../../src/operator/accumulators.ts'
import { SessionAggregator } from '../../src/operator/aggregate-sessions.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { dimensionTexts, GroupKeyBuilder } from '../../src/operator/group-key.ts'
import { itself } from '../../src/operator/held-table.ts'
import type { FiredRow, ResultSink } from '../../src/operator/result-sink.ts'
import { SessionTable } from '../../src/operator/session-table.ts'
import { adoptTable, takeOverRows } from '../../src/operator/table-restore.ts'
import { decodeMeta } from '../../src/operator/table-snapshot.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { fillScan, newScan, type Row, recordingChannels } from '../exchange/support.ts'
import { KEY_GROUPS, NUMBERS, snapshotOf, TEXTS, tablePlan } from './support.ts'

export const GAP_MS = 10

const layout = layOutEventBatch(NUMBERS, TEXTS, false)
const columns = { numbers: [0, 1], texts: [NUMBERS, NUMBERS + 1] }
const textAt = (column: number) => column - NUMBERS

export function sessionPlan(
  dimensions: readonly number[],
  accumulators: readonly AccumulatorPlan[],
  change: Partial<TablePlan> = {},
): TablePlan {
  const window = { kind: 'session', gapMs: GAP_MS, timezone: 'UTC', time: 'event' } as const
  return tablePlan(dimensions, accumulators, { window, ...change })
}

/** A result of a session as it leaves a table. */
export interface SessionResult {
  readonly startMs: number
  readonly endMs: number
  readonly group: readonly string[]
  readonly values: readonly number[]
  readonly revision: number
  readonly retracted: boolean
}

class Recorder implements ResultSink {
  full = false
  results: SessionResult[] = []
  readonly #plan: TablePlan
  readonly #accumulators

  constructor(plan: TablePlan) {
    this.#plan = plan
    this.#accumulators = layOutAccumulators(plan, (column) => column, textAt)
  }

  accept({ startMs, endMs, groups, row, f64, at, revision, retracted }: FiredRow): void {
    const group = dimensionTexts(groups.keyOf(row), this.#plan.dimensions.length)
    const values = this.#plan.accumulators.map((_, i) => readAccumulator(this.#accumulators, f64, at, i))
    this.results.push({ startMs, endMs, group, values: retracted ? [] : values, revision, retracted })
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}

/** One table of sessions in so many subtasks. */
export class SessionCluster {
  readonly plan: TablePlan
  readonly subtasks
  watermarkMs = -Infinity
  lateEvents = 0
  readonly #channels
  readonly #scan = newScan(NUMBERS, TEXTS)
  readonly #output: KeyedOutput
  readonly #accepted = new Uint8Array(ROWS_MAX)

  constructor(plan: TablePlan, parallelism: number) {
    this.plan = plan
    const dimensions = plan.dimensions.map((column) => (column < 0 ? -1 : textAt(column)))
    this.subtasks = Array.from({ length: parallelism }, () => {
      const pool = new PagePool()
      const sink = new Recorder(plan)
      const accumulators = layOutAccumulators(plan, (column) => column, textAt)
      const table = new SessionTable(plan, GAP_MS, 0, accumulators, pool, [sink])
      return {
        pool,
        sink,
        table,
        aggregator: new SessionAggregator(table, dimensions),
        keys: new GroupKeyBuilder(dimensions),
      }
    })
    this.#channels = recordingChannels(parallelism, 1, layout.byteLength)
    this.#output = new KeyedOutput(layout, columns, this.#channels.channels, KEY_GROUPS)
  }

  apply(rows: readonly Row[]): void {
    fillScan(this.#scan, rows)
    this.#output.write(this.#scan, null)
    this.#output.flush()
    for (const { receiver, message } of this.#channels.sent.splice(0)) {
      const { buffer } = message as BatchMessage
      const { table, aggregator, keys } = this.subtasks[receiver]!
      const batch = new EventBatch(layout, buffer)
      aggregator.change = table.change
      aggregator.apply(batch, this.watermarkMs, this.#accepted, (row, startMs, endMs, bits) => {
        this.lateEvents++
        keys.build(batch, row)
        table.late.change = table.change
        table.late.addEvents(startMs, endMs, keys.bytes, keys.length, keys.hash, bits, 1)
      })
      this.#channels.channels.onCredit(receiver, buffer)
      table.correct(this.watermarkMs)
      this.#run(table, 4096)
    }
  }

  advance(watermarkMs: number, budget: number): void {
    this.watermarkMs = watermarkMs
    for (const { table } of this.subtasks) this.#run(table, budget)
  }

  takeResults(): SessionResult[] {
    return this.subtasks.flatMap(({ sink }) => sink.results.splice(0))
  }

  /** Sessions that are open or closed, `group|start` to end and values; throws when one is there twice. */
  values(): Map<string, readonly number[]> {
    const found = new Map<string, readonly number[]>()
    for (const { table } of this.subtasks) {
      const add = (startMs: number, endMs: number, key: Uint8Array, f64: Float64Array, at: number) => {
        const name = `${JSON.stringify(dimensionTexts(key, this.plan.dimensions.length))}|${startMs}`
        if (found.has(name)) throw new Error(`${name} is there twice`)
        const values = this.plan.accumulators.map((_, i) => readAccumulator(table.accumulators, f64, at, i))
        found.set(name, [endMs, ...values])
        return true
      }
      table.history.scan(-Infinity, Infinity, (row) => add(row.startMs, row.endMs, row.key, row.f64, row.at))
      table.visitOpen(-Infinity, Infinity, null, (startMs, endMs, key, _revision, _change, f64, at) =>
        add(startMs, endMs, key, f64, at),
      )
    }
    return found
  }

  /** The same state by way of a snapshot of every subtask. */
  restore(parallelism: number): SessionCluster {
    const next = new SessionCluster(this.plan, parallelism)
    next.watermarkMs = this.watermarkMs
    const snapshots = this.subtasks.map(({ table }) => snapshotOf([table]))
    next.subtasks.forEach(({ table }, i) => {
      for (const [of, { meta, pages }] of snapshots.entries()) {
        const tableMeta = decodeMeta(meta).tables[this.plan.id]!
        if (parallelism === snapshots.length) {
          if (of === i) adoptTable(table, tableMeta, pages, itself(table))
        } else
          takeOverRows(table, tableMeta, pages, itself(table), keyGroupRangeOf(i, KEY_GROUPS, parallelism), KEY_GROUPS)
      }
    })
    return next
  }

  release(): void {
    for (const { table, pool } of this.subtasks) {
      table.release()
      if (pool.bytesInUse !== 0) throw new Error(`${pool.bytesInUse} bytes were not given back`)
    }
  }

  #run(table: SessionTable, budget: number): void {
    while (table.advance(this.watermarkMs, budget) < 0) {
      // A firing goes on where its budget ended.
    }
    nextChange(table)
  }
}

interface Session {
  startMs: number
  endMs: number
  rows: Row[]
  revision: number
  fired: boolean
}

/** Sessions as Flink's rules say, one event at a time over plain lists. */
export class SessionReference {
  readonly plan: TablePlan
  readonly open = new Map<string, Session[]>()
  readonly closed: [string, Session][] = []
  watermarkMs = -Infinity
  lateEvents = 0

  constructor(plan: TablePlan) {
    this.plan = plan
  }

  /** Takes a batch; returns what must leave because of it. */
  apply(rows: readonly Row[]): SessionResult[] {
    const results: SessionResult[] = []
    for (const row of rows) this.#applyRow(row, results)
    return [...results, ...this.#fire()]
  }

  advance(watermarkMs: number): SessionResult[] {
    this.watermarkMs = watermarkMs
    return this.#fire()
  }

  /** Whether a session has the start of one that was closed before it: see "Sessions" in docs/specs/windows.md. */
  get sharesStart(): boolean {
    const names = this.closed.map(([name, { startMs }]) => `${name}|${startMs}`)
    for (const [name, sessions] of this.open) names.push(...sessions.map(({ startMs }) => `${name}|${startMs}`))
    return new Set(names).size < names.length
  }

  values(): Map<string, readonly number[]> {
    const found = new Map<string, readonly number[]>()
    for (const [name, sessions] of this.open)
      for (const session of sessions)
        found.set(`${name}|${session.startMs}`, [session.endMs, ...this.#valuesOf(session)])
    for (const [name, session] of this.closed)
      found.set(`${name}|${session.startMs}`, [session.endMs, ...this.#valuesOf(session)])
    return found
  }

  #applyRow(row: Row, results: SessionResult[]): void {
    const { accumulators, dimensions, allowedLatenessMs } = this.plan
    if (!accumulators.some(({ predicate }) => (row.mask >>> predicate) % 2 === 1)) return
    const texts = dimensions.map((column) => (column < 0 ? row.key : row.texts[column - NUMBERS]!))
    const name = JSON.stringify(texts)
    const sessions = this.open.get(name) ?? []
    const merged: Session = { startMs: row.timeMs, endMs: row.timeMs + GAP_MS, rows: [], revision: 0, fired: false }
    const touching = sessions.filter((s) => s.startMs <= merged.endMs && s.endMs >= merged.startMs)
    for (const session of touching) {
      merged.startMs = Math.min(merged.startMs, session.startMs)
      merged.endMs = Math.max(merged.endMs, session.endMs)
      merged.revision = Math.max(merged.revision, session.revision)
      merged.rows.push(...session.rows)
    }
    if (merged.endMs - 1 + allowedLatenessMs <= this.watermarkMs) {
      this.lateEvents++
      return
    }
    for (const { startMs, endMs, revision } of touching) {
      if (revision > 0 && startMs !== merged.startMs)
        results.push({ startMs, endMs, group: texts, values: [], revision: revision + 1, retracted: true })
    }
    merged.rows.push(row)
    this.open.set(name, [...sessions.filter((s) => !touching.includes(s)), merged])
  }

  #fire(): SessionResult[] {
    const results: SessionResult[] = []
    for (const [name, sessions] of this.open) {
      for (const session of sessions) {
        const { startMs, endMs } = session
        if (session.fired || endMs - 1 > this.watermarkMs) continue
        session.fired = true
        session.revision++
        const group = JSON.parse(name) as string[]
        const values = this.#valuesOf(session)
        results.push({ startMs, endMs, group, values, revision: session.revision, retracted: false })
      }
      const over = (s: Session) => s.endMs - 1 + this.plan.allowedLatenessMs <= this.watermarkMs
      for (const session of sessions.filter(over)) this.closed.push([name, session])
      this.open.set(
        name,
        sessions.filter((s) => !over(s)),
      )
    }
    return results
  }

  #valuesOf({ rows }: Session): number[] {
    return this.plan.accumulators.map(({ kind, predicate, column }) => {
      const wanted = rows.filter((row) => (row.mask >>> predicate) % 2 === 1)
      if (kind === 'count') return wanted.length
      if (kind === 'distinct') {
        const texts = wanted.map((row) => (column < 0 ? row.key : row.texts[column - NUMBERS]!))
        return new Set(column < 0 ? texts : texts.filter((text) => text !== '')).size
      }
      const numbers = wanted.map((row) => row.numbers[column]!).filter((n) => !Number.isNaN(n))
      if (kind === 'min') return Math.min(...numbers)
      if (kind === 'max') return Math.max(...numbers)
      return numbers.reduce((sum, n) => sum + n, 0)
    })
  }
}

/** Results in an order of their own, to compare what has none. */
export function sortedSessions(results: readonly SessionResult[]): SessionResult[] {
  const order = (r: SessionResult) =>
    `${JSON.stringify(r.group)}|${r.startMs}|${r.retracted}|${String(r.revision).padStart(6, '0')}`
  return results.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
}
