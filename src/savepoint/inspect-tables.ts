/**
 * Rows of a table of windows, read by what the savepoint says of the table: counted, and some of them shown.
 *
 * Owns: the walk over slices, windows, sessions and history of every subtask. Does not own: the forms of their pages
 * (operator/table-snapshot.ts, state/), which this reads by the same classes as a restore.
 */
import { readPages } from '../checkpoint/page-reader.ts'
import { pageCount, pageLocation, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { type SavepointTable, SavepointTableKind } from '../gen/millrace/v1/savepoint.ts'
import { dimensionBytes, dimensionTexts } from '../operator/group-key.ts'
import { adoptTimelines, areValued, type TimelinesMeta } from '../operator/person-snapshot.ts'
import { sessionsName } from '../operator/session-snapshot.ts'
import type { StoredPage, StoredPages } from '../operator/table-restore.ts'
import { decodeMeta, historyName, sliceName, type TableMeta, windowName } from '../operator/table-snapshot.ts'
import { CellStore } from '../state/cell-store.ts'
import { HistoryTable } from '../state/history-table.ts'
import { KeyedTable, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import { PagePool } from '../state/page-pool.ts'
import { RECYCLED_HEADER_F64, RECYCLED_PAGE_MASK, RECYCLED_PAGE_SHIFT, RecycledTable } from '../state/recycled-table.ts'
import { Timelines } from '../state/timelines.ts'
import type { SampleRow, TableInspection } from './inspection.ts'
import { KeyTally } from './key-tally.ts'
import { Samples } from './samples.ts'
import type { SavepointReader } from './store.ts'

const kinds: Readonly<Partial<Record<SavepointTableKind, string>>> = {
  [SavepointTableKind.SAVEPOINT_TABLE_KIND_RESULTS]: 'results',
  [SavepointTableKind.SAVEPOINT_TABLE_KIND_PARTIALS]: 'partials',
  [SavepointTableKind.SAVEPOINT_TABLE_KIND_SESSIONS]: 'sessions',
}

/** Reads one table of all its subtasks, one after the other. SAVEPOINT_CORRUPT, CHECKPOINT_CORRUPT. */
export async function inspectTable(
  reader: SavepointReader,
  table: SavepointTable,
  samples: number,
): Promise<TableInspection> {
  const { checkpoint } = reader.savepoint
  const walk = new TableWalk(table, checkpoint.keyGroups, samples)
  for (const snapshot of checkpoint.subtasks) {
    if (snapshot.operatorId !== table.operatorId) continue
    const meta = decodeMeta(snapshot.meta).tables[table.id]
    if (meta !== undefined) walk.add(meta, await pagesOf(snapshot, table.id, reader))
  }
  return walk.end()
}

class TableWalk {
  readonly #table: SavepointTable
  readonly #tally: KeyTally
  readonly #samples: Samples
  readonly #names: readonly string[]
  readonly #counts = { openRows: 0, closedRows: 0, members: 0, bytes: 0, sketches: 0, sketchBytes: 0 }

  constructor(table: SavepointTable, keyGroups: number, samples: number) {
    this.#table = table
    this.#tally = new KeyTally(keyGroups)
    this.#samples = new Samples(samples)
    this.#names = columnNames(table)
  }

  /** The table of one subtask. */
  add(meta: TableMeta, pages: StoredPages): void {
    for (const list of pages.values()) for (const page of list) this.#counts.bytes += page.bytes.length
    const { id } = this.#table
    if (meta.timelines !== undefined) {
      this.#timelines(meta.timelines, pages)
      return
    }
    const cells = this.#cells(`${id}/`, pages)
    for (const [startMs = 0, endMs = 0, fired, rows = 0, ...members] of meta.slices) {
      const status = meta.windows !== undefined ? 'pane' : fired === 1 ? 'fired' : 'open'
      this.#slice(sliceName(id, startMs, endMs, -1), startMs, endMs, status, rows, pages, cells)
      for (const count of members) this.#counts.members += Math.max(0, count)
    }
    for (const [startMs = 0, endMs = 0, rows = 0] of meta.windows ?? []) {
      this.#slice(windowName(id, startMs, endMs), startMs, endMs, 'fired', rows, pages, cells)
    }
    if (meta.sessions !== undefined) this.#sessions(meta.sessions, pages, cells)
    this.#history(meta.historyFirst, pages, this.#cells(historyName(id), pages))
  }

  end(): TableInspection {
    const { operatorId, id, kind, window, dimensions } = this.#table
    return {
      ...{
        operator: operatorId,
        table: id,
        kind: kinds[kind] ?? 'unknown',
        window,
        dimensions,
        columns: this.#names,
        timers: 0,
      },
      ...this.#counts,
      keys: this.#tally.keys,
      spread: this.#tally.spread,
      samples: this.#samples.rows,
    }
  }

  #slice(
    name: string,
    startMs: number,
    endMs: number,
    status: string,
    rows: number,
    pages: StoredPages,
    cells: CellStore,
  ): void {
    const table = new KeyedTable(new PagePool(), new Float64Array(this.#table.rowColumns), 0)
    for (const page of pages.get(`${name}rows`) ?? []) table.rows.adopt(page.bytes, null)
    let used = 0
    for (const page of pages.get(`${name}keys`) ?? []) {
      table.keys.adopt(page.bytes, null)
      used = page.units
    }
    table.restore(table.rows.pages, rows, used)
    for (let row = 0; row < rows; row++) {
      const { f64 } = table.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const at = (row & ROW_PAGE_MASK) * table.strideF64 + ROW_HEADER_F64
      this.#row(table.keyOf(row), status, startMs, endMs, f64, at, cells)
    }
    this.#counts.openRows += rows
  }

  #sessions([count = 0, ...sets]: readonly number[], pages: StoredPages, cells: CellStore): void {
    const { id, leadColumns, rowColumns } = this.#table
    const table = new RecycledTable(new PagePool(), new Float64Array(leadColumns + rowColumns))
    const name = sessionsName(id, -1)
    for (const page of pages.get(`${name}rows`) ?? []) table.rows.adopt(page.bytes, null)
    let used = 0
    for (const page of pages.get(`${name}keys`) ?? []) {
      table.keys.pages.adopt(page.bytes, null)
      used = page.units
    }
    table.restore(count, used)
    for (let row = 0; row < count; row++) {
      if (!table.isLive(row)) continue
      const { f64 } = table.rows.pages[row >>> RECYCLED_PAGE_SHIFT]!
      const at = (row & RECYCLED_PAGE_MASK) * table.strideF64 + RECYCLED_HEADER_F64
      this.#row(table.keyOf(row), 'session', f64[at]!, f64[at + 1]!, f64, at + leadColumns, cells)
    }
    this.#counts.openRows += table.live
    for (const members of sets) this.#counts.members += Math.max(0, members)
  }

  /** Persons are the keys, their events the members. Gains lie beside, and are none in a checkpoint. */
  #timelines(meta: TimelinesMeta, pages: StoredPages): void {
    const timelines = new Timelines(new PagePool(), areValued(meta))
    adoptTimelines(timelines, meta, pages, this.#table.id)
    const { persons, events } = timelines
    for (let row = 0; row < persons.count; row++) {
      if (!persons.isLive(row)) continue
      const key = persons.keyOf(row)
      this.#tally.add(key, key)
    }
    this.#counts.openRows += persons.live
    this.#counts.members += events.live
  }

  #history(firstPage: number, pages: StoredPages, cells: CellStore): void {
    const name = historyName(this.#table.id)
    const history = new HistoryTable(new PagePool(), this.#table.rowColumns)
    history.firstPage = firstPage
    const keys = pages.get(`${name}keys`) ?? []
    for (const [i, page] of (pages.get(`${name}rows`) ?? []).entries()) {
      history.rows.adopt(page.bytes, null)
      history.keys.adopt(keys[i]!.bytes, null)
      history.restorePage(page.units, keys[i]!.units)
    }
    history.scan(-Infinity, Infinity, ({ key, startMs, endMs, f64, at }) => {
      this.#row(key, 'closed', startMs, endMs, f64, at, cells)
      return true
    })
    this.#counts.closedRows += history.count
  }

  #row(
    key: Uint8Array,
    status: string,
    startMs: number,
    endMs: number,
    f64: Float64Array,
    at: number,
    cells: CellStore,
  ): void {
    const { dimensions, keyDimension } = this.#table
    this.#tally.add(key, keyDimension < 0 ? key : dimensionBytes(key, dimensions.length, keyDimension))
    if (!this.#samples.takes(endMs)) return
    const texts = dimensionTexts(key, dimensions.length)
    this.#samples.add(endMs, { key: texts, status, startMs, endMs, values: this.#values(f64, at, cells) })
  }

  #values(f64: Float64Array, at: number, cells: CellStore): SampleRow['values'] {
    const values: Record<string, unknown> = {}
    this.#table.columns.forEach(({ position, sketch, compensation }, i) => {
      const number = f64[at + position]!
      if (sketch) {
        const there = number !== 0 && cells.has(number)
        if (there) cells.read(number)
        values[this.#names[i]!] = { sketchBytes: there ? cells.length : 0 }
      } else {
        const value = compensation > 0 && Number.isFinite(number) ? number + f64[at + compensation - 1]! : number
        values[this.#names[i]!] = Number.isFinite(value) ? value : null
      }
    })
    return values
  }

  #cells(name: string, pages: StoredPages): CellStore {
    const cells = new CellStore(new PagePool())
    cells.restore((size) => pages.get(`${name}cells.${size}`) ?? [])
    cells.forEach(() => {
      this.#counts.sketches++
      this.#counts.sketchBytes += cells.length
    })
    return cells
  }
}

/** What each column is called: the metrics that read it, and what it is. */
function columnNames({ columns }: SavepointTable): readonly string[] {
  const seen = new Map<string, number>()
  return columns.map(({ kind, metrics, field }) => {
    const name = `${metrics.join('+') || field || 'all'}.${kind}`
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    return times === 1 ? name : `${name}.${times}`
  })
}

async function pagesOf(
  snapshot: SubtaskSnapshot,
  table: string,
  reader: SavepointReader,
): Promise<Map<string, StoredPage[]>> {
  const list = snapshot.pages
  const nameOf = (i: number): string => list.tables[list.tableIndex[i]!]!
  const bytes = new Map<number, Uint8Array>()
  const what = `operator ${snapshot.operatorId}, subtask ${snapshot.subtask}`
  await readPages(
    reader,
    what,
    list,
    (i) => nameOf(i).startsWith(`${table}/`),
    (i, page) => bytes.set(i, page.slice()),
  )
  const sequences = new Map<string, StoredPage[]>()
  const order = Array.from({ length: pageCount(list) }, (_, i) => i).filter((i) => bytes.has(i))
  for (const i of order.sort((a, b) => list.pageNumber[a]! - list.pageNumber[b]!)) {
    const stored = { units: list.rowCount[i]!, bytes: bytes.get(i)!, location: pageLocation(list, i) }
    const sequence = sequences.get(nameOf(i))
    if (sequence === undefined) sequences.set(nameOf(i), [stored])
    else sequence.push(stored)
  }
  return sequences
}
