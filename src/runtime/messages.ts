/**
 * The protocol between the coordinator (main thread) and a worker thread. Types only; plain data, structured-cloned.
 *
 * Every message about a job carries its `job` number and `attempt`: what arrives for another attempt is dropped by
 * either side, so that a late answer of a dead attempt never counts. Order is kept per direction.
 *
 * Life of an attempt on a thread:
 *   deploy -> deployed -> (openOutbox -> outboxOpened)* -> run -> (barrier -> ack|decline)* -> dispose -> disposed
 * with `applyOutbox -> outboxApplied` for each sink and epoch from `outboxOpened` on, and `failed` possible at any time after `deploy`; after it the thread waits for `dispose`.
 */
import type { OutboxBlock, SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { StoreConfig } from '../checkpoint/store.ts'
import type { ErrorData, RecordOrigin } from '../core/errors.ts'
import type { WriterSchema } from '../event/schema.ts'
import type { JobPlan } from '../job/plan.ts'
import type { TableSource } from '../job/state-match.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { OutboxMarker, OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import type { EndedTransaction } from '../source/kafka/ended-transaction.ts'
import type { SplitAssignment } from '../source/source.ts'

/** One run of one job: `job` is unique in the process, `attempt` rises with each restart. */
export interface AttemptRef {
  readonly job: number
  readonly attempt: number
}

/** A partition with the state of its watermark generator. */
export interface SplitStart extends SplitAssignment {
  /** Largest timestamp seen before the checkpoint; -Infinity on a first start. */
  readonly maxTimestampMs: number
}

/** What a thread needs to run its subtasks of an attempt. Subtask i of every operator runs on thread `placement[i]`. */
export interface DeployMessage extends AttemptRef {
  readonly type: 'deploy'
  readonly plan: JobPlan
  readonly placement: readonly number[]
  /** Splits by source subtask. */
  readonly splits: readonly (readonly SplitStart[])[]
  /** Snapshots of all subtasks of the restored checkpoint (any parallelism), or null on a fresh start. */
  readonly restore: readonly SubtaskSnapshot[] | null
  /** By table of the plan: the tables of the checkpoint that go on in it. */
  readonly tables: readonly (readonly TableSource[])[]
  readonly chunkStore: StoreConfig
  /** Prefix of the chunk keys that this attempt writes: holds job, generation, attempt and nonce. */
  readonly chunkPrefix: string
  /** Records that the job's code is not given: dead letters. */
  readonly poison: readonly RecordOrigin[]
}

/** Coordinator to worker. */
export type ToWorker =
  | DeployMessage
  /** All threads have deployed: channels may be used, sources start. */
  | (AttemptRef & { readonly type: 'run' })
  /** Sources inject barrier `checkpointId` now. */
  | (AttemptRef & { readonly type: 'barrier'; readonly checkpointId: number })
  /** The checkpoint exists. `rewrite` names chunks whose live pages should be written anew by the next one. */
  | (AttemptRef & {
      readonly type: 'checkpointComplete'
      readonly checkpointId: number
      readonly rewrite: readonly string[]
    })
  /** The checkpoint will never exist: forget it, unblock what it blocks. */
  | (AttemptRef & { readonly type: 'checkpointAborted'; readonly checkpointId: number })
  /** Opens a sink that takes outboxes, in this thread. Answered by `outboxOpened` or `outboxFailed`. */
  | (AttemptRef & { readonly type: 'openOutbox'; readonly sink: string; readonly owner: OutboxOwner })
  /** Applies an epoch to it. Answered by `outboxApplied` or `outboxFailed`; one at a time a sink. */
  | (AttemptRef & {
      readonly type: 'applyOutbox'
      readonly sink: string
      readonly epoch: number
      readonly blocks: readonly OutboxBlock[]
    })
  /** Sources stop reading until told otherwise: sinks have more to apply than they should. Barriers go on. */
  | (AttemptRef & { readonly type: 'hold'; readonly held: boolean })
  /** Partitions found later. */
  | (AttemptRef & { readonly type: 'assign'; readonly subtask: number; readonly splits: readonly SplitStart[] })
  /** Sources read no further: they send the MAX watermark and are finished, wherever they are. */
  | (AttemptRef & { readonly type: 'drain' })
  /** Alignment: partitions whose watermark is above `maxWatermarkMs` wait. */
  | (AttemptRef & { readonly type: 'align'; readonly maxWatermarkMs: number })
  /** Answer to `schemaWanted`. */
  | (AttemptRef & {
      readonly type: 'schema'
      readonly subtask: number
      readonly schemaId: number
      readonly writer: WriterSchema
    })
  | (AttemptRef & { readonly type: 'dispose' })
  | (AttemptRef & { readonly type: 'query'; readonly request: number; readonly query: ViewQuery })
  | { readonly type: 'stats'; readonly request: number }
  | { readonly type: 'shutdown' }

/** Counters and gauges of one subtask since it was deployed; counters survive restarts through the checkpoint. */
export interface SubtaskStats extends AttemptRef {
  readonly operator: string
  readonly subtask: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly bytesIn: number
  /** Exact event accounting: source counts read, deadLettered, filtered; window counts applied, late, deduplicated. */
  readonly read: number
  readonly deadLettered: number
  readonly filtered: number
  readonly applied: number
  readonly late: number
  readonly deduplicated: number
  /** Ids of events that were forgotten before their time, for want of memory. */
  readonly dedupeForgotten: number
  /** Records that retention took away before they were read (only with skipLost). */
  readonly lost: number
  readonly watermarkMs: number
  readonly idle: boolean
  readonly finished: boolean
  readonly busyMs: number
  readonly idleMs: number
  readonly backPressuredMs: number
  readonly stateBytes: number
  /** Records behind the end of the input, over the subtask's partitions; -1 unknown. */
  readonly pendingRecords: number
  /** Per partition, for sources. */
  readonly partitions: readonly {
    readonly partition: number
    readonly position: number
    readonly end: number
    readonly watermarkMs: number
    readonly idle: boolean
    readonly reachable: boolean
  }[]
  /** Wall-clock event-to-result latency histogram, counts per bucket of `latencyBucketsMs`. */
  readonly latencyCounts: readonly number[]
  /** Results fired, and the order-free checksum of the discard sink. */
  readonly results: number
  readonly checksum: number
}

/** Worker to coordinator. */
export type FromWorker =
  /** `threadId` is Node's number of the thread, by which a pool finds it among its own. */
  | { readonly type: 'ready'; readonly thread: number; readonly threadId: number }
  | (AttemptRef & { readonly type: 'deployed'; readonly thread: number })
  | (AttemptRef & {
      readonly type: 'failed'
      readonly thread: number
      readonly operator: string
      readonly subtask: number
      readonly error: ErrorData
    })
  | (AttemptRef & { readonly type: 'ack'; readonly checkpointId: number; readonly snapshot: SubtaskSnapshot })
  | (AttemptRef & {
      readonly type: 'decline'
      readonly checkpointId: number
      readonly operator: string
      readonly subtask: number
      readonly error: ErrorData
    })
  | OutboxAnswer
  /** A subtask has so much for sinks since the last barrier that a checkpoint should be made. */
  | (AttemptRef & { readonly type: 'epochFull' })
  /** A source subtask has read all its splits, or was drained, and has sent the MAX watermark. It still takes barriers. */
  | (AttemptRef & { readonly type: 'sourceFinished'; readonly subtask: number })
  /** Watermark of a source subtask, for alignment; sent at most every 100 ms when it changed. */
  | (AttemptRef & {
      readonly type: 'sourceWatermark'
      readonly subtask: number
      readonly watermarkMs: number
      readonly idle: boolean
    })
  /** A source subtask waits at a record whose schema it does not know. */
  | (AttemptRef & { readonly type: 'schemaWanted'; readonly subtask: number; readonly schemaId: number })
  | (AttemptRef & { readonly type: 'disposed'; readonly thread: number })
  | (AttemptRef & {
      readonly type: 'queryResult'
      readonly thread: number
      readonly request: number
      readonly rows: readonly ViewRows[]
    })
  /** Answer to `stats`; a thread that does not answer within its deadline is taken for lost. */
  | {
      readonly type: 'stats'
      readonly thread: number
      readonly request: number
      readonly subtasks: readonly SubtaskStats[]
    }
  | {
      readonly type: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly message: string
      readonly fields: Readonly<Record<string, unknown>>
    }

/** What a sink that takes outboxes answers, with the transactions that hung in its broker and that it has ended. */
export type OutboxAnswer = AttemptRef & {
  readonly sink: string
  readonly ended?: readonly EndedTransaction[]
} & (
    | {
        readonly type: 'outboxOpened'
        readonly marker: OutboxMarker | null
        readonly guarantee: OutboxSink['guarantee']
      }
    | { readonly type: 'outboxApplied'; readonly epoch: number }
    /** `epoch` is 0 when it was `openOutbox` that failed. */
    | { readonly type: 'outboxFailed'; readonly epoch: number; readonly error: ErrorData }
  )

/** The coordinator's end of one worker thread. Implemented over a MessagePort, and in memory for simulation. */
export interface WorkerPort {
  readonly thread: number
  send(message: ToWorker): void
  /** One listener; called in order. */
  onMessage(listener: (message: FromWorker) => void): void
  /** Called once when the thread is gone, with why. */
  onExit(listener: (error: ErrorData) => void): void
  /** Ends the thread by force; its jobs are lost with it. */
  terminate(): Promise<void>
}

/** Upper bounds (ms) of the event-to-result latency histogram; one more bucket holds the rest. */
export const latencyBucketsMs = [1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000, 60_000] as const
