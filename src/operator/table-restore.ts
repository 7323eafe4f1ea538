/**
 * Rebuilds tables from the pages and meta of a checkpoint.
 *
 * Owns: the two ways back. At the same parallelism a subtask adopts its own pages as they are: nothing is copied, and
 * pages keep their place in the store. At another one, or where a table has other accumulators now, every row goes to the
 * subtask that owns its key group, column by column to where they are now; such state is new to the store.
 *
 * `read` gives the bytes of a page; all pages were read before (runtime/restore), so this is synchronous.
 */
import { MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { type KeyGroupRange, keyGroupOf } from '../core/key-groups.ts'
import { CellStore } from '../state/cell-store.ts'
import { HistoryTable } from '../state/history-table.ts'
import {
  KeyedTable,
  ROW_HASH,
  ROW_HEADER_F64,
  ROW_OWNER,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
  ROW_REVISION,
} from '../state/keyed-table.ts'
import { PagePool } from '../state/page-pool.ts'
import type { PageLocation } from '../state/pages.ts'
import { DISTINCT_KEY, DISTINCT_TEXT, isCell } from './accumulators.ts'
import { checkTable } from './cells.ts'
import { dimensionBytes } from './group-key.ts'
import { goesOn, type HeldTable, moveColumns, moveCounts } from './held-table.ts'
import { addMemberBit, eachGroup } from './member-bits.ts'
import { memberColumnsOf, memberCount, owe } from './member-counts.ts'
import { memberHash } from './member-rows.ts'
import type { PaneTable } from './pane-table.ts'
import { adoptTimelines, takeOverTimelines } from './person-snapshot.ts'
import { adoptSessions, takeOverSessions } from './session-snapshot.ts'
import type { SliceList } from './slices.ts'
import {
  accumulatorsText,
  cellsName,
  historyName,
  type SliceTable,
  type SnapshotTable,
  sliceName,
  type TableMeta,
  windowName,
} from './table-snapshot.ts'

/** A page as it was read. */
export interface StoredPage {
  readonly units: number
  readonly bytes: Uint8Array
  readonly location: PageLocation
}

/** The pages of one subtask's snapshot by sequence name, each sequence in page order. */
export type StoredPages = ReadonlyMap<string, readonly StoredPage[]>

/** Whether a hash is of a key group that the subtask owns. */
type Mine = (hash: number) => boolean

/** Restores a table of the same subtask at the same parallelism, of a `held` one that is the same. */
export function adoptTable(table: SnapshotTable, meta: TableMeta, pages: StoredPages, { id }: HeldTable): void {
  checkAccumulators(table, meta)
  if ('history' in table) adoptCells(table.accumulators.cells, cellsName(id), pages)
  if ('sessions' in table) adoptSessions(table, meta.sessions ?? [], pages, id)
  else adoptSlices(table, meta, pages, id)
  if ('timelines' in table) {
    table.timelinesFrom = meta.timelinesOf ?? id
    adoptTimelines(table.timelines, meta.timelines, pages, table.timelinesFrom)
  }
  if ('history' in table) {
    adoptHistory(table.history, historyName(id), meta.historyFirst, pages)
    adoptCells(table.settled.cells, historyName(id), pages)
    table.results = meta.results
  }
  for (const [startMs, endMs, hash, key, counts] of meta.late) {
    table.late.addCounts(startMs, endMs, Buffer.from(key, 'base64'), hash, Float64Array.from(counts), 0)
  }
  raiseChange(table, meta)
}

/**
 * Where the lateness has grown, or rows of several tables go on in one: what was closed at `watermarkMs`, the held
 * table's, stays closed.
 */
export function keepClosed(table: SnapshotTable, meta: TableMeta, held: HeldTable, watermarkMs: number): void {
  const list = 'sessions' in table ? table.sessions : table.slices
  const shorter = held.allowedLatenessMs < table.plan.allowedLatenessMs
  const settleMs = table.plan.settleMs ?? 0
  const closed = shorter ? watermarkMs - settleMs - held.allowedLatenessMs : Number.NEGATIVE_INFINITY
  const before = meta.closedUntil === undefined ? Number.NEGATIVE_INFINITY : Number(meta.closedUntil)
  list.closedUntilMs = Math.max(list.closedUntilMs, closed, before)
}

function adoptSlices(table: SliceTable, meta: TableMeta, pages: StoredPages, id: string): void {
  for (const [startMs, endMs, fired, rows, ...members] of meta.slices) {
    const slice = table.slices.of(startMs!, endMs!)
    slice.fired = fired === 1
    adoptKeyed(slice.groups, sliceName(id, startMs!, endMs!, -1), rows!, pages)
    checkTable(table.accumulators, slice.groups)
    members.forEach((count, i) => {
      if (count >= 0) adoptKeyed(slice.members[i]!, sliceName(id, startMs!, endMs!, i), count, pages)
    })
  }
  if (!('windows' in table)) return
  table.restoreFired(Number(meta.fired))
  for (const [startMs, endMs, rows] of meta.windows ?? []) {
    const { groups } = table.windows.of(startMs!, endMs!)
    adoptKeyed(groups, windowName(id, startMs!, endMs!), rows!, pages)
    checkTable(table.accumulators, groups)
  }
}

/**
 * Takes over from a snapshot the rows whose key groups are in `range`: of another subtask, or of a table that is `held`
 * with other accumulators. May be called for several tables whose accumulators go on in one.
 */
export function takeOverRows(
  table: SnapshotTable,
  meta: TableMeta,
  pages: StoredPages,
  held: HeldTable,
  range: KeyGroupRange,
  keyGroups: number,
): void {
  checkAccumulators(table, meta)
  const mine: Mine = (hash) => {
    const group = keyGroupOf(hash, keyGroups)
    return group >= range.start && group <= range.end
  }
  if ('sessions' in table) {
    const cells = storedCells(held, cellsName(held.id), pages)
    takeOverSessions(table, meta.sessions ?? [], pages, held, cells, (key) => mine(keyHashOf(table, key)))
  } else takeOverSlices(table, meta, pages, held, mine)
  if ('timelines' in table) {
    table.timelinesFrom = meta.timelinesOf ?? held.id
    takeOverTimelines(table.timelines, meta.timelines, pages, table.timelinesFrom, mine)
  }
  if ('history' in table) takeOverHistory(table, meta, pages, held, mine)
  for (const [startMs, endMs, hash, key, counts] of meta.late) {
    const bytes = Buffer.from(key, 'base64')
    if (mine(table.plan.keyed ? keyHashOf(table, bytes) : hash)) {
      const moved = moveCounts(held, counts, table.accumulators)
      if (held.counts === null || moved.some((count) => count !== 0))
        table.late.addCounts(startMs, endMs, bytes, hash, moved, 0)
    }
  }
  raiseChange(table, meta)
}

function takeOverSlices(table: SliceTable, meta: TableMeta, pages: StoredPages, held: HeldTable, mine: Mine): void {
  const pool = new PagePool()
  const cells = storedCells(held, cellsName(held.id), pages)
  for (const [startMs, endMs, fired, rows, ...members] of meta.slices) {
    const groups = new KeyedTable(pool, held.accumulators.initial, 0)
    adoptKeyed(groups, sliceName(held.id, startMs!, endMs!, -1), rows!, pages)
    const rowOf = new Int32Array(groups.count).fill(-1)
    const partial = !('results' in table)
    if (!partial) {
      for (let row = 0; row < groups.count; row++) {
        if (mine(routingHash(table, groups, row)) && rowGoesOn(held, groups, row))
          rowOf[row] = copyRow(table, table.slices, startMs!, endMs!, fired === 1, held, groups, row, cells)
      }
    }
    members.forEach((count, i) => {
      if (count < 0 || held.places[i]! < 0) return
      // The sender's own set of texts only saves repeats on the edge: the merge has the set that counts.
      if (partial && held.accumulators.kinds[i] === DISTINCT_TEXT) return
      const from = new KeyedTable(pool, memberColumnsOf(held.accumulators), 0)
      adoptKeyed(from, sliceName(held.id, startMs!, endMs!, i), count, pages)
      takeOverMembers(table, startMs!, endMs!, held, i, from, groups, rowOf, partial ? mine : null)
      from.release()
    })
    groups.release()
  }
  if ('windows' in table) takeOverWindows(table, meta, pages, held, cells, mine)
}

/** Windows that were made of panes, and how far they had fired. */
function takeOverWindows(
  table: PaneTable,
  meta: TableMeta,
  pages: StoredPages,
  held: HeldTable,
  cells: CellStore | null,
  mine: Mine,
): void {
  table.restoreFired(Number(meta.fired))
  for (const [startMs, endMs, rows] of meta.windows ?? []) {
    const groups = new KeyedTable(new PagePool(), held.accumulators.initial, 0)
    adoptKeyed(groups, windowName(held.id, startMs!, endMs!), rows!, pages)
    for (let row = 0; row < groups.count; row++) {
      if (mine(routingHash(table, groups, row)) && rowGoesOn(held, groups, row))
        copyRow(table, table.windows, startMs!, endMs!, true, held, groups, row, cells)
    }
  }
}

/** Tables that were not described must be what they were: there is nothing else to go by. */
function checkAccumulators(table: SnapshotTable, meta: TableMeta): void {
  if (meta.descriptor !== undefined || meta.accumulators === accumulatorsText(table)) return
  throw new MillraceError(
    'STATE_INCOMPATIBLE',
    `the metrics of table '${table.plan.id}' have changed since the checkpoint: cancel the job and submit it anew`,
  )
}

function raiseChange(table: SnapshotTable, meta: TableMeta): void {
  table.change = Math.max(table.change, meta.change + 1)
}

function adoptKeyed(table: KeyedTable, name: string, count: number, pages: StoredPages): void {
  for (const page of sequence(pages, `${name}rows`)) table.rows.adopt(page.bytes, page.location)
  let used = 0
  for (const page of sequence(pages, `${name}keys`)) {
    table.keys.adopt(page.bytes, page.location)
    used = page.units
  }
  table.restore(table.rows.pages, count, used)
}

function adoptCells(cells: CellStore | null, name: string, pages: StoredPages): void {
  cells?.restore((size) => sequence(pages, `${name}cells.${size}`))
}

/** The sketches of a subtask's snapshot, where there are any. */
function storedCells({ accumulators }: HeldTable, name: string, pages: StoredPages): CellStore | null {
  if (!accumulators.kinds.some(isCell)) return null
  const cells = new CellStore(new PagePool())
  adoptCells(cells, name, pages)
  return cells
}

function adoptHistory(history: HistoryTable, name: string, firstPage: number, pages: StoredPages): void {
  const rows = sequence(pages, `${name}rows`)
  const keys = sequence(pages, `${name}keys`)
  history.firstPage = firstPage
  rows.forEach((page, i) => {
    history.rows.adopt(page.bytes, page.location)
    history.keys.adopt(keys[i]!.bytes, keys[i]!.location)
    history.restorePage(page.units, keys[i]!.units)
  })
}

function sequence(pages: StoredPages, name: string): readonly StoredPage[] {
  return pages.get(name) ?? []
}

/** The hash by which the group of a row is owned: the event key's where the table is keyed, else the group's own. */
function routingHash(table: SliceTable, groups: KeyedTable, row: number): number {
  if (table.plan.keyed) return keyHashOf(table, groups.keyOf(row))
  return groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * groups.strideU32 + ROW_HASH]!
}

function keyHashOf(table: SnapshotTable, group: Uint8Array): number {
  const { dimensions } = table.plan
  const key = dimensionBytes(group, dimensions.length, dimensions.indexOf(-1))
  return hashBytes(key, 0, key.length)
}

function rowGoesOn(held: HeldTable, from: KeyedTable, row: number): boolean {
  const page = from.rows.pages[row >>> ROW_PAGE_SHIFT]!
  return goesOn(held, page.f64, (row & ROW_PAGE_MASK) * from.strideF64 + ROW_HEADER_F64)
}

function copyRow(
  table: SliceTable,
  list: SliceList,
  startMs: number,
  endMs: number,
  fired: boolean,
  held: HeldTable,
  from: KeyedTable,
  row: number,
  cells: CellStore | null,
): number {
  const slice = list.of(startMs, endMs)
  // Where one of the old subtasks had not fired, the window fires (again): a result told twice, and none left untold.
  slice.fired = slice.groups.count === 0 ? fired : slice.fired && fired
  const key = from.keyOf(row)
  const page = from.rows.pages[row >>> ROW_PAGE_SHIFT]!
  const u32 = (row & ROW_PAGE_MASK) * from.strideU32
  const copy = slice.groups.findOrInsert(page.u32[u32 + ROW_HASH]!, 0, key, 0, key.length)
  const into = slice.groups.rows.pages[copy >>> ROW_PAGE_SHIFT]!
  const at = (copy & ROW_PAGE_MASK) * slice.groups.strideF64 + ROW_HEADER_F64
  const fromAt = (row & ROW_PAGE_MASK) * from.strideF64 + ROW_HEADER_F64
  moveColumns(held, table.accumulators, page.f64, fromAt, into.f64, at, cells)
  const revisionAt = (copy & ROW_PAGE_MASK) * slice.groups.strideU32 + ROW_REVISION
  into.u32[revisionAt] = Math.max(into.u32[revisionAt]!, page.u32[u32 + ROW_REVISION]!)
  into.dirty = 1
  return copy
}

function takeOverMembers(
  table: SliceTable,
  startMs: number,
  endMs: number,
  held: HeldTable,
  accumulator: number,
  from: KeyedTable,
  groups: KeyedTable,
  rowOf: Int32Array,
  mine: Mine | null,
): void {
  const { memberBits, memberCounts, kinds } = held.accumulators
  const bits = memberBits && kinds[accumulator] === DISTINCT_KEY
  for (let member = 0; member < from.count; member++) {
    const key = from.keyOf(member)
    const hash = hashBytes(key, 0, key.length)
    // On the window side the member is the event's key: it, not the group, says who owns it.
    if (mine !== null && !mine(hash)) continue
    const takeOver = (owner: number): void => {
      let group = rowOf[owner]!
      if (mine !== null && group < 0)
        group = rowOf[owner] = copyRow(table, table.slices, startMs, endMs, false, held, groups, owner, null)
      if (group < 0) return
      const members = table.slices.of(startMs, endMs).members[held.places[accumulator]!]!
      if (bits) {
        addMemberBit(members, group, key, 0, key.length, hash)
        return
      }
      const copy = members.findOrInsert(memberHash(hash, group), group, key, 0, key.length)
      if (memberCounts) owe(members, copy, memberCount(from, member))
    }
    if (bits) eachGroup(from, member, takeOver)
    else
      takeOver(from.rows.pages[member >>> ROW_PAGE_SHIFT]!.u32[(member & ROW_PAGE_MASK) * from.strideU32 + ROW_OWNER]!)
  }
}

function takeOverHistory(
  table: SnapshotTable & { readonly history: HistoryTable },
  meta: TableMeta,
  pages: StoredPages,
  held: HeldTable,
  mine: Mine,
): void {
  const from = new HistoryTable(new PagePool(), held.accumulators.initial.length)
  const cells = storedCells(held, historyName(held.id), pages)
  adoptHistory(from, historyName(held.id), meta.historyFirst, pages)
  const moved = new Float64Array(table.accumulators.initial.length)
  from.scan(-Infinity, Infinity, (row) => {
    const hash = table.plan.keyed ? keyHashOf(table, row.key) : hashBytes(row.key, 0, row.key.length)
    if (!mine(hash) || !goesOn(held, row.f64, row.at)) return true
    moved.set(table.accumulators.initial)
    moveColumns(held, table.accumulators, row.f64, row.at, moved, 0, null)
    table.history.append(row.startMs, row.endMs, row.key, row.revision, row.change, moved, 0, cells)
    return true
  })
}
