/** Where a job is, and who is told. */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import type { ErrorData } from '../core/errors.ts'
import type { CheckpointRecord } from './job-history.ts'
import type { JobEventType, JobState } from './job-state.ts'
import type { CoordinatorLog } from './log.ts'
import type { RedeployRecord } from './redeploys.ts'

/** Where a job is, and why. */
export interface JobStatus {
  readonly state: JobState
  /** For people. */
  readonly reason: string
  /** What ended the job, or what it restarts from; null when nothing did. */
  readonly error: ErrorData | null
  /** Wall clock, epoch ms. */
  readonly sinceMs: number
  /** 0 before the first start. */
  readonly attempt: number
  readonly restarts: number
}

/** Something that has happened to a job. */
export interface JobEvent {
  readonly type: JobEventType
  readonly reason: string
  readonly error: ErrorData | null
}

/** A line about a change of state. */
export function logStatus(log: CoordinatorLog, job: string, { state, reason, error, attempt }: JobStatus): void {
  const fields = { job, state, attempt, ...(error === null ? {} : { code: error.code }) }
  log(error === null ? 'info' : 'warn', `job ${job} is ${state}: ${reason}`, fields)
}

/** What the owner of a coordinator hears and does. */
export interface CoordinatorListener {
  /** After each change of state, and when another process turns out to have the lease. Must not throw. */
  onState(status: JobStatus): void
  /** The job's record is not in the store any more (data lost, or state dropped): writes it again. */
  storeRecord(): Promise<void>
  /**
   * An attempt has got the lease: is the job still wanted as it is? Another server may have stopped it or changed it
   * while this one waited. Gives its number, stored first: `attempt`, or a higher one where attempts in other processes
   * have come as far; so numbers rise over all of them. Null makes the attempt do nothing more; the owner then puts
   * another coordinator in place.
   */
  confirm(attempt: number): Promise<number | null>
  /** A checkpoint has ended, well or not. Must not throw. */
  onCheckpoint(record: CheckpointRecord): void
  /** A change of parallelism or definition has come to its end. Must not throw. */
  onRedeployed(record: RedeployRecord): void
  /** Stores where the first start begins to read, before it does. */
  storeFirstSplits(splits: readonly SplitSnapshot[]): Promise<void>
}
