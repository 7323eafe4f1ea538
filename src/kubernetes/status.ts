/**
 * What is said of a job in the status of its resource.
 *
 * Owns: phase, message, conditions, and when each condition last changed. Pure: the time is handed in. Does not own: how the job
 * is known (observed-job.ts), writing the status (controller.ts).
 */
import type { ErrorCode } from '../core/errors.ts'
import type { Observation, Wish } from './reconcile.ts'
import type { Condition, MillraceJob, MillraceJobStatus } from './resource.ts'

/** What a server says of one job. */
export interface ObservedJob {
  readonly state: Observation
  readonly reason: string
  readonly attempt: number
  readonly restarts: number
  /** -1 when unknown. */
  readonly pendingRecords: number
  readonly checkpoint: { readonly id: number; readonly completedAtMs: number } | null
  readonly failedCheckpoints: number
  /** The definition as it was submitted. */
  readonly definition: string
  /** The newest savepoint that was made for the resource; '' for none. */
  readonly savepoint: string
}

/** No job of the name. */
export const absentJob: ObservedJob = {
  ...{ state: 'ABSENT', reason: '', attempt: 0, restarts: 0, pendingRecords: -1, checkpoint: null },
  ...{ failedCheckpoints: 0, definition: '', savepoint: '' },
}

/** A failure, as it is told. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
}

/** What a look at a resource came to. */
export interface Look {
  readonly job: ObservedJob
  /** Why the server could not be asked; null when it answered. */
  readonly unreachable: Failure | null
  /** Why it did not do what it was told; null when it did. */
  readonly refused: Failure | null
  /** What is wanted; null while that is not known. */
  readonly wish: Wish | null
  /** Whether the server has the generation of the spec. */
  readonly given: boolean
}

/** In the words of Kubernetes, what state a job is in. */
const phases: Readonly<Record<Observation, string>> = {
  ABSENT: 'Pending',
  CREATED: 'Pending',
  STARTING: 'Starting',
  RUNNING: 'Running',
  FINISHING: 'Running',
  FINISHED: 'Finished',
  RESTARTING: 'Restarting',
  REDEPLOYING: 'Upgrading',
  STOPPING: 'Stopping',
  SUSPENDED: 'Suspended',
  CANCELLING: 'Stopping',
  CANCELLED: 'Cancelled',
  FAILING: 'Failed',
  FAILED: 'Failed',
}

/** Errors that say nothing of the definition. */
const passing: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL'])

/** The status of a resource after a look at it. */
export function statusOf(resource: MillraceJob, look: Look, nowMs: number): MillraceJobStatus {
  const { job, unreachable, refused, given } = look
  const before = resource.status ?? {}
  const generation = resource.metadata.generation ?? 0
  const settled = given || (refused !== null && !passing.has(refused.code))
  const condition = (type: string, status: Condition['status'], reason: string, message: string): Condition => {
    const old = before.conditions?.find((one) => one.type === type)
    const since = old?.status === status ? old.lastTransitionTime : timeText(nowMs)
    return { type, status, reason, message, observedGeneration: generation, lastTransitionTime: since }
  }
  const reachable = unreachable === null
  const conditions = [
    reachable
      ? condition('Reachable', 'True', 'Answered', '')
      : condition('Reachable', 'False', reasonOf(unreachable), unreachable.message),
    acceptedOf(look, condition),
    reachable
      ? condition('Running', runs(job.state) ? 'True' : 'False', phases[job.state], job.reason)
      : condition('Running', 'Unknown', 'Unreachable', unreachable.message),
  ]
  if (!reachable)
    return { ...before, ...observed(settled, generation, before), message: unreachable.message, conditions }
  return {
    ...observed(settled, generation, before),
    phase: resource.metadata.deletionTimestamp === undefined ? phases[job.state] : 'Deleting',
    message: refused?.message ?? job.reason,
    attempt: job.attempt,
    restarts: job.restarts,
    ...(job.pendingRecords < 0 ? {} : { lagRecords: job.pendingRecords }),
    ...(job.checkpoint === null
      ? {}
      : {
          checkpoint: {
            id: job.checkpoint.id,
            completedAt: timeText(job.checkpoint.completedAtMs),
            failed: job.failedCheckpoints,
          },
        }),
    ...(job.savepoint === '' ? {} : { savepoint: job.savepoint }),
    conditions,
  }
}

/** Whether two statuses say the same. */
export function isSameStatus(a: MillraceJobStatus | undefined, b: MillraceJobStatus): boolean {
  return a !== undefined && text(a) === text(b)
}

function text(status: MillraceJobStatus): string {
  const sorted = (_key: string, one: unknown): unknown =>
    one !== null && typeof one === 'object' && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one
  return JSON.stringify(status, sorted)
}

type MakeCondition = (type: string, status: Condition['status'], reason: string, message: string) => Condition

function acceptedOf({ refused, given, wish, job }: Look, condition: MakeCondition): Condition {
  if (refused !== null) {
    const status = passing.has(refused.code) ? 'Unknown' : 'False'
    return condition('Accepted', status, reasonOf(refused), refused.message)
  }
  if (wish === 'suspend') return condition('Accepted', 'Unknown', 'Suspended', '')
  if (given && job.state !== 'ABSENT') return condition('Accepted', 'True', 'Deployed', '')
  return condition('Accepted', 'Unknown', 'Pending', '')
}

/** The generation that is settled, if this one is not. */
function observed(
  settled: boolean,
  generation: number,
  before: MillraceJobStatus,
): Pick<MillraceJobStatus, 'observedGeneration'> {
  if (settled) return { observedGeneration: generation }
  return before.observedGeneration === undefined ? {} : { observedGeneration: before.observedGeneration }
}

function runs(state: Observation): boolean {
  return state === 'RUNNING' || state === 'FINISHING' || state === 'FINISHED'
}

/** STATE_INCOMPATIBLE as StateIncompatible. */
function reasonOf({ code }: Failure): string {
  return code
    .split('_')
    .map((word) => word.slice(0, 1) + word.slice(1).toLowerCase())
    .join('')
}

/** As Kubernetes writes times: to the second, in UTC. */
function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
