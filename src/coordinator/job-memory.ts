/** What a coordinator remembers of a job from one attempt to the next, beyond what the store holds. */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import { newOutboxStatus, type OutboxStatus } from './outbox-status.ts'
import { PoisonBook } from './poison-book.ts'

/** What of a job's record its attempts go by. */
export interface JobBasis {
  readonly jobId: string
  /** Where a first start has begun; null when it has not. */
  readonly firstSplits: readonly SplitSnapshot[] | null
  /** What of a checkpoint's state may go, by name (job/state-diff.ts). */
  readonly dropState: readonly string[]
  /** Highest number of an attempt that has got the lease, in any process. */
  readonly attempts: number
  /** Newest checkpoint up to which sinks are known to have everything; 0 for none. */
  readonly settledId: number
}

/** Mutable; owned by the job's coordinator, filled in by its attempts. */
export interface JobMemory {
  /** Tells this submission from others of the same name: checkpoints of another id are not ours to restore. */
  readonly jobId: string
  /** Positions that the first start resolved, until a checkpoint holds better ones. */
  firstSplits: readonly SplitSnapshot[] | null
  /** What of a checkpoint's state may go, by name (job/state-diff.ts). */
  dropState: readonly string[]
  /** Highest number of an attempt that has got the lease, in any process, as far as it is known here. */
  attempts: number
  /** Id of the store as first seen; '' before. */
  storeId: string
  /** Highest checkpoint id used, completed or not. */
  lastCheckpointId: number
  /** Highest checkpoint id completed; 0 for none. */
  completedCheckpointId: number
  /** Records on which the job's code has failed since the last checkpoint that passed them. */
  readonly poison: PoisonBook
  readonly outbox: OutboxStatus
  /** Checkpoints that are being copied into savepoints, with how many copies are under way: retention leaves them alone. */
  readonly savepoints: Map<number, number>
}

/** Nothing known yet but what the job's record says. */
export function newJobMemory(jobId: string, basis: Partial<JobBasis> = {}): JobMemory {
  const { firstSplits = null, dropState = [], attempts = 0, settledId = 0 } = basis
  const ids = { storeId: '', lastCheckpointId: 0, completedCheckpointId: 0 }
  const books = { poison: new PoisonBook(), outbox: newOutboxStatus(settledId), savepoints: new Map<number, number>() }
  return { jobId, firstSplits, dropState, attempts, ...ids, ...books }
}
