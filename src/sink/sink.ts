/**
 * The contract of writers: how results, dead letters and late events leave a subtask as records.
 * (Results as rows: operator/result-sink.)
 *
 * Written at once, delivery is at-least-once: what was written since the last checkpoint is written again after a restart.
 * `flush` comes before a checkpoint is acknowledged, so nothing is lost. Exactly once goes by the outbox (outbox.ts), whose
 * writers look the same to a subtask.
 */

/** Writes records to a topic of a broker or of the embedded log. */
export interface RecordWriter {
  /** Buffers one record. Copies its bytes. */
  write(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void
  /** Bytes written and not yet flushed. */
  readonly bufferedBytes: number
  /** Resolves when all that was written is durable. Rejects with SINK_FAILED. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** A record writer that a subtask steps by: it says when it has had enough. */
export interface SubtaskWriter extends RecordWriter {
  /** True while nothing more should be written. Throws what has failed in the background. */
  readonly full: boolean
}
