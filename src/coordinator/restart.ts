/**
 * When a failed job starts again: Flink's restart strategies, as pure functions.
 *
 *   exponentialDelay  the delay begins at `initialMs`, grows by `multiplier` with each failure up to `maxMs`, is spread by
 *                     `jitter` to both sides, and goes back to the beginning once the job has stayed healthy for
 *                     `resetAfterMs` after a restart was due; `attempts` restarts between two resets, if not 0
 *   fixedDelay        `attempts` restarts in all, each after `delayMs`
 *   failureRate       fails with more than `failures` within `intervalMs`; restarts after `delayMs`
 *   none              fails at once
 *
 * Failures that arrive while a restart is already scheduled belong to the same incident: they merge into one attempt
 * and count once. What can never succeed again without a person (`retry: 'never'`) is not retried at all.
 */
import { nextFraction, type Random } from '../core/clock.ts'
import type { ErrorData } from '../core/errors.ts'
import { jobDefaults } from '../job/defaults.ts'
import type { RestartDefinition } from '../job/restart-definition.ts'

type ExponentialDelay = Extract<RestartDefinition, { kind: 'exponentialDelay' }>

/** What a job gets that says nothing: Flink's default for checkpointed jobs. */
export const defaultRestartPolicy: ExponentialDelay = {
  kind: 'exponentialDelay',
  ...jobDefaults.restart.exponentialDelay,
}

/** What the strategy remembers of a job. */
export interface RestartMemory {
  /** Failures since the last reset that led to a restart. */
  readonly failures: number
  /** Monotonic ms of the failures that a rate is judged by, oldest first. */
  readonly recentMs: readonly number[]
  /** Monotonic ms at which the last restart was due; -Infinity before the first. */
  readonly dueMs: number
  /** True from a failure until its restart begins: more failures merge into it. */
  readonly pending: boolean
}

/** A job that has never failed. */
export const noFailures: RestartMemory = {
  failures: 0,
  recentMs: [],
  dueMs: Number.NEGATIVE_INFINITY,
  pending: false,
}

/** What to do about a failure. */
export type RestartDecision =
  /** Start again after `delayMs`. */
  | { readonly kind: 'restart'; readonly delayMs: number; readonly memory: RestartMemory }
  /** A restart is already scheduled; this failure is part of it. */
  | { readonly kind: 'merged'; readonly memory: RestartMemory }
  /** No attempt can help, or the strategy allows no more: fail the job. `why` is empty for the former. */
  | { readonly kind: 'fail'; readonly why: string; readonly memory: RestartMemory }

/**
 * Whether a job that failed with `error` may be started again. A topic that is not there may still appear, so that
 * alone is waited for although its error is the user's turn.
 */
export function isRecoverable(error: ErrorData): boolean {
  return error.retry !== 'never' || error.code === 'TOPIC_NOT_FOUND'
}

/** Decides about one failure at monotonic time `nowMs`. Draws one number when an exponential delay restarts. */
export function decideRestart(
  policy: RestartDefinition,
  memory: RestartMemory,
  error: ErrorData,
  nowMs: number,
  random: Random,
): RestartDecision {
  if (!isRecoverable(error)) return { kind: 'fail', why: '', memory: { ...memory, pending: false } }
  if (memory.pending) return { kind: 'merged', memory }
  const why = whyNoMore(policy, memory, nowMs)
  if (why !== '') return { kind: 'fail', why, memory }
  const failures = failuresNow(policy, memory, nowMs)
  const recentMs = policy.kind === 'failureRate' ? [...recentOf(policy, memory, nowMs), nowMs] : []
  const delayMs = delayOf(policy, failures, random)
  return {
    kind: 'restart',
    delayMs,
    memory: { failures: failures + 1, recentMs, dueMs: nowMs + delayMs, pending: true },
  }
}

/** Why the strategy would not restart after one more failure at `nowMs`, for people; '' when it would. */
export function whyNoMore(policy: RestartDefinition, memory: RestartMemory, nowMs: number): string {
  if (memory.pending) return ''
  switch (policy.kind) {
    case 'none':
      return 'its restart strategy is none'
    case 'fixedDelay': {
      const { attempts } = policy
      return memory.failures < attempts ? '' : `its restart strategy allows ${attempts} attempts, and all are used`
    }
    case 'exponentialDelay': {
      const { attempts } = policy
      if (attempts === 0 || failuresNow(policy, memory, nowMs) < attempts) return ''
      return `its restart strategy allows ${attempts} attempts between two healthy times, and all are used`
    }
    case 'failureRate': {
      const { failures, intervalMs } = policy
      if (recentOf(policy, memory, nowMs).length < failures) return ''
      return `its restart strategy allows ${failures} failures within ${intervalMs} ms, and this is one more`
    }
  }
}

/** The scheduled restart begins (or is called off): the next failure is a new incident. */
export function restartBegun(memory: RestartMemory): RestartMemory {
  return { ...memory, pending: false }
}

/** Delay before jitter after `failures` earlier failures. */
export function baseDelayMs(policy: ExponentialDelay, failures: number): number {
  // The power is capped by itself: it may reach Infinity, and the minimum still holds.
  return Math.min(policy.maxMs, policy.initialMs * policy.multiplier ** failures)
}

/** Failures that count at `nowMs`: none any more once an exponential delay was followed by health. */
function failuresNow(policy: RestartDefinition, memory: RestartMemory, nowMs: number): number {
  const healthy = policy.kind === 'exponentialDelay' && nowMs - memory.dueMs >= policy.resetAfterMs
  return healthy ? 0 : memory.failures
}

function recentOf(
  { intervalMs }: { readonly intervalMs: number },
  memory: RestartMemory,
  nowMs: number,
): readonly number[] {
  return memory.recentMs.filter((ms) => nowMs - ms < intervalMs)
}

function delayOf(policy: RestartDefinition, failures: number, random: Random): number {
  switch (policy.kind) {
    case 'none':
      return 0
    case 'fixedDelay':
    case 'failureRate':
      return policy.delayMs
    case 'exponentialDelay':
      return baseDelayMs(policy, failures) * (1 + policy.jitter * (2 * nextFraction(random) - 1))
  }
}
