/**
 * The watermark of one source subtask: bounded disorder per partition, idleness, the minimum over partitions.
 *
 * Owns: per partition the largest timestamp and whether it is idle. Does not own: reading, or when marks are sent.
 *
 * Rules (stream-processing practice as Flink has it)
 * - W1 A partition's watermark is `maxTimestamp - outOfOrderness - 1`; it never falls.
 * - W2 The combined watermark is the minimum over partitions that are not idle, given out only when it rises.
 * - W3 All partitions idle: the subtask is idle and keeps its last watermark. No partitions at all: idle at once.
 * - W4 A partition falls idle when for `idlenessMs` of monotonic time fetches have succeeded and shown that there is
 *   nothing to read: position = high watermark = last stable offset. Anything else (an error, an unreachable leader, an
 *   open transaction, back-pressure, alignment) stops that clock.
 * - W5 Any record ends idleness.
 */
import { MIN_WATERMARK } from '../core/time.ts'

interface PartitionTime {
  readonly partition: number
  maxTimestampMs: number
  idle: boolean
  finished: boolean
  /** Monotonic time since when the partition has been seen with nothing to read; NaN while it has not. */
  quietSinceMs: number
}

/** Tracks event time over the partitions of one source subtask. */
export class PartitionWatermarks {
  /** Last combined watermark. */
  watermarkMs: number
  readonly #outOfOrdernessMs: number
  readonly #idlenessMs: number
  readonly #partitions = new Map<number, PartitionTime>()

  /** `idlenessMs` 0: partitions never fall idle. `restoredMs`: the combined watermark before a restart. */
  constructor(outOfOrdernessMs: number, idlenessMs: number, restoredMs: number = MIN_WATERMARK) {
    this.#outOfOrdernessMs = outOfOrdernessMs
    this.#idlenessMs = idlenessMs
    this.watermarkMs = restoredMs
  }

  /** Starts tracking a partition; `maxTimestampMs` comes from a checkpoint, -Infinity on a first start. */
  add(partition: number, maxTimestampMs: number): void {
    this.#partitions.set(partition, {
      partition,
      maxTimestampMs,
      idle: false,
      finished: false,
      quietSinceMs: Number.NaN,
    })
  }

  /** Records up to `maxTimestampMs` came from a partition. */
  onRecords(partition: number, maxTimestampMs: number): void {
    const time = this.#partitions.get(partition)
    if (time === undefined) return
    if (maxTimestampMs > time.maxTimestampMs) time.maxTimestampMs = maxTimestampMs
    time.idle = false
    time.quietSinceMs = Number.NaN
  }

  /** A partition will give no more records: it holds nobody back. */
  onFinished(partition: number): void {
    const time = this.#partitions.get(partition)
    if (time !== undefined) time.finished = true
  }

  /**
   * What is known now: `quiet` when a fetch has shown that there is nothing to read, `pending` when there is something to
   * read or it cannot be reached, `unknown` when nobody has looked (the reader is held back, say): that stops the clock
   * of idleness, and ends none.
   */
  observe(partition: number, seen: 'quiet' | 'pending' | 'unknown', monotonicMs: number): void {
    const time = this.#partitions.get(partition)
    if (time === undefined || this.#idlenessMs === 0) return
    if (seen === 'pending') time.idle = false
    if (seen !== 'quiet') time.quietSinceMs = Number.NaN
    else if (Number.isNaN(time.quietSinceMs)) time.quietSinceMs = monotonicMs
    else if (monotonicMs - time.quietSinceMs >= this.#idlenessMs) time.idle = true
  }

  /** Recomputes the combined watermark; true when it rose. */
  advance(): boolean {
    let minimum = Number.POSITIVE_INFINITY
    let any = false
    for (const time of this.#partitions.values()) {
      if (time.idle || time.finished) continue
      any = true
      minimum = Math.min(minimum, this.#of(time))
    }
    if (!any || minimum <= this.watermarkMs) return false
    this.watermarkMs = minimum
    return true
  }

  /** True when no partition is active. */
  get idle(): boolean {
    for (const time of this.#partitions.values()) if (!time.idle && !time.finished) return false
    return true
  }

  /** Watermark of one partition; -Infinity before its first record. */
  watermarkOf(partition: number): number {
    const time = this.#partitions.get(partition)
    return time === undefined ? MIN_WATERMARK : this.#of(time)
  }

  /** Whether one partition is idle. */
  isIdle(partition: number): boolean {
    return this.#partitions.get(partition)?.idle ?? false
  }

  /** Largest timestamp of one partition, for the checkpoint. */
  maxTimestampOf(partition: number): number {
    return this.#partitions.get(partition)?.maxTimestampMs ?? Number.NEGATIVE_INFINITY
  }

  #of(time: PartitionTime): number {
    return time.maxTimestampMs - this.#outOfOrdernessMs - 1
  }
}
