/**
 * What to do about a MillraceJob: a complete table from what is wanted and what is there to one action.
 *
 * Owns: that choice. Pure: no memory, no clock, no I/O. An action is one call to the server, after which all is looked at
 * again; so a controller that ends anywhere, and one that hears of things late or twice, comes to the same. Does not own:
 * carrying actions out (job-actions.ts), when to look (controller.ts).
 *
 * Invariants, proven over the job's own life cycle in test/kubernetes/reconcile.test.ts:
 * R1. From every state, if nobody else interferes and the job can run, the job comes to what is wanted, and then nothing is done.
 * R2. A resource is let go only when its job is at rest, or never was; with `savepoint`, only with a savepoint of what it last
 *     was, if it had anything to save.
 * R3. State is dropped (`cancel`) only for `cancel`.
 * R4. A job whose resource is deleted is never started.
 */
import { type JobState, jobStates } from '../coordinator/job-state.ts'
import type { DeletionPolicy } from './resource.ts'

/** What a resource wants, beside what the server has of it. */
export const wishes = [
  /** To run by the definition that the server has. */
  'run',
  /** The same, and the spec has changed since the server was last told to. */
  'runAgain',
  /** To run by another definition than the server has. */
  'change',
  /** To be at rest, and to keep its state. */
  'suspend',
  /** To end with a savepoint, which is not there yet. */
  'save',
  /** The same, and the savepoint is there, or nothing is there to save. */
  'saved',
  /** To end without its state. */
  'cancel',
  /** To be left alone. */
  'orphan',
] as const

/** What a resource wants. */
export type Wish = (typeof wishes)[number]

/** What the server has: nothing of that name, or a job in a state. */
export const observations = ['ABSENT', ...jobStates] as const

/** What the server has. */
export type Observation = (typeof observations)[number] & ('ABSENT' | JobState)

/** What is to be done. */
export type Action =
  /** Nothing: it is as it is wanted, or a person is needed. */
  | 'none'
  /** Nothing now: what is under way ends by itself. */
  | 'wait'
  /** Give the server the definition; a job at rest goes on from its checkpoints. */
  | 'submit'
  /** Let the running job go on by the definition, with a savepoint of before. */
  | 'upgrade'
  /** Stop with the state kept. */
  | 'stop'
  /** Stop with a savepoint. */
  | 'stopWithSavepoint'
  /** Make a savepoint of a job at rest. */
  | 'save'
  /** End, and drop the state. */
  | 'cancel'
  /** Take the finalizer away. */
  | 'release'

type Row = Readonly<Record<Observation, Action>>

/** Running, or on the way, by the definition that is wanted. */
const run: Row = {
  ABSENT: 'submit',
  CREATED: 'submit',
  STARTING: 'wait',
  RUNNING: 'none',
  FINISHING: 'wait',
  FINISHED: 'none',
  RESTARTING: 'wait',
  REDEPLOYING: 'wait',
  STOPPING: 'wait',
  // Somebody stopped it by hand: what is declared holds. `suspend` is how to declare the other.
  SUSPENDED: 'submit',
  CANCELLING: 'wait',
  CANCELLED: 'submit',
  FAILING: 'wait',
  // What no restart can help, submitting the same again does not either.
  FAILED: 'none',
}

/** Of a job that is deleted: whatever runs is to stop first. */
const ending: Row = {
  ABSENT: 'release',
  CREATED: 'stop',
  // Nothing was read since the checkpoint that it starts from.
  STARTING: 'stop',
  RUNNING: 'stop',
  FINISHING: 'stop',
  FINISHED: 'stop',
  // It may never run again: its newest checkpoint is what there is.
  RESTARTING: 'stop',
  REDEPLOYING: 'wait',
  STOPPING: 'wait',
  SUSPENDED: 'release',
  CANCELLING: 'wait',
  CANCELLED: 'release',
  FAILING: 'wait',
  // No savepoint can be made of it; its checkpoints stay.
  FAILED: 'release',
}

/** The table. */
export const reconcileTable: Readonly<Record<Wish, Row>> = {
  run,
  runAgain: { ...run, FAILED: 'submit' },
  change: {
    ...run,
    STARTING: 'upgrade',
    RUNNING: 'upgrade',
    FINISHING: 'upgrade',
    // The next attempt is by the new definition, which may be what it needs.
    RESTARTING: 'upgrade',
    // Submitted again it reads on, if the new definition has more to read.
    FINISHED: 'stop',
    FAILED: 'submit',
  },
  suspend: { ...ending, ABSENT: 'none', SUSPENDED: 'none', CANCELLED: 'none', FAILED: 'none', FINISHED: 'none' },
  save: {
    ...ending,
    RUNNING: 'stopWithSavepoint',
    FINISHING: 'stopWithSavepoint',
    FINISHED: 'stopWithSavepoint',
    SUSPENDED: 'save',
  },
  saved: ending,
  cancel: {
    ...ending,
    CREATED: 'cancel',
    STARTING: 'cancel',
    RUNNING: 'cancel',
    FINISHING: 'cancel',
    FINISHED: 'cancel',
    RESTARTING: 'cancel',
    REDEPLOYING: 'cancel',
    STOPPING: 'cancel',
    SUSPENDED: 'cancel',
    FAILING: 'cancel',
    FAILED: 'cancel',
  },
  orphan: Object.fromEntries(observations.map((observation) => [observation, 'release'])) as Row,
}

/** What decides which wish a resource has. */
export interface WishFacts {
  readonly deleted: boolean
  readonly onDelete: DeletionPolicy
  readonly suspend: boolean
  /** The server has the definition that is wanted. */
  readonly sameDefinition: boolean
  /** The server was given this very generation. */
  readonly sameGeneration: boolean
  /** The savepoint that the job is to end with is there, or nothing is there to save. */
  readonly saved: boolean
}

/** What a resource wants. */
export function wishOf(facts: WishFacts): Wish {
  if (facts.deleted) {
    if (facts.onDelete !== 'savepoint') return facts.onDelete
    return facts.saved ? 'saved' : 'save'
  }
  if (facts.suspend) return 'suspend'
  if (!facts.sameDefinition) return 'change'
  return facts.sameGeneration ? 'run' : 'runAgain'
}

/** What is to be done. */
export function reconcile(wish: Wish, observation: Observation): Action {
  return reconcileTable[wish][observation]
}
