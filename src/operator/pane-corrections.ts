/**
 * Late events of panes into the windows that have fired and are not closed.
 *
 * Owns: which rows of which windows change because of rows touched in panes, and their new values. Does not own: giving
 * the corrections out (operator/pane-table).
 *
 * A group that was touched is summed up anew over the panes of each such window: one lookup a pane and window. Counts of
 * different values are not: a member that is new in a pane counts in a window if none of its other panes has it.
 */
import type { TablePlan } from '../job/plan.ts'
import { ROW_CHANGE, ROW_HASH, ROW_HEADER_F64, ROW_OWNER, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import { isClosed, isDue, latenessAt } from '../window/lateness.ts'
import type { Accumulators } from './accumulators.ts'
import { memberHash } from './member-rows.ts'
import { panesOf } from './pane-view.ts'
import { type RunningWindow, sumGroup } from './running-window.ts'
import type { Slice, SliceList } from './slices.ts'

/** What corrections need of a table. */
export interface CorrectedTable {
  readonly plan: TablePlan
  readonly accumulators: Accumulators
  /** The panes. */
  readonly slices: SliceList
  /** The windows that have fired and are not closed. */
  readonly windows: SliceList
  readonly running: RunningWindow
  readonly firedMs: number
  readonly change: number
}

/** Brings what was touched in panes into the windows that have fired; true when rows of `windows` are touched by it. */
export function settlePanes(table: CorrectedTable, watermarkMs: number): boolean {
  const { plan, slices, windows, firedMs, running } = table
  const lateness = latenessAt(plan.allowedLatenessMs, slices.closedUntilMs, watermarkMs)
  let corrected = false
  for (const pane of slices.slices) {
    if (!pane.fired || pane.touched.length === 0) continue
    const fired = pane.windows.filter(({ endMs }) => isDue(endMs, firedMs) && !isClosed(endMs, lateness, watermarkMs))
    const open = fired.map(({ startMs, endMs }) => windows.of(startMs, endMs))
    for (const window of open) for (const row of pane.touched) touch(table, window, windowRow(window, pane, row))
    for (let i = 0; i < pane.members.length; i++) settleMembers(table, pane, i, open)
    for (const row of pane.touched) running.update(pane, row)
    pane.touched.length = 0
    corrected ||= open.length > 0
  }
  if (!corrected) return false
  for (const window of windows.slices) {
    if (window.touched.length === 0) continue
    const panes = panesOf(slices.slices, window)
    for (const row of window.touched) sumGroup(table.accumulators, window.groups, row, panes, plan.id)
  }
  return true
}

/** Counts the members that are new in a pane. */
function settleMembers(table: CorrectedTable, pane: Slice, accumulator: number, open: readonly Slice[]): void {
  const members = pane.members[accumulator] ?? null
  if (members === null) return
  for (let member = pane.membersSeen[accumulator]!; member < members.count; member++) {
    const u32 = members.rows.pages[member >>> ROW_PAGE_SHIFT]!.u32
    const owner = u32[(member & ROW_PAGE_MASK) * members.strideU32 + ROW_OWNER]!
    table.running.addMember(pane, accumulator, member)
    for (const window of open) {
      if (isElsewhere(table, window, pane, owner, accumulator, member)) continue
      const { groups } = window
      const row = windowRow(window, pane, owner)
      const f64 = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.f64
      f64[(row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64 + accumulator]!++
    }
  }
  pane.membersSeen[accumulator] = members.count
}

/** Whether another pane of the window has the member, and the window knows. */
function isElsewhere(
  { slices }: CorrectedTable,
  window: Slice,
  pane: Slice,
  owner: number,
  accumulator: number,
  member: number,
): boolean {
  const members = pane.members[accumulator]!
  const groupHash = hashOf(pane, owner)
  const hash = members.keyHashOf(member)
  for (const other of panesOf(slices.slices, window)) {
    if (other === pane) continue
    const group = other.groups.findKeyOf(pane.groups, owner, groupHash, 0)
    if (group < 0) continue
    const found = other.members[accumulator]!.findKeyOf(members, member, memberHash(hash, group), group)
    if (found >= 0 && found < other.membersSeen[accumulator]!) return true
  }
  return false
}

function windowRow(window: Slice, pane: Slice, row: number): number {
  return window.groups.insertKeyOf(pane.groups, row, hashOf(pane, row), 0)
}

function hashOf({ groups }: Slice, row: number): number {
  return groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32[(row & ROW_PAGE_MASK) * groups.strideU32 + ROW_HASH]!
}

function touch({ change }: CorrectedTable, window: Slice, row: number): void {
  const { groups } = window
  const u32 = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32
  const at = (row & ROW_PAGE_MASK) * groups.strideU32 + ROW_CHANGE
  if (u32[at] === change) return
  u32[at] = change
  window.touched.push(row)
  if (window.before === null) return
  const f64 = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!.f64
  window.keepBefore(f64, (row & ROW_PAGE_MASK) * groups.strideF64 + ROW_HEADER_F64)
}
