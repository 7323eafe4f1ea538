/**
 * Questions to the views of one job: sent to every thread that hosts its subtasks, answered when all have answered.
 *
 * Owns: request numbers, the fan-out, deadlines. Does not own: what the rows mean (query/), or which threads there are.
 * An answer of another attempt counts for nothing: the hub and the attempt number see to it.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { AttemptRef, FromWorker, ToWorker } from '../runtime/messages.ts'

/** The answer of one thread. */
export type QueryAnswer = Extract<FromWorker, { type: 'queryResult' }>

interface Pending {
  readonly waiting: Set<number>
  readonly rows: ViewRows[]
  readonly resolve: (rows: readonly ViewRows[]) => void
  readonly reject: (error: MillraceError) => void
  readonly cancelDeadline: Cancel
}

/** Where an attempt runs. */
export interface QueryTarget extends AttemptRef {
  /** Threads that host its subtasks. */
  readonly threads: readonly number[]
}

/** Asks and collects for one job. */
export class QueryRouter {
  readonly #scheduler: Scheduler
  readonly #send: (thread: number, message: ToWorker) => void
  readonly #pending = new Map<number, Pending>()
  #request = 0

  constructor(scheduler: Scheduler, send: (thread: number, message: ToWorker) => void) {
    this.#scheduler = scheduler
    this.#send = send
  }

  /** Rows of all subtasks, by subtask. Rejects DEADLINE_EXCEEDED, and with what `failAll` is given. */
  ask(target: QueryTarget, query: ViewQuery, deadlineMs: number): Promise<readonly ViewRows[]> {
    const request = ++this.#request
    const { promise, resolve, reject } = Promise.withResolvers<readonly ViewRows[]>()
    const waiting = new Set(target.threads)
    const cancelDeadline = this.#scheduler.after(deadlineMs, () => {
      this.#pending.delete(request)
      const silent = [...waiting].join(', ')
      reject(
        new MillraceError(
          'DEADLINE_EXCEEDED',
          `worker thread ${silent} did not answer within ${deadlineMs} ms: ask again`,
        ),
      )
    })
    this.#pending.set(request, { waiting, rows: [], resolve, reject, cancelDeadline })
    const { job, attempt } = target
    for (const thread of waiting) this.#send(thread, { type: 'query', job, attempt, request, query })
    return promise
  }

  /** Takes the answer of a thread. */
  answer(message: QueryAnswer): void {
    const pending = this.#pending.get(message.request)
    if (pending === undefined || !pending.waiting.delete(message.thread)) return
    pending.rows.push(...message.rows)
    if (pending.waiting.size > 0) return
    this.#pending.delete(message.request)
    pending.cancelDeadline()
    pending.resolve(pending.rows.sort((a, b) => a.subtask - b.subtask))
  }

  /** Ends everything that waits: the attempt is over. */
  failAll(error: MillraceError): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const one of pending) {
      one.cancelDeadline()
      one.reject(error)
    }
  }
}
