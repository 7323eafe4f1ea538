/**
 * What a running job does when its store turns out to be empty: what it holds in memory is all there is, and goes back at
 * once, under a new lease, with the job's record first and then a checkpoint in which every page is written anew.
 */
import { MillraceError } from '../core/errors.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts } from './job-ports.ts'
import type { JobRun } from './job-run.ts'
import type { CoordinatorListener } from './job-status.ts'
import type { LeaseKeeper } from './lease.ts'

const PAUSE_MS = 1000

/** A lease that nobody renews is free when it is asked for so often. */
const DENIALS_MAX = 3

/** Who lost the store. */
export interface StoreLoss {
  readonly ports: JobPorts
  readonly lease: LeaseKeeper
  readonly memory: JobMemory
  readonly run: JobRun
  /** Whether the attempt is still the job's. */
  readonly wanted: () => boolean
  readonly listener: Pick<CoordinatorListener, 'storeRecord'>
  /** Another process has the lease and keeps it. */
  readonly onOwned: (error: MillraceError) => void
}

/** Writes everything to the store again; tries until it is done or the attempt is over. Never rejects. */
export async function reclaimStore({ ports, lease, memory, run, wanted, listener, onOwned }: StoreLoss): Promise<void> {
  const job = run.spec.plan.jobName
  let denials = 0
  const onWaiting = (heldBy: string): void => {
    if (++denials > DENIALS_MAX && wanted()) onOwned(ownedError(job, heldBy))
  }
  while (wanted()) {
    try {
      await lease.acquire(onWaiting, memory.lastCheckpointId)
      if (!wanted()) return
      memory.storeId = await ports.store.storeId()
      await listener.storeRecord()
      run.rewriteAll()
      await run.checkpoint()
      return
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      if (error.code === 'CANCELLED') return
      ports.log('error', `job ${job}: the lost store could not be written again yet: ${error.message}`, { job })
      await new Promise<void>((resolve) => ports.scheduler.after(PAUSE_MS, resolve))
    }
  }
}

function ownedError(job: string, heldBy: string): MillraceError {
  const text = `the store of job ${job} has lost data, and ${heldBy} owns the job now: this process stops it`
  return new MillraceError('STORE_FENCED', text)
}
