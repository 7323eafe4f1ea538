/**
 * Leaves state out of a checkpoint by name: operators, and tables of windows.
 *
 * Pure. What is not named stays; a name that nothing has is an error, so that a slip of the pen drops nothing.
 */
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import {
  type PageList,
  PageListBuilder,
  pageCount,
  pageLocation,
  type SubtaskSnapshot,
} from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { decodeMeta } from '../operator/table-snapshot.ts'

/**
 * The manifest without the state that `names` name: operators by id, tables by id or `operator/id`. INPUT_INVALID for a
 * name that nothing has, and for an operator with positions.
 */
export function dropState(manifest: CheckpointManifest, names: readonly string[]): CheckpointManifest {
  if (names.length === 0) return manifest
  const left = new Set(names)
  const subtasks: SubtaskSnapshot[] = []
  for (const snapshot of manifest.subtasks) {
    if (names.includes(snapshot.operatorId)) {
      if (snapshot.splits.length > 0) throw positions(snapshot.operatorId)
      left.delete(snapshot.operatorId)
    } else subtasks.push(withoutTables(snapshot, names, left))
  }
  if (left.size === 0) return { ...manifest, subtasks }
  const there = [...new Set(manifest.subtasks.flatMap((s) => [s.operatorId, ...tablesOf(s)]))]
  throw new MillraceError(
    'INPUT_INVALID',
    `there is no state ${JSON.stringify([...left][0])} to drop; there is that of ${there.join(', ')}`,
  )
}

/** Ids of the tables of a subtask; none where its meta is not of tables. */
export function tablesOf(snapshot: SubtaskSnapshot): readonly string[] {
  return Object.keys(metaOf(snapshot)?.tables ?? {})
}

function withoutTables(snapshot: SubtaskSnapshot, names: readonly string[], left: Set<string>): SubtaskSnapshot {
  const meta = metaOf(snapshot)
  if (meta === null) return snapshot
  const dropped = Object.keys(meta.tables).filter((table) => {
    const given = [table, `${snapshot.operatorId}/${table}`].filter((name) => names.includes(name))
    for (const name of given) left.delete(name)
    return given.length > 0
  })
  if (dropped.length === 0) return snapshot
  const tables = Object.fromEntries(Object.entries(meta.tables).filter(([table]) => !dropped.includes(table)))
  const keeps = (sequence: string): boolean => !dropped.some((table) => sequence.startsWith(`${table}/`))
  return {
    ...snapshot,
    meta: new TextEncoder().encode(JSON.stringify({ ...meta, tables })),
    pages: filterPages(snapshot.pages, keeps),
  }
}

function filterPages(pages: PageList, keeps: (sequence: string) => boolean): PageList {
  const builder = new PageListBuilder()
  for (let i = 0; i < pageCount(pages); i++) {
    const sequence = pages.tables[pages.tableIndex[i]!]!
    if (!keeps(sequence)) continue
    builder.add(sequence, pages.keyGroup[i]!, pages.pageNumber[i]!, pages.rowCount[i]!, pageLocation(pages, i))
  }
  const sizes = new Map(pages.chunks.map(({ key, sizeBytes }) => [key, sizeBytes]))
  return builder.build((key) => sizes.get(key)!)
}

function metaOf({ meta }: SubtaskSnapshot): ReturnType<typeof decodeMeta> | null {
  if (meta.length === 0) return null
  try {
    const decoded = decodeMeta(meta)
    return typeof decoded.tables === 'object' && decoded.tables !== null ? decoded : null
  } catch {
    // State of a job in TypeScript has another form.
    return null
  }
}

function positions(operatorId: string): MillraceError {
  return new MillraceError(
    'INPUT_INVALID',
    `${operatorId} has the positions of its partitions, which cannot be dropped: a job without them begins anew`,
  )
}
