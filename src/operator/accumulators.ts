/**
 * The accumulators of a table, laid out for the update loops.
 *
 * Owns: which number column of a row each accumulator uses, what it starts at, and how partial accumulators merge. Does
 * not own: rows (state/keyed-table), or how events are read (operator/aggregate-events).
 *
 * Columns of a row: one double an accumulator, in plan order; a floating sum takes a second one for its compensation
 * (Neumaier), behind all others. Counts and integer sums are exact: a sum that leaves +-2^53 fails the job.
 */
import { MillraceError } from '../core/errors.ts'
import type { AccumulatorKind, TablePlan } from '../job/plan.ts'
import { createPanes } from '../window/panes.ts'

/** Accumulator kinds as small integers, for the switch in the loops. */
export const COUNT = 0
/** Exact sum of integers. */
export const SUM = 1
/** Compensated sum of doubles. */
export const SUM_FLOATING = 2
/** Smallest value. */
export const MIN = 3
/** Largest value. */
export const MAX = 4
/** Count of different keys of the event. */
export const DISTINCT_KEY = 5
/** Count of different values of a text column. */
export const DISTINCT_TEXT = 6
/** Count of different keys of the event over several panes: the keys travel to merge, as values of a text do. */
export const DISTINCT_KEY_SENT = 7

/** The accumulators of one table as parallel arrays. */
export interface Accumulators {
  readonly count: number
  readonly kinds: Uint8Array
  /** Bit number in the row mask. */
  readonly predicates: Uint8Array
  /** Position in the batch's number columns (sum, min, max) or text columns (distinct of text); -1 else. */
  readonly inputs: Int32Array
  /** Row column of the compensation of a floating sum; -1 else. */
  readonly compensations: Int32Array
  /** Start values of all row columns. */
  readonly initial: Float64Array
  /** OR of the mask bits that any accumulator looks at. */
  readonly mask: number
}

const kindCodes: Record<AccumulatorKind, number> = {
  count: COUNT,
  sum: SUM,
  min: MIN,
  max: MAX,
  distinct: DISTINCT_TEXT,
}

/**
 * Lays a table's accumulators out. `numberAt` and `textAt` give the position of a schema column among the number and
 * text columns of a batch.
 */
export function layOutAccumulators(
  plan: TablePlan,
  numberAt: (column: number) => number,
  textAt: (column: number) => number,
): Accumulators {
  const count = plan.accumulators.length
  const kinds = new Uint8Array(count)
  const predicates = new Uint8Array(count)
  const inputs = new Int32Array(count).fill(-1)
  const compensations = new Int32Array(count).fill(-1)
  const initial: number[] = []
  // A person of two panes counts once in a window of both, which only merge can see.
  const sendsKeys = !plan.keyed && createPanes(plan.window) !== null
  let mask = 0
  plan.accumulators.forEach((accumulator, i) => {
    predicates[i] = accumulator.predicate
    mask |= 1 << accumulator.predicate
    kinds[i] = kindCodes[accumulator.kind]
    initial.push(accumulator.kind === 'min' ? Infinity : accumulator.kind === 'max' ? -Infinity : 0)
    if (accumulator.kind === 'distinct') {
      if (accumulator.column < 0) kinds[i] = sendsKeys ? DISTINCT_KEY_SENT : DISTINCT_KEY
      else inputs[i] = textAt(accumulator.column)
    } else if (accumulator.kind !== 'count') {
      inputs[i] = numberAt(accumulator.column)
      if (accumulator.kind === 'sum' && accumulator.floating) kinds[i] = SUM_FLOATING
    }
  })
  plan.accumulators.forEach((_, i) => {
    if (kinds[i] !== SUM_FLOATING) return
    compensations[i] = initial.length
    initial.push(0)
  })
  return { count, kinds, predicates, inputs, compensations, initial: Float64Array.from(initial), mask }
}

/** True when the table needs a set of members an owner (group) for some accumulator. */
export function hasMembers(accumulators: Accumulators): boolean {
  return accumulators.kinds.some(isDistinct)
}

/** Whether a kind counts different values, and so has a member set. */
export function isDistinct(kind: number): boolean {
  return kind === DISTINCT_KEY || kind === DISTINCT_TEXT || kind === DISTINCT_KEY_SENT
}

/** Adds `value` to a compensated sum at `f64[at]` with its compensation at `f64[compensationAt]`. */
export function addCompensated(f64: Float64Array, at: number, compensationAt: number, value: number): void {
  const sum = f64[at]!
  const total = sum + value
  f64[compensationAt]! += Math.abs(sum) >= Math.abs(value) ? sum - total + value : value - total + sum
  f64[at] = total
}

/** Fails the job because an integer sum is no longer exact. */
export function sumOverflow(table: string): never {
  throw new MillraceError(
    'SUM_OVERFLOW',
    `a sum in table '${table}' left the range of exact integers (2^53): sum a coarser unit, or shorter windows`,
  )
}

/** Adds what a partial row gained (`from`, at `fromAt`) to a row's accumulators (`into`, at `intoAt`). */
export function mergePartial(
  accumulators: Accumulators,
  into: Float64Array,
  intoAt: number,
  from: Float64Array,
  fromAt: number,
  table: string,
): void {
  const { kinds, count, compensations } = accumulators
  for (let i = 0; i < count; i++) {
    const at = intoAt + i
    const value = from[fromAt + i]!
    switch (kinds[i]) {
      case COUNT:
      case DISTINCT_KEY:
        into[at]! += value
        break
      case SUM: {
        const total = into[at]! + value
        if (total > Number.MAX_SAFE_INTEGER || total < Number.MIN_SAFE_INTEGER) sumOverflow(table)
        into[at] = total
        break
      }
      case SUM_FLOATING:
        addCompensated(into, at, intoAt + compensations[i]!, value)
        into[intoAt + compensations[i]!]! += from[fromAt + compensations[i]!]!
        break
      case MIN:
        if (value < into[at]!) into[at] = value
        break
      case MAX:
        if (value > into[at]!) into[at] = value
        break
      // The members themselves travel, not their number: a value seen by two senders counts once.
      case DISTINCT_TEXT:
      case DISTINCT_KEY_SENT:
        break
    }
  }
}

/** The value of accumulator `i` of a row, ready to read. */
export function readAccumulator(accumulators: Accumulators, f64: Float64Array, at: number, i: number): number {
  const value = f64[at + i]!
  // The compensation of a sum that has left the finite numbers means nothing.
  if (accumulators.kinds[i] !== SUM_FLOATING || !Number.isFinite(value)) return value
  return value + f64[at + accumulators.compensations[i]!]!
}
