/**
 * The place that a job has for one attempt: the one that runs, or the one that is being disposed.
 *
 * Owns: that there is never a second one (L2 of job-state.ts), and bringing messages to the one they are for. Does not own:
 * when one begins or ends (job-coordinator.ts), how it works (job-run.ts).
 */
import type { JobPorts, JobSettings } from './job-ports.ts'
import { JobRun, type RunListener, type RunSpec } from './job-run.ts'
import type { LeaseKeeper } from './lease.ts'

/** Holds one attempt of a job. */
export class AttemptSlot {
  readonly #ports: JobPorts
  readonly #settings: JobSettings
  readonly #lease: LeaseKeeper
  readonly #detach: () => void
  #run: JobRun | undefined
  #disposing: JobRun | undefined

  constructor(job: number, ports: JobPorts, settings: JobSettings, lease: LeaseKeeper) {
    this.#ports = ports
    this.#settings = settings
    this.#lease = lease
    this.#detach = ports.hub.attach(job, {
      onMessage: (thread, message) => {
        const run = this.#run?.attempt === message.attempt ? this.#run : this.#disposing
        run?.onMessage(thread, message)
      },
      onThreadLost: (thread, error) => {
        this.#run?.onThreadLost(thread, error)
        this.#disposing?.onThreadLost(thread, error)
      },
    })
  }

  /** The attempt that starts or runs. */
  get run(): JobRun | undefined {
    return this.#run
  }

  /** Whether one is being disposed. */
  get disposing(): boolean {
    return this.#disposing !== undefined
  }

  /** Puts the next attempt in; the caller starts it. */
  put(spec: RunSpec, listener: RunListener): JobRun {
    this.#run = new JobRun(this.#ports, this.#settings, spec, this.#lease, listener)
    return this.#run
  }

  /** Gives the attempt up; `disposed` is called when nothing of it is left, at once where there is none. */
  dispose(disposed: () => void): void {
    const run = this.#run
    if (run === undefined) {
      // What is being disposed calls its own.
      if (this.#disposing === undefined) disposed()
      return
    }
    this.#run = undefined
    this.#disposing = run
    void run.dispose().then(() => {
      this.#disposing = undefined
      disposed()
    })
  }

  /** Gives the attempt up for the process's end. */
  async close(): Promise<void> {
    const run = this.#run ?? this.#disposing
    this.#run = undefined
    this.#disposing = run
    await run?.dispose()
  }

  /** No more messages are wanted. */
  detach(): void {
    this.#detach()
  }
}
