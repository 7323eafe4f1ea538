/**
 * Reads a checkpoint back into the tables of one keyed subtask.
 *
 * Owns: choosing between adopting and redistributing. Does not own: fetching and checking pages
 * (checkpoint/page-reader), how tables are rebuilt (operator/table-restore).
 */

import { readPages } from '../checkpoint/page-reader.ts'
import { pageLocation, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { ChunkReader } from '../checkpoint/store.ts'
import { keyGroupOf, keyGroupRangeOf } from '../core/key-groups.ts'
import type { EventDescriptor } from '../job/state-identity.ts'
import type { TableSource } from '../job/state-match.ts'
import type { Deduplicator } from '../operator/deduplicate.ts'
import { heldTable } from '../operator/held-table.ts'
import { adoptIds, IDS_PREFIX, takeOverIds } from '../operator/id-snapshot.ts'
import { joinTimelines } from '../operator/person-group.ts'
import { isTimelines } from '../operator/person-snapshot.ts'
import { adoptTable, keepClosed, type StoredPage, type StoredPages, takeOverRows } from '../operator/table-restore.ts'
import { decodeMeta, type SnapshotTable, tableMetaOf } from '../operator/table-snapshot.ts'

/**
 * Fills `tables` of subtask `index` from the snapshots of its operator; `sources` says, by table of the plan, which tables
 * of the checkpoint go on in it. Resolves to the snapshots whose chunks the
 * subtask goes on referring to (its own, at the same parallelism). Throws CHECKPOINT_CORRUPT, STATE_INCOMPATIBLE.
 */
export async function restoreTables(
  tables: readonly SnapshotTable[],
  sources: readonly (readonly TableSource[])[],
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
    const pages = await pagesOf(snapshot, reader, (name) => !name.startsWith(IDS_PREFIX))
    const uses = tables.flatMap((table) => (sources[table.index] ?? []).map((source) => ({ table, source })))
    for (const [use, { table, source }] of uses.entries()) {
      const tableMeta = tableMetaOf(meta, source.held.id)
      if (tableMeta === undefined) continue
      const { timelinesOf } = tableMeta
      const held = heldTable(source, table)
      // Whoever takes pages may write on them, or give their memory away.
      const shared = uses.slice(use + 1).some((later) => later.source.held.id === held.id)
      const own = shared || timelinesOf !== undefined ? copiesOf(pages, held.id, timelinesOf) : pages
      if (adopt && held.same && sources[table.index]!.length === 1) adoptTable(table, tableMeta, own, held)
      else takeOverRows(table, tableMeta, own, held, keyGroupRangeOf(index, keyGroups, parallelism), keyGroups)
      keepClosed(table, tableMeta, held, snapshot.watermarkMs)
    }
  }
  joinTimelines(tables.filter((table) => 'timelines' in table))
  for (const table of tables) {
    if ('markAllSent' in table) table.markAllSent()
    if ('windows' in table) table.restored()
  }
  return adopt ? own : []
}

/**
 * Fills the ids of subtask `index` from the snapshots of its operator, those that are ids of the same field and keys of
 * `event` still. Throws CHECKPOINT_CORRUPT.
 */
export async function restoreIds(
  { plan, ids }: Deduplicator,
  event: EventDescriptor,
  snapshots: readonly SubtaskSnapshot[],
  index: number,
  parallelism: number,
  keyGroups: number,
  reader: ChunkReader,
): Promise<void> {
  const own = snapshots.filter((snapshot) => snapshot.parallelism === parallelism && snapshot.subtask === index)
  const same = snapshots.every((snapshot) => snapshot.parallelism === parallelism)
  const range = keyGroupRangeOf(index, keyGroups, parallelism)
  for (const snapshot of same ? own : snapshots) {
    const { dedupe, event: held } = decodeMeta(snapshot.meta)
    if (dedupe?.descriptor.by !== plan.by || JSON.stringify(held) !== JSON.stringify(event)) continue
    const pages = await pagesOf(snapshot, reader, (name) => name.startsWith(IDS_PREFIX))
    if (same && dedupe.descriptor.withinMs === plan.withinMs) adoptIds(ids, dedupe, pages)
    else
      takeOverIds(ids, dedupe, pages, (keyHash) => {
        const group = keyGroupOf(keyHash, keyGroups)
        return group >= range.start && group <= range.end
      })
  }
}

/** The pages of one table, with bytes of their own. */
function copiesOf(pages: StoredPages, table: string, timelinesOf = table): StoredPages {
  const isOwn = (name: string): boolean => name.startsWith(`${table}/`) || isTimelines(timelinesOf, name)
  const own = [...pages].filter(([name]) => isOwn(name))
  return new Map(own.map(([name, all]) => [name, all.map((page) => ({ ...page, bytes: page.bytes.slice() }))]))
}

async function pagesOf(
  snapshot: SubtaskSnapshot,
  reader: ChunkReader,
  wanted: (sequence: string) => boolean,
): Promise<Map<string, StoredPage[]>> {
  const list = snapshot.pages
  const bytes = new Map<number, Uint8Array>()
  const what = `operator ${snapshot.operatorId}, subtask ${snapshot.subtask}`
  // Keys and rows of a table refer to each other: all pages must be there before the first is used.
  await readPages(
    reader,
    what,
    list,
    (i) => wanted(list.tables[list.tableIndex[i]!]!),
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
