/**
 * The life of sessions: fire on time, correct, close, keep for queries.
 *
 * Owns: when a session fires and closes, the history of closed ones, and what becomes of sessions that merge. Does not
 * own: rows and merging (operator/session-rows), how events get in (operator/aggregate-sessions), sinks (sink/).
 *
 *   open --watermark >= end - 1--> fired --watermark >= end - 1 + lateness--> closed (history) --retain--> gone
 *
 * A session that takes an event after it has fired is open again: it fires when its end is due, at once if that has
 * passed, as a correction. Which sessions have something to do is found by timers: an open session's comes at or before
 * its end, a fired one's when it closes. A session that grows needs no new timer: the old one moves it on when it comes.
 *
 * A session is known outside by its group and its start. When one whose result was given out merges into an earlier one,
 * or starts earlier because of an event before it, the result under the old start is withdrawn with the batch that did
 * it: a row that is `retracted`. What it counted is part of the session that took it in, which fires again as corrected.
 */
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import type { TablePlan } from '../job/plan.ts'
import { HistoryTable } from '../state/history-table.ts'
import { ROW_CHANGE, ROW_REVISION } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { RECYCLED_PAGE_MASK, RECYCLED_PAGE_SHIFT, ROW_FLAGS } from '../state/recycled-table.ts'
import { dueAt } from '../window/lateness.ts'
import type { Accumulators } from './accumulators.ts'
import { forgetCells, historyCells, withOwnCells } from './cells.ts'
import { shiftRows } from './change-numbers.ts'
import type { FiringTable, VanishedWindow } from './firing-table.ts'
import type { VisitOpen } from './open-rows.ts'
import type { FiredRow, GroupKeys, ResultSink } from './result-sink.ts'
import { SESSION_START } from './session-chain.ts'
import { SessionLate } from './session-late.ts'
import { SESSION_END, SESSION_FIRED, SessionRows } from './session-rows.ts'
import type { KeyTest } from './view-filter.ts'

/** Sessions that vanished which are remembered for those who watch. */
const VANISHED_MAX = 4096

/** A session that is found no more by its start. */
export interface VanishedSession extends VanishedWindow {
  change: number
  /** Its accumulators when it vanished. */
  readonly f64: Float64Array
}

/** Sessions of one table whose results this subtask gives out. */
export class SessionTable implements FiringTable {
  readonly plan: TablePlan
  readonly index: number
  readonly accumulators: Accumulators
  readonly sessions: SessionRows
  readonly history: HistoryTable
  readonly settled: Accumulators
  readonly late: SessionLate
  change = 1
  changeBase = 0
  results = 0
  readonly #sinks: readonly ResultSink[]
  readonly #fired: FiredRow
  /** Sessions whose results must be withdrawn: empty between two batches. */
  readonly #retracted: VanishedSession[] = []
  /** Sessions that vanished since somebody asked, for those who watch. */
  readonly #vanished: VanishedSession[] = []
  /** How many may still vanish before they are forgotten; 0 when nobody has asked for long. */
  #remembers = 0
  /** Everything due at this watermark has been worked off. */
  #passedMs = MIN_WATERMARK

  constructor(
    plan: TablePlan,
    gapMs: number,
    index: number,
    accumulators: Accumulators,
    pool: PagePool,
    sinks: readonly ResultSink[],
  ) {
    this.plan = plan
    this.index = index
    this.accumulators = accumulators
    this.sessions = new SessionRows(plan.id, gapMs, accumulators, pool)
    this.settled = withOwnCells(accumulators, pool)
    this.history = new HistoryTable(pool, accumulators.initial.length, historyCells(accumulators, this.settled))
    this.late = new SessionLate(accumulators)
    this.#sinks = sinks
    this.#fired = {
      table: index,
      startMs: 0,
      endMs: 0,
      groups: this.sessions.table,
      row: 0,
      f64: accumulators.initial,
      at: 0,
      revision: 0,
      watermarkMs: 0,
      lateCount: (accumulator) => {
        const { startMs, endMs, groups, row } = this.#fired
        return this.late.size === 0 ? 0 : this.late.count(startMs, endMs, groups.keyOf(row), accumulator)
      },
      retracted: false,
      before: null,
      beforeAt: 0,
      accumulators,
    }
  }

  get sinksFull(): boolean {
    for (let i = 0; i < this.#sinks.length; i++) if (this.#sinks[i]!.full) return true
    return false
  }

  get indexBytes(): number {
    return this.sessions.indexBytes
  }

  /** A session has taken an event: it is open, and has a timer that comes in time. */
  opened(row: number): void {
    const { table } = this.sessions
    const flags = table.u32(row, ROW_FLAGS)
    if ((flags & SESSION_FIRED) !== 0) table.setU32(row, ROW_FLAGS, flags & ~SESSION_FIRED)
    this.sessions.ensureTimer(row, this.sessions.value(row, SESSION_END) - 1)
  }

  /** A session is about to lose its start. Call before anything of it changes. */
  readonly vanishes = (row: number): void => {
    const { sessions } = this
    const revision = sessions.table.u32(row, ROW_REVISION)
    if (revision === 0 && this.#remembers === 0) return
    const f64 = sessions.f64(row)
    const at = sessions.at(row)
    const session: VanishedSession = {
      startMs: f64[at + SESSION_START]!,
      endMs: f64[at + SESSION_END]!,
      key: sessions.table.keyOf(row).slice(),
      revision: revision + 1,
      change: this.change,
      f64: f64.slice(at + sessions.valuesAt, at + sessions.valuesAt + this.accumulators.initial.length),
    }
    forgetCells(this.accumulators, session.f64, 0)
    if (revision > 0) this.#retracted.push(session)
    if (this.#remembers === 0) return
    this.#vanished.push(session)
    // Asked again meanwhile, the oldest go; not asked for long, all of them, and nothing is remembered any more.
    if (--this.#remembers === 0) this.#vanished.length = 0
    else if (this.#vanished.length > VANISHED_MAX) this.#vanished.splice(0, VANISHED_MAX / 2)
  }

  /** Withdraws the results of sessions that a batch has merged away. Corrections fire in `advance`. */
  correct(watermarkMs: number): void {
    for (const { startMs, endMs, key, revision, f64 } of this.#retracted) {
      this.#give(new OneKey(key), 0, startMs, endMs, f64, 0, revision, watermarkMs, true)
    }
    this.#retracted.length = 0
  }

  advance(watermarkMs: number, budget: number, nowMs = watermarkMs): number {
    const { sessions } = this
    const { timers, table } = sessions
    let left = budget
    while (timers.due(watermarkMs)) {
      if (left <= 0 || this.sinksFull) return -1
      left--
      const { timeMs, row } = timers
      timers.pop()
      if (!sessions.hasTimer(row, timeMs)) continue
      const endMs = sessions.value(row, SESSION_END)
      const fired = (table.u32(row, ROW_FLAGS) & SESSION_FIRED) !== 0
      if (!fired) {
        // It has grown since the timer was set.
        if (endMs - 1 > watermarkMs) {
          sessions.setTimer(row, endMs - 1)
          continue
        }
        this.#fire(row, dueAt(endMs, this.#passedMs, nowMs))
      }
      const closesMs = endMs - 1 + this.plan.allowedLatenessMs
      if (closesMs <= watermarkMs) this.#close(row)
      else sessions.setTimer(row, closesMs)
    }
    this.#passedMs = Math.max(this.#passedMs, watermarkMs)
    // The end of a bounded input closes every session; it is no time by which anything could have become old.
    if (nowMs === MAX_WATERMARK) return left
    const kept = nowMs - this.plan.retainMs
    this.history.dropUntil(kept)
    this.late.dropUntil(kept)
    return left
  }

  visitOpen(fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): void {
    const { sessions } = this
    if (passes?.onlyKey !== undefined) {
      for (const row of sessions.ofGroup(passes.onlyKey)) if (!this.#visitRow(row, fromMs, toMs, passes, visit)) return
      return
    }
    for (let row = 0; row < sessions.table.count; row++) if (!this.#visitRow(row, fromMs, toMs, passes, visit)) return
  }

  /** Visits a row if it is a session that is wanted; false when `visit` has had enough. */
  #visitRow(row: number, fromMs: number, toMs: number, passes: KeyTest | null, visit: VisitOpen): boolean {
    const { table, valuesAt } = this.sessions
    const page = table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    const u32 = (row & RECYCLED_PAGE_MASK) * table.strideU32
    const flags = page.u32[u32 + ROW_FLAGS]!
    if (flags === 0) return true
    const at = this.sessions.at(row)
    const startMs = page.f64[at + SESSION_START]!
    const endMs = page.f64[at + SESSION_END]!
    if (endMs <= fromMs || startMs >= toMs) return true
    const key = table.keyOf(row)
    if (passes !== null && !passes(key)) return true
    const open = (flags & SESSION_FIRED) === 0
    const revision = page.u32[u32 + ROW_REVISION]!
    const change = page.u32[u32 + ROW_CHANGE]!
    return visit(startMs, endMs, key, revision, change, page.f64, at + valuesAt, row, open)
  }

  /** See FiringTable. From now on vanished sessions are remembered for the next who asks. */
  vanishedSince(since: number): readonly VanishedSession[] {
    this.#remembers = VANISHED_MAX * 2
    return since < 0 ? [] : this.#vanished.filter(({ change }) => change > since)
  }

  /** See ChangingTable. */
  shiftChanges(by: number): void {
    const { rows, strideU32 } = this.sessions.table
    shiftRows(rows, strideU32, by)
    this.history.shiftChanges(by)
    this.late.shiftChanges(by)
    for (const session of this.#vanished) session.change -= by
  }

  /** Gives all memory back. */
  release(): void {
    this.sessions.release()
    this.history.release()
  }

  #fire(row: number, watermarkMs: number): void {
    const { sessions } = this
    const { table } = sessions
    const page = table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
    const u32 = (row & RECYCLED_PAGE_MASK) * table.strideU32
    const revision = ++page.u32[u32 + ROW_REVISION]!
    page.u32[u32 + ROW_CHANGE] = this.change
    page.u32[u32 + ROW_FLAGS]! |= SESSION_FIRED
    page.dirty = 1
    const at = sessions.at(row)
    const startMs = page.f64[at + SESSION_START]!
    const endMs = page.f64[at + SESSION_END]!
    this.#give(table, row, startMs, endMs, page.f64, at + sessions.valuesAt, revision, watermarkMs, false)
  }

  #give(
    groups: GroupKeys,
    row: number,
    startMs: number,
    endMs: number,
    f64: Float64Array,
    at: number,
    revision: number,
    watermarkMs: number,
    retracted: boolean,
  ): void {
    this.results++
    const fired = this.#fired
    fired.groups = groups
    fired.row = row
    fired.startMs = startMs
    fired.endMs = endMs
    fired.f64 = f64
    fired.at = at
    fired.revision = revision
    fired.watermarkMs = watermarkMs
    fired.retracted = retracted
    for (let i = 0; i < this.#sinks.length; i++) this.#sinks[i]!.accept(fired)
  }

  #close(row: number): void {
    const { sessions } = this
    // Retention no longer than the lateness keeps nothing: the session is already out of it when it closes.
    if (this.plan.retainMs > this.plan.allowedLatenessMs) {
      const f64 = sessions.f64(row)
      const at = sessions.at(row)
      this.history.append(
        f64[at + SESSION_START]!,
        f64[at + SESSION_END]!,
        sessions.table.keyOf(row),
        sessions.table.u32(row, ROW_REVISION),
        sessions.table.u32(row, ROW_CHANGE),
        f64,
        at + sessions.valuesAt,
      )
    }
    sessions.remove(row)
  }
}

/** The key of a row that is gone. */
class OneKey implements GroupKeys {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  keyOf(): Uint8Array {
    return this.#key
  }

  copyKey(_row: number, into: Uint8Array, at: number): number {
    into.set(this.#key, at)
    return this.#key.length
  }
}
