/**
 * From a record batch to the RecordChunk that every reader hands out: the step that all sources of batches share.
 *
 * Invariant: `nextOffset` steps over control, aborted and compacted-away records too, and never beyond the stop offset,
 * so a bounded run always ends. A chunk has records only if somebody may want them.
 */
import type { Decompressor } from '../event/compression.ts'
import type { RecordBatchCursor } from '../event/record-batch.ts'
import type { RecordChunk } from './source.ts'

/** An empty chunk, to be filled again and again. */
export function newRecordChunk(): RecordChunk {
  return {
    partition: 0,
    bytes: new Uint8Array(0),
    start: 0,
    end: 0,
    count: 0,
    baseOffset: 0,
    baseTimestampMs: 0,
    logAppendTime: false,
    firstOffset: 0,
    nextOffset: 0,
  }
}

/**
 * Makes `chunk` a step without records from `position` to `nextOffset`.
 */
export function fillEmptyChunk(chunk: RecordChunk, partition: number, position: number, nextOffset: number): void {
  chunk.partition = partition
  chunk.start = 0
  chunk.end = 0
  chunk.count = 0
  chunk.baseOffset = position
  chunk.baseTimestampMs = 0
  chunk.logAppendTime = false
  chunk.firstOffset = position
  chunk.nextOffset = nextOffset
}

/**
 * Fills `chunk` from the batch that `batch` stands at, decompressed, for a reader at `position` that stops at
 * `stopOffset`. `visible` false (an aborted transaction) makes it a step without records, as control batches are. The
 * batch must end after `position`. Throws RECORD_BATCH_CORRUPT when it does not decompress.
 */
export function fillChunk(
  chunk: RecordChunk,
  batch: RecordBatchCursor,
  position: number,
  stopOffset: number,
  decompressor: Decompressor,
  visible = true,
): void {
  const nextOffset = Math.min(batch.nextOffset, stopOffset)
  if (!visible || batch.control || batch.count === 0 || batch.baseOffset >= stopOffset) {
    fillEmptyChunk(chunk, batch.partition, position, nextOffset)
    return
  }
  const { codec, bytes, recordsStart, recordsEnd, topic, partition, baseOffset } = batch
  decompressor.run(codec, bytes, recordsStart, recordsEnd, topic, partition, baseOffset)
  chunk.partition = partition
  chunk.bytes = decompressor.bytes
  chunk.start = decompressor.start
  chunk.end = decompressor.end
  chunk.count = batch.count
  chunk.baseOffset = baseOffset
  chunk.baseTimestampMs = batch.logAppendTime ? batch.maxTimestampMs : batch.baseTimestampMs
  chunk.logAppendTime = batch.logAppendTime
  chunk.firstOffset = position
  chunk.nextOffset = nextOffset
}
