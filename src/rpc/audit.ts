/**
 * The audit log: who called what, and what came of it, a structured line each.
 *
 * Owns: the form of a line, and the bound on lines about refusals, which strangers could otherwise fill a disk with.
 * Does not own: which calls are told (method-access.ts), where lines go (observe/log.ts). No line holds a token, a
 * definition or any other part of a request but the job's name and what audit-details.ts takes.
 */
import type { Clock } from '../core/clock.ts'
import type { Identity } from '../security/access.ts'
import type { AuditDetails } from './audit-details.ts'

/** A call that has ended. */
export interface AuditedCall {
  /** As `/millrace.v1.ControlService/SubmitJob`. */
  readonly path: string
  /** Null for a caller that nobody knows. */
  readonly identity: Identity | null
  /** `address:port` of the other side. */
  readonly peer: string
  /** Name of the job; '' where the call has none, or failed before it was known. */
  readonly job: string
  /** What else a line says (audit-details.ts). */
  readonly details: AuditDetails
  /** `OK`, an error code, or `CANCELLED` when the caller went away first. */
  readonly outcome: string
  readonly durationMs: number
}

/** Writes a line. */
export type AuditLog = (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void

/** Lines about refusals in one window; what is beyond is counted. */
const REFUSALS_MAX = 100
const WINDOW_MS = 60_000
const JOB_CHARS_MAX = 100

/** Tells calls to a log. */
export class Audit {
  readonly #log: AuditLog
  readonly #clock: Clock
  #windowStartMs = Number.NEGATIVE_INFINITY
  #refusals = 0

  constructor(log: AuditLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** A call of a method that is audited. */
  ended(call: AuditedCall): void {
    this.#log('info', 'control call', fieldsOf(call))
  }

  /** A call of any method that its caller may not make. */
  refused(call: AuditedCall): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      const unsaid = this.#refusals - REFUSALS_MAX
      if (unsaid > 0) this.#log('warn', 'more calls were refused', { audit: true, calls: unsaid })
      this.#windowStartMs = nowMs
      this.#refusals = 0
    }
    this.#refusals++
    if (this.#refusals <= REFUSALS_MAX) this.#log('warn', 'call refused', fieldsOf(call))
  }
}

function fieldsOf({ path, identity, peer, job, details, outcome, durationMs }: AuditedCall): Record<string, unknown> {
  return {
    audit: true,
    method: path.slice(1),
    ...(job === '' ? {} : { job: job.slice(0, JOB_CHARS_MAX) }),
    ...details,
    caller: identity?.name ?? '',
    ...(identity === null ? {} : { role: identity.role, knownBy: identity.knownBy }),
    peer,
    outcome,
    durationMs: Math.round(durationMs),
  }
}
