/**
 * A table whose results are made elsewhere: it gathers what groups gain, and sends that on as partials.
 *
 * Owns: open slices with gains since the last flush, member sets, late counts. After a flush the gains are back at their
 * start values, so that a checkpoint (which comes behind a flush) has nothing of them to keep; what stays are the groups
 * and the members that exact distincts need.
 *
 * Flushing is resumable: it stops where a channel has no credit and goes on from there.
 */
import type { PartialOutput } from '../exchange/partial-batch.ts'
import type { TablePlan } from '../job/plan.ts'
import {
  type KeyedTable,
  ROW_HASH,
  ROW_HEADER_F64,
  ROW_OWNER,
  ROW_PAGE_MASK,
  ROW_PAGE_SHIFT,
} from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { isClosed, latenessAt } from '../window/lateness.ts'
import { type Accumulators, DISTINCT_KEY_SENT, DISTINCT_TEXT, hasMembers, isCell } from './accumulators.ts'
import { releaseTable } from './cells.ts'
import { shiftRows } from './change-numbers.ts'
import { LateLedger } from './late-ledger.ts'
import { memberColumnsOf, memberCount, owe } from './member-counts.ts'
import { membersOfEvents } from './result-table.ts'
import { panesOfTable, type Slice, SliceList } from './slices.ts'

/** One table on the window side of the partials edge. */
export class PartialTable {
  readonly plan: TablePlan
  readonly index: number
  readonly accumulators: Accumulators
  readonly slices: SliceList
  readonly late: LateLedger
  /** Number of the current flush: rows touched since carry it. */
  change = 1
  changeBase = 0
  /** Whether a checkpoint must keep this table: only member sets outlive a flush. */
  readonly durable: boolean
  /** Members already sent, a slice and accumulator. */
  readonly #sent = new Map<Slice, Int32Array>()
  /** Touched rows of the slice that is being flushed which have been sent. */
  #flushed = 0
  readonly #onlyChanges: boolean

  /** `onlyChanges`: gains may be none, of what is given and taken back at once; they are not sent. Such a table is durable. */
  constructor(plan: TablePlan, index: number, accumulators: Accumulators, pool: PagePool, onlyChanges = false) {
    this.#onlyChanges = onlyChanges
    this.plan = plan
    this.index = index
    this.accumulators = accumulators
    this.durable = onlyChanges || hasMembers(accumulators)
    const withMembers = Array.from(accumulators.kinds, membersOfEvents)
    const memberColumns = memberColumnsOf(accumulators)
    this.slices = new SliceList(pool, accumulators.initial, withMembers, panesOfTable(plan), memberColumns)
    if (accumulators.cells !== null) this.slices.onDrop = (slice) => releaseTable(accumulators, slice.groups)
    this.late = new LateLedger(accumulators)
  }

  /** Sends every gain; false when it must wait for a credit. The caller flushes `output` itself when all is written. */
  flush(output: PartialOutput): boolean {
    for (const slice of this.slices.slices) {
      if (!this.#flushGroups(slice, output) || !this.#flushMembers(slice, output)) return false
    }
    for (const entry of this.late.entries()) {
      // Late entries are few and idempotent to walk: a record that does not fit is tried again from the start, after
      // those before it have been taken out.
      if (!output.late(this.index, entry.startMs, entry.endMs, entry.hash, entry.group, entry.counts)) return false
      this.late.delete(entry)
    }
    return true
  }

  /** Bytes beside the page pool's. */
  get indexBytes(): number {
    return this.slices.indexBytes
  }

  /** See ChangingTable. */
  shiftChanges(by: number): void {
    for (const { groups } of this.slices.slices) shiftRows(groups.rows, groups.strideU32, by)
    this.late.shiftChanges(by)
  }

  /** True when a flush would write something. */
  get pending(): boolean {
    return this.late.size > 0 || this.slices.slices.some((slice) => slice.touched.length > 0)
  }

  /** Drops windows that nothing may change any more; only after a flush. */
  close(watermarkMs: number): void {
    const { slices, closedUntilMs } = this.slices
    const lateness = latenessAt(this.plan.allowedLatenessMs, closedUntilMs, watermarkMs)
    while (slices.length > 0 && isClosed(slices[0]!.lastEndMs, lateness, watermarkMs)) {
      this.#sent.delete(slices[0]!)
      this.slices.dropFirst()
    }
  }

  /** After a restore: everything there is was sent before the checkpoint. */
  markAllSent(): void {
    for (const slice of this.slices.slices)
      this.#sent.set(
        slice,
        Int32Array.from(slice.members, (m) => m?.count ?? 0),
      )
  }

  #flushGroups(slice: Slice, output: PartialOutput): boolean {
    const { touched, groups } = slice
    const columns = this.accumulators.initial
    // In order, however often it is flushed: so groups come to their owner in the order in which they came here.
    for (; this.#flushed < touched.length; this.#flushed++) {
      const row = touched[this.#flushed]!
      const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const place = row & ROW_PAGE_MASK
      const at = place * groups.strideF64 + ROW_HEADER_F64
      if (this.#onlyChanges && isInitial(page.f64, at, columns)) continue
      const hash = page.u32[place * groups.strideU32 + ROW_HASH]!
      if (!this.#flushCells(slice, output, row, hash, page.f64, at)) return false
      if (!output.gain(this.index, slice.startMs, slice.endMs, hash, groups.keyOf(row), page.f64, at, columns.length))
        return false
      page.f64.set(columns, at)
    }
    this.#flushed = 0
    touched.length = 0
    return true
  }

  /** Sends the sketches of a row, each freed as it is written. */
  #flushCells(slice: Slice, output: PartialOutput, row: number, hash: number, f64: Float64Array, at: number): boolean {
    const { cells, kinds, count } = this.accumulators
    for (let i = 0; cells !== null && i < count; i++) {
      const ref = f64[at + i]!
      if (!isCell(kinds[i]!) || ref === 0) continue
      cells.read(ref)
      const content = cells.u8.subarray(cells.at, cells.at + cells.length)
      const key = slice.groups.keyOf(row)
      if (!output.cell(this.index, slice.startMs, slice.endMs, hash, key, i, content)) return false
      cells.free(ref)
      f64[at + i] = 0
    }
    return true
  }

  #flushMembers(slice: Slice, output: PartialOutput): boolean {
    const { kinds } = this.accumulators
    for (let i = 0; i < kinds.length; i++) {
      if (kinds[i] !== DISTINCT_TEXT && kinds[i] !== DISTINCT_KEY_SENT) continue
      const members = slice.members[i]!
      if (this.accumulators.memberCounts) {
        if (!this.#flushOwed(slice, i, members, output)) return false
        continue
      }
      let sent = this.#sent.get(slice)
      if (sent === undefined) {
        sent = new Int32Array(kinds.length)
        this.#sent.set(slice, sent)
      }
      while (sent[i]! < members.count) {
        if (!this.#sendMember(slice, i, members, sent[i]!, 1, output)) return false
        sent[i]!++
      }
    }
    return true
  }

  /** Sends by how much each member that was given or taken back has gained since the last flush. */
  #flushOwed(slice: Slice, accumulator: number, members: KeyedTable, output: PartialOutput): boolean {
    const owed = slice.owed[accumulator] ?? []
    while (owed.length > 0) {
      const member = owed[owed.length - 1]!
      const weight = memberCount(members, member)
      if (weight !== 0 && !this.#sendMember(slice, accumulator, members, member, weight, output)) return false
      owe(members, member, -weight)
      owed.pop()
    }
    return true
  }

  #sendMember(
    slice: Slice,
    accumulator: number,
    members: KeyedTable,
    row: number,
    weight: number,
    output: PartialOutput,
  ): boolean {
    const { startMs, endMs, groups } = slice
    const u32 = members.rows.pages[row >>> ROW_PAGE_SHIFT]!.u32
    const group = u32[(row & ROW_PAGE_MASK) * members.strideU32 + ROW_OWNER]!
    const groupPage = groups.rows.pages[group >>> ROW_PAGE_SHIFT]!
    const hash = groupPage.u32[(group & ROW_PAGE_MASK) * groups.strideU32 + ROW_HASH]!
    const member = members.keyOf(row)
    return output.member(this.index, startMs, endMs, hash, groups.keyOf(group), accumulator, member, weight)
  }
}

function isInitial(f64: Float64Array, at: number, initial: Float64Array): boolean {
  for (let i = 0; i < initial.length; i++) if (f64[at + i] !== initial[i]) return false
  return true
}
