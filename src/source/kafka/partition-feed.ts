/**
 * One partition between the fetches that fill it and the polls that empty it.
 *
 * Owns: positions, fetched regions, the walk over their batches, what transactions hide, signs of another log under the
 * same name. Does not own: connections and retries (leader-fetcher.ts, kafka-reader.ts).
 *
 * Invariants
 * 1. At most two regions are held: one being read, one fetched ahead.
 * 2. `position` moves only when a chunk is handed out, over every batch passed: control, aborted and compacted-empty
 *    ones too (a chunk with count 0 where no data follows in the region), so a bounded read always reaches its end.
 * 3. `fetchOffset` is where the next fetch starts: after the last whole batch held.
 */
import { MillraceError } from '../../core/errors.ts'
import type { Decompressor } from '../../event/compression.ts'
import {
  BATCH_HEADER_SIZE,
  batchNextOffset,
  batchSize,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  RecordBatchCursor,
} from '../../event/record-batch.ts'
import { fillChunk, fillEmptyChunk } from '../record-chunk.ts'
import type { RecordChunk, SplitAssignment } from '../source.ts'
import { AbortedTransactions } from './aborted-transactions.ts'
import type { AbortedTransaction } from './fetch-protocol.ts'
import { topicRecreated } from './lost-position.ts'

/** Regions held at most: the one being read and the next. */
const REGIONS_MAX = 2

interface Region {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly aborted: readonly AbortedTransaction[] | null
  /** Offset after the region's last whole batch. */
  readonly nextOffset: number
  /** It holds nothing: its records are gone. */
  readonly lost?: true
  /** Called once when the region is done with. */
  readonly release: () => void
}

const nothing = (): void => {}

/** One partition of a reader. The reader and its fetchers read and set the public fields. */
export class PartitionFeed {
  readonly topic: string
  readonly partition: number
  readonly stopOffset: number
  /** '' until the broker has told it. */
  topicId: string
  /** Offset after what was handed out. */
  position: number
  /** Where the next fetch starts. */
  fetchOffset: number
  /** Limit of the next fetch; grows when a batch does not fit. */
  maxBytes: number
  highWatermark = -1
  lastStableOffset = -1
  lastFetchMs = Number.NEGATIVE_INFINITY
  reachable = true
  paused = false
  /** Node that leads the partition; -1 while that is to be found out. */
  leader = -1
  /** Failures in a row, for the backoff. */
  attempts = 0
  /** Since when the broker does not know the partition, monotonic ms; -1 while it does. */
  missingSinceMs = -1
  /** True while an out-of-range position is looked into. */
  held = false
  /** Records that `skipTo` led over, once told. */
  lostRecords = 0
  /** Why reading cannot go on; thrown once all that was fetched before is handed out. */
  failure: MillraceError | undefined
  readonly #transactions = new AbortedTransactions()
  readonly #cursor: RecordBatchCursor
  readonly #regions: Region[] = []
  #begun = false
  /** Offset after the last batch passed in the current region; at or ahead of `position`. */
  #passed: number
  #leaderEpoch = -1

  constructor(topic: string, split: SplitAssignment, maxBytes: number, checkCrc: boolean) {
    this.topic = topic
    this.partition = split.partition
    this.stopOffset = split.stopOffset
    this.topicId = split.topicId
    this.position = split.offset
    this.fetchOffset = split.offset
    this.#passed = split.offset
    this.maxBytes = maxBytes
    this.#cursor = new RecordBatchCursor({ checkCrc })
    this.#restore(split.state ?? '')
  }

  get finished(): boolean {
    return this.position >= this.stopOffset
  }

  /** True when nothing fetched is waiting. */
  get drained(): boolean {
    return this.#regions.length === 0
  }

  /** True while no further region is wanted. */
  get full(): boolean {
    return this.#regions.length >= REGIONS_MAX
  }

  /** True when the partition is to be read from its leader, now or once there is room. */
  get fetchable(): boolean {
    return (
      !this.paused && !this.held && this.failure === undefined && this.leader >= 0 && this.fetchOffset < this.stopOffset
    )
  }

  /** Takes the record batches of a Fetch response, `bytes[start .. end)`, fetched from `fetchOffset`. */
  addRegion(
    bytes: Uint8Array,
    start: number,
    end: number,
    aborted: readonly AbortedTransaction[] | null,
    release: () => void = nothing,
  ): void {
    let at = start
    let nextOffset = this.fetchOffset
    while (end - at >= BATCH_HEADER_SIZE) {
      const size = batchSize(bytes, at)
      // Nonsense lengths end the walk here and are named by the cursor when the region is read.
      if (size < BATCH_HEADER_SIZE || size > end - at) break
      nextOffset = Math.max(nextOffset, batchNextOffset(bytes, at))
      at += size
    }
    if (at === start && end > start && this.#growFor(bytes, start, end)) {
      release()
      return
    }
    this.#regions.push({ bytes, start, end, aborted, nextOffset, release })
    this.fetchOffset = nextOffset
  }

  /** Goes on at `offset`, over records that are gone; told by a chunk with count 0 after all fetched before. */
  skipTo(offset: number): void {
    this.#regions.push({
      bytes: new Uint8Array(0),
      start: 0,
      end: 0,
      aborted: null,
      nextOffset: offset,
      lost: true,
      release: nothing,
    })
    this.fetchOffset = offset
  }

  /** Drops what was fetched ahead and not handed out. */
  clear(): void {
    for (const region of this.#regions.splice(0)) region.release()
    this.#begun = false
  }

  /**
   * Fills `chunk` with the next batch; false when there is none. Throws RECORD_BATCH_CORRUPT, CODEC_UNSUPPORTED,
   * TOPIC_RECREATED, each time again.
   */
  take(chunk: RecordChunk, decompressor: Decompressor): boolean {
    try {
      return this.#take(chunk, decompressor)
    } catch (error) {
      this.clear()
      this.failure = MillraceError.from(error)
      throw this.failure
    }
  }

  #take(chunk: RecordChunk, decompressor: Decompressor): boolean {
    const cursor = this.#cursor
    while (this.#regions.length > 0) {
      const region = this.#regions[0]!
      if (!this.#begun) {
        this.#begun = true
        cursor.reset(region.bytes, region.start, region.end, this.topic, this.partition)
        this.#transactions.beginRange(region.aborted)
      }
      while (this.#passed < this.stopOffset && cursor.next()) {
        if (cursor.nextOffset <= this.#passed) continue
        this.#checkEpoch(cursor.partitionLeaderEpoch, cursor.baseOffset)
        this.#passed = cursor.nextOffset
        if (!this.#visible()) continue
        fillChunk(chunk, cursor, this.position, this.stopOffset, decompressor)
        this.position = chunk.nextOffset
        return true
      }
      this.#passed = Math.max(this.#passed, region.nextOffset)
      this.#regions.shift()
      region.release()
      this.#begun = false
      if (this.#passed >= this.stopOffset) this.clear()
      const nextOffset = Math.min(this.#passed, this.stopOffset)
      if (nextOffset > this.position) {
        if (region.lost === true) this.lostRecords += nextOffset - this.position
        fillEmptyChunk(chunk, this.partition, this.position, nextOffset)
        this.position = nextOffset
        return true
      }
    }
    return false
  }

  /** Whether the cursor's batch holds records for a reader; takes note of transaction markers on the way. */
  #visible(): boolean {
    const cursor = this.#cursor
    const transactions = this.#transactions
    if (cursor.control) {
      if (transactions.active && isMarker(cursor.controlType)) {
        transactions.endTransaction(cursor.producerId(), cursor.nextOffset - 1)
      }
      return false
    }
    if (cursor.transactional && transactions.active && transactions.drops(cursor.producerId(), cursor.nextOffset - 1)) {
      return false
    }
    return cursor.count > 0
  }

  /** Leader epochs never fall along a log: one that does belongs to another log of the same name. */
  #checkEpoch(epoch: number, offset: number): void {
    if (epoch < this.#leaderEpoch && epoch >= 0) throw topicRecreated(this.topic, this.partition, `at offset ${offset}`)
    this.#leaderEpoch = epoch
  }

  /** When not even the first batch came whole, asks for as much as it says it needs. True when that can help. */
  #growFor(bytes: Uint8Array, start: number, end: number): boolean {
    const wanted = end - start >= 12 ? batchSize(bytes, start) : this.maxBytes * 2
    if (wanted <= end - start || wanted <= this.maxBytes) return false
    this.maxBytes = wanted
    return true
  }

  /** What must survive with the position: open aborted transactions, and the leader epoch where there is no topic id. */
  state(): string {
    const aborted = this.#transactions.toState()
    const epoch = this.topicId === '' && this.#leaderEpoch >= 0 ? `epoch=${this.#leaderEpoch}` : ''
    return [epoch, aborted === '' ? '' : `aborted=${aborted}`].filter((part) => part !== '').join(';')
  }

  #restore(state: string): void {
    this.#leaderEpoch = Number(/epoch=(\d+)/.exec(state)?.[1] ?? -1)
    this.#transactions.restore(/aborted=([^;]*)/.exec(state)?.[1] ?? '')
  }
}

function isMarker(controlType: number): boolean {
  return controlType === CONTROL_ABORT || controlType === CONTROL_COMMIT
}
