/**
 * Members as rows: a set of values for each group, a row a value and group.
 *
 * Owns: under which hash a member is kept. Does not own: how often it was given (operator/member-counts), the other form
 * of member sets (operator/member-bits).
 */
import { hashBytes, mix32 } from '../core/hash.ts'
import type { KeyedTable } from '../state/keyed-table.ts'

/** The row of a member of a group, added if need be. */
export function memberRow(members: KeyedTable, group: number, bytes: Uint8Array, start: number, end: number): number {
  return members.findOrInsert(memberHash(hashBytes(bytes, start, end), group), group, bytes, start, end)
}

/** The hash under which a member of a group is kept: the member's own, spread by the group. */
export function memberHash(hash: number, group: number): number {
  return mix32(hash ^ Math.imul(group + 1, 0x9e3779b1))
}

/** Adds a member to a group's set; true when it is new. */
export function addMember(members: KeyedTable, group: number, bytes: Uint8Array, start: number, end: number): boolean {
  const before = members.count
  members.findOrInsert(memberHash(hashBytes(bytes, start, end), group), group, bytes, start, end)
  return members.count > before
}
