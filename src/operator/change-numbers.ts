/**
 * Change numbers: what tells which rows of a table have changed since somebody asked.
 *
 * A row carries the number of its last change in 32 bits (state/keyed-table), which a busy table uses up within weeks:
 * a number goes with each batch. So the numbers of rows count from a base. Before they run out, the older half of them is
 * given up: the base goes up, the numbers of all rows go down, and what changed longer ago than that keeps 0. Those who
 * ask see base plus number, which never goes down while an attempt lasts.
 *
 * Owns: raising a table's number. Does not own: stamping rows. Numbers mean nothing to another attempt.
 */
import { ROW_CHANGE } from '../state/keyed-table.ts'
import type { Pages } from '../state/pages.ts'

/** The greatest number that a table raises to. One more fits a row, as a restore needs. */
export const CHANGE_MAX = 0xffff_fffe

/** Numbers that are kept when older ones are given up. */
const CHANGES_KEPT = 0x8000_0000

/** A table whose rows carry change numbers. */
export interface ChangingTable {
  /** Number of the current change, as rows carry it. */
  change: number
  /** What those who ask see is so much greater. */
  changeBase: number
  /** Lowers every number that is kept of rows and the like by `by`; in rows not below 0. */
  shiftChanges(by: number): void
}

/** Begins the next change: what is touched from now on has a greater number than everything before. */
export function nextChange(table: ChangingTable): void {
  if (table.change >= CHANGE_MAX) {
    const by = table.change - CHANGES_KEPT
    table.shiftChanges(by)
    table.change -= by
    table.changeBase += by
  }
  table.change++
}

/** Lowers the numbers of rows of `strideU32` words, which have them at word `offset`. */
export function shiftRows({ pages }: Pages, strideU32: number, by: number, offset: number = ROW_CHANGE): void {
  for (const page of pages) {
    const { u32 } = page
    for (let at = offset; at < u32.length; at += strideU32) u32[at] = Math.max(0, u32[at]! - by)
    page.dirty = 1
  }
}
