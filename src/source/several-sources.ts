/**
 * Several sources read as one: partition p of source s is partition s * PARTITION_STRIDE + p.
 *
 * Owns: that numbering, and taking the sources in turn. Does not own: reading any of them. So positions, checkpoints,
 * alignment, discovery and the watermark over all partitions are those of one source; who wants to know whose record it
 * is divides. The first source's partitions keep their numbers: a job may get a second source and go on.
 */
import { invariant } from '../core/errors.ts'
import type { SourcePart } from '../job/definition.ts'
import { newRecordChunk } from './record-chunk.ts'
import type {
  PartitionInfo,
  PartitionStatus,
  RecordChunk,
  SourceEnumerator,
  SourceReader,
  SplitAssignment,
  StartPosition,
} from './source.ts'
import { newStatus } from './splits.ts'

/** Partitions that one source can have. Decimal, for those who read numbers of partitions. */
export const PARTITION_STRIDE = 100_000

/** The source that a partition belongs to, by its place. */
export function sourceOfPartition(partition: number): number {
  return Math.floor(partition / PARTITION_STRIDE)
}

/** The partition's number within its source. */
export function partitionInSource(partition: number): number {
  return partition % PARTITION_STRIDE
}

/** Reads the partitions of several sources. */
export class SeveralReader implements SourceReader {
  readonly #readers: readonly SourceReader[]
  readonly #chunk = newRecordChunk()
  readonly #status = newStatus()
  #turn = 0
  #wake: (() => void) | undefined

  constructor(readers: readonly SourceReader[]) {
    this.#readers = readers
  }

  assign(split: SplitAssignment): void {
    this.#readerOf(split.partition).assign({ ...split, partition: partitionInSource(split.partition) })
  }

  poll(): RecordChunk | undefined {
    const count = this.#readers.length
    for (let i = 0; i < count; i++) {
      const source = (this.#turn + i) % count
      const chunk = this.#readers[source]!.poll()
      if (chunk === undefined) continue
      this.#turn = source + 1
      Object.assign(this.#chunk, chunk)
      this.#chunk.partition = source * PARTITION_STRIDE + chunk.partition
      return this.#chunk
    }
    return undefined
  }

  onReady(wake: () => void): void {
    // A reader that wakes later finds the newest waiter, or none: it is called once, whoever is first.
    this.#wake = wake
    for (const reader of this.#readers) reader.onReady(() => this.#signal())
  }

  setPaused(partition: number, paused: boolean): void {
    this.#readerOf(partition).setPaused(partitionInSource(partition), paused)
  }

  status(partition: number): PartitionStatus {
    Object.assign(this.#status, this.#readerOf(partition).status(partitionInSource(partition)))
    this.#status.partition = partition
    return this.#status
  }

  splitState(partition: number): string {
    return this.#readerOf(partition).splitState(partitionInSource(partition))
  }

  get lostRecords(): number {
    return this.#readers.reduce((sum, reader) => sum + (reader.lostRecords ?? 0), 0)
  }

  async close(): Promise<void> {
    this.#wake = undefined
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }

  #signal(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #readerOf(partition: number): SourceReader {
    const reader = this.#readers[sourceOfPartition(partition)]
    invariant(reader !== undefined, `partition ${partition} belongs to no source`)
    return reader
  }
}

/** Finds the partitions of several sources, each of which begins at its own start position. */
export class SeveralEnumerator implements SourceEnumerator {
  readonly #parts: readonly SourcePart[]
  readonly #enumerators: readonly SourceEnumerator[]

  constructor(parts: readonly SourcePart[], enumerators: readonly SourceEnumerator[]) {
    this.#parts = parts
    this.#enumerators = enumerators
  }

  async partitions(): Promise<readonly PartitionInfo[]> {
    const all = await Promise.all(this.#enumerators.map((enumerator) => enumerator.partitions()))
    return all.flatMap((partitions, source) =>
      partitions.map((info) => {
        invariant(info.partition < PARTITION_STRIDE, `partition ${info.partition} is beyond what a source can have`)
        return { ...info, partition: source * PARTITION_STRIDE + info.partition }
      }),
    )
  }

  async resolve(_start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    const offsets = new Map<number, number>()
    await Promise.all(
      this.#enumerators.map(async (enumerator, source) => {
        const own = partitions.filter(({ partition }) => sourceOfPartition(partition) === source)
        const infos = own.map((info) => ({ ...info, partition: partitionInSource(info.partition) }))
        const resolved = await enumerator.resolve(this.#parts[source]!.start, infos)
        for (const [i, { partition }] of own.entries()) offsets.set(partition, resolved[i]!)
      }),
    )
    return partitions.map(({ partition }) => offsets.get(partition)!)
  }

  async commit(groupId: string, offsets: Readonly<Record<number, number>>): Promise<void> {
    await Promise.all(
      this.#enumerators.map((enumerator, source) => {
        const own = Object.entries(offsets).filter(([partition]) => sourceOfPartition(Number(partition)) === source)
        return enumerator.commit(
          groupId,
          Object.fromEntries(own.map(([partition, offset]) => [partitionInSource(Number(partition)), offset])),
        )
      }),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.#enumerators.map((enumerator) => enumerator.close()))
  }
}
