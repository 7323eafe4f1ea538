/**
 * The contract between a subtask and the loop that steps it.
 *
 * A subtask is a step function: it does one bounded piece of work and returns; it never blocks, never awaits, and never
 * holds the thread longer than a few milliseconds. Everything that waits (a credit, a fetch, a sink) calls `wake`.
 */

import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { Cancel, Clock } from '../core/clock.ts'
import type { ErrorData } from '../core/errors.ts'
import type { BatchBuffer, Message } from '../exchange/message.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { SubtaskStats } from './messages.ts'

/** What a step came to: some work done, nothing to do, or held up by a receiver or a sink. */
export type StepResult = 'worked' | 'idle' | 'blocked'

/** What a subtask may call. */
export interface SubtaskContext {
  readonly clock: Clock
  /** Asks for another step soon; may be called from anywhere, any number of times. */
  readonly wake: () => void
  /** Asks for a step after a while. */
  readonly wakeAfter: (delayMs: number) => Cancel
  /** Hands a snapshot in; once a barrier. */
  readonly ack: (checkpointId: number, snapshot: SubtaskSnapshot) => void
  readonly decline: (checkpointId: number, error: ErrorData) => void
  /** Ends the attempt: the error cannot be handled here. */
  readonly fail: (error: unknown) => void
}

/** One parallel instance of an operator. */
export interface Subtask {
  readonly operator: string
  readonly index: number
  /** One piece of work. Throws MillraceError to fail the attempt. */
  step(): StepResult
  /** A message arrived on the edge into this subtask. */
  receive(channel: number, message: Message): void
  /** A receiver has consumed a batch of this subtask. */
  credit(receiver: number, buffer: BatchBuffer): void
  /** The checkpoint exists; `rewrite` names chunks whose live pages the next one should write anew. */
  checkpointComplete(checkpointId: number, rewrite: readonly string[]): void
  /** The checkpoint will never be. */
  checkpointAborted(checkpointId: number): void
  /** Rows of a view, or null when the metric's results are not made here. */
  query(query: ViewQuery): ViewRows | null
  /** Counters and gauges, without the times that the loop measures. */
  stats(): Omit<SubtaskStats, 'job' | 'attempt' | 'busyMs' | 'idleMs' | 'backPressuredMs'>
  /** Gives everything back. */
  close(): Promise<void>
}
