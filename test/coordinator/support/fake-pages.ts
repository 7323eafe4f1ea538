/**
 * The pages of a fake window subtask: a few of them change between checkpoints and are written to a new chunk, the
 * others stay where they were. What the coordinator deletes too early shows when a checkpoint is restored.
 */
import { type ChunkRef, PageListBuilder, type SubtaskSnapshot } from '../../../src/checkpoint/snapshot.ts'
import type { ChunkWriter } from '../../../src/checkpoint/store.ts'
import { nextBelow, type Random } from '../../../src/core/clock.ts'
import { crc32c } from '../../../src/event/crc32c.ts'

const PAGES = 4
const PAGE_BYTES = 8
const PAGE_CRC = crc32c(new Uint8Array(PAGE_BYTES))

/** The pages of one subtask in one attempt. */
export class FakePages {
  /** Chunk of each page; null when it must be written. */
  readonly #chunks: (string | null)[] = Array.from({ length: PAGES }, () => null)
  #unreported: ChunkRef[] = []
  #sequence = 0

  constructor(restored: SubtaskSnapshot | undefined) {
    restored?.pages.pageNumber.forEach((page, i) => {
      this.#chunks[page] = restored.pages.chunks[restored.pages.chunkIndex[i]!]!.key
    })
  }

  /** Pages in these chunks are to be written anew. */
  rewrite(keys: readonly string[]): void {
    this.#chunks.forEach((chunk, page) => {
      if (chunk !== null && keys.includes(chunk)) this.#chunks[page] = null
    })
  }

  /** Writes what changed and lists all pages. Rejects when it cannot be written; it is written again next time. */
  async snapshot(
    store: ChunkWriter,
    prefix: string,
    subtask: number,
    random: Random,
  ): Promise<Pick<SubtaskSnapshot, 'pages' | 'written'>> {
    const key = `${prefix}.window.${subtask}.${++this.#sequence}`
    this.#chunks.forEach((chunk, page) => {
      if (chunk === null || nextBelow(random, 3) === 0) this.#chunks[page] = key
    })
    const listed = [...this.#chunks]
    if (listed.includes(key)) {
      try {
        await store.putChunk(key, new Uint8Array(PAGES * PAGE_BYTES))
      } catch (error) {
        this.rewrite([key])
        throw error
      }
      this.#unreported.push({ key, sizeBytes: PAGES * PAGE_BYTES })
    }
    const builder = new PageListBuilder()
    listed.forEach((chunk, page) => {
      builder.add('t', -1, page, 1, { chunk: chunk!, offset: page * PAGE_BYTES, length: PAGE_BYTES, crc: PAGE_CRC })
    })
    const written = this.#unreported
    this.#unreported = []
    return { pages: builder.build(() => PAGES * PAGE_BYTES), written }
  }
}
