/**
 * The partitions of one source subtask: where each stands, which wait, which have nothing to read.
 *
 * Owns: positions, alignment, the observations behind idleness, the splits of a snapshot. Does not own: reading
 * (source/), the watermark arithmetic (source/watermark).
 */
import type { SplitSnapshot } from '../checkpoint/snapshot.ts'
import type { SourceReader } from '../source/source.ts'
import type { PartitionWatermarks } from '../source/watermark.ts'
import type { SplitStart, SubtaskStats } from './messages.ts'

/** A fetch tells what there is to read for this long. */
const FETCH_FRESH_MS = 2000

interface Partition extends SplitStart {
  /** Offset of the next record to decode. */
  position: number
  paused: boolean
}

/** Tracks the partitions that a subtask reads. */
export class SourcePartitions {
  readonly #reader: SourceReader
  readonly #watermarks: PartitionWatermarks
  readonly #partitions = new Map<number, Partition>()
  readonly #lostBefore: number
  #maxWatermarkMs = Number.POSITIVE_INFINITY

  /** `lostBefore`: records that earlier attempts have lost. */
  constructor(reader: SourceReader, watermarks: PartitionWatermarks, lostBefore = 0) {
    this.#reader = reader
    this.#watermarks = watermarks
    this.#lostBefore = lostBefore
  }

  /** Records that were gone before they were read, up to the positions. */
  get lost(): number {
    return this.#lostBefore + (this.#reader.lostRecords ?? 0)
  }

  /** Takes partitions over; those that are here already are left alone. */
  assign(splits: readonly SplitStart[]): void {
    for (const split of splits) {
      if (this.#partitions.has(split.partition)) continue
      this.#partitions.set(split.partition, { ...split, position: split.offset, paused: false })
      this.#watermarks.add(split.partition, split.maxTimestampMs)
      this.#reader.assign(split)
      if (split.offset >= split.stopOffset) this.#watermarks.onFinished(split.partition)
    }
  }

  /** Records up to `position` have been decoded; `maxTimestampMs` is the latest among them, -Infinity for none. */
  advance(partition: number, position: number, maxTimestampMs: number): void {
    const entry = this.#partitions.get(partition)!
    entry.position = position
    if (maxTimestampMs > Number.NEGATIVE_INFINITY) this.#watermarks.onRecords(partition, maxTimestampMs)
    if (position >= entry.stopOffset) this.#watermarks.onFinished(partition)
    if (this.#maxWatermarkMs < Number.POSITIVE_INFINITY) this.#alignOne(entry)
  }

  /** Event time has come to `timestampMs` in every partition, though no record says so. */
  advanceAll(timestampMs: number): void {
    for (const { partition } of this.#partitions.values()) this.#watermarks.onRecords(partition, timestampMs)
  }

  /** Alignment: partitions whose watermark is above `maxWatermarkMs` wait until it has risen. */
  align(maxWatermarkMs: number): void {
    this.#maxWatermarkMs = maxWatermarkMs
    for (const entry of this.#partitions.values()) this.#alignOne(entry)
  }

  /**
   * Looks for partitions with nothing to read. What was fetched and not decoded yet is behind `position`, so it counts as
   * something to read; what is known from an old fetch (the reader is held back, say) counts as nothing known.
   */
  observe(monotonicMs: number): void {
    for (const { partition, position, paused } of this.#partitions.values()) {
      const status = this.#reader.status(partition)
      const quiet =
        status.reachable &&
        status.highWatermark >= 0 &&
        position >= status.highWatermark &&
        status.highWatermark === status.lastStableOffset
      const fresh = !paused && monotonicMs - status.lastFetchMs < FETCH_FRESH_MS
      const seen = !status.reachable || (fresh && !quiet) ? 'pending' : fresh ? 'quiet' : 'unknown'
      this.#watermarks.observe(partition, seen, monotonicMs)
    }
  }

  /** True when every partition has been read to its stop offset. */
  get allRead(): boolean {
    for (const entry of this.#partitions.values()) {
      if (entry.stopOffset === Number.POSITIVE_INFINITY || entry.position < entry.stopOffset) return false
    }
    return true
  }

  /** The splits at this moment, for a checkpoint. */
  snapshot(): SplitSnapshot[] {
    return Array.from(this.#partitions.values(), ({ partition, position, stopOffset, topicId }) => ({
      partition,
      offset: position,
      stopOffset,
      topicId,
      state: this.#reader.splitState(partition),
      maxTimestampMs: this.#watermarks.maxTimestampOf(partition),
    }))
  }

  /** Statistics of each partition, and the records that are still to be read (-1 unknown). */
  stats(): { readonly partitions: SubtaskStats['partitions']; readonly pending: number } {
    let pending = 0
    const partitions = Array.from(this.#partitions.values(), ({ partition, position, stopOffset }) => {
      const { highWatermark, reachable } = this.#reader.status(partition)
      const behind = Math.max(0, Math.min(stopOffset, highWatermark) - position)
      pending = pending < 0 || highWatermark < 0 ? -1 : pending + behind
      return {
        partition,
        position,
        end: highWatermark,
        watermarkMs: this.#watermarks.watermarkOf(partition),
        idle: this.#watermarks.isIdle(partition),
        reachable,
      }
    })
    return { partitions, pending }
  }

  #alignOne(entry: Partition): void {
    const paused = this.#watermarks.watermarkOf(entry.partition) > this.#maxWatermarkMs
    if (paused === entry.paused) return
    entry.paused = paused
    this.#reader.setPaused(entry.partition, paused)
  }
}
