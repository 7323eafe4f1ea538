/**
 * Counts of members: how often each value of an exact distinct was given, where events can be taken back.
 *
 * Owns: what a weight does to a member. Does not own: member sets (operator/slices), or which tables have counts
 * (operator/accumulators). Tables whose weights are always 1 have no counts: there a member is in the set, or not.
 *
 * A count is a sum of weights, in whatever order they come: an event may be taken back before it has come, by another
 * partition, so a count may be below 0 meanwhile. A member is in the set while its count is above.
 */
import { type KeyedTable, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import type { Accumulators } from './accumulators.ts'

const noColumns = new Float64Array(0)
const countColumn = new Float64Array(1)

/** What the number columns of a member start at: one count where members have counts, else there are none. */
export function memberColumnsOf({ memberCounts }: Accumulators): Float64Array {
  return memberCounts ? countColumn : noColumns
}

/** Gives a member `weight` times, or takes it back; returns 1 if it came into the set by that, -1 if it left it. */
export function weigh(members: KeyedTable, member: number, weight: number): number {
  const page = members.rows.pages[member >>> ROW_PAGE_SHIFT]!
  const at = (member & ROW_PAGE_MASK) * members.strideF64 + ROW_HEADER_F64
  const before = page.f64[at]!
  const after = before + weight
  page.f64[at] = after
  page.dirty = 1
  return (after > 0 ? 1 : 0) - (before > 0 ? 1 : 0)
}

/** Adds to the weight of a member that is still to be sent; true when there was none. */
export function owe(members: KeyedTable, member: number, weight: number): boolean {
  const page = members.rows.pages[member >>> ROW_PAGE_SHIFT]!
  const at = (member & ROW_PAGE_MASK) * members.strideF64 + ROW_HEADER_F64
  const before = page.f64[at]!
  page.f64[at] = before + weight
  page.dirty = 1
  return before === 0
}

/** The count of a member, or the weight of it that is still to be sent. */
export function memberCount(members: KeyedTable, member: number): number {
  const { f64 } = members.rows.pages[member >>> ROW_PAGE_SHIFT]!
  return f64[(member & ROW_PAGE_MASK) * members.strideF64 + ROW_HEADER_F64]!
}
