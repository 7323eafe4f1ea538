/**
 * The embedded log as a source: reads partitions of a topic on disk and follows them as they grow.
 *
 * Owns: when to fetch. Each partition has one fetch of whole batches under way while the last one is handed out; a
 * partition at its end is looked at again by one timer, whose interval doubles from `tailMinMs` to `tailMaxMs` while
 * nothing comes. Does not own: files (log/), what records mean. The log is read uncommitted: a copied topic shows the
 * records of aborted transactions; markers are stepped over.
 */
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { Decompressor } from '../event/compression.ts'
import { RecordBatchCursor } from '../event/record-batch.ts'
import { PartitionFetcher } from '../log/partition-fetcher.ts'
import { RangeTracker } from '../log/partition-range.ts'
import { findTopic, logTopicNotFound, partitionPath } from '../log/topic.ts'
import { fillChunk, newRecordChunk } from './record-chunk.ts'
import type { PartitionStatus, RecordChunk, SourceReader, SplitAssignment } from './source.ts'
import { isFinished, newSplit, newStatus, type Split, SplitTable, topicRecreated, Wakeup } from './splits.ts'

/** How a log is read. */
export interface LogReaderOptions {
  readonly root: string
  readonly topic: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** Bytes per fetch and partition (default 1 MiB); two such buffers a partition. */
  readonly fetchBytes?: number
  /** Verify the CRC-32C of each record batch (default true). */
  readonly checkCrcs?: boolean
  /** Shortest and longest time between two looks at the end of a partition (default 2 and 50). */
  readonly tailMinMs?: number
  readonly tailMaxMs?: number
}

/** Shortest time between two looks at what is not on the way of records: the topic's id, ends of partitions behind. */
const HOUSEKEEPING_MS = 1000

interface LogSplit extends Split {
  readonly topicId: string
  readonly fetcher: PartitionFetcher
  readonly range: RangeTracker
  /** Walks the buffer that is being handed out. */
  readonly batches: RecordBatchCursor
  /** True while `batches` stands at a batch that has not been handed out. */
  pending: boolean
  highWatermark: number
  lastFetchMs: number
}

/** Reads partitions of one topic of the embedded log. */
export class LogSourceReader implements SourceReader {
  readonly #options: LogReaderOptions
  readonly #splits = new SplitTable<LogSplit>()
  readonly #wakeup: Wakeup
  readonly #decompressor = new Decompressor()
  readonly #chunk = newRecordChunk()
  readonly #status = newStatus()
  readonly #hasBatch = (split: LogSplit): boolean => this.#advance(split)
  #failure: MillraceError | undefined
  #cancelTick: Cancel | undefined
  #tailMs: number
  #housekeepingDueMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(options: LogReaderOptions) {
    this.#options = options
    this.#wakeup = new Wakeup(options.scheduler)
    this.#tailMs = options.tailMinMs ?? 2
  }

  assign(assignment: SplitAssignment): void {
    const { root, topic, fetchBytes = 1024 * 1024 } = this.#options
    const { partition, offset, topicId } = assignment
    const split: LogSplit = {
      ...newSplit(assignment),
      topicId,
      fetcher: new PartitionFetcher(root, topic, partition, offset, fetchBytes),
      range: new RangeTracker(partitionPath(root, topic, partition)),
      batches: new RecordBatchCursor({ checkCrc: this.#options.checkCrcs ?? true }),
      pending: false,
      highWatermark: -1,
      lastFetchMs: Number.NEGATIVE_INFINITY,
    }
    this.#splits.add(split)
    this.#guard(() => {
      this.#checkTopic(split)
      if (isFinished(split)) this.#measure(split)
    })
    this.#fetch(split)
    this.#scheduleTick()
  }

  poll(): RecordChunk | undefined {
    if (this.#closed) return undefined
    if (this.#failure !== undefined) throw this.#failure
    const split = this.#splits.next(this.#hasBatch)
    if (split === undefined) return undefined
    fillChunk(this.#chunk, split.batches, split.position, split.stopOffset, this.#decompressor)
    split.pending = false
    split.position = this.#chunk.nextOffset
    if (isFinished(split)) split.fetcher.close()
    return this.#chunk
  }

  onReady(wake: () => void): void {
    const ready = this.#failure !== undefined || this.#splits.all.some((split) => this.#mayHave(split))
    this.#wakeup.register(wake, ready)
  }

  setPaused(partition: number, paused: boolean): void {
    const split = this.#splits.get(partition)
    split.paused = paused
    if (paused) return
    this.#fetch(split)
    if (this.#mayHave(split)) this.#wakeup.signalSoon()
  }

  status(partition: number): PartitionStatus {
    const split = this.#splits.get(partition)
    const status = this.#status
    status.partition = partition
    status.position = split.position
    status.highWatermark = split.highWatermark
    status.lastStableOffset = split.highWatermark
    status.lastFetchMs = split.lastFetchMs
    status.reachable = this.#failure === undefined
    status.finished = isFinished(split)
    return status
  }

  splitState(): string {
    return ''
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTick?.()
    this.#wakeup.close()
    for (const split of this.#splits.all) split.fetcher.close()
  }

  /** Whether poll could hand out something of this split now. */
  #mayHave(split: LogSplit): boolean {
    return !split.paused && !isFinished(split) && (split.pending || split.fetcher.ready)
  }

  /** Brings the split to its next batch, taking a fetched buffer if the last one is used up. */
  #advance(split: LogSplit): boolean {
    while (!split.pending) {
      const { batches, fetcher } = split
      if (batches.next()) {
        split.pending = true
        break
      }
      if (!fetcher.ready) return false
      const region = fetcher.take()
      batches.reset(region.bytes, 0, region.end, this.#options.topic, split.partition)
      this.#fetch(split)
    }
    return true
  }

  /** Starts the next fetch of a split unless it is paused or finished; true when there was something to fetch. */
  #fetch(split: LogSplit): boolean {
    if (this.#closed || this.#failure !== undefined || split.paused || isFinished(split)) return false
    const { fetcher } = split
    // All that is wanted has been fetched.
    if (fetcher.fetchedOffset >= split.stopOffset) return false
    let started = false
    this.#guard(() => {
      started = fetcher.fetch((error) => this.#fetched(split, error))
      if (!started && !fetcher.fetching && !fetcher.ready) this.#atEnd(split)
    })
    return started
  }

  #fetched(split: LogSplit, error: MillraceError | undefined): void {
    if (this.#closed) return
    if (error !== undefined) {
      this.#fail(error)
      return
    }
    if (!split.fetcher.ready) {
      this.#atEnd(split)
      return
    }
    split.lastFetchMs = this.#options.clock.monotonicMs()
    split.highWatermark = Math.max(split.highWatermark, split.fetcher.fetchedOffset)
    this.#tailMs = this.#options.tailMinMs ?? 2
    if (this.#mayHave(split)) this.#wakeup.signal()
  }

  /** All that the log holds of the split has been fetched. */
  #atEnd(split: LogSplit): void {
    split.lastFetchMs = this.#options.clock.monotonicMs()
    split.highWatermark = Math.max(split.highWatermark, split.fetcher.fetchedOffset)
  }

  #scheduleTick(): void {
    if (this.#cancelTick !== undefined || this.#closed || this.#failure !== undefined) return
    const { scheduler, tailMaxMs = 50 } = this.#options
    this.#cancelTick = scheduler.after(this.#tailMs, () => {
      this.#cancelTick = undefined
      this.#tailMs = Math.min(this.#tailMs * 2, tailMaxMs)
      this.#tick()
    })
  }

  #tick(): void {
    const open = this.#splits.all.filter((split) => !isFinished(split))
    for (const split of open) this.#fetch(split)
    this.#guard(() => this.#keepHouse(open))
    if (open.length > 0) this.#scheduleTick()
  }

  /** Now and then: whether the topic is still the same one, and how far behind partitions are. */
  #keepHouse(open: readonly LogSplit[]): void {
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs < this.#housekeepingDueMs) return
    this.#housekeepingDueMs = nowMs + HOUSEKEEPING_MS
    const first = open[0]
    if (first !== undefined) this.#checkTopic(first)
    for (const split of open) this.#measure(split)
  }

  #measure(split: LogSplit): void {
    const range = split.range.range()
    if (range === undefined) throw logTopicNotFound(this.#options.root, this.#options.topic)
    split.highWatermark = Math.max(split.highWatermark, range.end)
    // A paused or finished split does not fetch; that its end was seen is as good.
    if (split.paused || isFinished(split)) split.lastFetchMs = this.#options.clock.monotonicMs()
  }

  #checkTopic(split: LogSplit): void {
    const { root, topic } = this.#options
    const found = findTopic(root, topic)
    if (found === undefined) throw logTopicNotFound(root, topic)
    if (split.topicId !== '' && split.topicId !== found.topicId) {
      throw topicRecreated(topic, split.topicId, found.topicId)
    }
  }

  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#fail(MillraceError.from(error))
    }
  }

  /** The reader cannot go on: the next poll says why. */
  #fail(error: MillraceError): void {
    this.#failure ??= error
    this.#cancelTick?.()
    this.#cancelTick = undefined
    this.#wakeup.signalSoon()
  }
}
