/**
 * Partial records into result tables: the other end of the partials edge.
 *
 * Nothing is late here: what the window side has accepted is applied, whatever the watermark; a window that has fired is
 * corrected. A window cannot have been closed before the last partial for it arrived, because that partial was sent
 * before the watermark that closes it. Of the windows that share a pane some can be closed: for them, and only here, what
 * the pane gains counts as late.
 */

import { invariant } from '../core/errors.ts'
import { MIN_WATERMARK } from '../core/time.ts'
import type { BatchBuffer } from '../exchange/message.ts'
import { CELL, CLOCK, GAIN, LATE, PartialReader } from '../exchange/partial-batch.ts'
import { ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import { COUNT } from './accumulators.ts'
import { mergeCell } from './cells.ts'
import { weigh } from './member-counts.ts'
import { addMember, memberRow } from './member-rows.ts'
import { mergePartial } from './merge-accumulators.ts'
import type { ResultTable } from './result-table.ts'
import type { Slice } from './slices.ts'

/** Applies batches of partial records to the tables of one merge subtask. */
export class PartialMerger {
  /** Records taken so far. */
  recordsIn = 0
  readonly #tables: readonly (ResultTable | null)[]
  readonly #columns: readonly number[]
  readonly #reader = new PartialReader()
  /** What each sender's clock said last. */
  readonly #clocks: Float64Array

  /** `tables` by index in the plan; null for tables that are not merged. `senders`: subtasks that send to this one. */
  constructor(tables: readonly (ResultTable | null)[], senders: number) {
    this.#tables = tables
    this.#clocks = new Float64Array(senders).fill(MIN_WATERMARK)
    this.#columns = tables.map((table) => table?.accumulators.initial.length ?? 0)
  }

  /** Up to when processing time has passed for every sender: nothing at or before it is still to come. */
  get passedMs(): number {
    return Math.min(...this.#clocks) - 1
  }

  /** Applies one batch. */
  apply(buffer: BatchBuffer, byteLength: number): void {
    const reader = this.#reader
    reader.open(buffer, byteLength, this.#columns)
    while (reader.next()) {
      if (reader.kind === CLOCK) {
        this.#clocks[reader.accumulator] = reader.startMs
        continue
      }
      const table = this.#tables[reader.table]
      invariant(table != null, `a partial for table ${reader.table}, which is not merged`)
      this.recordsIn++
      if (reader.kind === LATE) {
        const group = reader.bytes.subarray(reader.groupStart, reader.groupEnd)
        table.late.change = table.change
        table.late.addCounts(reader.startMs, reader.endMs, group, reader.hash, reader.f64, reader.valuesAt)
      } else {
        this.#applyTo(table, reader)
      }
    }
  }

  #applyTo(table: ResultTable, reader: PartialReader): void {
    const slice = table.slices.of(reader.startMs, reader.endMs)
    const groups = slice.groups
    const row = groups.findOrInsert(reader.hash, 0, reader.bytes, reader.groupStart, reader.groupEnd)
    const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
    const place = row & ROW_PAGE_MASK
    const at = place * groups.strideF64 + ROW_HEADER_F64
    const changeAt = place * groups.strideU32 + ROW_CHANGE
    page.dirty = 1
    if (page.u32[changeAt] !== table.change) {
      page.u32[changeAt] = table.change
      if (slice.fired) {
        slice.touched.push(row)
        if (slice.before !== null) slice.keepBefore(page.f64, at)
      }
    }
    if (reader.kind === GAIN) {
      mergePartial(table.accumulators, page.f64, at, reader.f64, reader.valuesAt, table.plan.id)
      if (slice.fired) this.#tellMissed(table, slice, reader)
    } else if (reader.kind === CELL) {
      const { cells } = table.accumulators
      cells!.loaded.set(reader.bytes, reader.groupEnd, reader.memberEnd)
      page.f64[at + reader.accumulator] = mergeCell(
        table.accumulators,
        reader.accumulator,
        page.f64[at + reader.accumulator]!,
      )
    } else {
      const members = slice.members[reader.accumulator]!
      if (table.accumulators.memberCounts) {
        const member = memberRow(members, row, reader.bytes, reader.groupEnd, reader.memberEnd)
        page.f64[at + reader.accumulator]! += weigh(members, member, reader.weight)
      } else if (addMember(members, row, reader.bytes, reader.groupEnd, reader.memberEnd))
        page.f64[at + reader.accumulator]!++
    }
  }

  #tellMissed(table: ResultTable, slice: Slice, reader: PartialReader): void {
    const missed = table.missedWindows(slice)
    if (missed.length === 0) return
    const { kinds } = table.accumulators
    const counts = Float64Array.from(kinds, (kind, i) => (kind === COUNT ? reader.f64[reader.valuesAt + i]! : 0))
    const group = reader.bytes.subarray(reader.groupStart, reader.groupEnd)
    table.late.change = table.change
    for (const { startMs, endMs } of missed) table.late.addCounts(startMs, endMs, group, reader.hash, counts, 0)
  }
}
