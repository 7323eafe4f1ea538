/**
 * Tables to a checkpoint and back: which pages, and the few facts beside them.
 *
 * Owns: the names of page sequences, the meta document of a keyed subtask, and rebuilding tables from both: as they were
 * at the same parallelism, row by row into the owner of each key group at another. Does not own: reading and writing
 * bytes (runtime/snapshot-writer, checkpoint/).
 *
 * Meta is JSON: small, self-describing, and read by people when something is wrong. Its version is checked.
 */
import { MillraceError } from '../core/errors.ts'
import type { EventDescriptor, TableDescriptor } from '../job/state-identity.ts'
import type { CellStore } from '../state/cell-store.ts'
import type { HistoryTable } from '../state/history-table.ts'
import { type KeyedTable, ROWS_PER_PAGE } from '../state/keyed-table.ts'
import type { Page } from '../state/pages.ts'
import { isDistinct } from './accumulators.ts'
import type { IdsMeta } from './id-snapshot.ts'
import type { LateCounts } from './late-counts.ts'
import type { PaneTable } from './pane-table.ts'
import type { PartialTable } from './partial-table.ts'
import { type TimelinesMeta, timelinesMeta, visitTimelines } from './person-snapshot.ts'
import type { PersonTable } from './person-table.ts'
import type { ResultTable } from './result-table.ts'
import { type SessionsMeta, sessionsMeta, visitSessions } from './session-snapshot.ts'
import type { SessionTable } from './session-table.ts'
import type { SliceList } from './slices.ts'

/** Version 3 describes its tables; version 2 has to be taken for what the job was when it was made. */
const META_VERSION = 3

/** What is known of one table beside its pages. */
export interface TableMeta {
  /** What it is; absent in version 2. */
  readonly descriptor?: TableDescriptor
  /** Kinds of the accumulators: state of other ones is not readable. */
  readonly accumulators: string
  readonly change: number
  readonly results: number
  /** Start, end, 1 if fired, rows, then members by accumulator (-1 for none). */
  readonly slices: readonly (readonly number[])[]
  /** What is closed whatever the lateness, as text, see SliceList; absent where lateness decides. */
  readonly closedUntil?: string
  /** First page number of the history. */
  readonly historyFirst: number
  /** Start, end, hash, key in base64, counts. */
  readonly late: readonly (readonly [number, number, number, string, readonly number[]])[]
  /** Of tables of panes: start, end and rows of each window that has fired and is not closed. */
  readonly windows?: readonly (readonly number[])[]
  /** Of tables of panes: the watermark up to which windows have fired, as text, because it may be infinite. */
  readonly fired?: string
  /** Of tables of sessions, see operator/session-snapshot; they have no slices. */
  readonly sessions?: SessionsMeta
  /** Of tables about persons, see operator/person-snapshot. */
  readonly timelines?: TimelinesMeta
  /** The table whose timelines it shares, where they are not its own. */
  readonly timelinesOf?: string
}

/** The meta document of a keyed subtask. */
export interface SubtaskMeta {
  readonly version: number
  /** What its events are by; absent in version 2. */
  readonly event?: EventDescriptor
  readonly tables: Readonly<Record<string, TableMeta>>
  /** Ids of events; absent without deduplication. */
  readonly dedupe?: IdsMeta
}

/** A table of either side, as far as snapshots go. */
export type SnapshotTable = SliceTable | SessionTable

/** A table whose open windows are slices. */
export type SliceTable = ResultTable | PaneTable | PartialTable | PersonTable

/** Whether a table has state that a checkpoint must keep. */
export function isDurable(table: SnapshotTable): boolean {
  return !('durable' in table) || table.durable
}

/** Name of a page sequence of a window: `<table>/<start>:<end>/` and for a member set `<accumulator>.`. */
export function sliceName(table: string, startMs: number, endMs: number, accumulator: number): string {
  return `${table}/${startMs}:${endMs}/${accumulator < 0 ? '' : `${accumulator}.`}`
}

/** Name of the page sequences of a window that was made of panes. */
export function windowName(table: string, startMs: number, endMs: number): string {
  return `${table}/window/${startMs}:${endMs}/`
}

/** Name of the page sequences of a history. */
export function historyName(table: string): string {
  return `${table}/history/`
}

/** Name of the page sequences of a table's sketches. */
export function cellsName(table: string): string {
  return `${table}/`
}

/** Visits one live page: `units` are rows, or bytes for keys; the page's content is its first `byteLength` bytes. */
export type VisitPage = (sequence: string, number: number, units: number, byteLength: number, page: Page) => void

/** Visits every live page of these tables, sequence by sequence. */
export function visitPages(tables: readonly SnapshotTable[], visit: VisitPage): void {
  for (const table of tables) {
    if (!isDurable(table)) continue
    if ('sessions' in table) visitSessions(table, visit)
    else visitSlices(table, visit)
    if ('timelines' in table && table.place === 0) visitTimelines(table.plan.id, table.timelines, visit)
    if ('history' in table) visitHistory(historyName(table.plan.id), table.history, visit)
    // On the window side of partials sketches are sent before each barrier.
    if ('history' in table) visitCells(cellsName(table.plan.id), table.accumulators.cells, visit)
    if ('history' in table) visitCells(historyName(table.plan.id), table.settled.cells, visit)
  }
}

function visitCells(name: string, cells: CellStore | null, visit: VisitPage): void {
  cells?.visit((size, number, units, byteLength, page) =>
    visit(`${name}cells.${size}`, number, units, byteLength, page),
  )
}

function visitSlices(table: SliceTable, visit: VisitPage): void {
  for (const slice of table.slices.slices) {
    visitTable(sliceName(table.plan.id, slice.startMs, slice.endMs, -1), slice.groups, visit)
    slice.members.forEach((members, i) => {
      if (members !== null) visitTable(sliceName(table.plan.id, slice.startMs, slice.endMs, i), members, visit)
    })
  }
  if (!('windows' in table)) return
  for (const { startMs, endMs, groups } of table.windows.slices) {
    visitTable(windowName(table.plan.id, startMs, endMs), groups, visit)
  }
}

function visitTable(name: string, table: KeyedTable, visit: VisitPage): void {
  table.rows.pages.forEach((page, i) => {
    const rows = Math.min(ROWS_PER_PAGE, table.count - i * ROWS_PER_PAGE)
    visit(`${name}rows`, i, rows, rows * table.strideF64 * 8, page)
  })
  table.keys.pages.forEach((page, i) => {
    const bytes = table.arenaBytesUsed(i)
    visit(`${name}keys`, i, bytes, bytes, page)
  })
}

function visitHistory(name: string, history: HistoryTable, visit: VisitPage): void {
  history.rows.pages.forEach((page, i) => {
    const rows = history.countOf(i)
    visit(`${name}rows`, history.firstPage + i, rows, rows * history.strideF64 * 8, page)
    const keys = history.keyBytesOf(i)
    visit(`${name}keys`, history.firstPage + i, keys, keys, history.keys.pages[i]!)
  })
}

/** What tables are, by what their plan says: the same in every snapshot of an attempt. */
export interface DescribedTables {
  readonly event: EventDescriptor | null
  /** By index of the table in the plan. */
  readonly tables: readonly TableDescriptor[]
}

/** Tables of which nothing more is known than they know themselves. */
export const undescribedTables: DescribedTables = { event: null, tables: [] }

/** The meta document of these tables. */
export function encodeMeta(
  tables: readonly SnapshotTable[],
  described: DescribedTables,
  dedupe: IdsMeta | null = null,
): Uint8Array {
  const { event } = described
  const meta: SubtaskMeta = {
    version: META_VERSION,
    ...(event === null ? {} : { event }),
    tables: Object.fromEntries(
      tables.filter(isDurable).map((table) => [table.plan.id, metaOf(table, described.tables[table.index])]),
    ),
    ...(dedupe === null ? {} : { dedupe }),
  }
  return new TextEncoder().encode(JSON.stringify(meta))
}

/** Reads a meta document. Throws STATE_INCOMPATIBLE for a version this program does not know. */
export function decodeMeta(bytes: Uint8Array): SubtaskMeta {
  const meta = JSON.parse(new TextDecoder().decode(bytes)) as SubtaskMeta
  if (meta.version === 2 || meta.version === META_VERSION) return meta
  throw new MillraceError(
    'STATE_INCOMPATIBLE',
    `the checkpoint's state has version ${meta.version}, this program reads 2 and ${META_VERSION}: use the one that made it`,
  )
}

/** What is known of a table; of its timelines also where another one has them. */
export function tableMetaOf(meta: SubtaskMeta, table: string): TableMeta | undefined {
  const own = meta.tables[table]
  if (own?.timelinesOf === undefined) return own
  const timelines = meta.tables[own.timelinesOf]?.timelines
  return { ...own, ...(timelines === undefined ? {} : { timelines }) }
}

/** What accumulators a table has, as text to compare. */
export function accumulatorsText(table: SnapshotTable): string {
  return table.plan.accumulators
    .map((a, i) => {
      const parameter = a.bounds?.join(',') ?? a.exactUpTo ?? a.precision ?? a.error ?? a.k
      const counted = table.accumulators.memberCounts && isDistinct(table.accumulators.kinds[i]!) ? '*' : ''
      return `${table.accumulators.kinds[i]}${counted}:${a.predicate}:${a.column}${parameter === undefined ? '' : `:${parameter}`}`
    })
    .join(' ')
}

function metaOf(table: SnapshotTable, descriptor: TableDescriptor | undefined): TableMeta {
  return {
    ...(descriptor === undefined ? {} : { descriptor }),
    accumulators: accumulatorsText(table),
    change: table.change,
    results: 'results' in table ? table.results : 0,
    slices: 'sessions' in table ? [] : slicesOf(table.slices),
    ...('windows' in table ? { windows: windowsOf(table.windows), fired: String(table.firedMs) } : {}),
    ...('sessions' in table ? { sessions: sessionsMeta(table) } : {}),
    ...('timelines' in table ? timelinesOf(table) : {}),
    ...closedOf('sessions' in table ? table.sessions : table.slices),
    historyFirst: 'history' in table ? table.history.firstPage : 0,
    late: lateOf(table.late),
  }
}

function timelinesOf({ group, place, timelines }: PersonTable): Pick<TableMeta, 'timelines' | 'timelinesOf'> {
  return place === 0 ? { timelines: timelinesMeta(timelines) } : { timelinesOf: group.tables[0]!.plan.id }
}

function closedOf({ closedUntilMs }: { readonly closedUntilMs: number }): Pick<TableMeta, 'closedUntil'> {
  return closedUntilMs === Number.NEGATIVE_INFINITY ? {} : { closedUntil: String(closedUntilMs) }
}

function slicesOf(list: SliceList): number[][] {
  return list.slices.map((slice) => [
    slice.startMs,
    slice.endMs,
    slice.fired ? 1 : 0,
    slice.groups.count,
    ...slice.members.map((members) => members?.count ?? -1),
  ])
}

function windowsOf(list: SliceList): number[][] {
  return list.slices.map(({ startMs, endMs, groups }) => [startMs, endMs, groups.count])
}

function lateOf(late: LateCounts): [number, number, number, string, number[]][] {
  return [...late.entries()].map((entry) => [
    entry.startMs,
    entry.endMs,
    entry.hash,
    Buffer.from(entry.group).toString('base64'),
    Array.from(entry.counts),
  ])
}
