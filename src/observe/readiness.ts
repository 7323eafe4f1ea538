/**
 * Whether a server does what it should, as `/readyz` says it: its jobs run, and each has caught up with its input once.
 *
 * Owns: what of a job makes a server not ready. Does not own: who asks (observe/http.ts).
 *
 * An attempt that has come within the lag once counts as caught up until the next attempt. A job that falls behind later
 * still gives the best answers there are; taking its only server away from those who ask would turn late into none. That a
 * job falls behind is for an alert.
 */

/** Whether work is being done, and why not. */
export interface Readiness {
  readonly ready: boolean
  /** One line each; empty when ready. */
  readonly reasons: readonly string[]
}

/** What is looked at of a job. A JobDetails of control/api.ts is one. */
export interface ReadyJob {
  readonly summary: {
    readonly name: string
    readonly state: string
    readonly reason: string
    readonly attempt: number
  }
  readonly graph: { readonly operators: readonly { readonly id: string; readonly kind: string }[] }
  readonly subtasks: readonly { readonly stats: { readonly operator: string; readonly pendingRecords: number } }[]
}

/** States in which a job does what it should. */
const settled = new Set(['RUNNING', 'FINISHING', 'FINISHED', 'STOPPING', 'SUSPENDED', 'CANCELLING', 'CANCELLED'])

/** Judges the jobs of one server, again and again. */
export class ReadinessGate {
  readonly #lagRecords: number
  /** By job: the attempt that has caught up. */
  readonly #caughtUp = new Map<string, number>()

  /** `lagRecords`: how far behind the end of its input a job may be to count as caught up; 0 does not look at that. */
  constructor(lagRecords: number) {
    this.#lagRecords = lagRecords
  }

  /** Looks at all jobs there are. A job that starts, restarts, catches up or has failed is a reason. */
  look(jobs: readonly ReadyJob[]): Readiness {
    const names = new Set(jobs.map(({ summary }) => summary.name))
    for (const name of this.#caughtUp.keys()) if (!names.has(name)) this.#caughtUp.delete(name)
    const reasons = jobs.map((job) => this.#reason(job)).filter((reason) => reason !== '')
    return { ready: reasons.length === 0, reasons }
  }

  #reason(job: ReadyJob): string {
    const { name, state, reason, attempt } = job.summary
    if (!settled.has(state)) return `job ${name} is ${state}${reason === '' ? '' : `: ${reason}`}`
    if (state !== 'RUNNING' || this.#lagRecords === 0 || this.#caughtUp.get(name) === attempt) return ''
    const pending = pendingRecords(job)
    if (pending >= 0 && pending <= this.#lagRecords) {
      this.#caughtUp.set(name, attempt)
      return ''
    }
    const behind = pending < 0 ? 'does not know yet how far behind it is' : `is ${pending} records behind`
    return `job ${name} catches up: it ${behind}, and ${this.#lagRecords} are let pass`
  }
}

/** Records behind the end of the input, over all subtasks of the sources; -1 while some subtask does not know. */
export function pendingRecords({ graph, subtasks }: Pick<ReadyJob, 'graph' | 'subtasks'>): number {
  const sources = new Set(graph.operators.filter(({ kind }) => kind === 'source').map(({ id }) => id))
  const pending = subtasks.filter(({ stats }) => sources.has(stats.operator)).map(({ stats }) => stats.pendingRecords)
  if (pending.length === 0 || pending.some((records) => records < 0)) return -1
  return pending.reduce((sum, records) => sum + records, 0)
}
