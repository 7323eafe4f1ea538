/** When a job under test will not come to rest any more. */
import { MillraceError } from '../core/errors.ts'

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
