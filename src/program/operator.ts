/**
 * The contract between keyed operators and the subtask that runs them. Types only.
 *
 * An operator is handed one record, timer or watermark at a time, with the entry of the key that it concerns, and
 * answers by emitting. It never sees threads, channels or checkpoints: what it keeps is in entries, and nothing else
 * survives.
 */
import type { BroadcastStore } from './broadcast-store.ts'
import type { Entry } from './keyed-store.ts'
import type { TimeDomain } from './keys.ts'

/** The record of a source that is being worked on. `offset` is -1 for what is of no single one: a timer, a watermark. */
export interface CurrentRecord {
  /** Counted over all sources of the job. */
  partition: number
  offset: number
}

/** What an operator may call. */
export interface OperatorRuntime {
  /** Last merged watermark, epoch ms; -Infinity before the first. */
  readonly watermarkMs: number
  /** Wall clock, epoch ms. */
  nowMs(): number
  /** Sends a result on. */
  emit(value: unknown, timestampMs: number): void
  /** Sends a record to side output `side`. */
  emitSide(side: string, value: unknown, timestampMs: number): void
  /** Whose results are emitted now; operators that answer later put it back to what it was. */
  readonly current: CurrentRecord
  /** State that every subtask has the same of. */
  readonly broadcast: BroadcastStore
  /** The state of `entry` has changed. */
  touch(entry: Entry): void
  addTimer(entry: Entry, domain: TimeDomain, timeMs: number): void
  deleteTimer(entry: Entry, domain: TimeDomain, timeMs: number): void
  /** Counts a record that every window was closed to. */
  countLate(): void
  /** A started piece of asynchronous work has ended: its results can be taken by `poll`. */
  wake(): void
  /** Fails the attempt with what asynchronous work for the current record has thrown. */
  fail(error: unknown): void
}

/** One keyed operator of one subtask. */
export interface KeyedOperator {
  /** A record of input `input`; `entry` is null where the input is broadcast. */
  onRecord(input: number, value: unknown, timestampMs: number, entry: Entry | null): void
  /** A timer of `entry` is due; it is registered no more. */
  onTimer?(entry: Entry, domain: TimeDomain, timeMs: number): void
  /** Emits results of asynchronous work that are ready, in order; true while some are still under way. */
  poll?(): boolean
  /** True while no further record should be handed in. */
  readonly full?: boolean
  /** True where timers of the wall clock fire at the end of a bounded input, however far their time is. */
  readonly firesAtEnd?: boolean
}
