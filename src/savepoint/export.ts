/**
 * Copies a checkpoint out of its store into a savepoint.
 *
 * Owns: the order (blobs, then the manifest), bounded memory, and checking every page on the way: a savepoint that exists
 * can be read. Does not own: that the checkpoint stays in the store meanwhile (coordinator/job-savepoints.ts).
 */
import { type CheckpointManifest, chunksOf } from '../checkpoint/manifest.ts'
import { pageCount } from '../checkpoint/snapshot.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { MillraceError } from '../core/errors.ts'
import { crc32c } from '../event/crc32c.ts'
import {
  blobName,
  encodeSavepoint,
  type Savepoint,
  type SavepointBlob,
  type SavepointFacts,
  withChunkKeys,
} from './savepoint.ts'
import type { SavepointWriter } from './store.ts'

/** Chunks in memory at a time, of about 1 MB each. */
const LANES = 4

interface PagePlace {
  readonly offset: number
  readonly length: number
  readonly crc: number
  readonly name: string
}

/**
 * Writes `manifest` with all its chunks, and commits. Sinks must have applied its outbox, and all before it: what they have
 * is no part of a savepoint, so that whoever begins from it gives nothing out again. Rejects SAVEPOINT_FAILED when the store lacks a chunk or has damaged
 * one, and with what the writer rejects with; the writer is abandoned then.
 */
export async function exportSavepoint(
  complete: CheckpointManifest,
  facts: SavepointFacts,
  chunks: ChunkReader,
  writer: SavepointWriter,
): Promise<Savepoint> {
  try {
    const manifest = withoutOutbox(complete)
    const refs = chunksOf(manifest)
    const pages = pagesByChunk(manifest)
    const blobs: SavepointBlob[] = new Array(refs.length)
    const names = new Map(refs.map(({ key }, index) => [key, blobName(index)]))
    const work = refs.entries()
    const lane = async (): Promise<void> => {
      for (const [index, { key, sizeBytes }] of work) {
        const bytes = await chunks.readChunk(key)
        if (bytes === undefined) throw lacking(manifest, `chunk ${key} is not in the store any more`)
        if (bytes.length !== sizeBytes)
          throw lacking(manifest, `chunk ${key} has ${bytes.length} bytes, not ${sizeBytes}`)
        for (const page of pages.get(key) ?? []) {
          if (crc32c(bytes, page.offset, page.offset + page.length) !== page.crc) {
            throw lacking(manifest, `the checksum of ${page.name} in chunk ${key} is wrong`)
          }
        }
        const name = blobName(index)
        await writer.putBlob(name, bytes)
        blobs[index] = { name, sizeBytes, crc: crc32c(bytes) }
      }
    }
    // All lanes end before anything is given up: none may write into a folder that is being removed.
    const ends = await Promise.allSettled(Array.from({ length: Math.min(LANES, refs.length) }, lane))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const savepoint = { ...facts, blobs, checkpoint: withChunkKeys(manifest, (key) => names.get(key)!) }
    await writer.commit(encodeSavepoint(savepoint))
    return savepoint
  } catch (thrown) {
    await writer.abandon()
    throw thrown
  }
}

function withoutOutbox(manifest: CheckpointManifest): CheckpointManifest {
  return { ...manifest, owed: [], subtasks: manifest.subtasks.map((snapshot) => ({ ...snapshot, outbox: [] })) }
}

function pagesByChunk(manifest: CheckpointManifest): Map<string, PagePlace[]> {
  const places = new Map<string, PagePlace[]>()
  for (const { pages } of manifest.subtasks) {
    for (let i = 0; i < pageCount(pages); i++) {
      const { key } = pages.chunks[pages.chunkIndex[i]!]!
      const name = `page ${pages.pageNumber[i]} of table ${pages.tables[pages.tableIndex[i]!]}`
      const place = { offset: pages.offset[i]!, length: pages.length[i]!, crc: pages.crc32c[i]!, name }
      const list = places.get(key)
      if (list === undefined) places.set(key, [place])
      else list.push(place)
    }
  }
  return places
}

function lacking({ checkpointId, jobName }: CheckpointManifest, why: string): MillraceError {
  return new MillraceError('SAVEPOINT_FAILED', `checkpoint ${checkpointId} of job ${jobName} cannot be copied: ${why}`)
}
