/** Rows of windows that are not closed, as views and early results walk them. */
import { hashBytes } from '../core/hash.ts'
import {
  type KeyedTable,
  ROW_CHANGE,
  ROW_HEADER_F64,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
  ROW_REVISION,
} from '../state/keyed-table.ts'
import type { Span } from '../window/panes.ts'

/** Takes one row, number `row` of its table: its columns are `f64[at ..]`. False to hear of no more. */
export type VisitOpen = (
  startMs: number,
  endMs: number,
  key: Uint8Array,
  revision: number,
  change: number,
  f64: Float64Array,
  at: number,
  row: number,
  /** Its last change has not been given out; where it is not said: it has no revision yet. */
  open?: boolean,
) => boolean

/**
 * Visits the rows of a window from `first` on, or of these the one whose key is `only`; false when `visit` has had enough.
 */
export function visitRows(
  window: Span,
  groups: KeyedTable,
  first: number,
  visit: VisitOpen,
  only: Uint8Array | null = null,
): boolean {
  const found = only === null ? first : groups.find(hashBytes(only, 0, only.length), 0, only, 0, only.length)
  if (found < first) return true
  const end = only === null ? groups.count : found + 1
  for (let row = found; row < end; row++) {
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    const u32 = place * groups.strideU32
    const at = place * groups.strideF64 + ROW_HEADER_F64
    const revision = page.u32[u32 + ROW_REVISION]!
    const change = page.u32[u32 + ROW_CHANGE]!
    if (!visit(window.startMs, window.endMs, groups.keyOf(row), revision, change, page.f64, at, row)) return false
  }
  return true
}
