/**
 * The life cycle of a job: a complete table from (state, event) to the next state and the effects of getting there.
 *
 * Owns: which state follows which, and what must be done on the way. Pure: no clock, no I/O, no memory. Does not own:
 * how effects are carried out (job-coordinator.ts), how long to wait before a restart (restart.ts), what users asked
 * for across process restarts (stored-job.ts).
 *
 *   CREATED -> STARTING -> RUNNING -> FINISHING -> FINISHED
 *                ^  |         |           |           |
 *                |  +---------+-----+-----+-----------+--> STOPPING   -> SUSPENDED
 *                |                  |                 +--> CANCELLING -> CANCELLED
 *                +--- RESTARTING <--+                 +--> FAILING    -> FAILED
 *                +--- REDEPLOYING <- STARTING, RUNNING, FINISHING
 *
 * Invariants, proven over all event sequences in test/model/job-life-cycle.test.ts:
 * L1. At rest (SUSPENDED, CANCELLED, FAILED) nothing is deployed, no timer runs, and the lease is given back.
 * L2. An attempt is deployed only after the one before it has been disposed.
 * L3. A restart is scheduled exactly in RESTARTING.
 * L4. A job at rest moves only when a person says so: `submit` or `cancel`.
 * L5. From every state a person can get to CANCELLED, whatever else happens.
 * L6. FINISHED follows a completed final checkpoint of the attempt that is deployed.
 * L8. In REDEPLOYING something is under way that ends: a last checkpoint, or the disposal of what is deployed.
 */

/** Every state, in the order of a happy life and then the ways out of it. */
export const jobStates = [
  /** Known, not started. */
  'CREATED',
  /** Takes the lease, finds partitions, reads the checkpoint, deploys. */
  'STARTING',
  /** Reads, computes, checkpoints. */
  'RUNNING',
  /** A bounded input is read to its end: the checkpoint after the last watermark is being made. */
  'FINISHING',
  /** All input is counted and durable. Subtasks stay deployed, so that views answer queries. */
  'FINISHED',
  /** Failed; waits for its delay and for the old attempt to be disposed. */
  'RESTARTING',
  /** Asked to go on with another plan (parallelism, definition): makes a last checkpoint, disposes, starts from it. */
  'REDEPLOYING',
  /** Asked to stop: makes a last checkpoint, then disposes. */
  'STOPPING',
  /** Stopped with its checkpoints kept; `submit` goes on from the latest. */
  'SUSPENDED',
  /** Asked to cancel: disposes. */
  'CANCELLING',
  /** Ended by a person, its checkpoints dropped; `submit` begins anew. */
  'CANCELLED',
  /** Failed for good: disposes. */
  'FAILING',
  /** Ended by an error that no restart can help. Its checkpoints are kept; `submit` goes on from the latest. */
  'FAILED',
] as const

/** A state of a job. */
export type JobState = (typeof jobStates)[number]

/** Every event. */
export const jobEventTypes = [
  /** A person (or recovery at process start) wants the job to run. */
  'submit',
  /** All subtasks of the attempt run. */
  'started',
  /** Start, subtask, thread or checkpoints failed in a way that a restart can help. */
  'failed',
  /** Failed in a way that no restart can help. */
  'failedForGood',
  /** Every source subtask has read its bounded input to the end. */
  'sourcesFinished',
  /** The checkpoint that was asked for by the effect `finalCheckpoint` exists. */
  'finalCheckpointCompleted',
  /** It will not exist, and trying again in this attempt is over. */
  'finalCheckpointFailed',
  /** A person wants the job to stop and keep its state. */
  'stop',
  /** A person wants the job gone. */
  'cancel',
  /** A person wants the job to go on with another plan, which is there before this is raised. */
  'redeploy',
  /** The restart delay is over and the failed attempt is disposed. */
  'backoffElapsed',
  /** Nothing of any attempt is deployed any more; the answer to the effect `dispose`. */
  'disposed',
  /** The lease is lost: another coordinator may own the job now. */
  'fenced',
] as const

/** The type of an event. */
export type JobEventType = (typeof jobEventTypes)[number]

/** What must be done on a transition, in order. Each may be asked for again and then does nothing. */
export type JobEffect =
  /** Begin an attempt; ends in `started`, `failed` or `failedForGood`. */
  | 'start'
  /** Begin periodic checkpoints, alignment and partition discovery. */
  | 'operate'
  /** Stop what `operate` began and abort the checkpoint in flight. */
  | 'quiesce'
  /** Make one more checkpoint, after the one in flight; ends in `finalCheckpointCompleted` or `…Failed`. */
  | 'finalCheckpoint'
  /** Give up whatever is being started or deployed; ends in `disposed`. */
  | 'dispose'
  /** Arm the restart; ends in `backoffElapsed`. */
  | 'scheduleRestart'
  /** Disarm it. */
  | 'cancelRestart'
  /** Delete the job's checkpoints. */
  | 'dropState'
  /** Give the lease back. */
  | 'releaseLease'

/**
 * What an event does in a state: a transition; `ignore` for what is stale or already so; `refuse` for what a person
 * asked and cannot have now (the API answers JOB_STATE).
 */
export type Cell = { readonly to: JobState; readonly effects: readonly JobEffect[] } | 'ignore' | 'refuse'

const to = (state: JobState, ...effects: readonly JobEffect[]): Cell => ({ to: state, effects })

/** Ways out that several states share. */
const restart = to('RESTARTING', 'quiesce', 'dispose', 'scheduleRestart')
const fail = to('FAILING', 'quiesce', 'dispose')
const cancel = to('CANCELLING', 'quiesce', 'dispose')
const stopNow = to('STOPPING', 'quiesce', 'dispose')
const redeployNow = to('REDEPLOYING', 'quiesce', 'dispose')

/** The table. `Record` without `Partial`: the compiler refuses a state or an event that is not decided. */
export const jobTable: Readonly<Record<JobState, Readonly<Record<JobEventType, Cell>>>> = {
  CREATED: {
    submit: to('STARTING', 'start'),
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: stopNow,
    cancel,
    // The next start is with what is wanted by then.
    redeploy: 'ignore',
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: 'ignore',
  },
  STARTING: {
    submit: 'ignore',
    started: to('RUNNING', 'operate'),
    failed: restart,
    failedForGood: fail,
    // Sources are told to run by the very step that raises `started`.
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    // Nothing was read since the checkpoint it would restore: there is nothing to save.
    stop: stopNow,
    cancel,
    // Nothing was read since the checkpoint that it would restore: there is nothing to save.
    redeploy: redeployNow,
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: fail,
  },
  RUNNING: {
    submit: 'ignore',
    started: 'ignore',
    failed: restart,
    failedForGood: fail,
    sourcesFinished: to('FINISHING', 'finalCheckpoint'),
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: to('STOPPING', 'finalCheckpoint'),
    cancel,
    redeploy: to('REDEPLOYING', 'finalCheckpoint'),
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: fail,
  },
  FINISHING: {
    submit: 'ignore',
    started: 'ignore',
    failed: restart,
    failedForGood: fail,
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: to('FINISHED', 'quiesce'),
    // Not durable is not finished: read the tail again and try once more.
    finalCheckpointFailed: restart,
    // The checkpoint being made is just what stopping needs.
    stop: to('STOPPING'),
    cancel,
    // The checkpoint being made is just what is needed.
    redeploy: to('REDEPLOYING'),
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: fail,
  },
  FINISHED: {
    submit: 'ignore',
    started: 'ignore',
    // A thread with views is gone: restore them.
    failed: restart,
    failedForGood: fail,
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: stopNow,
    cancel,
    // All is read: another plan would do nothing.
    redeploy: 'refuse',
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: fail,
  },
  RESTARTING: {
    submit: 'ignore',
    started: 'ignore',
    // The same incident: merged into the restart that is scheduled.
    failed: 'ignore',
    failedForGood: to('FAILING', 'cancelRestart', 'dispose'),
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: to('STOPPING', 'cancelRestart', 'dispose'),
    cancel: to('CANCELLING', 'cancelRestart', 'dispose'),
    redeploy: 'ignore',
    backoffElapsed: to('STARTING', 'start'),
    disposed: 'ignore',
    fenced: to('FAILING', 'cancelRestart', 'dispose'),
  },
  REDEPLOYING: {
    submit: 'ignore',
    started: 'ignore',
    // What is wanted is stored: the next attempt begins with it, whatever became of this one.
    failed: restart,
    failedForGood: fail,
    // The next attempt finds that out as well.
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: redeployNow,
    // As any restart, it goes on from the checkpoint before: nothing is lost, some of it is read again.
    finalCheckpointFailed: redeployNow,
    stop: to('STOPPING'),
    cancel,
    redeploy: 'ignore',
    backoffElapsed: 'ignore',
    disposed: to('STARTING', 'start'),
    fenced: fail,
  },
  STOPPING: {
    submit: 'refuse',
    started: 'ignore',
    // A person asked for a stop, and every checkpoint that exists is good to go on from: stop without a newer one.
    failed: stopNow,
    failedForGood: stopNow,
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: stopNow,
    finalCheckpointFailed: stopNow,
    stop: 'ignore',
    cancel,
    redeploy: 'refuse',
    backoffElapsed: 'ignore',
    disposed: to('SUSPENDED', 'releaseLease'),
    fenced: fail,
  },
  SUSPENDED: {
    submit: to('STARTING', 'start'),
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: 'ignore',
    cancel,
    redeploy: 'ignore',
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: 'ignore',
  },
  CANCELLING: {
    submit: 'refuse',
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: 'refuse',
    cancel: 'ignore',
    redeploy: 'refuse',
    backoffElapsed: 'ignore',
    disposed: to('CANCELLED', 'dropState', 'releaseLease'),
    // The state is another's now and not ours to drop.
    fenced: to('FAILING', 'dispose'),
  },
  CANCELLED: {
    submit: to('STARTING', 'start'),
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: 'refuse',
    cancel: 'ignore',
    redeploy: 'refuse',
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: 'ignore',
  },
  FAILING: {
    submit: 'refuse',
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: 'refuse',
    cancel: to('CANCELLING', 'dispose'),
    redeploy: 'refuse',
    backoffElapsed: 'ignore',
    disposed: to('FAILED', 'releaseLease'),
    fenced: 'ignore',
  },
  FAILED: {
    submit: to('STARTING', 'start'),
    started: 'ignore',
    failed: 'ignore',
    failedForGood: 'ignore',
    sourcesFinished: 'ignore',
    finalCheckpointCompleted: 'ignore',
    finalCheckpointFailed: 'ignore',
    stop: 'refuse',
    cancel,
    redeploy: 'ignore',
    backoffElapsed: 'ignore',
    disposed: 'ignore',
    fenced: 'ignore',
  },
}

/** States in which nothing runs and nothing happens by itself. */
export const restStates: ReadonlySet<JobState> = new Set<JobState>(['CREATED', 'SUSPENDED', 'CANCELLED', 'FAILED'])

/** States in which all subtasks are deployed and views can answer. */
export const servingStates: ReadonlySet<JobState> = new Set<JobState>(['RUNNING', 'FINISHING', 'FINISHED'])

/** The cell for an event in a state. */
export function jobTransition(state: JobState, event: JobEventType): Cell {
  return jobTable[state][event]
}
