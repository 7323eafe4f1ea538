/**
 * What a subtask hands over at a barrier: plain data that crosses threads, also the form in which it gets it back.
 *
 * Owns: the shapes. Does not own: how pages get their bytes into chunks (chunk-writer.ts), how snapshots become a
 * manifest (manifest-merge.ts), what a page means (state/).
 *
 * Every snapshot lists ALL live pages of its subtask. A page that did not change carries the location at which it was
 * written before; the subtask remembers it. So a manifest is the concatenation of its snapshots and never needs the one
 * before it to be understood.
 */
import type { PageLocation } from '../state/pages.ts'

/** A chunk by name, with its size in bytes. */
export interface ChunkRef {
  readonly key: string
  readonly sizeBytes: number
}

/** The live pages of a subtask, as columns of equal length: entry i of each describes page i. */
export interface PageList {
  /** Table ids that `tableIndex` refers to. */
  readonly tables: readonly string[]
  /** Chunks that `chunkIndex` refers to. */
  readonly chunks: readonly ChunkRef[]
  readonly tableIndex: Uint32Array
  /** -1 for a page with rows of several key groups. */
  readonly keyGroup: Int32Array
  /** Number of the page within its table and subtask. */
  readonly pageNumber: Uint32Array
  readonly rowCount: Uint32Array
  readonly chunkIndex: Uint32Array
  /** First byte within the chunk. */
  readonly offset: Uint32Array
  /** Bytes. */
  readonly length: Uint32Array
  /** CRC-32C of the bytes. */
  readonly crc32c: Uint32Array
}

/** The position of one partition at a barrier, with the state of its watermark generator. */
export interface SplitSnapshot {
  readonly partition: number
  /** Offset of the next record to read. */
  readonly offset: number
  /** Bounded runs: the first offset not to read; Infinity when unbounded. */
  readonly stopOffset: number
  readonly topicId: string
  /** The reader's `splitState`; '' when there is none. */
  readonly state: string
  /** Greatest event time seen; -Infinity before the first event. */
  readonly maxTimestampMs: number
}

/** A block of an outbox (sink/outbox-block.ts): one chunk, whole. */
export interface OutboxBlock {
  readonly chunk: ChunkRef
  /** Checkpoint whose barrier ended it. One of a completed checkpoint is not said again: the manifest leaves it out. */
  readonly epoch: number
  readonly records: number
  /** CRC-32C of the bytes. */
  readonly crc32c: number
}

/** What one subtask has to say to one sink, in order. */
export interface OutboxPart {
  /** Id of the sink within the job (job/delivery.ts). */
  readonly sink: string
  readonly blocks: readonly OutboxBlock[]
}

/** The state of one subtask of one operator at a barrier. */
export interface SubtaskSnapshot {
  readonly operatorId: string
  readonly subtask: number
  /** Subtasks of the operator when this was taken. */
  readonly parallelism: number
  /** Current watermark, epoch ms; -Infinity and Infinity at the ends. */
  readonly watermarkMs: number
  /** Small state outside pages, private to the operator. */
  readonly meta: Uint8Array
  /** Event accounting by name; the manifest adds subtasks up. */
  readonly counters: Readonly<Record<string, number>>
  /** Sources only; empty elsewhere. */
  readonly splits: readonly SplitSnapshot[]
  readonly pages: PageList
  /** Records for sinks since the last completed checkpoint, a sink each; those without any are left out. */
  readonly outbox: readonly OutboxPart[]
  /**
   * Every chunk this subtask has put since its last ack, used or not: what no retained checkpoint refers to is freed.
   * Empty in a snapshot that comes from a manifest.
   */
  readonly written: readonly ChunkRef[]
}

/** A PageList without pages. */
export const noPages: PageList = {
  tables: [],
  chunks: [],
  tableIndex: new Uint32Array(0),
  keyGroup: new Int32Array(0),
  pageNumber: new Uint32Array(0),
  rowCount: new Uint32Array(0),
  chunkIndex: new Uint32Array(0),
  offset: new Uint32Array(0),
  length: new Uint32Array(0),
  crc32c: new Uint32Array(0),
}

/** Number of pages in a list. */
export function pageCount(pages: PageList): number {
  return pages.tableIndex.length
}

/** Where page `index` of a list lies, in the form that state keeps it. */
export function pageLocation(pages: PageList, index: number): PageLocation {
  return {
    chunk: pages.chunks[pages.chunkIndex[index]!]!.key,
    offset: pages.offset[index]!,
    length: pages.length[index]!,
    crc: pages.crc32c[index]!,
  }
}

/** Collects pages into a PageList, giving tables and chunks their indexes. */
export class PageListBuilder {
  readonly #tables = new Map<string, number>()
  readonly #chunks = new Map<string, number>()
  /** Seven numbers a page, in the order of PageList's columns, then its CRC. */
  readonly #numbers: number[] = []

  /** Adds one live page. */
  add(table: string, keyGroup: number, pageNumber: number, rowCount: number, at: PageLocation): void {
    this.#numbers.push(
      indexIn(this.#tables, table),
      keyGroup,
      pageNumber,
      rowCount,
      indexIn(this.#chunks, at.chunk),
      at.offset,
      at.length,
      at.crc,
    )
  }

  /** Keys of the chunks that added pages lie in. */
  get chunkKeys(): Iterable<string> {
    return this.#chunks.keys()
  }

  /** The list; `sizeOf` gives the bytes of each chunk. */
  build(sizeOf: (chunkKey: string) => number): PageList {
    const n = this.#numbers
    const count = n.length / 8
    const column = (k: number): Uint32Array => {
      const values = new Uint32Array(count)
      for (let i = 0; i < count; i++) values[i] = n[i * 8 + k]!
      return values
    }
    return {
      tables: [...this.#tables.keys()],
      chunks: [...this.#chunks.keys()].map((key) => ({ key, sizeBytes: sizeOf(key) })),
      tableIndex: column(0),
      keyGroup: new Int32Array(column(1)),
      pageNumber: column(2),
      rowCount: column(3),
      chunkIndex: column(4),
      offset: column(5),
      length: column(6),
      crc32c: column(7),
    }
  }
}

function indexIn(indexes: Map<string, number>, name: string): number {
  let index = indexes.get(name)
  if (index === undefined) {
    index = indexes.size
    indexes.set(name, index)
  }
  return index
}
