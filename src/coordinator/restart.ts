/**
 * When a failed job starts again: the exponential-delay strategy, as a pure function.
 *
 * The delay begins at `initialMs`, grows by `multiplier` with each failure up to `maxMs`, is spread by `jitter` to both
 * sides, and goes back to the beginning once the job has stayed healthy for `resetAfterMs` after a restart was due.
 * Failures that arrive while a restart is already scheduled belong to the same incident: they merge into one attempt
 * and do not grow the delay. What can never succeed again without a person (`retry: 'never'`) is not retried at all.
 */
import { nextFraction, type Random } from '../core/clock.ts'
import type { ErrorData } from '../core/errors.ts'

/** The numbers of the strategy. */
export interface RestartPolicy {
  readonly initialMs: number
  readonly multiplier: number
  readonly maxMs: number
  /** Share of the delay by which it may be longer or shorter: 0.1 is 10 %. */
  readonly jitter: number
  readonly resetAfterMs: number
}

/** 1 s, x 1.5, at most 1 min, 10 % jitter, reset after 1 h: Flink's defaults for checkpointed jobs. */
export const defaultRestartPolicy: RestartPolicy = {
  initialMs: 1000,
  multiplier: 1.5,
  maxMs: 60_000,
  jitter: 0.1,
  resetAfterMs: 3_600_000,
}

/** What the strategy remembers of a job. */
export interface RestartMemory {
  /** Failures since the last reset that led to a restart. */
  readonly failures: number
  /** Monotonic ms at which the last restart was due; -Infinity before the first. */
  readonly dueMs: number
  /** True from a failure until its restart begins: more failures merge into it. */
  readonly pending: boolean
}

/** A job that has never failed. */
export const noFailures: RestartMemory = { failures: 0, dueMs: Number.NEGATIVE_INFINITY, pending: false }

/** What to do about a failure. */
export type RestartDecision =
  /** Start again after `delayMs`. */
  | { readonly kind: 'restart'; readonly delayMs: number; readonly memory: RestartMemory }
  /** A restart is already scheduled; this failure is part of it. */
  | { readonly kind: 'merged'; readonly memory: RestartMemory }
  /** No attempt can help: fail the job. */
  | { readonly kind: 'fail'; readonly memory: RestartMemory }

/**
 * Whether a job that failed with `error` may be started again. A topic that is not there may still appear, so that
 * alone is waited for although its error is the user's turn.
 */
export function isRecoverable(error: ErrorData): boolean {
  return error.retry !== 'never' || error.code === 'TOPIC_NOT_FOUND'
}

/** Decides about one failure at monotonic time `nowMs`. Draws one number when it restarts. */
export function decideRestart(
  policy: RestartPolicy,
  memory: RestartMemory,
  error: ErrorData,
  nowMs: number,
  random: Random,
): RestartDecision {
  if (!isRecoverable(error)) return { kind: 'fail', memory: { ...memory, pending: false } }
  if (memory.pending) return { kind: 'merged', memory }
  const healthy = memory.failures > 0 && nowMs - memory.dueMs >= policy.resetAfterMs
  const failures = healthy ? 0 : memory.failures
  const delayMs = jittered(policy, baseDelayMs(policy, failures), random)
  return {
    kind: 'restart',
    delayMs,
    memory: { failures: failures + 1, dueMs: nowMs + delayMs, pending: true },
  }
}

/** The scheduled restart begins (or is called off): the next failure is a new incident. */
export function restartBegun(memory: RestartMemory): RestartMemory {
  return { ...memory, pending: false }
}

/** Delay before jitter after `failures` earlier failures. */
export function baseDelayMs(policy: RestartPolicy, failures: number): number {
  // The power is capped by itself: it may reach Infinity, and the minimum still holds.
  return Math.min(policy.maxMs, policy.initialMs * policy.multiplier ** failures)
}

function jittered(policy: RestartPolicy, delayMs: number, random: Random): number {
  return delayMs * (1 + policy.jitter * (2 * nextFraction(random) - 1))
}
