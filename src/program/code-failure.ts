/**
 * What an author's code has done wrong, as the failure of its job: JOB_CODE_FAILED, naming the operator, the place in the
 * code, and the record that it was at.
 */
import { MillraceError } from '../core/errors.ts'
import type { Key, TimeDomain } from './keys.ts'

/** Longest text of a key in a message. */
const KEY_TEXT_MAX = 100

/** JOB_CODE_FAILED, naming the operator and the place in the author's code; a MillraceError stays what it is. */
export function codeFailure(operator: string, thrown: unknown): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  const place = thrown instanceof Error ? placeOf(thrown) : ''
  return new MillraceError('JOB_CODE_FAILED', `the code of operator ${operator} threw ${text}${place}`, {
    cause: thrown,
  })
}

/** The same, and at what: `at` is as recordText and timerText give it. For the one who handed the record to the code. */
export function failedAt(operator: string, thrown: unknown, at: string): MillraceError {
  const error = codeFailure(operator, thrown)
  if (error.code !== 'JOB_CODE_FAILED') return error
  const { code, message, domain, retry, cause, record } = error
  return new MillraceError(code, `${message}; operator ${operator} was at ${at}`, { domain, retry, cause, record })
}

/** A record, for people; null for one that has no key. */
export function recordText(key: Key | null, timestampMs: number): string {
  return `the record of ${timeText(timestampMs)} ${key === null ? 'that is broadcast' : `with key ${keyText(key)}`}`
}

/** A timer that was due, for people. */
export function timerText(key: Key, domain: TimeDomain, timeMs: number): string {
  return `the ${domain === 'event' ? 'event' : 'processing'} timer of ${timeText(timeMs)} with key ${keyText(key)}`
}

/**
 * Throws JOB_CODE_FAILED where a function of the author's gave back a promise: nobody waits for it, and what it does
 * later it would do to the state of another key.
 */
export function refuseAsync(made: unknown, operator: string, fn: string): void {
  if (!isPromise(made)) return
  // What it is rejected with is nobody's business any more, and must not end the thread.
  void Promise.resolve(made).catch(() => {})
  throw new MillraceError(
    'JOB_CODE_FAILED',
    `${fn} of operator ${operator} gave back a promise: code of a job is not async; ask what is outside with lookup`,
  )
}

/** JOB_CODE_FAILED for code that does something when its record is done: after an await, or in a callback. */
export function usedOutside(what: string): MillraceError {
  return new MillraceError(
    'JOB_CODE_FAILED',
    `${what} was used outside the handling of a record or timer: code of a job is not async; ask what is outside with lookup`,
  )
}

/** Whether a value is a promise, of any library. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** An accumulator that an aggregate gave back. JOB_CODE_FAILED where it is none. */
export function accumulatorOf<Acc>(made: Acc, operator: string): Acc {
  if (made === undefined)
    throw new MillraceError('JOB_CODE_FAILED', `the aggregate of operator ${operator} gave back undefined`)
  refuseAsync(made, operator, 'the aggregate')
  return made
}

function keyText(key: Key): string {
  const text = JSON.stringify(key, (_name, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))
  return text.length <= KEY_TEXT_MAX ? text : `${text.slice(0, KEY_TEXT_MAX)}…`
}

function timeText(timeMs: number): string {
  const date = new Date(timeMs)
  return Number.isNaN(date.getTime()) ? `${timeMs} ms` : date.toISOString()
}

function placeOf(error: Error): string {
  const line = error.stack?.split('\n').find((candidate) => candidate.trimStart().startsWith('at '))
  const file = line === undefined ? null : /([^/\\(]+:\d+:\d+)\)?$/.exec(line)
  return file === null ? '' : ` (${file[1]})`
}
