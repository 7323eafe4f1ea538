/**
 * Pre-aggregation: rows of a scan that no table can tell apart become one row before they cross to another thread.
 *
 * Two rows are alike when they fall into the same pane of every table, have the same predicate bits, the same texts and,
 * where a table needs it, the same key. The first of them stays and stands for all: it carries their number, the sums of
 * the columns that are summed, and the extremes of those whose extremes are asked. The mask of the others becomes 0, so
 * they are not sent.
 *
 * Owns: finding what is alike, and folding. Does not own: whether a plan allows it (runtime/pre-aggregation.ts), sending.
 *
 * No result changes: every row of a pane is judged late or not by the pane's end alone, counts and integer sums do not
 * depend on order, and what has no room (a sum beyond 2^53) stays a row of its own. Nothing outlives a scan, so there is
 * nothing to flush before a mark and nothing to checkpoint.
 *
 * Where few rows are alike the attempt costs more than it saves: after a scan with little gain the next ones are left
 * alone for a while.
 */
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import type { ScanBatch } from '../event/scan.ts'
import type { WindowAssigner } from '../window/tumbling.ts'

/** What a plan lets the combiner do. */
export interface CombinerPlan {
  /** Whether rows with different keys must stay apart. */
  readonly byKey: boolean
  /** Schema columns whose texts must be equal. */
  readonly texts: readonly number[]
  /** Schema columns that are added up, and whose least and greatest value is kept. A column is in one of the three. */
  readonly sums: readonly number[]
  readonly mins: readonly number[]
  readonly maxs: readonly number[]
  /** The panes of every table. */
  readonly assigners: readonly WindowAssigner[]
}

/** Places of the table: a power of two well above the rows of a scan. */
const SLOTS = BATCH_ROWS_MAX * 4

/** At least one row in so many must go, or the scans that follow are left alone. */
const GAIN_MIN = 1 / 8

/** Scans that are left alone after one with little gain. */
const SCANS_SKIPPED = 63

/** Folds alike rows of scan batches. It owns scratch space: one instance serves one thread. */
export class Combiner {
  /** Events that each row of the scan stands for; valid where the mask is not 0. */
  readonly counts = new Uint32Array(BATCH_ROWS_MAX)
  readonly #plan: CombinerPlan
  /** Row + 1 of what stands for a place; 0 for a free one. */
  readonly #slots = new Uint16Array(SLOTS)
  /** Start of the stretch of time in which no table has a boundary, a row. */
  readonly #paneMs = new Float64Array(BATCH_ROWS_MAX)
  #skip = 0
  #fromMs = Infinity
  #toMs = -Infinity

  constructor(plan: CombinerPlan) {
    this.#plan = plan
  }

  /** Folds the rows of `scan` whose mask is not 0 and sets `counts`. Returns the number of rows that went. */
  combine(scan: ScanBatch): number {
    const { counts } = this
    const rows = scan.rows
    counts.fill(1, 0, rows)
    if (this.#skip > 0) {
      this.#skip--
      return 0
    }
    const { mask, timeMs } = scan
    const slots = this.#slots
    const panes = this.#paneMs
    const byKey = this.#plan.byKey
    slots.fill(0)
    let wanted = 0
    let gone = 0
    for (let row = 0; row < rows; row++) {
      const bits = mask[row]!
      if (bits === 0) continue
      wanted++
      const time = timeMs[row]!
      if (time < this.#fromMs || time >= this.#toMs) this.#findPane(time)
      panes[row] = this.#fromMs
      let at = this.#placeOf(scan, row, bits)
      for (;;) {
        const taken = slots[at]!
        if (taken === 0) {
          slots[at] = row + 1
          break
        }
        const first = taken - 1
        if (
          mask[first] === bits &&
          panes[first] === this.#fromMs &&
          this.#sameTexts(scan, first, row) &&
          (!byKey || sameKey(scan, first, row))
        ) {
          if (this.#fold(scan, first, row)) {
            mask[row] = 0
            gone++
          }
          break
        }
        at = (at + 1) & (SLOTS - 1)
      }
    }
    if (gone < wanted * GAIN_MIN) this.#skip = SCANS_SKIPPED
    return gone
  }

  /** The stretch around `timeMs` in which every table has one pane. */
  #findPane(timeMs: number): void {
    let from = -Infinity
    let to = Infinity
    const { assigners } = this.#plan
    for (let i = 0; i < assigners.length; i++) {
      const assigner = assigners[i]!
      assigner.assign(timeMs)
      if (assigner.startMs > from) from = assigner.startMs
      if (assigner.endMs < to) to = assigner.endMs
    }
    this.#fromMs = from
    this.#toMs = to
  }

  #placeOf(scan: ScanBatch, row: number, bits: number): number {
    const { texts, byKey } = this.#plan
    let hash = Math.imul(bits, 0x9e3779b1) ^ (byKey ? scan.keyHash[row]! : 0)
    for (let i = 0; i < texts.length; i++) hash = Math.imul(hash ^ scan.texts[texts[i]!]![row]!, 0x85ebca6b)
    hash ^= hash >>> 15
    return hash & (SLOTS - 1)
  }

  #sameTexts(scan: ScanBatch, a: number, b: number): boolean {
    const { texts } = this.#plan
    for (let i = 0; i < texts.length; i++) {
      const ids = scan.texts[texts[i]!]!
      if (ids[a] !== ids[b]) return false
    }
    return true
  }

  /** Adds `row` to `first`; false, and nothing done, where a sum would not be exact any more. */
  #fold(scan: ScanBatch, first: number, row: number): boolean {
    const { sums, mins, maxs } = this.#plan
    for (let i = 0; i < sums.length; i++) {
      const column = scan.numbers[sums[i]!]!
      const sum = column[first]! + column[row]!
      if (!Number.isSafeInteger(sum) && !Number.isNaN(sum)) return false
    }
    for (let i = 0; i < sums.length; i++) {
      const column = scan.numbers[sums[i]!]!
      // NaN is no value, and gives way to one.
      if (Number.isNaN(column[first]!)) column[first] = column[row]!
      else if (!Number.isNaN(column[row]!)) column[first]! += column[row]!
    }
    for (let i = 0; i < mins.length; i++) {
      const column = scan.numbers[mins[i]!]!
      // NaN is no value, and gives way to one.
      if (column[row]! < column[first]! || Number.isNaN(column[first]!)) column[first] = column[row]!
    }
    for (let i = 0; i < maxs.length; i++) {
      const column = scan.numbers[maxs[i]!]!
      if (column[row]! > column[first]! || Number.isNaN(column[first]!)) column[first] = column[row]!
    }
    this.counts[first]!++
    return true
  }
}

function sameKey(scan: ScanBatch, a: number, b: number): boolean {
  if (scan.keyHash[a] !== scan.keyHash[b]) return false
  const { keyStart, keyEnd, keyWords } = scan
  const length = keyEnd[a]! - keyStart[a]!
  if (keyEnd[b]! - keyStart[b]! !== length) return false
  let from = keyStart[a]! >>> 2
  let other = keyStart[b]! >>> 2
  // Behind a key there are zeros up to the next word.
  for (const end = from + ((length + 3) >>> 2); from < end; from++, other++)
    if (keyWords[from] !== keyWords[other]) return false
  return true
}
