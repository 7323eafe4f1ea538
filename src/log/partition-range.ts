/**
 * Where a partition begins and ends, as its files say now.
 *
 * Owns: finding the end without reading records, and not walking the same headers twice. Does not own: files (log-files.ts),
 * commits (commits.ts).
 */
import { viewPartition } from './commits.ts'
import { closeFile, fileSize, openToRead } from './log-files.ts'
import { HeaderWalk, segmentPath } from './segments.ts'

/** First and last offsets of a partition, as its files say now. */
export interface PartitionRange {
  readonly earliest: number
  /** Offset after the last whole batch; of a partition with commits, after the last committed one. */
  readonly end: number
}

/** Follows the range of a partition directory, walking only over what is new. */
export class RangeTracker {
  readonly #directory: string
  #segment = -1
  #position = 0
  #end = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  /** The range now. Reads the headers that were added since the last call. */
  range(): PartitionRange | undefined {
    const view = viewPartition(this.#directory)
    if (view === undefined) return undefined
    const { segments, commit } = view
    if (commit !== undefined) {
      // A listing may be behind: what was committed stays so.
      this.#end = Math.max(this.#end, commit.end)
      return { earliest: segments[0] ?? commit.end, end: this.#end }
    }
    const last = segments.at(-1)
    if (last === undefined) return { earliest: 0, end: 0 }
    if (last !== this.#segment) {
      this.#segment = last
      this.#position = 0
      this.#end = last
    }
    const path = segmentPath(this.#directory, last)
    const file = openToRead(path)
    if (file === undefined) return { earliest: segments[0]!, end: this.#end }
    try {
      if (fileSize(file) < this.#position) {
        // Cut by a recovery: what was seen is gone.
        this.#position = 0
        this.#end = last
      }
      const walk = new HeaderWalk(file, path, this.#position, this.#end)
      while (walk.next());
      this.#position = walk.position
      this.#end = walk.offset
    } finally {
      closeFile(file)
    }
    return { earliest: segments[0]!, end: this.#end }
  }
}
