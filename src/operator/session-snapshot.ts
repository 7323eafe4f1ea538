/**
 * Tables of sessions to a checkpoint and back.
 *
 * Owns: the page sequences of open sessions and their member sets, and rebuilding both: adopted as they are at the same
 * parallelism, session by session into the owner of each key group at another. Does not own: history, late counts and
 * the meta document (operator/table-snapshot, operator/table-restore).
 *
 * Timers are not stored: they follow from the rows.
 */
import { hashBytes } from '../core/hash.ts'
import type { CellStore } from '../state/cell-store.ts'
import { ROW_HASH, ROW_REVISION } from '../state/keyed-table.ts'
import { PagePool } from '../state/page-pool.ts'
import { ROW_FLAGS } from '../state/recycled-table.ts'
import { checkCells } from './cells.ts'
import { goesOn, type HeldTable, moveColumns } from './held-table.ts'
import { adoptRecycled, type Pages, type VisitRecycled, visitRecycled } from './recycled-snapshot.ts'
import { SESSION_START } from './session-chain.ts'
import { SESSION_END, SESSION_FIRED, SessionRows } from './session-rows.ts'
import type { SessionTable } from './session-table.ts'

/** Rows of the session table, then of each accumulator's member set (-1 for none). */
export type SessionsMeta = readonly number[]

/** Name of the page sequences of open sessions, and of a member set of theirs. */
export function sessionsName(table: string, accumulator: number): string {
  return `${table}/sessions/${accumulator < 0 ? '' : `${accumulator}.`}`
}

/** Visits the pages of the open sessions. */
export function visitSessions({ plan, sessions }: SessionTable, visit: VisitRecycled): void {
  visitRecycled(sessionsName(plan.id, -1), sessions.table, visit)
  sessions.sets.forEach((set, i) => {
    if (set !== null) visitRecycled(sessionsName(plan.id, i), set, visit)
  })
}

/** What must be known of the open sessions beside their pages. */
export function sessionsMeta({ sessions }: SessionTable): SessionsMeta {
  return [sessions.table.count, ...sessions.sets.map((set) => set?.count ?? -1)]
}

/** Restores the open sessions of the same subtask at the same parallelism; their table was `id`. */
export function adoptSessions({ plan, sessions }: SessionTable, meta: SessionsMeta, pages: Pages, id: string): void {
  adoptRows(id, sessions, meta, pages)
  for (let row = 0; row < sessions.table.count; row++) {
    if (!sessions.table.isLive(row)) continue
    checkCells(sessions.accumulators, sessions.f64(row), sessions.at(row) + sessions.valuesAt)
    setTimer(plan, sessions, row)
  }
}

/** Takes over from another subtask's snapshot the sessions whose group is `mine`. */
export function takeOverSessions(
  table: SessionTable,
  meta: SessionsMeta,
  pages: Pages,
  held: HeldTable,
  cells: CellStore | null,
  mine: (group: Uint8Array) => boolean,
): void {
  const { plan, sessions } = table
  const from = new SessionRows(plan.id, sessions.gapMs, held.accumulators, new PagePool())
  adoptRows(held.id, from, meta, pages)
  for (let row = 0; row < from.table.count; row++) {
    if (!from.table.isLive(row) || !goesOn(held, from.f64(row), from.at(row) + from.valuesAt)) continue
    const key = from.table.keyOf(row)
    if (mine(key)) copySession(plan, held, from, row, key, sessions, cells)
  }
  from.release()
}

function adoptRows(table: string, sessions: SessionRows, [count, ...sets]: SessionsMeta, pages: Pages): void {
  adoptRecycled(sessions.table, sessionsName(table, -1), count ?? 0, pages)
  sessions.chain.restore()
  sets.forEach((rows, i) => {
    const set = sessions.sets[i]
    if (set != null && rows >= 0) adoptRecycled(set, sessionsName(table, i), rows, pages)
  })
}

function copySession(
  plan: SessionTable['plan'],
  held: HeldTable,
  from: SessionRows,
  row: number,
  key: Uint8Array,
  into: SessionRows,
  cells: CellStore | null,
): void {
  const hash = from.table.u32(row, ROW_HASH)
  const copy = into.insert(hash, key, from.value(row, SESSION_START), from.value(row, SESSION_END))
  const [values, valuesAt] = [from.at(row) + from.valuesAt, into.at(copy) + into.valuesAt]
  moveColumns(held, into.accumulators, from.f64(row), values, into.f64(copy), valuesAt, cells)
  into.table.setU32(copy, ROW_REVISION, from.table.u32(row, ROW_REVISION))
  into.table.setU32(copy, ROW_FLAGS, into.table.u32(copy, ROW_FLAGS) | (from.table.u32(row, ROW_FLAGS) & SESSION_FIRED))
  from.sets.forEach((set, i) => {
    const place = held.places[i]!
    if (set === null || place < 0) return
    from.eachMember(i, row, (member) => {
      const text = set.keyOf(member)
      into.addMember(place, copy, hashBytes(text, 0, text.length), text, 0, text.length)
    })
  })
  setTimer(plan, into, copy)
}

function setTimer(plan: SessionTable['plan'], sessions: SessionRows, row: number): void {
  const fired = (sessions.table.u32(row, ROW_FLAGS) & SESSION_FIRED) !== 0
  sessions.setTimer(row, sessions.value(row, SESSION_END) - 1 + (fired ? plan.allowedLatenessMs : 0))
}
