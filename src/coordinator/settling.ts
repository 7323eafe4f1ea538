/**
 * Those who wait until sinks have applied what a checkpoint has for them: a job that stops or finishes, a savepoint.
 *
 * Owns: waiting, and giving up on sinks that take too long. Does not own: when a checkpoint is settled
 * (checkpoint/protocol.ts).
 */
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { CheckpointRecord } from './job-history.ts'
import { type OutboxStatus, owedText } from './outbox-status.ts'
import { Waiters } from './waiters.ts'

/** Waiters of one attempt. */
export class Settling extends Waiters<CheckpointRecord> {
  readonly #scheduler: Scheduler
  readonly #status: OutboxStatus
  /** Completed and not settled. */
  readonly #records = new Map<number, CheckpointRecord>()
  #cancelLimit: Cancel = () => {}

  constructor(scheduler: Scheduler, status: OutboxStatus) {
    super()
    this.#scheduler = scheduler
    this.#status = status
  }

  /** A checkpoint exists. */
  completed(record: CheckpointRecord): void {
    this.#records.set(record.id, record)
  }

  /** Sinks have applied everything up to this checkpoint. */
  settled(checkpointId: number): void {
    this.#status.settledId = Math.max(this.#status.settledId, checkpointId)
    for (const [id, record] of [...this.#records]) {
      if (id > checkpointId) continue
      this.#records.delete(id)
      this.resolve(id, record)
    }
  }

  /** Lets go of those whose checkpoint does not exist. */
  rejectIncomplete(error: MillraceError): void {
    for (const id of this.ids) if (!this.#records.has(id)) this.reject(id, error)
  }

  /** Nobody waits for sinks much longer than `limitMs` from now on. What they are owed stays owed. */
  limit(limitMs: number): void {
    this.#cancelLimit()
    this.#cancelLimit = this.#scheduler.after(limitMs, () => {
      // Where sinks are so far behind that no checkpoint begins, it is they that are waited for as well.
      const late = this.ids.filter((id) => this.#records.has(id) || this.#status.held)
      const owed = this.#status.owed.map(owedText).join(' and ')
      const text = `sinks have not applied ${owed} within ${limitMs} ms: they are owed it, and get it at the next start`
      for (const id of late) this.reject(id, new MillraceError('SINK_FAILED', text))
      // Also while nobody waits yet: a job that drains asks for its last checkpoint when its sources have ended.
      this.limit(limitMs)
    })
  }

  /** The attempt ends, and with it the limit: a timer that is left keeps a process from ending. */
  override rejectAll(error: MillraceError): void {
    this.#cancelLimit()
    super.rejectAll(error)
  }
}
