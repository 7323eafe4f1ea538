/**
 * Reads pages back and refuses what is not what was written.
 *
 * Owns: fetching each chunk once, bounded concurrency, sizes and checksums. Does not own: which pages a subtask wants
 * (its key groups decide), what a page means (state/).
 */
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import { type PageList, pageCount } from './snapshot.ts'
import type { ChunkReader } from './store.ts'

/** Takes one page; `bytes` is valid during the call only. */
export type PageVisitor = (index: number, bytes: Uint8Array) => void

/**
 * Calls `visit` for every page of `pages` that `wanted` picks: once each, chunk by chunk, in no order beyond that.
 * Rejects with CHECKPOINT_CORRUPT naming chunk and page when something is missing or damaged; `what` names the
 * checkpoint in the message, as `checkpoint 7 of job j`.
 */
export async function readPages(
  reader: ChunkReader,
  what: string,
  pages: PageList,
  wanted: (index: number) => boolean,
  visit: PageVisitor,
  concurrencyMax = 4,
): Promise<void> {
  const byChunk = new Map<number, number[]>()
  for (let i = 0; i < pageCount(pages); i++) {
    if (!wanted(i)) continue
    const chunk = pages.chunkIndex[i]!
    const indexes = byChunk.get(chunk)
    if (indexes === undefined) byChunk.set(chunk, [i])
    else indexes.push(i)
  }
  const work = byChunk.entries()
  const lane = async (): Promise<void> => {
    for (const [chunk, indexes] of work) {
      const ref = pages.chunks[chunk]!
      const bytes = await reader.readChunk(ref.key)
      if (bytes === undefined) throw corrupt(what, `chunk ${ref.key} is missing`)
      if (bytes.length !== ref.sizeBytes) {
        throw corrupt(what, `chunk ${ref.key} has ${bytes.length} bytes instead of ${ref.sizeBytes}`)
      }
      for (const i of indexes) visit(i, pageBytes(what, pages, i, bytes))
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrencyMax, byChunk.size) }, lane))
}

function pageBytes(what: string, pages: PageList, i: number, chunk: Uint8Array): Uint8Array {
  const start = pages.offset[i]!
  const end = start + pages.length[i]!
  const name = `page ${pages.pageNumber[i]} of table ${pages.tables[pages.tableIndex[i]!]}`
  const key = pages.chunks[pages.chunkIndex[i]!]!.key
  if (end > chunk.length) throw corrupt(what, `${name} ends at byte ${end} of chunk ${key}, which has ${chunk.length}`)
  if (crc32c(chunk, start, end) !== pages.crc32c[i])
    throw corrupt(what, `the checksum of ${name} in chunk ${key} is wrong`)
  return chunk.subarray(start, end)
}

function corrupt(what: string, why: string): MillraceError {
  return new MillraceError(
    'CHECKPOINT_CORRUPT',
    `${what} cannot be restored: ${why}. The store has lost or damaged data; restore an older checkpoint`,
  )
}
