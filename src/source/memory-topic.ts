/**
 * A topic in memory, for tests and simulation: real record batches, no I/O, and the troubles of a real topic on command.
 *
 * Owns: batches, offsets, and what has been done to them (retention, re-creation, unreachable partitions, open
 * transactions). Does not own: reading (memory-source.ts).
 */
import type { Random } from '../core/clock.ts'
import { invariant } from '../core/errors.ts'
import { batchNextOffset } from '../event/record-batch.ts'
import { type RecordBatchOptions, RecordBatchWriter, type RecordHeader } from '../event/record-batch-writer.ts'

/** A record to append. */
export interface MemoryRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly timestampMs: number
  readonly headers?: readonly RecordHeader[]
}

/** One batch as it lies in a partition. */
export interface MemoryBatch {
  readonly bytes: Uint8Array
  readonly nextOffset: number
}

/** One partition, as its reader sees it. */
export interface MemoryPartition {
  batches: MemoryBatch[]
  earliest: number
  end: number
  /** Readers do not go beyond it. Infinity without open transactions. */
  stableOffset: number
  reachable: boolean
}

/** A topic that tests write. */
export class MemoryTopic {
  readonly name: string
  /** Changes when the topic is re-created. */
  topicId: string
  partitions: MemoryPartition[]
  readonly #random: Random
  readonly #writer = new RecordBatchWriter()
  readonly #watchers = new Set<() => void>()

  /** An empty topic; its ids are drawn from `random`. */
  constructor(name: string, partitions: number, random: Random) {
    this.name = name
    this.#random = random
    this.topicId = this.#newId()
    this.partitions = Array.from({ length: partitions }, newPartition)
  }

  /** Appends records as one batch; returns the offset of the first. */
  append(partition: number, records: readonly MemoryRecord[], options: RecordBatchOptions = {}): number {
    const { end } = this.partition(partition)
    for (const r of records) this.#writer.append(r.key, r.value, r.timestampMs, undefined, r.headers ?? [])
    this.appendBatch(partition, this.#writer.finish(end, options).slice())
    return end
  }

  /** Appends a commit or abort marker, which takes one offset. */
  appendMarker(partition: number, marker: 'abort' | 'commit', timestampMs: number, producerId = 0n): void {
    this.#writer.appendMarker(marker, timestampMs)
    const { end } = this.partition(partition)
    const options = { control: true, transactional: true, producerId, producerEpoch: 0 }
    this.appendBatch(partition, this.#writer.finish(end, options).slice())
  }

  /** Appends what compaction leaves of a batch of `offsets` records, all of them gone. */
  appendCompacted(partition: number, offsets: number): void {
    const { end } = this.partition(partition)
    this.appendBatch(partition, this.#writer.finish(end, { lastOffsetDelta: offsets - 1 }).slice())
  }

  /** Appends one ready batch as it is, corrupt or not; its header must say the offsets that come next. */
  appendBatch(partition: number, bytes: Uint8Array): void {
    const target = this.partition(partition)
    const nextOffset = batchNextOffset(bytes, 0)
    target.batches.push({ bytes, nextOffset })
    target.end = nextOffset
    this.#changed()
  }

  /** Takes away what is below `offset`, as retention does. */
  deleteBelow(partition: number, offset: number): void {
    const target = this.partition(partition)
    target.earliest = Math.min(Math.max(target.earliest, offset), target.end)
    target.batches = target.batches.filter((batch) => batch.nextOffset > target.earliest)
    this.#changed()
  }

  /** Makes a partition unreachable, or reachable again. */
  setReachable(partition: number, reachable: boolean): void {
    this.partition(partition).reachable = reachable
    this.#changed()
  }

  /** Holds readers back at `offset`, as an open transaction does; Infinity lets them go on. */
  setStableOffset(partition: number, offset: number): void {
    this.partition(partition).stableOffset = offset
    this.#changed()
  }

  /** Adds empty partitions, to `partitions` in all. */
  addPartitions(partitions: number): void {
    while (this.partitions.length < partitions) this.partitions.push(newPartition())
    this.#changed()
  }

  /** Deletes the topic and creates it again, empty, with a new id. */
  recreate(): void {
    this.topicId = this.#newId()
    this.partitions = this.partitions.map(newPartition)
    this.#changed()
  }

  /** A partition that is there. */
  partition(partition: number): MemoryPartition {
    const found = this.partitions[partition]
    invariant(found !== undefined, `partition ${partition} of ${this.name}, which has ${this.partitions.length}`)
    return found
  }

  /** Calls `changed` after every change, until the function that it returns is called. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed)
    return () => this.#watchers.delete(changed)
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher()
  }

  #newId(): string {
    return `memory-${this.#random.nextUint32().toString(16).padStart(8, '0')}`
  }
}

function newPartition(): MemoryPartition {
  return { batches: [], earliest: 0, end: 0, stableOffset: Number.POSITIVE_INFINITY, reachable: true }
}
