/**
 * The contract of writers: how results, dead letters and late events leave a subtask as records.
 * (Results as rows: operator/result-sink.)
 *
 * Delivery is at-least-once: what was written since the last checkpoint is written again after a restart. `flush` comes
 * before a checkpoint is acknowledged, so nothing is lost.
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
