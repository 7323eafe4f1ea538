/**
 * What time it is for the tables of one subtask: event time, or the clock of the machine; and when early results are due.
 *
 * Owns: reading the clock for windows of processing time, so that it never goes back while the subtask runs, and the two
 * cadences (a pane of processing time has ended, early results are due). Does not own: what is done then
 * (runtime/keyed-subtask).
 *
 * Processing time has passed up to one millisecond before the clock: an event that is taken now has the time now. In
 * merge it has passed as far as every sender says, behind whose word nothing older comes (exchange/partial-batch). At the
 * end of a bounded input all of time has passed, as for events.
 */
import type { Clock } from '../core/clock.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import type { TablePlan } from '../job/plan.ts'
import { createAssigner } from '../window/assigner.ts'
import type { WindowAssigner } from '../window/tumbling.ts'

/** The clock of one subtask's tables. */
export class TableClock {
  /** Time that events taken now get in processing time, epoch ms. */
  nowMs = MIN_WATERMARK
  readonly #clock: Clock
  /** The panes of processing time. */
  readonly #panes: readonly WindowAssigner[]
  #paneEndMs = MIN_WATERMARK
  readonly #early: readonly { readonly table: number; readonly everyMs: number; atMs: number }[]

  /** `plans`: the tables of the subtask; `early`: those of them that give results. */
  constructor(clock: Clock, plans: readonly TablePlan[], early: readonly { index: number; plan: TablePlan }[]) {
    this.#clock = clock
    const byClock = plans.filter((plan) => plan.window.time === 'processing')
    this.#panes = byClock.map((plan) => createAssigner(plan.window))
    const startMs = clock.monotonicMs()
    this.#early = early
      .filter(({ plan }) => plan.earlyMs > 0)
      .map(({ index, plan: { earlyMs } }) => ({ table: index, everyMs: earlyMs, atMs: startMs + earlyMs }))
  }

  /** Reads the clock; true when a pane has ended since it was last read. */
  tick(): boolean {
    if (this.#panes.length === 0) return false
    this.nowMs = Math.max(this.nowMs, this.#clock.nowMs())
    if (this.nowMs < this.#paneEndMs) return false
    this.#paneEndMs = Infinity
    for (const panes of this.#panes) {
      panes.assign(this.nowMs)
      this.#paneEndMs = Math.min(this.#paneEndMs, panes.endMs)
    }
    return true
  }

  /** The tables (indexes in the plan) whose early results are due now; each is due again after its cadence. */
  earlyDue(): readonly number[] {
    if (this.#early.length === 0) return none
    const nowMs = this.#clock.monotonicMs()
    const due = this.#early.filter(({ atMs }) => atMs <= nowMs)
    for (const early of due) early.atMs = nowMs + early.everyMs
    return due.length === 0 ? none : due.map(({ table }) => table)
  }

  /**
   * Up to when time has passed for a table, where event time has come to `watermarkMs`; `passedMs` is what senders say
   * of processing time, undefined where it is read here.
   */
  timeOf({ window }: TablePlan, watermarkMs: number, passedMs: number | undefined): number {
    if (window.time === 'event' || watermarkMs === MAX_WATERMARK) return watermarkMs
    return passedMs ?? this.nowMs - 1
  }
}

const none: readonly number[] = []
