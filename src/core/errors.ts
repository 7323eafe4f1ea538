/**
 * The one error type of Millrace.
 *
 * Every failure that a person or a client can see is a MillraceError: a stable `code`, the `domain` that says whose
 * turn it is to act, and a `retry` hint. The message says what is wrong, where, and what to do. Errors cross threads as
 * plain data (`toData`/`fromData`): test the code, never `instanceof`, on the far side.
 */

/** Every code, in the order of the event's path. Codes are API: never renamed, never reused. */
export const errorCodes = [
  // input and job definitions
  'JOB_INVALID',
  'JOB_EXISTS',
  'JOB_NOT_FOUND',
  'JOB_STATE',
  'EXPRESSION_INVALID',
  'DESCRIPTOR_INVALID',
  'SCHEMA_NOT_FOUND',
  'SCHEMA_INCOMPATIBLE',
  'SCHEMA_REGISTRY_UNREACHABLE',
  'SCHEMA_REGISTRY_ERROR',
  'CONFIG_INVALID',
  'USAGE',
  'INPUT_INVALID',
  // source
  'BROKER_UNREACHABLE',
  'BROKER_UNSUPPORTED',
  'BROKER_ERROR',
  'TOPIC_NOT_FOUND',
  'TOPIC_RECREATED',
  'POSITION_LOST',
  'RECORD_BATCH_CORRUPT',
  'CODEC_UNSUPPORTED',
  'LOG_CORRUPT',
  // state and checkpoints
  'STATE_LIMIT',
  'SUM_OVERFLOW',
  'STATE_INCOMPATIBLE',
  'STORE_UNREACHABLE',
  'STORE_FENCED',
  'STORE_LOST',
  'CHECKPOINT_FAILED',
  'CHECKPOINT_CORRUPT',
  'CHECKPOINT_NOT_FOUND',
  'SAVEPOINT_FAILED',
  'SAVEPOINT_EXISTS',
  'SAVEPOINT_NOT_FOUND',
  'SAVEPOINT_CORRUPT',
  'LEASE_HELD',
  // runtime
  'WORKER_LOST',
  'WORKER_SILENT',
  'SINK_FAILED',
  // jobs in TypeScript
  'JOB_CODE_FAILED',
  'JOB_CODE_SILENT',
  'JOB_CODE_MEMORY',
  // access
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'LIMIT_EXCEEDED',
  // queries
  'METRIC_NOT_FOUND',
  'QUERY_INVALID',
  'QUERY_TOO_LARGE',
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'INTERNAL',
] as const

/** A stable, machine-readable name of one kind of failure. */
export type ErrorCode = (typeof errorCodes)[number]

/** Whose turn it is: `user` changes the input, `external` waits for a broker or store, `internal` is our bug. */
export type ErrorDomain = 'user' | 'external' | 'internal'

/** Whether doing the same again can help: `never`, `backoff` (after a pause), `restart` (the job, from a checkpoint). */
export type RetryHint = 'never' | 'backoff' | 'restart'

/** One wrong place in a document that somebody wrote. Lines and columns count from 1; 0 where unknown. */
export interface Violation {
  /** Path of the field, as `metrics[2].window.tumbling`. */
  readonly field: string
  readonly message: string
  readonly line: number
  readonly column: number
}

/** A record of a source, for errors that one record causes. */
export interface RecordOrigin {
  /** Number of the partition as the engine counts it, over all sources of the job. */
  readonly partition: number
  readonly offset: number
}

/** Optional parts of a MillraceError. */
export interface ErrorOptionsMillrace {
  readonly domain?: ErrorDomain
  readonly retry?: RetryHint
  readonly cause?: unknown
  /** All that is wrong in a submitted document, in document order. */
  readonly violations?: readonly Violation[]
  /** The record that was being worked on, where the failure is of one. */
  readonly record?: RecordOrigin | undefined
}

/** A MillraceError as plain data, to cross threads and wires. */
export interface ErrorData {
  readonly code: ErrorCode
  readonly domain: ErrorDomain
  readonly retry: RetryHint
  readonly message: string
  readonly violations: readonly Violation[]
  readonly record?: RecordOrigin
}

const defaults: Partial<Record<ErrorCode, readonly [ErrorDomain, RetryHint]>> = {
  SCHEMA_REGISTRY_UNREACHABLE: ['external', 'backoff'],
  SCHEMA_REGISTRY_ERROR: ['external', 'backoff'],
  BROKER_UNREACHABLE: ['external', 'backoff'],
  BROKER_UNSUPPORTED: ['external', 'never'],
  BROKER_ERROR: ['external', 'restart'],
  TOPIC_RECREATED: ['external', 'never'],
  POSITION_LOST: ['external', 'never'],
  RECORD_BATCH_CORRUPT: ['external', 'restart'],
  LOG_CORRUPT: ['external', 'never'],
  STATE_LIMIT: ['user', 'never'],
  SUM_OVERFLOW: ['user', 'never'],
  STORE_UNREACHABLE: ['external', 'backoff'],
  STORE_FENCED: ['external', 'never'],
  STORE_LOST: ['external', 'never'],
  CHECKPOINT_FAILED: ['external', 'restart'],
  CHECKPOINT_CORRUPT: ['external', 'never'],
  SAVEPOINT_FAILED: ['external', 'backoff'],
  SAVEPOINT_CORRUPT: ['external', 'never'],
  LEASE_HELD: ['external', 'backoff'],
  WORKER_LOST: ['internal', 'restart'],
  WORKER_SILENT: ['internal', 'restart'],
  SINK_FAILED: ['external', 'restart'],
  JOB_CODE_FAILED: ['user', 'restart'],
  JOB_CODE_SILENT: ['user', 'never'],
  JOB_CODE_MEMORY: ['user', 'never'],
  UNAVAILABLE: ['external', 'backoff'],
  DEADLINE_EXCEEDED: ['external', 'backoff'],
  INTERNAL: ['internal', 'restart'],
}

/** The one error type: code, domain, retry hint, and a message that says what to do. */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: ErrorCode
  readonly domain: ErrorDomain
  readonly retry: RetryHint
  readonly violations: readonly Violation[]
  readonly record: RecordOrigin | undefined

  constructor(code: ErrorCode, message: string, options: ErrorOptionsMillrace = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const [domain, retry] = defaults[code] ?? (['user', 'never'] as const)
    this.code = code
    this.domain = options.domain ?? domain
    this.retry = options.retry ?? retry
    this.violations = options.violations ?? []
    this.record = options.record
  }

  /** The error as plain data. The cause stays on this side: its message is already in ours where it helps. */
  toData(): ErrorData {
    return {
      code: this.code,
      domain: this.domain,
      retry: this.retry,
      message: this.message,
      violations: this.violations,
      ...(this.record === undefined ? {} : { record: this.record }),
    }
  }

  /** The error again, on the other side of a thread or a wire. */
  static fromData(data: ErrorData): MillraceError {
    return new MillraceError(data.code, data.message, data)
  }

  /** Any thrown value as a MillraceError; what is not one becomes INTERNAL with the value as its cause. */
  static from(thrown: unknown): MillraceError {
    if (thrown instanceof MillraceError) return thrown
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return new MillraceError('INTERNAL', message, { cause: thrown })
  }
}

/** Throws INTERNAL unless `condition` holds. For what only a bug of ours can break. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new MillraceError('INTERNAL', `invariant broken: ${message}`)
}

/** Marks a union as handled to the last member: the compiler refuses a call with anything left. */
export function assertNever(value: never): never {
  throw new MillraceError('INTERNAL', `unhandled case: ${JSON.stringify(value)}`)
}
