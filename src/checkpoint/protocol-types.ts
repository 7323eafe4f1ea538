/** The words of the checkpoint protocol: states, events, effects. Types only; protocol.ts gives them meaning. */
import type { CheckpointKind } from './manifest.ts'

/** Every phase. `stopped` is the end: the job has been failed, or its lease is another's. */
export const protocolPhases = ['idle', 'collecting', 'publishing', 'stopped'] as const

/** A phase of the protocol. */
export type ProtocolPhase = (typeof protocolPhases)[number]

/** What does not change while a job runs. */
export interface ProtocolSettings {
  /** From one periodic trigger to the next; 0 for none. */
  readonly intervalMs: number
  /** Least time from the end of one checkpoint to the periodic trigger of the next. */
  readonly minPauseMs: number
  /** From trigger to published. */
  readonly timeoutMs: number
  /** Checkpoints kept, savepoints not counted; at least 1. */
  readonly retain: number
  /** Failures in a row that are borne; one more fails the job. */
  readonly tolerableFailures: number
}

/** A checkpoint that exists. */
export interface RetainedCheckpoint {
  readonly checkpointId: number
  readonly kind: CheckpointKind
}

/** What every phase knows. */
export interface ProtocolBase {
  readonly settings: ProtocolSettings
  /** Names of all subtasks. */
  readonly tasks: ReadonlySet<string>
  /** Those that have ended; their last snapshot stands for them. */
  readonly finished: ReadonlySet<string>
  /** Id of the next checkpoint. */
  readonly nextId: number
  /** When a periodic trigger is next due, monotonic ms. */
  readonly dueMs: number
  /** Counted failures since the last success. */
  readonly failures: number
  /** Ascending. */
  readonly retained: readonly RetainedCheckpoint[]
  /** Checkpoints whose publication did not end well: they may exist. Deleted with the next success. */
  readonly uncertain: readonly number[]
  /** Completed ones whose outboxes have not been applied, ascending; the first is being applied. */
  readonly unapplied: readonly number[]
  /** Newest that completed in this attempt; 0 for none. */
  readonly completedId: number
  /** What to start once few enough are unapplied; null for nothing. */
  readonly wanted: CheckpointKind | null
}

/** Outboxes that may wait for sinks: with as many, sources are held and no checkpoint begins. */
export const UNAPPLIED_MAX = 2

/** The checkpoint in flight. */
export interface CurrentCheckpoint {
  readonly checkpointId: number
  readonly kind: CheckpointKind
  /** Monotonic ms of its trigger. */
  readonly startedMs: number
  /** What to start when it ends; null for nothing. */
  readonly queued: CheckpointKind | null
}

/** The state of the protocol, by phase. */
export type ProtocolState =
  | { readonly phase: 'idle'; readonly base: ProtocolBase }
  | {
      readonly phase: 'collecting'
      readonly base: ProtocolBase
      readonly current: CurrentCheckpoint
      /** Subtasks that have not acked. */
      readonly waiting: ReadonlySet<string>
    }
  | { readonly phase: 'publishing'; readonly base: ProtocolBase; readonly current: CurrentCheckpoint }
  | { readonly phase: 'stopped'; readonly base: ProtocolBase }

/** Why a checkpoint ended without success. The first four are counted, `cancelled` is not. */
export type CheckpointFailure = 'io' | 'async' | 'declined' | 'expired' | 'cancelled'

/** Why a checkpoint is triggered. `outboxFull`: an epoch has so much for the sinks that it should end. */
export type TriggerReason = 'periodic' | 'requested' | 'savepoint' | 'outboxFull'

/** Everything that can happen. `nowMs` is monotonic. */
export type ProtocolEvent =
  /** A `periodic` trigger comes from a timer and may come at any time; the others are somebody's wish. */
  | {
      readonly type: 'trigger'
      readonly reason: TriggerReason
      readonly nowMs: number
    }
  /** A subtask's snapshot is durable. */
  | { readonly type: 'ack'; readonly checkpointId: number; readonly task: string; readonly nowMs: number }
  /** A subtask cannot take the snapshot (`declined`), or cannot store it (`async`). */
  | {
      readonly type: 'decline'
      readonly checkpointId: number
      readonly task: string
      readonly failure: 'async' | 'declined'
      readonly message: string
      readonly nowMs: number
    }
  /** A subtask has ended well; its last snapshot is at hand. */
  | { readonly type: 'taskFinished'; readonly task: string; readonly nowMs: number }
  /** Time has passed; see `nextWakeMs`. Too early, or for another checkpoint, it does nothing. */
  | { readonly type: 'timeout'; readonly checkpointId: number; readonly nowMs: number }
  /** The manifest is durable. `outbox`: it has records for sinks. */
  | {
      readonly type: 'publishDone'
      readonly checkpointId: number
      readonly outbox: boolean
      readonly nowMs: number
    }
  /** The manifest could not be written, or nobody knows. */
  | { readonly type: 'publishFailed'; readonly checkpointId: number; readonly message: string; readonly nowMs: number }
  /** Every sink has applied the outbox. */
  | { readonly type: 'outboxApplied'; readonly checkpointId: number; readonly nowMs: number }
  /** A sink has not, and nobody knows how far it came: the attempt is over. */
  | { readonly type: 'outboxFailed'; readonly checkpointId: number; readonly message: string; readonly nowMs: number }
  /** A savepoint has been copied, or will not be: in the store it is a checkpoint like any other from now on. */
  | { readonly type: 'savepointReleased'; readonly checkpointId: number }
  /** The store says that the lease is another's. */
  | { readonly type: 'fenced'; readonly message: string }
  /** The job stops or restarts: the checkpoint in flight is not wanted any more. Not a failure. */
  | { readonly type: 'abort'; readonly message: string; readonly nowMs: number }

/** Every event's name. */
export const protocolEventTypes = [
  'trigger',
  'ack',
  'decline',
  'taskFinished',
  'timeout',
  'publishDone',
  'publishFailed',
  'outboxApplied',
  'outboxFailed',
  'savepointReleased',
  'fenced',
  'abort',
] as const satisfies readonly ProtocolEvent['type'][]

/** What the shell does next, in this order. */
export type ProtocolEffect =
  /** Tell all source subtasks to inject the barrier. */
  | { readonly type: 'injectBarriers'; readonly checkpointId: number; readonly kind: CheckpointKind }
  /** Merge the snapshots, publish the manifest, report publishDone, publishFailed or fenced. */
  | { readonly type: 'publish'; readonly checkpointId: number; readonly kind: CheckpointKind }
  /** Tell all subtasks and sinks that it exists. Best effort: it may be lost, a later one stands for it. */
  | { readonly type: 'notifyComplete'; readonly checkpointId: number }
  /** Have all sinks apply its outbox; report outboxApplied or outboxFailed. */
  | { readonly type: 'applyOutbox'; readonly checkpointId: number }
  /** Every outbox up to this checkpoint's has been applied: whoever waited for that goes on. */
  | { readonly type: 'settled'; readonly checkpointId: number }
  /** Sources stop reading, or go on. */
  | { readonly type: 'hold'; readonly held: boolean }
  /** Delete these checkpoints, then the chunks that only they referred to. They may not exist. */
  | { readonly type: 'subsume'; readonly checkpointIds: readonly number[] }
  /** Tell all subtasks to forget it: sources send a cancel mark, so that nobody waits for its barrier. */
  | {
      readonly type: 'abort'
      readonly checkpointId: number
      readonly failure: CheckpointFailure
      readonly message: string
    }
  /** Fail the job. The protocol has stopped. */
  | {
      readonly type: 'failJob'
      readonly code: 'CHECKPOINT_FAILED' | 'STORE_FENCED' | 'SINK_FAILED'
      readonly message: string
    }

/** A transition. */
export interface ProtocolStep {
  readonly state: ProtocolState
  readonly effects: readonly ProtocolEffect[]
}
