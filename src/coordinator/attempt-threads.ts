/**
 * The threads of one attempt: those that declarative jobs share, or, for a job in TypeScript, a pool of its own that
 * begins and ends with the attempt.
 *
 * Owns: which of the two, and what the loss of an own thread means. A thread that its job's code has silenced, or whose
 * heap it has filled, is lost for good: the same code would do the same again.
 */
import { type ErrorData, MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobPorts, OwnThreads } from './job-ports.ts'
import type { ThreadHub, ThreadListener } from './thread-hub.ts'

/** The threads of one attempt. `open` once, `close` once. */
export class AttemptThreads {
  readonly #ports: JobPorts
  readonly #plan: JobPlan
  readonly #job: number
  readonly #listener: ThreadListener
  #own: OwnThreads | null = null
  #closed = false

  constructor(ports: JobPorts, plan: JobPlan, job: number, listener: ThreadListener) {
    this.#ports = ports
    this.#plan = plan
    this.#job = job
    this.#listener = listener
  }

  /** Where messages go. */
  get hub(): ThreadHub {
    return this.#own?.hub ?? this.#ports.hub
  }

  /** The threads that are ready, once all are or `waitMs` has passed. Throws WORKER_LOST when there is none. */
  async open(waitMs: number): Promise<readonly number[]> {
    const { openThreads, hub } = this.#ports
    if (this.#plan.program !== undefined && openThreads !== undefined) {
      const own = await openThreads(this.#plan)
      if (this.#closed) {
        await own.close()
        throw new MillraceError('CANCELLED', 'the attempt is not wanted any more')
      }
      this.#own = own
      own.hub.onStats((thread, subtasks) => hub.relayStats(thread, subtasks))
      own.hub.attach(this.#job, {
        onMessage: (thread, message) => this.#listener.onMessage(thread, message),
        onThreadLost: (thread, error) => this.#listener.onThreadLost(thread, lossOfCode(error, this.#plan.jobName)),
      })
    }
    const threads = await this.hub.whenReady(waitMs)
    if (threads.length > 0) return threads
    const text = 'no worker thread is ready: all of them ended and none could be replaced yet'
    throw new MillraceError('WORKER_LOST', text)
  }

  /** Ends own threads. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#own?.close()
  }
}

/** What the loss of a thread says about the code that ran in it. */
export function lossOfCode(error: ErrorData, job: string): ErrorData {
  if (error.code === 'WORKER_SILENT') {
    const text = `the code of job ${job} held its thread and was ended: ${error.message}. Look for a loop without end, or work that takes too long for one event`
    return new MillraceError('JOB_CODE_SILENT', text).toData()
  }
  if (error.code === 'WORKER_LOST' && error.message.includes('memory limit')) {
    const text = `the code of job ${job} used up the memory of its thread: ${error.message}. Keep less in state or in variables, give state a ttl, or raise MILLRACE_JOB_HEAP`
    return new MillraceError('JOB_CODE_MEMORY', text).toData()
  }
  if (error.code === 'WORKER_LOST') {
    const text = `the code of job ${job} ended its thread: ${error.message}. process.exit does that, and a promise that is rejected with nobody to handle it`
    return new MillraceError('JOB_CODE_FAILED', text).toData()
  }
  return error
}
