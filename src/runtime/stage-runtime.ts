/** What a keyed operator of a program may call, in one subtask: time, emitting, timers, and what came of asynchronous work. */
import { MillraceError } from '../core/errors.ts'
import type { InputGate } from '../exchange/input-gate.ts'
import type { BroadcastStore } from '../program/broadcast-store.ts'
import { codeFailure } from '../program/code-failure.ts'
import type { Entry } from '../program/keyed-store.ts'
import type { TimeDomain } from '../program/keys.ts'
import type { CurrentRecord, OperatorRuntime } from '../program/operator.ts'
import type { Push } from '../program/stages.ts'
import type { TimerQueue } from '../program/timer-queue.ts'
import { ofRecord } from './program-failure.ts'
import type { ProgramStageParts } from './program-stage-parts.ts'
import type { StageState } from './stage-state.ts'
import type { SubtaskContext } from './subtask.ts'

/** The runtime of one stage's operator. */
export class StageRuntime implements OperatorRuntime {
  /** Records that every window was closed to. */
  late: number
  /** What asynchronous work has failed with; null for nothing. */
  failure: MillraceError | null = null
  readonly broadcast: BroadcastStore
  readonly emit: Push
  readonly current: CurrentRecord
  readonly #operator: string
  readonly #state: StageState
  readonly #gate: InputGate
  readonly #pushes: ReadonlyMap<string, Push>
  readonly #context: SubtaskContext

  constructor({ node, state, gate, pushes, counters, current }: ProgramStageParts, context: SubtaskContext) {
    this.late = counters.late ?? 0
    this.broadcast = state.broadcast
    this.emit = pushes.get('') ?? (() => {})
    this.current = current
    this.#operator = node.id
    this.#state = state
    this.#gate = gate
    this.#pushes = pushes
    this.#context = context
  }

  get watermarkMs(): number {
    return this.#gate.watermarkMs
  }

  nowMs(): number {
    return this.#context.clock.nowMs()
  }

  emitSide(side: string, value: unknown, timestampMs: number): void {
    this.#pushes.get(side)?.(value, timestampMs)
  }

  touch(entry: Entry): void {
    this.#state.store.touch(entry)
  }

  addTimer(entry: Entry, domain: TimeDomain, timeMs: number): void {
    if (!Number.isFinite(timeMs)) {
      throw new MillraceError(
        'JOB_CODE_FAILED',
        `operator ${this.#operator} sets a timer at ${timeMs}: a time is finite`,
      )
    }
    // Clocks go by whole milliseconds, and so do records of brokers: it is the first at or after the time.
    if (this.timers(domain).add(entry, Math.ceil(timeMs))) this.touch(entry)
  }

  deleteTimer(entry: Entry, domain: TimeDomain, timeMs: number): void {
    if (this.timers(domain).delete(entry, Math.ceil(timeMs))) this.touch(entry)
  }

  countLate(): void {
    this.late++
  }

  wake(): void {
    this.#context.wake()
  }

  fail(error: unknown): void {
    this.failure ??= ofRecord(codeFailure(this.#operator, error), this.current)
    this.#context.wake()
  }

  /** The timers of one clock. */
  timers(domain: TimeDomain): TimerQueue {
    return domain === 'event' ? this.#state.eventTimers : this.#state.processingTimers
  }
}
