/**
 * Changes of a running job, to another parallelism or another definition: what became of each, and how long it took.
 *
 * Owns: the record, from the request to the end, whatever happens in between. Does not own: what happens (job-state.ts,
 * job-coordinator.ts), where records are kept (stored-job.ts).
 */
import type { Clock } from '../core/clock.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobEventType, JobState } from './job-state.ts'

/** How a change ended. `superseded`: by another one; `stopped`: the job was stopped or cancelled; `pending`: not yet. */
export type RedeployOutcome = 'pending' | 'done' | 'superseded' | 'stopped' | 'failed'

/** A change of a running job. Times are wall clock, epoch ms, 0 for what it did not come to. Stored: fields are only added. */
export interface RedeployRecord {
  readonly kind: 'rescale' | 'upgrade'
  /** Subtasks of each operator before and after. */
  readonly from: number
  readonly to: number
  /** What was changed, for people. */
  readonly reason: string
  readonly requestedAtMs: number
  /** The last checkpoint with the old plan; 0 when it went on from an earlier one. */
  readonly checkpointId: number
  /** That checkpoint was complete, its outbox applied: from here on nothing more is given out by the old plan. */
  readonly barrierAtMs: number
  /** Nothing was deployed any more. */
  readonly stoppedAtMs: number
  /** The job ran with the new plan. */
  readonly runningAtMs: number
  /** State of that checkpoint. */
  readonly stateBytes: number
  readonly outcome: RedeployOutcome
  /** What happened on the way, for people. */
  readonly detail: string
}

/** Records that are kept of a job. */
export const REDEPLOYS_MAX = 10

/** A change that was asked for at `requestedAtMs`. */
export function newRedeploy(
  what: Pick<RedeployRecord, 'kind' | 'from' | 'to' | 'reason'>,
  requestedAtMs: number,
): RedeployRecord {
  const nothing = { checkpointId: 0, barrierAtMs: 0, stoppedAtMs: 0, runningAtMs: 0, stateBytes: 0 }
  return { ...what, requestedAtMs, ...nothing, outcome: 'pending', detail: '' }
}

/** The records of a job with one more, newest first; one that is still pending is superseded by it. */
export function withRedeploy(records: readonly RedeployRecord[], record: RedeployRecord): readonly RedeployRecord[] {
  const before = records.map((other): RedeployRecord => {
    return other.outcome === 'pending' ? { ...other, outcome: 'superseded' } : other
  })
  return [record, ...before].slice(0, REDEPLOYS_MAX)
}

/** The records with `record` in the place of the one that was asked for at the same time. */
export function withOutcome(records: readonly RedeployRecord[], record: RedeployRecord): readonly RedeployRecord[] {
  return records.map((other) => (other.requestedAtMs === record.requestedAtMs ? record : other))
}

/** Follows the change that is under way. */
export class RedeployTracker {
  readonly #clock: Clock
  readonly #onEnded: (record: RedeployRecord) => void
  #record: RedeployRecord | null = null
  #ended: RedeployRecord | null = null

  /** `onEnded` hears of each change that has come to its end. */
  constructor(clock: Clock, onEnded: (record: RedeployRecord) => void) {
    this.#clock = clock
    this.#onEnded = onEnded
  }

  /** The change under way; null when there is none. */
  get pending(): RedeployRecord | null {
    return this.#record
  }

  /** The last change that ended. */
  get ended(): RedeployRecord | null {
    return this.#ended
  }

  /** A change has been asked for; also one that an earlier process did not come to the end of. */
  begin(record: RedeployRecord): void {
    this.#record = record
  }

  /** The last checkpoint of the old plan is complete. */
  checkpointed({ id, sizeBytes }: CheckpointRecord): void {
    this.#note({ checkpointId: id, barrierAtMs: this.#clock.nowMs(), stateBytes: sizeBytes })
  }

  /** The job has gone from `before` to `state` by an event. */
  moved(before: JobState, event: JobEventType, state: JobState, reason: string): void {
    if (this.#record === null) return
    const nowMs = this.#clock.nowMs()
    // Another process has the job now, and follows the change itself.
    if (event === 'fenced') this.#record = null
    else if (event === 'disposed' && before === 'REDEPLOYING') this.#note({ stoppedAtMs: nowMs })
    else if (event === 'finalCheckpointFailed' && before === 'REDEPLOYING') this.#note({ detail: reason })
    else if (event === 'started') this.#end('done', { runningAtMs: nowMs })
    else if (state === 'RESTARTING' && before !== 'RESTARTING') this.#note({ detail: `restarted after ${reason}` })
    else if (state === 'SUSPENDED' || state === 'CANCELLED') this.#end('stopped', { detail: reason })
    else if (state === 'FAILED') this.#end('failed', { detail: reason })
  }

  #note(change: Partial<RedeployRecord>): void {
    if (this.#record !== null) this.#record = { ...this.#record, ...change }
  }

  #end(outcome: RedeployOutcome, change: Partial<RedeployRecord>): void {
    const record = { ...this.#record!, ...change, outcome }
    this.#record = null
    this.#ended = record
    this.#onEnded(record)
  }
}
