/**
 * The contract between a source and the subtask that reads it.
 *
 * Owns: what a partition, a position and a batch of records are. Does not own: how bytes become columns (event/), what
 * time they carry (source/watermark.ts), when they are read (runtime/). Every source, embedded log and generator
 * included, hands out records in Kafka's record-batch format, so that one decoder serves them all.
 *
 * Threading: a reader lives in one worker thread and is never called from another. Nothing here blocks.
 */
import type { StartPosition } from '../job/definition.ts'

export type { StartPosition }

/** One partition as it is given to a reader, from a checkpoint or from the enumerator. Plain data. */
export interface SplitAssignment {
  readonly partition: number
  /** Offset of the next record to read: exact, resolved by the enumerator or restored. */
  readonly offset: number
  /** Bounded runs: the first offset not to read (the end offset when the run began). Infinity when unbounded. */
  readonly stopOffset: number
  /** What ties a position to this very log: the topic id where the broker has one, else ''. A mismatch is TOPIC_RECREATED. */
  readonly topicId: string
  /**
   * Source-private state that must survive with the position (for Kafka: producers with an open abort range), as the
   * reader's `splitState` returned it; absent on a first start.
   */
  readonly state?: string
}

/**
 * Some records of one partition, decompressed, in the record section of record batches v2. One object is reused: it is
 * valid until the next `poll` of the same reader.
 */
export interface RecordChunk {
  partition: number
  /** Holds the records section: `count` records from `start` to `end`, each a varint length and its body. */
  bytes: Uint8Array
  start: number
  end: number
  count: number
  /** Offset of the record whose offset delta is 0; a record's offset is baseOffset + its offsetDelta. */
  baseOffset: number
  /** Timestamp (epoch ms) of the record whose timestamp delta is 0. */
  baseTimestampMs: number
  /** True when the topic stamps records at append: then `baseTimestampMs` is every record's timestamp. */
  logAppendTime: boolean
  /** Records below this offset were asked for by nobody (a fetch returns whole batches): skip them, uncounted. */
  firstOffset: number
  /** Position after this chunk. With `count` 0 the chunk is just that: a step over control, aborted or compacted records. */
  nextOffset: number
}

/** What a reader knows of one partition, for idleness, lag and checkpoints. Reused: copy what must last. */
export interface PartitionStatus {
  partition: number
  /** Offset after the last record handed out by `poll`. */
  position: number
  /** End of the log as last seen by a successful fetch; -1 before the first. */
  highWatermark: number
  /** Last stable offset as last seen (equals highWatermark without transactions); -1 before the first. */
  lastStableOffset: number
  /** Monotonic ms of the last fetch that succeeded for this partition; -Infinity before the first. */
  lastFetchMs: number
  /** False while the partition cannot be fetched (leader unreachable, error being retried): it must not look idle. */
  reachable: boolean
  /** True when `position` has reached `stopOffset`: nothing more will come. */
  finished: boolean
}

/** Reads the partitions of one source subtask. */
export interface SourceReader {
  /** Starts reading one more partition. May be called at any time (partition discovery). */
  assign(split: SplitAssignment): void
  /**
   * The next records of any partition that is not paused, or undefined when nothing has arrived. Never blocks, never
   * waits: data comes in by itself between calls, and `onReady` tells when. Takes partitions in turn, so that none
   * starves. Throws MillraceError when reading cannot go on (POSITION_LOST, TOPIC_RECREATED, TOPIC_NOT_FOUND,
   * RECORD_BATCH_CORRUPT, CODEC_UNSUPPORTED, BROKER_ERROR); what passes by itself (broker away) is retried inside.
   */
  poll(): RecordChunk | undefined
  /** Calls `wake` once when `poll` may have something again. Registered anew after each time it ran. */
  onReady(wake: () => void): void
  /** Keeps a paused partition from being polled (alignment); what was prefetched stays, at most one fetch. */
  setPaused(partition: number, paused: boolean): void
  /** What is known of a partition now; fills and returns one reused object. */
  status(partition: number): PartitionStatus
  /** State to store beside the position of a partition, taken between two polls; '' when there is none. */
  splitState(partition: number): string
  /**
   * Records that were gone before they were read, since the reader was made; absent where such a loss is always an error.
   * Counted when `poll` steps over them, so that a position and this number belong together.
   */
  readonly lostRecords?: number
  /** Gives everything back; pending I/O is abandoned. Idempotent. */
  close(): Promise<void>
}

/** A partition as the enumerator sees it, with the offsets that a start position resolves to. */
export interface PartitionInfo {
  readonly partition: number
  readonly topicId: string
  /** First offset still held. */
  readonly earliest: number
  /** End of the log: high watermark, or last stable offset under read_committed. */
  readonly end: number
}

/** The control-plane half of a source: finds partitions and resolves positions. Lives with the coordinator. */
export interface SourceEnumerator {
  /** All partitions there are now, ascending. Throws TOPIC_NOT_FOUND, BROKER_UNREACHABLE (retry: backoff). */
  partitions(): Promise<readonly PartitionInfo[]>
  /** The offset at which each of `partitions` starts, in the same order. */
  resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]>
  /** Publishes checkpointed positions to a group name for lag tools; best effort, failures are only logged. */
  commit(groupId: string, offsets: Readonly<Record<number, number>>): Promise<void>
  close(): Promise<void>
}
