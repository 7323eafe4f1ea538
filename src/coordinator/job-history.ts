/** What a job remembers of its past, bounded: its last failures and checkpoints. In memory, for people. */
import type { ErrorCode } from '../core/errors.ts'

/** A failure of a job. */
export interface JobFailure {
  readonly code: ErrorCode
  readonly message: string
  /** Wall clock, epoch ms. */
  readonly atMs: number
  /** Operator id; empty for the coordinator. */
  readonly operator: string
  readonly subtask: number
  readonly attempt: number
}

/** A checkpoint that was tried. */
export interface CheckpointRecord {
  readonly id: number
  /** Wall clock at its end, epoch ms. */
  readonly createdAtMs: number
  /** From trigger to durable, or to failure. */
  readonly durationMs: number
  /** State that it refers to; 0 when it failed. */
  readonly sizeBytes: number
  /** State that it wrote anew; 0 when it failed. */
  readonly writtenBytes: number
  readonly attempt: number
  /** Empty when it completed; else why it did not. */
  readonly failure: string
}

const FAILURES_MAX = 10
const CHECKPOINTS_MAX = 20

/** The last failures and checkpoints of a job, newest first. */
export class JobHistory {
  readonly #failures: JobFailure[] = []
  readonly #checkpoints: CheckpointRecord[] = []
  readonly #onCheckpoint: (record: CheckpointRecord) => void
  #completed = 0
  #failed = 0

  /** `onCheckpoint` is told of each, after it was noted. */
  constructor(onCheckpoint: (record: CheckpointRecord) => void = () => {}) {
    this.#onCheckpoint = onCheckpoint
  }

  /** At most 10. */
  get failures(): readonly JobFailure[] {
    return this.#failures
  }

  /** At most 20, failed ones included. */
  get checkpoints(): readonly CheckpointRecord[] {
    return this.#checkpoints
  }

  /** Checkpoints that completed since the process knows the job. */
  get completed(): number {
    return this.#completed
  }

  /** Checkpoints that failed since the process knows the job. */
  get failed(): number {
    return this.#failed
  }

  /** Notes a failure of the job. */
  addFailure(failure: JobFailure): void {
    this.#failures.unshift(failure)
    this.#failures.length = Math.min(this.#failures.length, FAILURES_MAX)
  }

  /** Notes the end of a checkpoint. */
  addCheckpoint(record: CheckpointRecord): void {
    if (record.failure === '') this.#completed++
    else this.#failed++
    this.#checkpoints.unshift(record)
    this.#checkpoints.length = Math.min(this.#checkpoints.length, CHECKPOINTS_MAX)
    this.#onCheckpoint(record)
  }
}
