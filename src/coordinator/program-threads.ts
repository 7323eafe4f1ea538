/** Opens the pool of one attempt of a job in TypeScript: a thread a subtask, watched more closely than shared ones. */
import type { JobPlan } from '../job/plan.ts'
import type { OwnThreads } from './job-ports.ts'
import { ThreadHub } from './thread-hub.ts'
import { WorkerPool, type WorkerPoolOptions } from './worker-pool.ts'

/** Longest silence while a thread loads its module and reads its state. */
const SILENT_DEPLOYING_MS = 120_000

/** Buffers of a thread that are never too many: it has some of its own, for the brokers and for other threads. */
const BUFFER_BYTES_LEAST = 256 * 2 ** 20

/** What such pools are made of. */
export interface ProgramThreadsOptions
  extends Pick<WorkerPoolOptions, 'clock' | 'scheduler' | 'log' | 'kafka' | 'sinks'> {
  /** JavaScript heap of each thread, bytes; also the bound of its buffers outside the heap. */
  readonly heapBytes: number
  /** Silence after which a thread is ended. */
  readonly silenceMs: number
}

/** Starts a pool for an attempt of `plan`. Rejects WORKER_LOST. */
export async function openProgramThreads(plan: JobPlan, options: ProgramThreadsOptions): Promise<OwnThreads> {
  const { heapBytes, silenceMs, ...ports } = options
  const maxOldGenerationSizeMb = Math.ceil(heapBytes / 2 ** 20)
  const pool = new WorkerPool({
    ...ports,
    threads: plan.parallelism,
    resourceLimits: { maxOldGenerationSizeMb },
    bufferBytesMax: Math.max(heapBytes, BUFFER_BYTES_LEAST),
  })
  await pool.start()
  const hub = new ThreadHub({
    workers: pool,
    clock: ports.clock,
    scheduler: ports.scheduler,
    log: ports.log,
    pollMs: Math.min(1000, silenceMs / 4),
    silentMs: silenceMs,
    silentDeployingMs: Math.max(silenceMs, SILENT_DEPLOYING_MS),
  })
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    hub.close()
    closed ??= pool.close()
    return closed
  }
  return { hub, close }
}
