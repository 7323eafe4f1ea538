/** Why a request about a job is refused, worded once. */
import { MillraceError } from '../core/errors.ts'
import type { JobStatus } from './job-status.ts'

/** JOB_STATE: where the job is, `what` makes no sense. */
export function refused(name: string, { state, reason }: JobStatus, what: string): MillraceError {
  return new MillraceError('JOB_STATE', `job ${name} is ${state} (${reason}): ${what} is not possible now`)
}

/** JOB_EXISTS: the name is taken by another definition, which is `where`. */
export function exists(name: string, where: string): MillraceError {
  return new MillraceError(
    'JOB_EXISTS',
    `job ${name} is ${where} with another definition: stop it to keep its state, or cancel it, then submit again`,
  )
}

/** JOB_EXISTS: the job is `where`, and what runs cannot begin from elsewhere. */
export function busy(name: string, where: string): MillraceError {
  return new MillraceError(
    'JOB_EXISTS',
    `job ${name} is ${where} and cannot begin from a savepoint: stop or cancel it first, or submit under another name`,
  )
}

/** JOB_STATE: another process owns the job; `heldBy` is its name, empty where that is not known. */
export function foreign(name: string, heldBy: string, what = 'stop or cancel'): MillraceError {
  const owner = heldBy === '' ? 'another process' : heldBy
  return new MillraceError('JOB_STATE', `${owner} owns job ${name} now: ${what} it there`)
}

/** UNAVAILABLE: others write the job's record faster than we can read it. */
export function contended(name: string): MillraceError {
  return new MillraceError('UNAVAILABLE', `other servers keep changing job ${name} in the store: try again`)
}

/** CHECKPOINT_FAILED: a job has stopped, but not with a checkpoint of its own; `checkpointId` is the one before, 0 for none. */
export function stoppedWithout(name: string, checkpointId: number, reason: string): MillraceError {
  const next = checkpointId === 0 ? 'afresh' : `from checkpoint ${checkpointId}`
  return new MillraceError(
    'CHECKPOINT_FAILED',
    `job ${name} has stopped without a last checkpoint and will go on ${next}: ${reason}`,
  )
}

/** The answer to a question about values that nobody has at hand now. */
export function notServing(job: string, { state, reason }: JobStatus): MillraceError {
  return new MillraceError('UNAVAILABLE', `job ${job} is ${state} (${reason}): its values cannot be read now`)
}

/** The answer to whoever asks an attempt that is not deployed. */
export function notDeployed(job: string): MillraceError {
  return new MillraceError('UNAVAILABLE', `job ${job} is not running now: ask for its state, and again once it runs`)
}
