/**
 * Reads a checkpoint back into the tables of one keyed subtask.
 *
 * Owns: fetching chunks, checking pages, choosing between adopting and redistributing. Does not own: how tables are
 * rebuilt (operator/table-restore).
 */
import { MillraceError } from '../core/errors.ts'
import { keyGroupRangeOf } from '../core/key-groups.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { pageCount, pageLocation, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { crc32c } from '../event/crc32c.ts'
import { adoptTable, type StoredPage, takeOverRows } from '../operator/table-restore.ts'
import { decodeMeta, type SnapshotTable } from '../operator/table-snapshot.ts'

/** Chunks read at once. */
const READS_MAX = 8

/**
 * Fills `tables` of subtask `index` from the snapshots of its operator. Resolves to the snapshots whose chunks the
 * subtask goes on referring to (its own, at the same parallelism). Throws CHECKPOINT_CORRUPT, STATE_INCOMPATIBLE.
 */
export async function restoreTables(
  tables: readonly SnapshotTable[],
  snapshots: readonly SubtaskSnapshot[],
  index: number,
  parallelism: number,
  keyGroups: number,
  reader: ChunkReader,
): Promise<readonly SubtaskSnapshot[]> {
  const own = snapshots.filter((snapshot) => snapshot.parallelism === parallelism && snapshot.subtask === index)
  const adopt = snapshots.every((snapshot) => snapshot.parallelism === parallelism)
  for (const snapshot of adopt ? own : snapshots) {
    const meta = decodeMeta(snapshot.meta)
    const pages = await readPages(snapshot, reader)
    for (const table of tables) {
      const tableMeta = meta.tables[table.plan.id]
      if (tableMeta === undefined) continue
      if (adopt) adoptTable(table, tableMeta, pages)
      else takeOverRows(table, tableMeta, pages, keyGroupRangeOf(index, keyGroups, parallelism), keyGroups)
    }
  }
  for (const table of tables) if ('markAllSent' in table) table.markAllSent()
  return adopt ? own : []
}

async function readPages(snapshot: SubtaskSnapshot, reader: ChunkReader): Promise<Map<string, StoredPage[]>> {
  const list = snapshot.pages
  const chunks = await readChunks(list.chunks.map((chunk) => chunk.key), reader)
  const sequences = new Map<string, StoredPage[]>()
  const order = Array.from({ length: pageCount(list) }, (_, i) => i).sort((a, b) => list.pageNumber[a]! - list.pageNumber[b]!)
  for (const i of order) {
    const location = pageLocation(list, i)
    const bytes = chunks.get(location.chunk)!.subarray(location.offset, location.offset + location.length)
    if (bytes.length !== location.length || crc32c(bytes, 0, bytes.length) !== location.crc) {
      throw new MillraceError(
        'CHECKPOINT_CORRUPT',
        `a page in chunk ${location.chunk} is not what was written: restore the store from a backup, or start anew`,
      )
    }
    const name = list.tables[list.tableIndex[i]!]!
    const stored = { units: list.rowCount[i]!, bytes, location }
    const sequence = sequences.get(name)
    if (sequence === undefined) sequences.set(name, [stored])
    else sequence.push(stored)
  }
  return sequences
}

async function readChunks(keys: readonly string[], reader: ChunkReader): Promise<Map<string, Uint8Array>> {
  const chunks = new Map<string, Uint8Array>()
  let next = 0
  const read = async (): Promise<void> => {
    while (next < keys.length) {
      const key = keys[next++]!
      const bytes = await reader.readChunk(key)
      if (bytes === undefined) {
        throw new MillraceError(
          'CHECKPOINT_CORRUPT',
          `chunk ${key} of the checkpoint is not in the store: restore the store from a backup, or start anew`,
        )
      }
      chunks.set(key, bytes)
    }
  }
  await Promise.all(Array.from({ length: Math.min(READS_MAX, keys.length) }, read))
  return chunks
}
