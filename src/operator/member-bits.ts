/**
 * Members as bits: which groups of a slice have a value, in a few rows a value instead of one a value and group.
 *
 * Owns: what the rows of such a member set mean. Groups of a slice are numbered by their rows, in blocks of 64. The set has
 * a row for each value and block with a bit for each group of the block, in the two words of the row that member sets have
 * no other use for (revision and change). Its owner is the number of the block.
 *
 * With up to 64 groups a set has as many rows as there are different values, however many groups each of them is in: it
 * stays in the processor's caches where one with a row a value and group would not. With many groups of few values it has
 * a row for nearly every one, as the other form. It knows neither how often a value was given, nor which were added since:
 * where that is asked, sets have a row for each value and group (operator/member-counts, operator/pane-corrections).
 */
import { hashBytes, mix32 } from '../core/hash.ts'
import { type KeyedTable, ROW_OWNER, ROW_PAGE_MASK, ROW_PAGE_SHIFT, ROW_REVISION } from '../state/keyed-table.ts'

/** group >>> BLOCK_SHIFT is the block of a group. */
export const BLOCK_SHIFT = 6

/** The hash under which a value is kept for a block: the value's own, spread by the block. */
export function blockHash(hash: number, block: number): number {
  return block === 0 ? hash : mix32(hash ^ Math.imul(block, 0x9e3779b1))
}

/** Notes that a group has the value in row `row` of the set; true when that is new. */
export function setMemberBit(members: KeyedTable, row: number, group: number): boolean {
  const page = members.rows.pages[row >>> ROW_PAGE_SHIFT]!
  const at = (row & ROW_PAGE_MASK) * members.strideU32 + ROW_REVISION + ((group >>> 5) & 1)
  const bit = 1 << (group & 31)
  const before = page.u32[at]!
  if ((before & bit) !== 0) return false
  page.u32[at] = before | bit
  page.dirty = 1
  return true
}

/** Adds a value to a group; true when it is new there. */
export function addMemberBit(
  members: KeyedTable,
  group: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  hash: number = hashBytes(bytes, start, end),
): boolean {
  const block = group >>> BLOCK_SHIFT
  return setMemberBit(members, members.findOrInsert(blockHash(hash, block), block, bytes, start, end), group)
}

/** Visits the groups that have the value in row `row`. */
export function eachGroup(members: KeyedTable, row: number, visit: (group: number) => void): void {
  const { u32 } = members.rows.pages[row >>> ROW_PAGE_SHIFT]!
  const at = (row & ROW_PAGE_MASK) * members.strideU32
  const first = u32[at + ROW_OWNER]! << BLOCK_SHIFT
  for (let half = 0; half < 2; half++) {
    for (let bits = u32[at + ROW_REVISION + half]!; bits !== 0; bits &= bits - 1) {
      visit(first + half * 32 + 31 - Math.clz32(bits & -bits))
    }
  }
}
