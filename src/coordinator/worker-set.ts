/**
 * The threads of this process as the coordinator sees them: a fixed number of places, each with at most one live thread.
 *
 * Types only. Implemented over Piscina (worker-pool.ts) and in memory (tests, simulation).
 */
import type { WorkerPort } from '../runtime/messages.ts'

/** Places for threads. A thread that ends is replaced by a fresh one with the same number. */
export interface WorkerSet {
  /** Number of places; never changes. */
  readonly size: number
  /**
   * One listener, called for each thread once it is ready and connected with all others that were told of before; also
   * for those ready when the listener is set. After a thread's exit listener ran, its replacement comes by this way.
   */
  onJoin(listener: (port: WorkerPort) => void): void
}
