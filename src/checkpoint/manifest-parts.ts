/**
 * The parts of a manifest that refer to chunks, in their stored form: pages of state, blocks of outboxes.
 *
 * Owns: the mapping, and the checks that every reference leads somewhere. Does not own: the manifest (manifest.ts).
 */
import { MillraceError } from '../core/errors.ts'
import type { CheckpointOutbox as GenOutbox, CheckpointPages as GenPages } from '../gen/millrace/v1/checkpoint.ts'
import { type ChunkRef, noPages, type OutboxPart, type PageList } from './snapshot.ts'

/** An outbox in its stored form; `indexOf` gives a chunk its place among those of the manifest. */
export function outboxToGen({ sink, blocks }: OutboxPart, indexOf: (chunk: ChunkRef) => number): GenOutbox {
  return {
    sink,
    chunkIndex: blocks.map(({ chunk }) => indexOf(chunk)),
    records: blocks.map(({ records }) => records),
    crc32c: blocks.map((block) => block.crc32c),
  }
}

/** An outbox from its stored form. Throws CHECKPOINT_CORRUPT for what refers to nothing. */
export function outboxFromGen(gen: GenOutbox, epoch: number, chunks: readonly ChunkRef[], what: string): OutboxPart {
  const count = gen.chunkIndex.length
  if (gen.records.length !== count || gen.crc32c.length !== count) {
    throw corrupt(what, `the columns of its outbox for ${gen.sink} differ in length`)
  }
  const blocks = gen.chunkIndex.map((index, i) => {
    const chunk = chunks[index]
    if (chunk === undefined) throw corrupt(what, `block ${i} of its outbox for ${gen.sink} refers to nothing`)
    const { key, sizeBytes } = chunk
    return { chunk: { key, sizeBytes }, epoch, records: gen.records[i]!, crc32c: gen.crc32c[i]! }
  })
  return { sink: gen.sink, blocks }
}

/** Pages in their stored form; `globalChunks` are their chunks among those of the manifest. */
export function pagesToGen(pages: PageList, globalChunks: readonly number[]): GenPages {
  return {
    tableIndex: Array.from(pages.tableIndex),
    keyGroup: Array.from(pages.keyGroup),
    pageNumber: Array.from(pages.pageNumber),
    rowCount: Array.from(pages.rowCount),
    chunkIndex: Array.from(pages.chunkIndex, (local) => globalChunks[local]!),
    offset: Array.from(pages.offset),
    length: Array.from(pages.length),
    crc32c: Array.from(pages.crc32c),
  }
}

/** Pages from their stored form. Throws CHECKPOINT_CORRUPT for what refers to nothing. */
export function pagesFromGen(
  gen: GenPages | undefined,
  tables: readonly string[],
  manifestChunks: readonly ChunkRef[],
  what: string,
): PageList {
  if (gen === undefined || gen.tableIndex.length === 0) return noPages
  const count = gen.tableIndex.length
  for (const column of [
    gen.keyGroup,
    gen.pageNumber,
    gen.rowCount,
    gen.chunkIndex,
    gen.offset,
    gen.length,
    gen.crc32c,
  ]) {
    if (column.length !== count) throw corrupt(what, 'its page columns differ in length')
  }
  const chunks: ChunkRef[] = []
  const local = new Map<number, number>()
  const chunkIndex = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    const table = gen.tableIndex[i]!
    const global = gen.chunkIndex[i]!
    const chunk = manifestChunks[global]
    if (table >= tables.length || chunk === undefined) throw corrupt(what, `page ${i} refers to nothing`)
    if (gen.offset[i]! + gen.length[i]! > chunk.sizeBytes) throw corrupt(what, `page ${i} ends outside its chunk`)
    let index = local.get(global)
    if (index === undefined) {
      index = chunks.push({ key: chunk.key, sizeBytes: chunk.sizeBytes }) - 1
      local.set(global, index)
    }
    chunkIndex[i] = index
  }
  return {
    tables,
    chunks,
    tableIndex: Uint32Array.from(gen.tableIndex),
    keyGroup: Int32Array.from(gen.keyGroup),
    pageNumber: Uint32Array.from(gen.pageNumber),
    rowCount: Uint32Array.from(gen.rowCount),
    chunkIndex,
    offset: Uint32Array.from(gen.offset),
    length: Uint32Array.from(gen.length),
    crc32c: Uint32Array.from(gen.crc32c),
  }
}

/** CHECKPOINT_CORRUPT for a manifest. */
export function corrupt(what: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', `${what} cannot be used: ${why}. Restore an older one`, { cause })
}
