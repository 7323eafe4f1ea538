/**
 * Values of open overlapping windows, for questions: each window is put together of its panes, one after the other.
 *
 * Owns: the sums, their memory, and the bound of the work: a question is answered between two batches, and a thread that
 * adds up for half a minute is taken for dead. Does not own: which windows there are (operator/pane-view).
 */
import type { PagePool } from '../state/page-pool.ts'
import type { Span } from '../window/panes.ts'
import { type Accumulators, isCell } from './accumulators.ts'
import { panesOf } from './pane-view.ts'
import { RunningWindow } from './running-window.ts'
import type { Slice } from './slices.ts'
import { type KeyTest, TooMuchWork } from './view-filter.ts'

/** Most rows of panes that are added up in one answer, where rows are numbers: a few seconds. */
export const SUMMED_ROWS_MAX = 5_000_000

/** Adding a sketch takes as long as so many rows. */
const ROWS_A_SKETCH = 100

/** Looking at so many rows of a window takes as long as adding one. */
const LOOKS_A_ROW = 8

/** Visits the sum of each window, in the order given, until `visit` returns false. Throws TooMuchWork beyond `rowsMax`. */
export function visitSums(
  accumulators: Accumulators,
  pool: PagePool,
  table: string,
  passes: KeyTest | null,
  panes: readonly Slice[],
  windows: readonly Span[],
  visit: (sum: RunningWindow, window: Span) => boolean,
  rowsMax = SUMMED_ROWS_MAX,
): void {
  const sketches = accumulators.kinds.reduce((sum, kind) => sum + (isCell(kind) ? 1 : 0), 0)
  const budget = { left: rowsMax / (1 + sketches * ROWS_A_SKETCH) }
  const sum = new RunningWindow(accumulators, pool, table, passes)
  try {
    for (const window of windows) {
      for (const _ of sum.moveTo(panesOf(panes, window), budget)) throw new TooMuchWork()
      budget.left -= sum.groups.count / LOOKS_A_ROW
      if (!visit(sum, window)) return
    }
  } finally {
    // Its sketches are in the table's store, and would stay there.
    sum.release()
  }
}
