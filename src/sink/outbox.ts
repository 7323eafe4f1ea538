/**
 * The contract of sinks that take every result exactly once.
 *
 * What a job has to say between two barriers (an epoch, named by the checkpoint that ends it) is part of the checkpoint:
 * blocks of records, kept in the checkpoint store. Once the manifest is durable, and only then, the sink applies the
 * epoch together with a marker that it can read back. After a crash the marker says which epochs are still owed.
 *
 * Owns: the words. Does not own: how records become blocks (outbox-block.ts), what is owed after a restore
 * (checkpoint/outbox-restore.ts), the outside world of each kind of sink.
 *
 * An epoch is applied by one caller at a time, epochs in ascending order, each with at least one record: an epoch without
 * any is not applied, so markers may leave numbers out.
 */

/** Whose results a sink takes, and under which lease: by it the sink tells the owner from one that has been replaced. */
export interface OutboxOwner {
  readonly job: string
  /** Unique a submission: the same name submitted anew, after a cancel, is another job. */
  readonly jobId: string
  /** Id of the sink within the job. */
  readonly sink: string
  /** Rises with every takeover of the job's lease. */
  readonly generation: number
  /** Random, new with every attempt: what `open` was last called with is the owner. */
  readonly nonce: string
}

/** The newest epoch that a sink has applied for a job. */
export interface OutboxMarker {
  readonly jobId: string
  readonly generation: number
  /** Id of the checkpoint whose epoch it is. */
  readonly epoch: number
}

/** A sink that can be asked what it has applied. All calls reject with SINK_FAILED, or STORE_FENCED as said. */
export interface OutboxSink {
  /**
   * Makes the caller the owner: from now on nothing of an earlier owner takes effect, however late it arrives. Resolves
   * with the marker for this job and sink, of any submission; null when there is none. Rejects with STORE_FENCED when a
   * newer generation of the same submission has been here.
   */
  open(): Promise<OutboxMarker | null>
  /**
   * Applies all records of an epoch and moves the marker to it, as one: after a failure or a crash both have happened or
   * neither has (a sink that can only repeat says so in `guarantee`). `blocks` gives the epoch's blocks in order, as
   * outbox-block.ts lays them out. An epoch at or below the marker is not applied again, and resolves. After a
   * rejection the sink is closed and opened anew, and the marker read again: nobody guesses.
   */
  apply(epoch: number, blocks: AsyncIterable<Uint8Array>): Promise<void>
  /** Gives connections back; resolves always. Idempotent. */
  close(): Promise<void>
  /** `exactly-once`, or `idempotent`: what is applied again after a crash carries the same keys as the first time. */
  readonly guarantee: 'exactly-once' | 'idempotent'
}
