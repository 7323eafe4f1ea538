/**
 * The process function: an author's code per record and timer, with state and timers of the record's key.
 *
 * Owns: the context that the code is handed. One context is reused: it is valid during the call only.
 */
import { refuseAsync, usedOutside } from './code-failure.ts'
import type { Entry } from './keyed-store.ts'
import type { Key, TimeDomain } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'
import { type Handles, StateScope, type StateSpecs } from './state.ts'

/** A named further output of an operator, typed by what goes there. */
export interface SideOutput<T> {
  readonly id: string
  /** Types only: what goes there. */
  readonly $type?: T
}

/** What a process function may do with a record or a timer. Valid during the call only. */
export interface ProcessContext<K, Out, S extends StateSpecs> {
  /** The record's, or the timer's, key. */
  readonly key: K
  /** Event time of the record, or the time for which the timer was set; epoch ms. */
  readonly timestampMs: number
  /** Where event time is: no more records at or before it are expected. -Infinity before the first. */
  readonly watermarkMs: number
  /** Wall clock, epoch ms. */
  readonly nowMs: number
  /** The state of the key, by the names under which it was declared. */
  readonly state: Handles<S>
  /** Sends a result on, with the timestamp of the record or timer. */
  emit(value: Out): void
  /** Sends a record to a side output. */
  emitTo<T>(side: SideOutput<T>, value: T): void
  /** Calls `onTimer` for this key when the watermark reaches `timeMs`, rounded up. Setting it twice is setting it once. */
  setEventTimer(timeMs: number): void
  deleteEventTimer(timeMs: number): void
  /** Calls `onTimer` for this key when the wall clock reaches `timeMs`. */
  setProcessingTimer(timeMs: number): void
  deleteProcessingTimer(timeMs: number): void
}

/** A timer that is due. */
export interface DueTimer {
  readonly domain: TimeDomain
  /** The time for which it was set, epoch ms. */
  readonly timeMs: number
}

/** An author's process function. */
export interface ProcessFunction<K, In, Out, S extends StateSpecs> {
  /** Names the operator in checkpoints: keep it when you change the rest. */
  readonly id: string
  /** State by key; names find it again after a restart. */
  readonly state?: S
  /** Called for each record. */
  onEvent(event: In, context: ProcessContext<K, Out, S>): void
  /** Called for each timer that is due. */
  onTimer?(timer: DueTimer, context: ProcessContext<K, Out, S>): void
}

/** An author's process function over two streams that share state by key. */
export interface ConnectFunction<K, In, Other, Out, S extends StateSpecs> extends ProcessFunction<K, In, Out, S> {
  /** Called for each record of the other stream. */
  onOther(event: Other, context: ProcessContext<K, Out, S>): void
}

/**
 * The context behind process functions; also of joins and broadcast functions, which add to it. Its functions are bound:
 * authors take them out of it, as `({ emit })`.
 */
export class Context<S extends StateSpecs> {
  key: Key = ''
  timestampMs = 0
  readonly state: Handles<S>
  readonly #scope: StateScope<S>
  readonly #runtime: OperatorRuntime
  #entry: Entry | null = null

  constructor(specs: S, runtime: OperatorRuntime) {
    this.#scope = new StateScope(specs, runtime)
    this.state = this.#scope.handles
    this.#runtime = runtime
  }

  /** Everything is about this record or timer from now on. */
  use(entry: Entry, timestampMs: number): void {
    this.#entry = entry
    this.#scope.use(entry)
    this.key = entry.key
    this.timestampMs = timestampMs
  }

  /** The record or timer is done. Code that still does something, when a promise comes, would do it to another key. */
  leave(): void {
    this.#entry = null
    this.#scope.use(null)
  }

  get watermarkMs(): number {
    return this.#runtime.watermarkMs
  }

  get nowMs(): number {
    return this.#runtime.nowMs()
  }

  readonly emit = (value: unknown): void => {
    this.#current()
    this.#runtime.emit(value, this.timestampMs)
  }

  readonly emitTo = (side: SideOutput<unknown>, value: unknown): void => {
    this.#current()
    this.#runtime.emitSide(side.id, value, this.timestampMs)
  }

  readonly setEventTimer = (timeMs: number): void => {
    this.#runtime.addTimer(this.#current(), 'event', timeMs)
  }

  readonly deleteEventTimer = (timeMs: number): void => {
    this.#runtime.deleteTimer(this.#current(), 'event', timeMs)
  }

  readonly setProcessingTimer = (timeMs: number): void => {
    this.#runtime.addTimer(this.#current(), 'processing', timeMs)
  }

  readonly deleteProcessingTimer = (timeMs: number): void => {
    this.#runtime.deleteTimer(this.#current(), 'processing', timeMs)
  }

  #current(): Entry {
    if (this.#entry !== null) return this.#entry
    throw usedOutside('the context')
  }
}

/** Runs a process function, of one stream or two, in one subtask. */
export function openProcess<S extends StateSpecs>(
  fn: ProcessFunction<unknown, unknown, unknown, S> &
    Partial<Pick<ConnectFunction<unknown, unknown, unknown, unknown, S>, 'onOther'>>,
  runtime: OperatorRuntime,
): KeyedOperator {
  const context = new Context(fn.state ?? ({} as S), runtime)
  return {
    onRecord(input, value, timestampMs, entry) {
      context.use(entry!, timestampMs)
      if (input === 0) refuseAsync(fn.onEvent(value, context), fn.id, 'onEvent')
      else refuseAsync(fn.onOther?.(value, context), fn.id, 'onOther')
      context.leave()
    },
    onTimer(entry, domain, timeMs) {
      context.use(entry, timeMs)
      refuseAsync(fn.onTimer?.({ domain, timeMs }, context), fn.id, 'onTimer')
      context.leave()
    },
  }
}
