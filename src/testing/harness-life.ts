/** One attempt of a job under test, and when it is at rest, has read everything, or will not come to rest any more. */
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import type { LinkMessage } from '../runtime/links.ts'
import type { ProgramAttempt } from '../runtime/program-attempt.ts'

/** What lives until a crash. */
export interface Life {
  attempts: readonly ProgramAttempt[]
  readonly mail: Map<string, LinkMessage[]>
  readonly acks: Map<number, SubtaskSnapshot[]>
  failure: MillraceError | null
  woken: boolean
}

/** Steps that get something done, without a rest: those of a million events are fewer. */
export const STEPS_MAX = 20_000

/** What a job that is still at work after that fails with. */
export function endless(seed: number): MillraceError {
  return new MillraceError(
    'JOB_CODE_FAILED',
    `the job has not come to rest after ${STEPS_MAX} steps (seed ${seed}). A timer that always sets another one goes on for ` +
      'ever once event time has come to its end: set none when context.watermarkMs is Infinity',
  )
}

/** Whether sources have read all that was pushed. */
export function allRead({ attempts }: Life): boolean {
  return attempts.every(({ sources }) => [...sources.values()].every((source) => source.stats().pendingRecords === 0))
}

/** Whether a message is on its way between threads. */
export function hasMail(life: Life): boolean {
  for (const messages of life.mail.values()) if (messages.length > 0) return true
  return false
}
