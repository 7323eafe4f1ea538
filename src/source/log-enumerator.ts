/**
 * The partitions of a topic of the embedded log, and the offsets that start positions resolve to.
 */
import { Decompressor } from '../event/compression.ts'
import { RecordBatchCursor } from '../event/record-batch.ts'
import { RecordCursor } from '../event/records.ts'
import { openSegment, viewPartition } from '../log/commits.ts'
import { closeFile, fileSize, readNow } from '../log/log-files.ts'
import { RangeTracker } from '../log/partition-range.ts'
import { HeaderWalk, segmentPath } from '../log/segments.ts'
import { describeTopic, logTopicNotFound, partitionPath } from '../log/topic.ts'
import { fillChunk, newRecordChunk } from './record-chunk.ts'
import type { PartitionInfo, SourceEnumerator, StartPosition } from './source.ts'
import { resolveStart } from './start-position.ts'

/** Finds the partitions of one topic of the embedded log. */
export class LogSourceEnumerator implements SourceEnumerator {
  readonly #root: string
  readonly #topic: string

  constructor(root: string, topic: string) {
    this.#root = root
    this.#topic = topic
  }

  async partitions(): Promise<readonly PartitionInfo[]> {
    const { partitions, topicId } = describeTopic(this.#root, this.#topic)
    return Array.from({ length: partitions }, (_, partition) => {
      const range = new RangeTracker(partitionPath(this.#root, this.#topic, partition)).range()
      if (range === undefined) throw logTopicNotFound(this.#root, this.#topic)
      return { partition, topicId, earliest: range.earliest, end: range.end }
    })
  }

  async resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    return resolveStart(start, partitions, (info, timestampMs) => this.#offsetAt(info, timestampMs))
  }

  /** The log has no lag tools to publish for: does nothing. */
  async commit(): Promise<void> {}

  async close(): Promise<void> {}

  /** Offset of the first record with a timestamp at or after `timestampMs`; the end when there is none. */
  #offsetAt(info: PartitionInfo, timestampMs: number): number {
    const directory = partitionPath(this.#root, this.#topic, info.partition)
    const { segments, commit } = viewPartition(directory) ?? { segments: [], commit: undefined }
    for (const [i, base] of segments.entries()) {
      // Behind the end of what is committed, or of a segment that was left, there may be what nobody may see.
      const limit = Math.min(info.end, segments[i + 1] ?? info.end)
      const path = segmentPath(directory, base)
      const file = openSegment(directory, base, commit)
      if (file === undefined) continue
      try {
        const walk = new HeaderWalk(file, path, 0, base)
        while (walk.offset < limit && walk.next()) {
          if (walk.maxTimestampMs < timestampMs) continue
          const bytes = new Uint8Array(Math.min(walk.batchBytes, fileSize(file)))
          readNow(file, bytes, 0, bytes.length, walk.batchPosition)
          const offset = firstRecordFrom(bytes, timestampMs, this.#topic, info.partition)
          if (offset >= 0) return offset
        }
      } finally {
        closeFile(file)
      }
    }
    return info.end
  }
}

/** Offset of the first record in one batch with a timestamp at or after `timestampMs`; -1 when there is none. */
function firstRecordFrom(bytes: Uint8Array, timestampMs: number, topic: string, partition: number): number {
  const batch = new RecordBatchCursor()
  batch.reset(bytes, 0, bytes.length, topic, partition)
  if (!batch.next()) return -1
  const chunk = newRecordChunk()
  fillChunk(chunk, batch, batch.baseOffset, Number.POSITIVE_INFINITY, new Decompressor())
  const records = new RecordCursor(topic)
  records.reset(chunk)
  while (records.next()) if (records.timestampMs >= timestampMs) return records.offset
  return -1
}
