/**
 * The partition that one outbox writes: each epoch becomes readable as a whole, with its marker, or not at all.
 *
 * Owns: finding the outbox's partition, taking it over, writing an epoch. Does not own: who wins (commits.ts), what an
 * epoch is (sink/outbox.ts). A job's sink keeps its partition for good; another submission of the job goes on in it.
 */
import { join } from 'node:path'
import { invariant, MillraceError } from '../core/errors.ts'
import { RecordBatchWriter } from '../event/record-batch-writer.ts'
import {
  type Commit,
  type CommitMarker,
  type CommitOwner,
  createCommit,
  newestCommit,
  ownFile,
  removeForeignFiles,
} from './commits.ts'
import { closeFile, type FileHandle, openToWrite, remove, syncLater, writeNow } from './log-files.ts'
import { lockClaims, lockPartition } from './log-locks.ts'
import { PartitionWriter } from './partition-writer.ts'
import { listSegments, segmentPath } from './segments.ts'
import { describeTopic, partitionPath } from './topic.ts'

const BATCH_BYTES = 65_536
const SEGMENT_BYTES = 64 * 1024 * 1024

/** Which outbox writes where. */
export interface OutboxPartitionOptions {
  readonly root: string
  readonly topic: string
  /** Job and sink: names the partition's writer for good. */
  readonly writer: string
  readonly owner: CommitOwner
  /** Default 64 MiB; an epoch may go beyond. */
  readonly segmentBytes?: number
}

/** A segment that this owner writes. */
interface OwnSegment {
  readonly base: number
  readonly file: string
  readonly path: string
  readonly handle: FileHandle
  size: number
  /** Readers know it. */
  named: boolean
}

/** Writes epochs as their owner. After anything has thrown, open another one. */
export class OutboxPartition {
  readonly partition: number
  readonly #directory: string
  readonly #options: OutboxPartitionOptions
  #commit: Commit
  /** Segments of the epoch that is being written, in order; the first may hold earlier epochs. */
  readonly #segments: OwnSegment[] = []
  readonly #batch = new RecordBatchWriter(4096)
  #nextOffset: number
  /** Number of the commit by which the partition was taken: names the files of this owner. */
  readonly #owned: number
  #closed = false

  /**
   * Makes `owner` the owner of its partition: what earlier ones write from now on is never seen. Throws STORE_FENCED when
   * a newer generation of the same job has been here; TOPIC_NOT_FOUND, LEASE_HELD when no partition is left, LOG_CORRUPT.
   */
  constructor(options: OutboxPartitionOptions) {
    this.#options = options
    const { root, topic } = options
    this.partition = findPartition(options) ?? claim(options)
    this.#directory = partitionPath(root, topic, this.partition)
    this.#commit = takeOver(this.#directory, options)
    this.#nextOffset = this.#commit.end
    this.#owned = this.#commit.sequence
    removeForeignFiles(this.#directory, this.#owned)
  }

  /** The newest epoch in the partition. */
  get marker(): CommitMarker | null {
    return this.#commit.marker
  }

  /** Adds one record to the epoch; its bytes are copied. Nobody sees it before `commit`. */
  append(key: Uint8Array | null, value: Uint8Array, timestampMs: number): void {
    this.#checkOpen()
    this.#batch.append(key, value, timestampMs)
    if (this.#batch.sizeBytes >= BATCH_BYTES) this.#write()
  }

  /**
   * Makes all that was appended durable and then, in one step, readable, with the epoch that it is. Rejects with
   * STORE_FENCED when the partition has another owner: then nothing of it is ever seen.
   */
  async commit(epoch: number): Promise<void> {
    this.#checkOpen()
    if (this.#batch.count > 0) this.#write()
    for (const { handle, path } of this.#segments) await syncLater(handle, path)
    this.#checkOpen()
    const { writer, owner } = this.#options
    const { jobId, generation } = owner
    const next: Commit = {
      sequence: this.#commit.sequence + 1,
      writer,
      owner,
      marker: { jobId, generation, epoch },
      end: this.#nextOffset,
      segments: this.#segments.filter(({ named }) => !named).map(({ base, file }) => ({ base, file })),
    }
    if (!createCommit(this.#directory, next)) throw fenced(this.#options)
    this.#commit = next
    for (const segment of this.#segments) segment.named = true
    for (const { handle } of this.#segments.splice(0, this.#segments.length - 1)) closeFile(handle)
  }

  /** Throws STORE_FENCED when the partition has another owner. */
  check(): void {
    if (newestCommit(this.#directory)?.owner.nonce !== this.#options.owner.nonce) throw fenced(this.#options)
  }

  /** Closes files. What was not committed is gone, and nothing is committed any more: of its epoch, a part is missing. */
  close(): void {
    this.#closed = true
    for (const { handle } of this.#segments.splice(0)) closeFile(handle)
  }

  #checkOpen(): void {
    if (!this.#closed) return
    throw new MillraceError(
      'SINK_FAILED',
      `the results of ${this.#options.writer} were let go in the middle of an epoch`,
    )
  }

  #write(): void {
    const records = this.#batch.count
    const bytes = this.#batch.finish(this.#nextOffset)
    let segment = this.#segments.at(-1)
    const { segmentBytes = SEGMENT_BYTES } = this.#options
    if (segment === undefined || segment.size + bytes.length > segmentBytes) {
      const base = this.#nextOffset
      const file = ownFile(this.#owned, base)
      const path = join(this.#directory, file)
      segment = { base, file, path, handle: openToWrite(path), size: 0, named: false }
      this.#segments.push(segment)
    }
    writeNow(segment.handle, bytes, segment.size, segment.path)
    segment.size += bytes.length
    this.#nextOffset += records
  }
}

/** The partition that `writer` has; undefined while it has none. */
function findPartition({ root, topic, writer }: OutboxPartitionOptions): number | undefined {
  const { partitions } = describeTopic(root, topic)
  for (let partition = 0; partition < partitions; partition++)
    if (newestCommit(partitionPath(root, topic, partition))?.writer === writer) return partition
  return undefined
}

/** Takes a partition for good that nobody writes, an empty one if there is one. */
function claim(options: OutboxPartitionOptions): number {
  const { root, topic } = options
  const lock = lockClaims(root, topic)
  try {
    const found = findPartition(options)
    if (found !== undefined) return found
    const all = Array.from({ length: describeTopic(root, topic).partitions }, (_, partition) => partition)
    const isEmpty = (partition: number) => (listSegments(partitionPath(root, topic, partition)) ?? []).length === 0
    for (const partition of [...all.filter(isEmpty), ...all.filter((one) => !isEmpty(one))]) {
      const held = tryLock(root, topic, partition)
      if (held === undefined) continue
      try {
        begin(partition, options)
        return partition
      } finally {
        remove(held)
      }
    }
    throw new MillraceError(
      'LEASE_HELD',
      `each of the ${all.length} partitions of topic ${topic} of the embedded log has a writer: write another topic`,
    )
  } finally {
    remove(lock)
  }
}

function tryLock(root: string, topic: string, partition: number): string | undefined {
  try {
    return lockPartition(root, topic, partition)
  } catch (error) {
    if (MillraceError.from(error).code !== 'LEASE_HELD') throw error
    return undefined
  }
}

/** The first commit: what there is already stays readable. */
function begin(partition: number, { root, topic, writer, owner }: OutboxPartitionOptions): void {
  const directory = partitionPath(root, topic, partition)
  const before = new PartitionWriter(directory, partition, SEGMENT_BYTES, 'flush')
  before.close()
  const end = before.nextOffset
  // A segment without records would have the name of the first one of ours.
  if (listSegments(directory)?.at(-1) === end) remove(segmentPath(directory, end))
  createCommit(directory, { sequence: 1, writer, owner, marker: null, end, segments: [] })
}

/** The next commit, by which `owner` takes the partition. */
function takeOver(directory: string, options: OutboxPartitionOptions): Commit {
  const { owner } = options
  for (;;) {
    const before = newestCommit(directory)
    invariant(before !== undefined, `no commit in ${directory}`)
    if (before.owner.jobId === owner.jobId && before.owner.generation > owner.generation) throw fenced(options)
    const commit = { ...before, sequence: before.sequence + 1, owner }
    if (createCommit(directory, commit)) return commit
  }
}

function fenced({ topic, writer, owner }: OutboxPartitionOptions): MillraceError {
  return new MillraceError(
    'STORE_FENCED',
    `generation ${owner.generation} no longer writes the results of ${writer} to log topic ${topic}: another owner does`,
  )
}
