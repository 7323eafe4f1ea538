/**
 * The accumulators of a row that are cells: merging, releasing, keeping, copying and checking them, by kind.
 *
 * Owns: which sketch is behind which kind of accumulator. Does not own: the sketches (state/sketch), adding events to
 * them (operator/update-sketch), reading them (operator/read-metric).
 *
 * A row owns its cells. Whoever drops a row, or sets its columns back, calls `releaseCells` before.
 */
import { CellStore } from '../state/cell-store.ts'
import type { RowCells } from '../state/history-table.ts'
import { type KeyedTable, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { badCell } from '../state/sketch/bad-cell.ts'
import { boundedCheck, boundedMerge, boundedSettle } from '../state/sketch/bounded-set.ts'
import { ddCheck, ddMerge, ddSettle } from '../state/sketch/dd-sketch.ts'
import { itemsCheck, itemsMerge, itemsSettle } from '../state/sketch/frequent-items.ts'
import { hllCheck, hllMerge, hllSettle } from '../state/sketch/hll.ts'
import { textCheck, textMerge, textSettle } from '../state/sketch/timed-text.ts'
import {
  type Accumulators,
  BOUNDED_KEY,
  BOUNDED_TEXT,
  HLL_KEY,
  HLL_TEXT,
  isCell,
  LAST_TEXT,
  QUANTILES,
  TOP,
} from './accumulators.ts'

/** Adds what `cells.loaded` holds to the cell `ref` of accumulator `i`; returns the reference from now on. */
export function mergeCell({ cells, kinds, parameters }: Accumulators, i: number, ref: number): number {
  switch (kinds[i]) {
    case HLL_KEY:
    case HLL_TEXT:
      return hllMerge(cells!, ref, parameters[i]!)
    case BOUNDED_KEY:
    case BOUNDED_TEXT:
      return boundedMerge(cells!, ref, parameters[i]!)
    case QUANTILES:
      return ddMerge(cells!, ref, parameters[i]!, 1)
    case TOP:
      return itemsMerge(cells!, ref)
    default:
      return textMerge(cells!, ref, kinds[i] === LAST_TEXT)
  }
}

/** Frees the cells of a row and sets their columns to none. */
export function releaseCells({ cells, kinds, count }: Accumulators, f64: Float64Array, at: number): void {
  if (cells === null) return
  for (let i = 0; i < count; i++) {
    if (!isCell(kinds[i]!)) continue
    cells.free(f64[at + i]!)
    f64[at + i] = 0
  }
}

/** Sets the columns of a copied row to none: its cells belong to the original. */
export function forgetCells({ cells, kinds, count }: Accumulators, f64: Float64Array, at: number): void {
  if (cells === null) return
  for (let i = 0; i < count; i++) if (isCell(kinds[i]!)) f64[at + i] = 0
}

/** Replaces the references of a row that was copied to a closed window: by copies in `into`, as small as they can be. */
export function settleCells(accumulators: Accumulators, into: CellStore, f64: Float64Array, at: number): void {
  const { cells, kinds, count, parameters } = accumulators
  if (cells === null) return
  for (let i = 0; i < count; i++) {
    const ref = f64[at + i]!
    if (isCell(kinds[i]!) && ref !== 0) f64[at + i] = settle(cells, kinds[i]!, parameters[i]!, ref, into)
  }
}

/** Replaces reference `i` of a row that was copied from elsewhere, where its cells are in `from`, by a copy in `cells`. */
export function takeCell({ cells }: Accumulators, from: CellStore, f64: Float64Array, at: number, i: number): void {
  const ref = f64[at + i]!
  if (cells !== null && ref !== 0) f64[at + i] = textSettle(from, ref, cells)
}

/** The same accumulators with cells of their own, for rows that live and go by themselves. */
export function withOwnCells(accumulators: Accumulators, pool: PagePool): Accumulators {
  return accumulators.cells === null ? accumulators : { ...accumulators, cells: new CellStore(pool) }
}

/** Cells of the history of a table: `settled` are its accumulators as they are there. */
export function historyCells(accumulators: Accumulators, settled: Accumulators): RowCells | null {
  const store = settled.cells
  if (store === null) return null
  return {
    store,
    keep: (f64, at, from) =>
      settleCells(from === null ? accumulators : { ...accumulators, cells: from }, store, f64, at),
    free: (f64, at) => releaseCells(settled, f64, at),
  }
}

/** As `checkCells`, of every row. */
export function checkTable(accumulators: Accumulators, groups: KeyedTable): void {
  if (accumulators.cells === null) return
  for (let row = 0; row < groups.count; row++) {
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    checkCells(accumulators, page.f64, (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64)
  }
}

/** Frees the cells of all rows of a table that is about to be dropped. */
export function releaseTable(accumulators: Accumulators, groups: KeyedTable): void {
  if (accumulators.cells === null) return
  for (let row = 0; row < groups.count; row++) {
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    releaseCells(accumulators, page.f64, (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64)
  }
}

/** Checks the cells of a row that was read from a checkpoint. STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function checkCells(accumulators: Accumulators, f64: Float64Array, at: number): void {
  const { cells, kinds, count } = accumulators
  if (cells === null) return
  for (let i = 0; i < count; i++) {
    const ref = f64[at + i]!
    if (!isCell(kinds[i]!) || ref === 0) continue
    if (!cells.has(ref)) badCell('sketch', `its cell ${ref} is not there`)
    cells.load(ref)
    checkCell(accumulators, i)
  }
}

/** Refuses what `cells.loaded` holds if it is no cell of accumulator `i`. STATE_INCOMPATIBLE, CHECKPOINT_CORRUPT. */
export function checkCell({ cells, kinds, parameters }: Accumulators, i: number): void {
  const { loaded } = cells!
  const kind = kinds[i]
  if (kind === HLL_KEY || kind === HLL_TEXT) hllCheck(loaded, parameters[i]!)
  else if (kind === BOUNDED_KEY || kind === BOUNDED_TEXT) boundedCheck(loaded, parameters[i]!)
  else if (kind === QUANTILES) ddCheck(loaded, parameters[i]!)
  else if (kind === TOP) itemsCheck(loaded)
  else textCheck(loaded)
}

function settle(cells: CellStore, kind: number, parameter: number, ref: number, into: CellStore): number {
  switch (kind) {
    case HLL_KEY:
    case HLL_TEXT:
      return hllSettle(cells, ref, into)
    case BOUNDED_KEY:
    case BOUNDED_TEXT:
      return boundedSettle(cells, ref, into)
    case QUANTILES:
      return ddSettle(cells, ref, into)
    case TOP:
      return itemsSettle(cells, ref, parameter, into)
    default:
      return textSettle(cells, ref, into)
  }
}
