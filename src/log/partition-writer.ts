/**
 * Writes one partition: appends batches to its last segment, starts new segments, deletes old ones.
 *
 * Owns: recovery of a torn tail, segment rolls, retention. Does not own: which process may write (log-writer.ts).
 * Invariants: only whole batches count; offsets are contiguous; a segment is complete before the next one exists; the
 * last segment is never deleted. A write that fails leaves the partition as it was, or unusable until it is opened again.
 */
import { dirname } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import { writeInt64 } from '../event/binary.ts'
import {
  BATCH_HEADER_SIZE,
  batchBaseOffset,
  batchComputedCrc,
  batchHeaderFault,
  batchNextOffset,
  batchSize,
  batchStatedCrc,
} from '../event/record-batch.ts'
import {
  closeFile,
  type FileHandle,
  fileSize,
  makeDirectory,
  modifiedMs,
  openToRead,
  openToWrite,
  readNow,
  remove,
  syncDirectory,
  syncLater,
  syncNow,
  truncateFile,
  writeNow,
} from './log-files.ts'
import { HeaderWalk, listSegments, logCorrupt, segmentPath } from './segments.ts'

/** When what was appended is forced to the disk: never, by each `flush`, or by each batch. */
export type FsyncPolicy = 'never' | 'flush' | 'batch'

/** How much of a partition is kept. The last segment always stays. */
export interface Retention {
  /** Delete the oldest segments while the partition has more bytes than this. */
  readonly bytes?: number
  /** Delete segments that nobody has appended to for so long. */
  readonly ageMs?: number
}

/** What a partition was found to be when it was opened. */
export interface Recovery {
  readonly partition: number
  /** Bytes of an unfinished batch that were cut off the end; 0 nearly always. */
  readonly truncatedBytes: number
}

/** Appends to one partition directory. */
export class PartitionWriter {
  /** Offset that the next record gets. */
  nextOffset: number
  readonly recovery: Recovery
  readonly #directory: string
  readonly #segmentBytes: number
  readonly #fsync: FsyncPolicy
  #file: FileHandle
  #path: string
  #size: number
  #dirty = false
  /** The last sync asked for; each waits for the one before. */
  #syncs: Promise<void> = Promise.resolve()
  #syncing = false
  /** Files to close when the sync that may still use them is over. */
  readonly #retired: FileHandle[] = []
  #failure: MillraceError | undefined

  constructor(directory: string, partition: number, segmentBytes: number, fsync: FsyncPolicy) {
    this.#directory = directory
    this.#segmentBytes = segmentBytes
    this.#fsync = fsync
    makeDirectory(directory)
    const base = listSegments(directory)?.at(-1)
    this.#path = segmentPath(directory, base ?? 0)
    this.#file = openToWrite(this.#path)
    try {
      const size = fileSize(this.#file)
      const whole = recover(this.#file, this.#path, size, base ?? 0)
      this.nextOffset = whole.nextOffset
      this.#size = whole.bytes
      this.recovery = { partition, truncatedBytes: size - whole.bytes }
      if (size > whole.bytes) {
        truncateFile(this.#file, whole.bytes, this.#path)
        if (fsync !== 'never') syncNow(this.#file, this.#path)
      }
    } catch (error) {
      closeFile(this.#file)
      throw error
    }
    if (base === undefined && fsync !== 'never') syncDirectory(directory)
  }

  /**
   * Appends the whole batches in `bytes`, giving them the next offsets (in place: a batch's base offset is outside its
   * CRC). The caller has checked them.
   */
  append(bytes: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#size > 0 && this.#size + bytes.length > this.#segmentBytes) this.#roll()
    let offset = this.nextOffset
    for (let at = 0; at < bytes.length; at += batchSize(bytes, at)) {
      writeInt64(bytes, at, offset)
      offset = batchNextOffset(bytes, at)
    }
    try {
      writeNow(this.#file, bytes, this.#size, this.#path)
    } catch (error) {
      // Part of a batch may be in the file: readers do not see it, and the next append goes over it.
      truncateFile(this.#file, this.#size, this.#path)
      throw error
    }
    this.#size += bytes.length
    this.nextOffset = offset
    this.#dirty = true
    if (this.#fsync === 'batch') {
      syncNow(this.#file, this.#path)
      this.#dirty = false
    }
  }

  /**
   * Makes all that was appended before the call durable, unless the policy is never. One sync runs at a time. After one
   * that failed the writer refuses everything: what the system then still holds of the file is not known.
   */
  sync(): Promise<void> {
    if (this.#fsync === 'never') return Promise.resolve()
    this.#syncs = this.#syncs.then(() => this.#syncOnce())
    return this.#syncs
  }

  async #syncOnce(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (!this.#dirty) return
    this.#dirty = false
    this.#syncing = true
    try {
      await syncLater(this.#file, this.#path)
    } catch (error) {
      this.#failure = MillraceError.from(error)
      throw error
    } finally {
      this.#syncing = false
      for (const file of this.#retired.splice(0)) closeFile(file)
    }
  }

  /** Deletes the segments that `retention` does not keep at `nowMs`; returns the records deleted. */
  retain(retention: Retention, nowMs: number): number {
    const segments = listSegments(this.#directory) ?? []
    const sizes = segments.map((base) => segmentSize(segmentPath(this.#directory, base)))
    let total = sizes.reduce((sum, size) => sum + size, 0)
    let kept = 0
    while (kept < segments.length - 1) {
      const path = segmentPath(this.#directory, segments[kept]!)
      const tooMuch = retention.bytes !== undefined && total > retention.bytes
      const tooOld = retention.ageMs !== undefined && (modifiedMs(path) ?? nowMs) < nowMs - retention.ageMs
      if (!tooMuch && !tooOld) break
      remove(path)
      total -= sizes[kept]!
      kept++
    }
    return kept === 0 ? 0 : segments[kept]! - segments[0]!
  }

  /** Closes the file. Does not sync. */
  close(): void {
    this.#retire(this.#file)
  }

  #retire(file: FileHandle): void {
    if (this.#syncing) this.#retired.push(file)
    else closeFile(file)
  }

  #roll(): void {
    if (this.#fsync !== 'never' && (this.#dirty || this.#syncing)) syncNow(this.#file, this.#path)
    const path = segmentPath(this.#directory, this.nextOffset)
    const file = openToWrite(path)
    this.#retire(this.#file)
    this.#file = file
    this.#path = path
    this.#size = 0
    this.#dirty = false
    if (this.#fsync !== 'never') syncDirectory(dirname(path))
  }
}

function segmentSize(path: string): number {
  const file = openToRead(path)
  if (file === undefined) return 0
  const size = fileSize(file)
  closeFile(file)
  return size
}

/**
 * How far the last segment is whole: header and CRC of every batch. What follows is a torn tail, to be cut off, unless
 * there is a valid batch in it: then it is damage, and LOG_CORRUPT, for cutting there would throw good records away.
 */
function recover(file: FileHandle, path: string, size: number, base: number): { bytes: number; nextOffset: number } {
  const walk = new HeaderWalk(file, path, 0, base)
  let bytes = 0
  let nextOffset = base
  let buffer = new Uint8Array(65_536)
  for (;;) {
    let fault: MillraceError | undefined
    try {
      const whole = walk.next()
      if (!whole) fault = logCorrupt(path, bytes, 'its length goes beyond the end, and whole batches follow it')
    } catch (error) {
      fault = MillraceError.from(error)
    }
    if (fault === undefined) {
      const length = walk.batchBytes
      if (buffer.length < length) buffer = new Uint8Array(length)
      readNow(file, buffer, 0, length, bytes)
      if (batchComputedCrc(buffer, 0) !== batchStatedCrc(buffer, 0)) {
        fault = logCorrupt(path, bytes, 'its CRC-32C is wrong, and whole batches follow it')
      }
    }
    if (fault !== undefined) {
      if (holdsValidBatch(file, bytes, size, nextOffset)) throw fault
      return { bytes, nextOffset }
    }
    bytes = walk.position
    nextOffset = walk.offset
  }
}

/** Whether a whole batch of an offset beyond `afterOffset`, with a valid CRC, starts anywhere between the positions. */
function holdsValidBatch(file: FileHandle, from: number, to: number, afterOffset: number): boolean {
  const rest = new Uint8Array(to - from)
  readNow(file, rest, 0, rest.length, from)
  for (let at = 1; at + BATCH_HEADER_SIZE <= rest.length; at++) {
    // The cheap signs first: format version, and an offset that is not astronomic.
    if (rest[at + 16] !== 2 || rest[at] !== 0 || batchHeaderFault(rest, at) !== undefined) continue
    if (batchBaseOffset(rest, at) <= afterOffset || at + batchSize(rest, at) > rest.length) continue
    if (batchComputedCrc(rest, at) === batchStatedCrc(rest, at)) return true
  }
  return false
}
