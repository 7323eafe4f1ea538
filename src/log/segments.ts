/**
 * Segments: the files that one partition is cut into, named by the offset of their first record.
 *
 * Owns: names, order, and walking batch headers without reading the records between them. Does not own: reading records
 * (partition-fetcher.ts), writing (partition-writer.ts).
 * Invariants: base offsets are contiguous, so the end of one segment is the start of the next; a batch of which the file
 * does not hold all bytes is not there yet.
 */
import { join } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import {
  BATCH_HEADER_SIZE,
  batchBaseOffset,
  batchHeaderFault,
  batchMaxTimestampMs,
  batchNextOffset,
  batchSize,
} from '../event/record-batch.ts'
import { type FileHandle, fileSize, listNames, readNow } from './log-files.ts'

/** Bytes read at a time when only headers matter: one header of a large batch, many of small ones. */
const WINDOW_BYTES = 16_384

/** File name of the segment that starts at `baseOffset`. */
export function segmentName(baseOffset: number): string {
  return `${String(baseOffset).padStart(20, '0')}.log`
}

/** Path of the segment of a partition directory that starts at `baseOffset`. */
export function segmentPath(directory: string, baseOffset: number): string {
  return join(directory, segmentName(baseOffset))
}

/** Base offsets of the segments in a partition directory, ascending; undefined when there is no such directory. */
export function listSegments(directory: string): number[] | undefined {
  const names = listNames(directory)
  return names === undefined ? undefined : segmentsIn(names)
}

/** Base offsets of the segments among the names of a partition directory, ascending. */
export function segmentsIn(names: readonly string[]): number[] {
  const offsets: number[] = []
  for (const name of names) if (/^\d{20}\.log$/.test(name)) offsets.push(Number(name.slice(0, 20)))
  return offsets.sort((a, b) => a - b)
}

/** The LOG_CORRUPT error of a place in a segment. */
export function logCorrupt(path: string, position: number, reason: string): MillraceError {
  return new MillraceError(
    'LOG_CORRUPT',
    `${path} is corrupt at byte ${position}: ${reason}; restore the file from a copy, or delete the topic and load it again`,
  )
}

/**
 * Walks the headers of a segment's whole batches from `position`, where the batch with `offset` starts. CRCs are not
 * checked. Throws LOG_CORRUPT when a header cannot be one.
 */
export class HeaderWalk {
  /** Where the walk stands: the next batch starts here. */
  position: number
  /** Offset that the next batch must start with. */
  offset: number
  /** Of the batch that `next` stepped over. */
  baseOffset = 0
  maxTimestampMs = 0
  batchPosition = 0
  batchBytes = 0
  readonly #file: FileHandle
  readonly #path: string
  readonly #window = new Uint8Array(WINDOW_BYTES)
  #windowStart = 0
  #windowEnd = 0

  constructor(file: FileHandle, path: string, position: number, offset: number) {
    this.#file = file
    this.#path = path
    this.position = position
    this.offset = offset
  }

  /** Steps over the next whole batch; false when there is none (yet). */
  next(): boolean {
    const position = this.position
    if (position < this.#windowStart || position + BATCH_HEADER_SIZE > this.#windowEnd) {
      this.#windowStart = position
      this.#windowEnd = position + readNow(this.#file, this.#window, 0, WINDOW_BYTES, position)
      if (position + BATCH_HEADER_SIZE > this.#windowEnd) return false
    }
    const at = position - this.#windowStart
    const bytes = this.#window
    const fault = bytes[at + 16] === 2 ? batchHeaderFault(bytes, at) : `format version ${bytes[at + 16]}`
    if (fault !== undefined) throw logCorrupt(this.#path, position, fault)
    const size = batchSize(bytes, at)
    if (position + size > this.#windowEnd && position + size > fileSize(this.#file)) return false
    this.baseOffset = batchBaseOffset(bytes, at)
    if (this.baseOffset !== this.offset) {
      throw logCorrupt(this.#path, position, `it holds offset ${this.baseOffset} where ${this.offset} must follow`)
    }
    this.maxTimestampMs = batchMaxTimestampMs(bytes, at)
    this.batchPosition = position
    this.batchBytes = size
    this.offset = batchNextOffset(bytes, at)
    this.position = position + size
    return true
  }
}
