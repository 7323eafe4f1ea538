/**
 * Managing jobs, as the rest of the program asks for it.
 *
 * Owns: the contract between who manages jobs (coordinator/) and who asks (rpc/, cli's embedded engine, observe/).
 * Does not own: the wire form (rpc/control-messages.ts). Plain data; times are epoch ms, watermarks may be infinite.
 * Every method rejects with MillraceError; what it rejects with is named at each.
 */
import type { JobState as LifeCycleState } from '../coordinator/job-state.ts'
import type { RedeployRecord } from '../coordinator/redeploys.ts'
import type { ErrorCode, Violation } from '../core/errors.ts'
import type { StateDiffEntry } from '../job/state-diff.ts'
import type { SubtaskStats } from '../runtime/messages.ts'
import type { HeldPartition } from './held-partitions.ts'
import type { TransactionsApi } from './transactions.ts'

/** A definition as somebody submitted it: text, or the same document already parsed (the ProtoJSON of the message). */
export type JobDocument = (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'document'; readonly document: unknown }
) & {
  /** Serialised FileDescriptorSet of the job's messages, in place of the file that it names. */
  readonly descriptorSet?: Uint8Array
}

/** Where a job is in its life; the names of the wire's JobState without its prefix. */
export type JobState = LifeCycleState

/** True for the states that a job never leaves by itself. */
export function isTerminal(state: JobState): boolean {
  return state === 'FINISHED' || state === 'SUSPENDED' || state === 'CANCELLED' || state === 'FAILED'
}

/**
 * What became of the events that were read: read = applied + late + deadLettered + filtered + deduplicated, but for those in
 * flight. */
export interface EventCounts {
  readonly read: number
  readonly applied: number
  readonly late: number
  readonly deadLettered: number
  readonly filtered: number
  /** Copies of events that were counted. */
  readonly deduplicated: number
  /** Records that retention took away before they were read. */
  readonly lost: number
  /** Ids of events that were forgotten before their time, for want of memory: copies of those may be counted. */
  readonly dedupeForgotten: number
}

/** Events of which it is known what became of them. */
export function accountedFor({ applied, late, deadLettered, filtered, deduplicated }: EventCounts): number {
  return applied + late + deadLettered + filtered + deduplicated
}

/** A job in a line. */
export interface JobSummary {
  readonly name: string
  readonly state: JobState
  /** Why it is in this state, for people; may be empty. */
  readonly reason: string
  readonly createdAtMs: number
  readonly stateSinceMs: number
  readonly attempt: number
  readonly restarts: number
  readonly parallelism: number
  readonly metrics: readonly string[]
  readonly events: EventCounts
  /** Smallest watermark of the sources; -Infinity before the first event, Infinity after the last. */
  readonly watermarkMs: number
  readonly guarantee: 'exactly-once' | 'at-least-once'
  /** Why no more than that; empty for exactly-once. */
  readonly guaranteeReasons: readonly string[]
}

/** One operator of a job's graph. */
export interface GraphOperator {
  readonly id: string
  /** `source`, `window`, `merge`, `sink`; in TypeScript jobs also `filter`, `process` and the like. */
  readonly kind: string
  /** What it does, for people. */
  readonly description: string
  readonly parallelism: number
}

/** What flows between two operators. */
export interface GraphEdge {
  readonly from: string
  readonly to: string
  /** As `hash(person)` or `forward`. */
  readonly partitioning: string
}

/** Operators and what flows between them. */
export interface JobGraph {
  readonly operators: readonly GraphOperator[]
  readonly edges: readonly GraphEdge[]
}

/** A subtask with its counters and the shares of the last seconds it spent busy, idle and back-pressured. */
export interface SubtaskStatus {
  readonly stats: SubtaskStats
  /** 0 to 1 each, together about 1. */
  readonly busyRatio: number
  readonly idleRatio: number
  readonly backPressuredRatio: number
}

/** One checkpoint that is durable. */
export interface CheckpointInfo {
  readonly id: number
  readonly createdAtMs: number
  /** From trigger to durable. */
  readonly durationMs: number
  /** State that it refers to. */
  readonly sizeBytes: number
  /** State that it wrote anew. */
  readonly writtenBytes: number
  readonly attempt: number
}

/** The checkpoints of a job in numbers. */
export interface CheckpointSummary {
  readonly completed: number
  readonly failed: number
  readonly latest: CheckpointInfo | null
  /** What this attempt started from; null on a fresh start. */
  readonly restored: CheckpointInfo | null
  /** Why the last one that failed did; empty when none has. */
  readonly lastFailure: string
  /** Those whose results some sink has not applied yet, oldest first. */
  readonly owed: readonly OwedOutbox[]
  /** Sources wait: sinks have more to apply than they should. */
  readonly sourcesHeld: boolean
  /** Transactions of sinks that hung in a broker, partition by partition, and that were ended. */
  readonly hangingEnded: number
}

/** What sinks are owed of a checkpoint. */
export interface OwedOutbox {
  readonly checkpointId: number
  readonly records: number
  readonly bytes: number
  readonly sinks: readonly string[]
}

/** A failure of a job. */
export interface JobException {
  readonly code: ErrorCode
  readonly message: string
  readonly atMs: number
  /** Operator id; empty for the coordinator. */
  readonly operator: string
  readonly subtask: number
  readonly attempt: number
}

/** All that is known of one job. */
export interface JobDetails {
  readonly summary: JobSummary
  readonly graph: JobGraph
  readonly subtasks: readonly SubtaskStatus[]
  readonly checkpoints: CheckpointSummary
  /** Newest first. */
  readonly exceptions: readonly JobException[]
  /** The definition as text, as it was submitted (a document is shown as JSON). */
  readonly definitionText: string
  /** Partitions of its topics that open transactions have held back for longer than they should. */
  readonly heldPartitions: readonly HeldPartition[]
  /** Changes of parallelism and definition, newest first. */
  readonly redeploys: readonly JobRedeploy[]
}

/** A change of a job's parallelism or definition. */
export type JobRedeploy = RedeployRecord

/** What becomes of one part of a job's state. */
export type JobStateChange = StateDiffEntry

/** An upgrade that was made, or compared. */
export interface JobUpgrade {
  readonly summary: JobSummary
  readonly changes: readonly JobStateChange[]
  /** Why it would be refused; empty when it would not, and when it was made. */
  readonly refusal: string
  /** Null when nothing was changed. */
  readonly redeploy: JobRedeploy | null
}

/** How a job gets on with its input. */
export interface JobProgress {
  /** Records between what has been read and the end of the input; -1 when unknown. */
  readonly pendingRecords: number
  /** Records read a second, over the last seconds. */
  readonly readPerSecond: number
}

/** A job as one who follows it is told. */
export interface JobUpdate {
  readonly summary: JobSummary
  readonly graph: JobGraph
  readonly subtasks: readonly SubtaskStatus[]
  readonly checkpoints: CheckpointSummary
  readonly progress: JobProgress
  /** The last failure; null when there was none. */
  readonly lastException: JobException | null
}

/** The outcome of a check. */
export interface ValidationResult {
  readonly valid: boolean
  /** In document order; empty when valid. */
  readonly violations: readonly Violation[]
  /** Empty where it could not be read. */
  readonly name: string
  /** Null when not valid. */
  readonly graph: JobGraph | null
}

/** A savepoint that is there. */
export interface SavepointInfo {
  readonly job: string
  readonly name: string
  /** Folder on the server's disk. */
  readonly path: string
  /** -Infinity when it cannot be read. */
  readonly createdAtMs: number
  /** Checkpoint of the job that it was made of. */
  readonly checkpointId: number
  readonly sizeBytes: number
  /** `savepoint`, `stop` or `drain`. */
  readonly reason: string
  /** Nothing goes on from here. */
  readonly drained: boolean
  readonly parallelism: number
  /** Why it cannot be read; empty when it can. */
  readonly problem: string
}

/** What a submitted job begins from. */
export interface JobStartDocument {
  /**
   * Name of a savepoint of the job, `job/name` of any, or its path in the server's folder of savepoints; '' for its own
   * checkpoints.
   */
  readonly savepoint: string
  /** Whether it is deleted once the job has a checkpoint of its own. */
  readonly claim: boolean
  /** What of the state may go, by name (job/state-diff.ts). */
  readonly dropState: readonly string[]
}

/** How a job is to stop. */
export interface StopOptions {
  /** Name of a savepoint to make of the last checkpoint, '' for one of the server's choice; null for none. */
  readonly savepoint: string | null
  /** All of time passes first: every window fires, and nothing goes on from there. */
  readonly drain: boolean
}

/** How a stop ended. */
export interface StoppedJob {
  readonly summary: JobSummary
  /** 0: there was no checkpoint to take. */
  readonly checkpointId: number
  /** Null unless one was wanted. */
  readonly savepoint: SavepointInfo | null
}

/** Manages the jobs of one coordinator. */
export interface ControlApi extends TransactionsApi {
  /** Checks a definition; changes nothing, and mistakes are a normal answer. */
  validate(job: JobDocument): Promise<ValidationResult>
  /**
   * Checks, stores and starts a job; answers once it is stored. JOB_INVALID with all violations; JOB_EXISTS while a job
   * of the name is not in a terminal state. A name in a terminal state is taken over, with its checkpoints; with a
   * savepoint in `start` what it had is dropped, and it begins from there: SAVEPOINT_NOT_FOUND, SAVEPOINT_CORRUPT.
   * STATE_INCOMPATIBLE where state would be lost that `start` does not name.
   */
  submit(job: JobDocument, start?: JobStartDocument | null): Promise<JobSummary>
  /** All jobs, by name. */
  list(): Promise<readonly JobSummary[]>
  /** JOB_NOT_FOUND. */
  describe(name: string): Promise<JobDetails>
  /** Ends a job at once and drops its checkpoints; answers when that is done. JOB_NOT_FOUND, JOB_STATE. */
  cancel(name: string): Promise<JobSummary>
  /**
   * Suspends a job after a last checkpoint, with a savepoint of it where one is wanted. JOB_NOT_FOUND, JOB_STATE,
   * CHECKPOINT_FAILED; SAVEPOINT_FAILED when it has stopped without the savepoint.
   */
  stop(name: string, options?: StopOptions): Promise<StoppedJob>
  /**
   * Lets a job go on with another parallelism; answers when it runs so. Null where it had it already. JOB_NOT_FOUND,
   * JOB_STATE, INPUT_INVALID.
   */
  rescale(
    name: string,
    parallelism: number,
  ): Promise<{ readonly summary: JobSummary; readonly redeploy: JobRedeploy | null }>
  /**
   * Compares what a job has with what another definition wants, and lets it go on with that, unless `dryRun`; answers when
   * it runs so. JOB_NOT_FOUND, JOB_STATE, JOB_INVALID, SCHEMA_INCOMPATIBLE, STATE_INCOMPATIBLE, INPUT_INVALID.
   */
  upgrade(
    job: JobDocument,
    options: { readonly name?: string; readonly dropState: readonly string[]; readonly dryRun: boolean },
  ): Promise<JobUpgrade>
  /** Answers when the checkpoint is durable. JOB_NOT_FOUND, JOB_STATE, CHECKPOINT_FAILED. */
  triggerCheckpoint(name: string): Promise<CheckpointInfo>
  /** Those that are held, newest first. JOB_NOT_FOUND. */
  listCheckpoints(name: string): Promise<readonly CheckpointInfo[]>
  /**
   * Makes a savepoint, under a name of the server's choice for '', and answers when it is durable. JOB_NOT_FOUND, JOB_STATE,
   * SAVEPOINT_EXISTS, SAVEPOINT_FAILED.
   */
  triggerSavepoint(name: string, savepoint: string): Promise<SavepointInfo>
  /** Savepoints of a job, of all jobs for '', newest first. */
  listSavepoints(name: string): Promise<readonly SavepointInfo[]>
  /** SAVEPOINT_NOT_FOUND. */
  deleteSavepoint(name: string, savepoint: string): Promise<void>
}
