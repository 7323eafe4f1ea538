/**
 * Reads one partition from an offset on, a buffer of whole batches at a time: the "fetch" of the embedded log.
 *
 * Owns: finding the segment of an offset, stepping from segment to segment, the two buffers. Does not own: what is in the
 * batches, when to fetch (source/log-source.ts).
 * Invariants: a buffer holds whole batches only, in the order of their offsets; the one handed out is not written to
 * until it is given back by `take`. A segment is left only when the next exists and nothing is left in it. Nothing is read
 * that is not committed, where there are commits (commits.ts).
 */
import type { MillraceError } from '../core/errors.ts'
import { BATCH_HEADER_SIZE, BATCH_LENGTH_END, batchNextOffset, batchSize } from '../event/record-batch.ts'
import { type Commit, newestCommit, openSegment, type PartitionView, viewPartition } from './commits.ts'
import { closeFile, type FileHandle, fileSize, readLater } from './log-files.ts'
import { positionBeyondEnd, positionLost } from './position-lost.ts'
import { HeaderWalk, listSegments, logCorrupt, segmentPath } from './segments.ts'
import { logTopicNotFound, partitionPath } from './topic.ts'

/** A buffer of whole batches. */
interface Region {
  bytes: Uint8Array
  end: number
}

/** Fetches one partition. At most one fetch is under way and one result waits. */
export class PartitionFetcher {
  /** True while a fetch is under way. */
  fetching = false
  /** True when the result of a fetch waits for `take`. */
  ready = false
  readonly #root: string
  readonly #topic: string
  readonly #partition: number
  readonly #directory: string
  #offset: number
  #file: FileHandle | undefined
  #path = ''
  #segment = -1
  #position = 0
  /** Offset at which reading stops for now: of what is committed, or of the segment; beyond every one without commits. */
  #limit = Number.POSITIVE_INFINITY
  #current: Region = { bytes: new Uint8Array(0), end: 0 }
  #spare: Region = { bytes: new Uint8Array(0), end: 0 }
  #bufferBytes: number
  #closed = false

  constructor(root: string, topic: string, partition: number, offset: number, bufferBytes: number) {
    this.#root = root
    this.#topic = topic
    this.#partition = partition
    this.#directory = partitionPath(root, topic, partition)
    this.#offset = offset
    this.#bufferBytes = Math.max(bufferBytes, BATCH_HEADER_SIZE)
  }

  /** Offset after the last batch fetched. */
  get fetchedOffset(): number {
    return this.#offset
  }

  /**
   * Starts a fetch if the log holds more whole batches; false when it does not, now. `done` is called later, once
   * `ready` is true, or with what went wrong. Throws POSITION_LOST, TOPIC_NOT_FOUND, LOG_CORRUPT.
   */
  fetch(done: (error: MillraceError | undefined) => void): boolean {
    if (this.fetching || this.ready || this.#closed) return false
    if (this.#file === undefined && !this.#open()) return false
    let left = this.#left()
    while (left <= 0) {
      if (!this.#openNext()) return false
      left = this.#left()
    }
    this.#read(Math.min(left, this.#bufferBytes), done)
    return true
  }

  /** Bytes of the open segment that may be read and have not been; none beyond the limit. */
  #left(): number {
    return this.#offset < this.#limit ? fileSize(this.#file!) - this.#position : 0
  }

  /** Hands out the fetched batches, `bytes[0 .. end)`; they stay until `take` is called again. */
  take(): Region {
    const region = this.#spare
    this.#spare = this.#current
    this.#current = region
    this.ready = false
    return region
  }

  /** Closes the file, at the end of a fetch that is under way. */
  close(): void {
    this.#closed = true
    this.ready = false
    if (!this.fetching) this.#closeFile()
  }

  #read(length: number, done: (error: MillraceError | undefined) => void): void {
    const region = this.#spare
    if (region.bytes.length < length) region.bytes = new Uint8Array(Math.max(length, this.#bufferBytes))
    this.fetching = true
    readLater(this.#file!, region.bytes, length, this.#position, (bytesRead, error) => {
      this.fetching = false
      if (this.#closed) {
        this.#closeFile()
        return
      }
      if (error !== undefined) {
        done(error)
        return
      }
      const needed = this.#keepWhole(region, bytesRead)
      if (region.end > 0) {
        this.ready = true
        done(undefined)
      } else if (needed > length && needed <= fileSize(this.#file!) - this.#position) {
        // One batch larger than the buffer, and all of it is there.
        this.#bufferBytes = Math.max(this.#bufferBytes, needed)
        this.#read(needed, done)
      } else {
        done(this.#tornBeforeNext(bytesRead))
      }
    })
  }

  /** LOG_CORRUPT when the segment ends in part of a batch although the next one exists. */
  #tornBeforeNext(bytesRead: number): MillraceError | undefined {
    const next = listSegments(this.#directory)?.find((segment) => segment > this.#segment)
    if (next === undefined || fileSize(this.#file!) !== this.#position + bytesRead) return undefined
    return logCorrupt(this.#path, this.#position, `it ends in the middle of a batch and the next begins at ${next}`)
  }

  /** Ends the region after its last whole batch; returns the size of the first one that is cut off, as it says. */
  #keepWhole(region: Region, length: number): number {
    const { bytes } = region
    let at = 0
    let needed = BATCH_HEADER_SIZE
    while (length - at >= BATCH_HEADER_SIZE && this.#offset < this.#limit) {
      const size = batchSize(bytes, at)
      if (size < BATCH_LENGTH_END + 1) {
        // Nonsense: hand it out, so that the reader says what is wrong with it.
        region.end = length
        this.#position += length
        return 0
      }
      if (size > length - at) {
        needed = size
        break
      }
      this.#offset = batchNextOffset(bytes, at)
      at += size
    }
    region.end = at
    this.#position += at
    return needed
  }

  /** Opens the segment that holds the offset and finds its batch; false when the partition has no segment yet. */
  #open(): boolean {
    const view = viewPartition(this.#directory)
    if (view === undefined) throw logTopicNotFound(this.#root, this.#topic)
    const { segments, commit } = view
    const earliest = segments[0]
    if (earliest === undefined) {
      if (this.#offset > 0) throw positionBeyondEnd(this.#topic, this.#partition, this.#offset, 0)
      return false
    }
    if (this.#offset < earliest) throw positionLost(this.#topic, this.#partition, this.#offset, earliest)
    const base = segments.findLast((segment) => segment <= this.#offset)!
    const limit = limitOf(base, segments, commit)
    // A listing may miss the newest commit: look again before saying that something is lost.
    if (this.#offset > limit && this.#offset > (newestCommit(this.#directory)?.end ?? 0))
      throw positionBeyondEnd(this.#topic, this.#partition, this.#offset, limit)
    const path = segmentPath(this.#directory, base)
    const file = openSegment(this.#directory, base, commit)
    // Deleted since it was listed: look again next time.
    if (file === undefined) return false
    try {
      const walk = new HeaderWalk(file, path, 0, base)
      let position = 0
      while (walk.offset <= this.#offset && walk.next()) position = walk.batchPosition
      if (walk.offset <= this.#offset) {
        if (walk.offset < this.#offset) {
          throw positionBeyondEnd(this.#topic, this.#partition, this.#offset, walk.offset)
        }
        position = walk.position
      }
      this.#position = position
    } catch (error) {
      closeFile(file)
      throw error
    }
    this.#file = file
    this.#path = path
    this.#segment = base
    this.#limit = limit
    return true
  }

  /** Goes to the next segment if there is one and nothing came in meanwhile; false when there is none. */
  #openNext(): boolean {
    const view = viewPartition(this.#directory)
    if (view === undefined) throw logTopicNotFound(this.#root, this.#topic)
    const { segments, commit } = view
    if (commit !== undefined) return this.#goOn(view)
    const next = segments.find((segment) => segment > this.#segment)
    if (next === undefined) return false
    // The writer ends a segment before it begins the next: what there is now is all there will be.
    if (fileSize(this.#file!) > this.#position) return true
    if (next > this.#offset) {
      if (segments[0]! > this.#offset) throw positionLost(this.#topic, this.#partition, this.#offset, segments[0]!)
      throw logCorrupt(this.#path, this.#position, `it ends at offset ${this.#offset} and the next begins at ${next}`)
    }
    this.#closeFile()
    return this.#open()
  }

  /** As `#openNext`, in a partition with commits: files grow in secret, and a segment is over where the next begins. */
  #goOn({ commit, segments }: PartitionView): boolean {
    this.#limit = limitOf(this.#segment, segments, commit)
    if (this.#left() > 0) return true
    if (this.#offset >= (commit?.end ?? 0)) return false
    this.#closeFile()
    if (!this.#open()) return false
    if (this.#left() > 0) return true
    if (this.#offset >= this.#limit) return false
    throw logCorrupt(this.#path, this.#position, `it ends before offset ${this.#limit}, to which it is committed`)
  }

  #closeFile(): void {
    if (this.#file !== undefined) closeFile(this.#file)
    this.#file = undefined
  }
}

/** Offset at which reading the segment that begins at `base` stops. */
function limitOf(base: number, segments: readonly number[], commit: Commit | undefined): number {
  if (commit === undefined) return Number.POSITIVE_INFINITY
  return Math.min(commit.end, segments.find((other) => other > base) ?? commit.end)
}
