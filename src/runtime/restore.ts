/**
 * Reads a checkpoint back into the tables of one keyed subtask.
 *
 * Owns: choosing between adopting and redistributing. Does not own: fetching and checking pages
 * (checkpoint/page-reader), how tables are rebuilt (operator/table-restore).
 */

import { readPages } from '../checkpoint/page-reader.ts'
import { pageLocation, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { keyGroupRangeOf } from '../core/key-groups.ts'
import { adoptTable, type StoredPage, takeOverRows } from '../operator/table-restore.ts'
import { decodeMeta, type SnapshotTable } from '../operator/table-snapshot.ts'

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
    const pages = await pagesOf(snapshot, reader)
    for (const table of tables) {
      const tableMeta = meta.tables[table.plan.id]
      if (tableMeta === undefined) continue
      if (adopt) adoptTable(table, tableMeta, pages)
      else takeOverRows(table, tableMeta, pages, keyGroupRangeOf(index, keyGroups, parallelism), keyGroups)
    }
  }
  for (const table of tables) {
    if ('markAllSent' in table) table.markAllSent()
    if ('windows' in table) table.restored()
  }
  return adopt ? own : []
}

async function pagesOf(snapshot: SubtaskSnapshot, reader: ChunkReader): Promise<Map<string, StoredPage[]>> {
  const list = snapshot.pages
  const bytes = new Map<number, Uint8Array>()
  const what = `operator ${snapshot.operatorId}, subtask ${snapshot.subtask}`
  // Keys and rows of a table refer to each other: all pages must be there before the first is used.
  await readPages(
    reader,
    what,
    list,
    () => true,
    (index, page) => bytes.set(index, page.slice()),
  )
  const sequences = new Map<string, StoredPage[]>()
  const order = [...bytes.keys()].sort((a, b) => list.pageNumber[a]! - list.pageNumber[b]!)
  for (const i of order) {
    const name = list.tables[list.tableIndex[i]!]!
    const stored = { units: list.rowCount[i]!, bytes: bytes.get(i)!, location: pageLocation(list, i) }
    const sequence = sequences.get(name)
    if (sequence === undefined) sequences.set(name, [stored])
    else sequence.push(stored)
  }
  return sequences
}
