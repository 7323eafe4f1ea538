/**
 * A topic in memory as a source: the same contract as a broker's, without I/O, and deterministic.
 *
 * Does not own: the topic (memory-topic.ts). A reader sees a change the next time it is asked; who waits is woken through
 * the scheduler, so that a seeded one decides the order.
 */
import type { Clock, Scheduler } from '../core/clock.ts'
import { Decompressor } from '../event/compression.ts'
import { RecordBatchCursor } from '../event/record-batch.ts'
import { RecordCursor } from '../event/records.ts'
import { positionBeyondEnd, positionLost } from '../log/position-lost.ts'
import type { MemoryBatch, MemoryPartition, MemoryTopic } from './memory-topic.ts'
import { fillChunk, newRecordChunk } from './record-chunk.ts'
import type {
  PartitionInfo,
  PartitionStatus,
  RecordChunk,
  SourceEnumerator,
  SourceReader,
  SplitAssignment,
  StartPosition,
} from './source.ts'
import { isFinished, newSplit, newStatus, type Split, SplitTable, topicRecreated, Wakeup } from './splits.ts'
import { resolveStart } from './start-position.ts'

interface MemorySplit extends Split {
  readonly topicId: string
  /** What was seen when the partition was last reachable, and when (monotonic ms). */
  lastFetchMs: number
  highWatermark: number
  lastStableOffset: number
}

/** Reads partitions of one topic in memory. */
export class MemorySourceReader implements SourceReader {
  readonly #topic: MemoryTopic
  readonly #clock: Clock
  readonly #splits = new SplitTable<MemorySplit>()
  readonly #wakeup: Wakeup
  readonly #unwatch: () => void
  readonly #batch = new RecordBatchCursor()
  readonly #decompressor = new Decompressor()
  readonly #chunk = newRecordChunk()
  readonly #status = newStatus()
  readonly #hasMore = (split: MemorySplit): boolean => this.#readableBatch(split) !== undefined
  #closed = false

  constructor(topic: MemoryTopic, clock: Clock, scheduler: Scheduler) {
    this.#topic = topic
    this.#clock = clock
    this.#wakeup = new Wakeup(scheduler)
    this.#unwatch = topic.watch(() => this.#wakeup.signalSoon())
  }

  assign(assignment: SplitAssignment): void {
    const { topicId } = assignment
    this.#splits.add({
      ...newSplit(assignment),
      topicId,
      lastFetchMs: Number.NEGATIVE_INFINITY,
      highWatermark: -1,
      lastStableOffset: -1,
    })
    this.#wakeup.signalSoon()
  }

  poll(): RecordChunk | undefined {
    if (this.#closed) return undefined
    for (const split of this.#splits.all) this.#check(split)
    const split = this.#splits.next(this.#hasMore)
    if (split === undefined) return undefined
    const batch = this.#batch
    const { bytes } = this.#readableBatch(split)!
    batch.reset(bytes, 0, bytes.length, this.#topic.name, split.partition)
    batch.next()
    fillChunk(this.#chunk, batch, split.position, split.stopOffset, this.#decompressor)
    split.position = this.#chunk.nextOffset
    return this.#chunk
  }

  onReady(wake: () => void): void {
    this.#wakeup.register(
      wake,
      this.#splits.all.some((split) => this.#concerns(split)),
    )
  }

  setPaused(partition: number, paused: boolean): void {
    this.#splits.get(partition).paused = paused
    if (!paused) this.#wakeup.signalSoon()
  }

  status(partition: number): PartitionStatus {
    const split = this.#splits.get(partition)
    const { end, stableOffset, reachable } = this.#partitionOf(split)
    const status = this.#status
    if (reachable) {
      split.lastFetchMs = this.#clock.monotonicMs()
      split.highWatermark = end
      split.lastStableOffset = Math.min(end, stableOffset)
    }
    status.highWatermark = split.highWatermark
    status.lastStableOffset = split.lastStableOffset
    status.partition = partition
    status.position = split.position
    status.lastFetchMs = split.lastFetchMs
    status.reachable = reachable
    status.finished = isFinished(split)
    return status
  }

  splitState(): string {
    return ''
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#unwatch()
    this.#wakeup.close()
  }

  #partitionOf(split: MemorySplit): MemoryPartition {
    return this.#topic.partition(split.partition)
  }

  /** Throws what must stop the reading. */
  #check(split: MemorySplit): void {
    const { name, topicId } = this.#topic
    const { earliest, end, reachable } = this.#partitionOf(split)
    if (!reachable || isFinished(split)) return
    if (split.topicId !== '' && split.topicId !== topicId) throw topicRecreated(name, split.topicId, topicId)
    if (split.position < earliest) throw positionLost(name, split.partition, split.position, earliest)
    if (split.position > end) throw positionBeyondEnd(name, split.partition, split.position, end)
  }

  /** Whether poll would hand out records of this split, or throw because of it. */
  #concerns(split: MemorySplit): boolean {
    try {
      this.#check(split)
    } catch {
      return true
    }
    return !split.paused && !isFinished(split) && this.#readableBatch(split) !== undefined
  }

  /** The batch at the split's position, if it can be read now. */
  #readableBatch(split: MemorySplit): MemoryBatch | undefined {
    const { batches, stableOffset, reachable } = this.#partitionOf(split)
    if (!reachable) return undefined
    // Batches are in order: the first that ends beyond the position holds it.
    let low = 0
    let high = batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (batches[middle]!.nextOffset > split.position) high = middle
      else low = middle + 1
    }
    const batch = batches[low]
    return batch !== undefined && batch.nextOffset <= stableOffset ? batch : undefined
  }
}

/** Finds the partitions of one topic in memory. */
export class MemorySourceEnumerator implements SourceEnumerator {
  readonly #topic: MemoryTopic
  /** What was committed, by group and partition. */
  readonly committed = new Map<string, Readonly<Record<number, number>>>()

  constructor(topic: MemoryTopic) {
    this.#topic = topic
  }

  async partitions(): Promise<readonly PartitionInfo[]> {
    const { topicId, partitions } = this.#topic
    return partitions.map(({ earliest, end, stableOffset }, partition) => {
      return { partition, topicId, earliest, end: Math.min(end, stableOffset) }
    })
  }

  async resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    return resolveStart(start, partitions, (info, timestampMs) => this.#offsetAt(info, timestampMs))
  }

  async commit(groupId: string, offsets: Readonly<Record<number, number>>): Promise<void> {
    this.committed.set(groupId, { ...this.committed.get(groupId), ...offsets })
  }

  async close(): Promise<void> {}

  #offsetAt(info: PartitionInfo, timestampMs: number): number {
    const { name } = this.#topic
    const batch = new RecordBatchCursor()
    const records = new RecordCursor(name)
    const chunk = newRecordChunk()
    const decompressor = new Decompressor()
    for (const { bytes } of this.#topic.partition(info.partition).batches) {
      batch.reset(bytes, 0, bytes.length, name, info.partition)
      if (!batch.next() || batch.maxTimestampMs < timestampMs) continue
      fillChunk(chunk, batch, info.earliest, Number.POSITIVE_INFINITY, decompressor)
      records.reset(chunk)
      while (records.next()) if (records.timestampMs >= timestampMs) return records.offset
    }
    return info.end
  }
}
