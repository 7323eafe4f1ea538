/**
 * What a failure means for its job.
 *
 * Owns: noting it, counting the records that cause failures, and the question whether a restart follows. Does not own:
 * the strategy (restart.ts), its timer (restart-schedule.ts), the states (job-state.ts).
 */
import type { ErrorData } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobHistory } from './job-history.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobPorts } from './job-ports.ts'
import type { JobState } from './job-state.ts'
import { isRecoverable } from './restart.ts'
import type { RestartSchedule } from './restart-schedule.ts'

/** Where and when something failed. `operator` is empty for the coordinator's own failures. */
export interface FailurePlace {
  readonly operator: string
  readonly subtask: number
  readonly attempt: number
}

/** A failure as the life-cycle table takes it. */
export interface Verdict {
  readonly type: 'failed' | 'failedForGood'
  readonly reason: string
}

/** Judges the failures of one job. */
export class Failures {
  readonly #history: JobHistory
  readonly #restart: RestartSchedule
  readonly #ports: Pick<JobPorts, 'clock' | 'log'>

  constructor(history: JobHistory, restart: RestartSchedule, ports: Pick<JobPorts, 'clock' | 'log'>) {
    this.#history = history
    this.#restart = restart
    this.#ports = ports
  }

  /** Notes a failure of an attempt and says what follows. */
  judge(error: ErrorData, place: FailurePlace, definition: JobDefinition, memory: JobMemory): Verdict {
    this.#history.addFailure({ ...place, code: error.code, message: error.message, atMs: this.#ports.clock.nowMs() })
    this.#suspect(error, definition, memory)
    const where = place.operator === '' ? '' : `${place.operator} ${place.subtask}: `
    return this.#verdict(error, `${error.code}: ${where}${error.message}`)
  }

  /** The same of a last checkpoint in `state`: only a job that wants to finish goes back and tries again. */
  judgeFinal(
    error: ErrorData,
    state: JobState,
  ): { readonly type: 'finalCheckpointFailed' | 'failedForGood'; readonly reason: string } {
    const text = `the last checkpoint failed: ${error.message}`
    const { type, reason } = this.#verdict(error, text)
    if (state !== 'FINISHING' || type === 'failed') return { type: 'finalCheckpointFailed', reason: text }
    return { type, reason }
  }

  #verdict(error: ErrorData, text: string): Verdict {
    if (!isRecoverable(error)) return { type: 'failedForGood', reason: text }
    const why = this.#restart.whyNoMore()
    if (why === '') return { type: 'failed', reason: text }
    return { type: 'failedForGood', reason: `${text}; not started again: ${why}` }
  }

  #suspect({ record }: ErrorData, { name, poison }: JobDefinition, memory: JobMemory): void {
    if (record === undefined || poison === undefined) return
    if (!memory.poison.note(record, poison.afterFailures)) return
    const text = `job ${name} has failed ${poison.afterFailures} times on one record, which becomes a dead letter`
    this.#ports.log('warn', text, { job: name, ...record })
  }
}
