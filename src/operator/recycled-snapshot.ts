/** Tables whose rows come and go, to the pages of a checkpoint and back: sessions, timelines. */
import type { Page, PageLocation } from '../state/pages.ts'
import { RECYCLED_ROWS_PER_PAGE, type RecycledTable } from '../state/recycled-table.ts'

/** Visits one live page; see VisitPage in operator/table-snapshot. */
export type VisitRecycled = (sequence: string, number: number, units: number, byteLength: number, page: Page) => void

/** A page as it was read. */
export interface RecycledPage {
  readonly units: number
  readonly bytes: Uint8Array
  readonly location: PageLocation
}

/** Pages by sequence, each in order. */
export type Pages = ReadonlyMap<string, readonly RecycledPage[]>

/** Visits the pages of a table; `name` begins the names of their sequences. */
export function visitRecycled(name: string, table: RecycledTable, visit: VisitRecycled): void {
  table.rows.pages.forEach((page, i) => {
    const rows = Math.min(RECYCLED_ROWS_PER_PAGE, table.count - i * RECYCLED_ROWS_PER_PAGE)
    visit(`${name}rows`, i, rows, rows * table.strideF64 * 8, page)
  })
  table.keys.pages.pages.forEach((page, i) => {
    const bytes = table.keys.bytesUsed(i)
    visit(`${name}keys`, i, bytes, bytes, page)
  })
}

/** Restores a table of `count` rows from its pages. */
export function adoptRecycled(table: RecycledTable, name: string, count: number, pages: Pages): void {
  for (const page of pages.get(`${name}rows`) ?? []) table.rows.adopt(page.bytes, page.location)
  let used = 0
  for (const page of pages.get(`${name}keys`) ?? []) {
    table.keys.pages.adopt(page.bytes, page.location)
    used = page.units
  }
  table.restore(count, used)
}
