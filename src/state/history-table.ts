/**
 * Closed windows: rows that nothing changes any more, kept for queries.
 *
 * Owns: rows in the order in which windows closed, with their keys; dropping what is past its retention, a page at a
 * time. No index: queries scan by time. An old page never changes, so a checkpoint only writes the last one.
 *
 * Row: u32 keyStart | keyLength | revision | change    f64 startMs | endMs | columns[0..n)
 * Page i of `rows` has its key bytes in page i of `keys`, so that both go together.
 */
import type { CellStore } from './cell-store.ts'
import type { PagePool } from './page-pool.ts'
import { Pages } from './pages.ts'

const ROWS_PER_PAGE = 1024
const ROWS_FIRST = 16
const KEY_BYTES_FIRST = 256
const HEADER_U32 = 4
const HEADER_F64 = HEADER_U32 / 2
const CHANGE = 3
const START = 0
const END = 1
const FIELDS_F64 = HEADER_F64 + 2

/** What is behind those columns of rows that refer to cells; see operator/cells. */
export interface RowCells {
  readonly store: CellStore
  /** Replaces the references of a copied row, to cells in `from`, by copies in `store`; null: where they usually are. */
  keep(f64: Float64Array, at: number, from: CellStore | null): void
  /** Frees the cells of a row. */
  free(f64: Float64Array, at: number): void
}

/** One row of the history while `forEach` or `scan` visits it; reused. */
export interface HistoryRow {
  startMs: number
  endMs: number
  revision: number
  change: number
  key: Uint8Array
  /** Holds the number columns from `at` on. */
  f64: Float64Array
  at: number
}

/** Append-only rows of closed windows. */
export class HistoryTable {
  readonly rows: Pages
  readonly keys: Pages
  readonly strideF64: number
  /** Where sketches of closed windows are; null where rows have none. */
  readonly cells: RowCells | null
  readonly #columns: number
  /** Rows and key bytes in use, and the last window end, a page. */
  readonly #counts: number[] = []
  readonly #keyBytes: number[] = []
  readonly #endMax: number[] = []
  /** Pages dropped so far: a page keeps its number for life, so that checkpoints can refer to it. */
  firstPage = 0

  constructor(pool: PagePool, columns: number, cells: RowCells | null = null) {
    this.cells = cells
    this.#columns = columns
    this.strideF64 = FIELDS_F64 + columns
    this.rows = new Pages(pool, this.strideF64 * 8, ROWS_PER_PAGE, ROWS_FIRST)
    this.keys = new Pages(pool, 1, ROWS_PER_PAGE * 16, KEY_BYTES_FIRST)
  }

  /** Rows held. */
  get count(): number {
    return this.#counts.reduce((a, b) => a + b, 0)
  }

  /** Rows in page `index` (position in `rows.pages`). */
  countOf(index: number): number {
    return this.#counts[index]!
  }

  /** Key bytes in page `index`. */
  keyBytesOf(index: number): number {
    return this.#keyBytes[index]!
  }

  /** Appends a row; `f64[at ..]` holds its number columns. Its cells, which are in `from`, are copied. */
  append(
    startMs: number,
    endMs: number,
    key: Uint8Array,
    revision: number,
    change: number,
    f64: Float64Array,
    at: number,
    from: CellStore | null = null,
  ): void {
    let index = this.#counts.length - 1
    if (index < 0 || this.#counts[index] === ROWS_PER_PAGE) {
      this.#counts.push(0)
      this.#keyBytes.push(0)
      this.#endMax.push(-Infinity)
      index++
    }
    const place = this.#counts[index]!++
    const keyStart = this.#keyBytes[index]!
    const page = this.rows.ensure(index, place + 1)
    const keys = this.keys.ensure(index, Math.max(1, keyStart + key.length))
    keys.u8.set(key, keyStart)
    keys.dirty = 1
    page.dirty = 1
    this.#keyBytes[index] = keyStart + key.length
    if (endMs > this.#endMax[index]!) this.#endMax[index] = endMs
    const u32 = place * this.strideF64 * 2
    page.u32[u32] = keyStart
    page.u32[u32 + 1] = key.length
    page.u32[u32 + 2] = revision
    page.u32[u32 + CHANGE] = change
    const base = place * this.strideF64 + HEADER_F64
    page.f64[base + START] = startMs
    page.f64[base + END] = endMs
    for (let i = 0; i < this.#columns; i++) page.f64[base + 2 + i] = f64[at + i]!
    this.cells?.keep(page.f64, base + 2, from)
  }

  /** Visits rows of windows that overlap [fromMs, toMs), oldest first, until `visit` returns false; those of one key only. */
  scan(fromMs: number, toMs: number, visit: (row: HistoryRow) => boolean, only: Uint8Array | null = null): void {
    const row: HistoryRow = { startMs: 0, endMs: 0, revision: 0, change: 0, key: emptyKey, f64: emptyColumns, at: 0 }
    for (let index = 0; index < this.#counts.length; index++) {
      if (this.#endMax[index]! <= fromMs) continue
      const page = this.rows.pages[index]!
      const keys = this.keys.pages[index]!.u8
      row.f64 = page.f64
      for (let place = 0; place < this.#counts[index]!; place++) {
        const base = place * this.strideF64
        row.startMs = page.f64[base + HEADER_F64 + START]!
        row.endMs = page.f64[base + HEADER_F64 + END]!
        if (row.endMs <= fromMs || row.startMs >= toMs) continue
        const u32 = base * 2
        const keyStart = page.u32[u32]!
        if (only !== null && !(page.u32[u32 + 1] === only.length && isAt(keys, keyStart, only))) continue
        row.key = keys.subarray(keyStart, keyStart + page.u32[u32 + 1]!)
        row.revision = page.u32[u32 + 2]!
        row.change = page.u32[u32 + CHANGE]!
        row.at = base + FIELDS_F64
        if (!visit(row)) return
      }
    }
  }

  /** Lowers the change numbers of all rows by `by`, not below 0. */
  shiftChanges(by: number): void {
    for (const page of this.rows.pages) {
      const { u32 } = page
      for (let at = CHANGE; at < u32.length; at += this.strideF64 * 2) u32[at] = Math.max(0, u32[at]! - by)
      page.dirty = 1
    }
  }

  /** Drops the pages whose every window ended at or before `endMs`; never the one being filled. */
  dropUntil(endMs: number): void {
    while (this.#counts.length > 1 && this.#endMax[0]! <= endMs) {
      this.#freeCells()
      this.rows.dropFirst()
      this.keys.dropFirst()
      this.#counts.shift()
      this.#keyBytes.shift()
      this.#endMax.shift()
      this.firstPage++
    }
  }

  /** Takes over one page of a snapshot, in page order, after its two pages were adopted into `rows` and `keys`. */
  restorePage(count: number, keyBytes: number): void {
    const index = this.#counts.length
    this.#counts.push(count)
    this.#keyBytes.push(keyBytes)
    let endMax = -Infinity
    const page = this.rows.pages[index]!
    for (let place = 0; place < count; place++) {
      endMax = Math.max(endMax, page.f64[place * this.strideF64 + HEADER_F64 + END]!)
    }
    this.#endMax.push(endMax)
  }

  /** Gives all memory back. */
  release(): void {
    this.rows.release()
    this.keys.release()
    this.cells?.store.release()
    this.#counts.length = 0
    this.#keyBytes.length = 0
    this.#endMax.length = 0
  }

  #freeCells(): void {
    if (this.cells === null) return
    const { f64 } = this.rows.pages[0]!
    for (let place = 0; place < this.#counts[0]!; place++) this.cells.free(f64, place * this.strideF64 + FIELDS_F64)
  }
}

function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}

const emptyKey = new Uint8Array(0)
const emptyColumns = new Float64Array(0)
