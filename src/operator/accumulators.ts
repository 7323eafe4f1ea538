/**
 * The accumulators of a table, laid out for the update loops.
 *
 * Owns: the kinds, which number columns of a row each accumulator uses, and what they start at. Does not own: rows
 * (state/keyed-table), how events are read (operator/aggregate-events, operator/update-sketch), merging
 * (operator/merge-accumulators), or sketches (operator/cells, state/sketch).
 *
 * Columns of a row: one double an accumulator, in plan order; behind all of them the compensation of each floating sum
 * (Neumaier), then what others need beside their first. A sketch is a cell (state/cell-store), and its column refers to
 * it: 0 for none. Counts and integer sums are exact: a sum that leaves +-2^53 fails the job. NaN is no value.
 */
import { MillraceError } from '../core/errors.ts'
import type { AccumulatorKind, AccumulatorPlan, TablePlan } from '../job/plan.ts'
import { CellStore } from '../state/cell-store.ts'
import type { PagePool } from '../state/page-pool.ts'
import { boundedParameter } from '../state/sketch/bounded-set.ts'
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
/** Count of the numbers of a column. */
export const VALUES = 8
/** Squared deviations; its further columns: count, mean. */
export const MOMENTS = 9
/** Number of the earliest event; its further column: the time. */
export const FIRST = 10
/** Number of the latest event; its further column: the time. */
export const LAST = 11
/** Numbers below the first bound; its further columns: those from each bound on. */
export const HISTOGRAM = 12
/** HyperLogLog of the event's key. This one and those that follow are cells. */
export const HLL_KEY = 13
/** HyperLogLog of a text column. */
export const HLL_TEXT = 14
/** DDSketch of a number column. */
export const QUANTILES = 15
/** Most frequent texts of a column. */
export const TOP = 16
/** Text of the earliest event. */
export const FIRST_TEXT = 17
/** Text of the latest event. */
export const LAST_TEXT = 18
/** Different keys of the event, exactly up to a number, then a HyperLogLog. */
export const BOUNDED_KEY = 19
/** The same of a text column. */
export const BOUNDED_TEXT = 20

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
  /** First further row column (moments, first, last, histogram); -1 else. */
  readonly extras: Int32Array
  /** Precision of a HyperLogLog, that and a number of a bounded distinct (state/sketch/bounded-set), error of a DDSketch, length of a top list; 0 else. */
  readonly parameters: Float64Array
  /** Bounds of a histogram; none else. */
  readonly bounds: readonly Float64Array[]
  /** The metrics of each accumulator, for messages. */
  readonly names: readonly string[]
  /** Where sketches are; null where the table has none, or its state is elsewhere. */
  readonly cells: CellStore | null
  /** Whether member sets keep how often each member was given, so that it can be taken back. */
  readonly memberCounts: boolean
  /** Whether sets of keys are bits of groups (operator/member-bits). */
  readonly memberBits: boolean
  /** Whether negative weights can be applied: every accumulator takes back what it was given. */
  readonly inverts: boolean
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
  values: VALUES,
  moments: MOMENTS,
  histogram: HISTOGRAM,
  first: FIRST,
  last: LAST,
  firstText: FIRST_TEXT,
  lastText: LAST_TEXT,
  approxDistinct: HLL_TEXT,
  boundedDistinct: BOUNDED_TEXT,
  quantiles: QUANTILES,
  topK: TOP,
}

const startValues: Partial<Record<AccumulatorKind, number>> = {
  min: Infinity,
  max: -Infinity,
  first: Number.NaN,
  last: Number.NaN,
}

/** Kinds that read a text column of the batch. */
const textKinds: ReadonlySet<AccumulatorKind> = new Set([
  'distinct',
  'firstText',
  'lastText',
  'approxDistinct',
  'boundedDistinct',
  'topK',
])

/** Whether accumulators of this kind read a text column; else, if any, a number column. */
export function readsText(kind: AccumulatorKind): boolean {
  return textKinds.has(kind)
}

/**
 * Whether a kind can take back what it was given, by a negative weight, with the state that it always has. Exact distinct
 * can where its members have counts. Moments can where the results are made: of one number taken back and another one
 * given since the last flush, a partial would be the moments of no numbers, which say nothing.
 */
export function inverts(kind: number): boolean {
  switch (kind) {
    case MIN:
    case MAX:
    case DISTINCT_KEY:
    case DISTINCT_TEXT:
    case DISTINCT_KEY_SENT:
    case FIRST:
    case LAST:
    case HLL_KEY:
    case HLL_TEXT:
    case TOP:
    case FIRST_TEXT:
    case LAST_TEXT:
    case BOUNDED_KEY:
    case BOUNDED_TEXT:
      return false
    default:
      return true
  }
}

/** Whether an accumulator of this kind is a cell. */
export function isCell(kind: number): boolean {
  return kind >= HLL_KEY
}

/**
 * Lays a table's accumulators out. `numberAt` and `textAt` give the position of a schema column among the number and
 * text columns of a batch. `pool` is where sketches take their memory; without one there can be none.
 */
export function layOutAccumulators(
  plan: TablePlan,
  numberAt: (column: number) => number,
  textAt: (column: number) => number,
  pool: PagePool | null = null,
): Accumulators {
  const count = plan.accumulators.length
  const kinds = new Uint8Array(count)
  const predicates = new Uint8Array(count)
  const inputs = new Int32Array(count).fill(-1)
  const compensations = new Int32Array(count).fill(-1)
  const extras = new Int32Array(count).fill(-1)
  const initial: number[] = []
  // A person of two panes counts once in a window of both, which only merge can see.
  const sendsKeys = !plan.keyed && createPanes(plan.window) !== null
  let mask = 0
  plan.accumulators.forEach((accumulator, i) => {
    predicates[i] = accumulator.predicate
    mask |= 1 << accumulator.predicate
    kinds[i] = kindCodes[accumulator.kind]
    initial.push(startValues[accumulator.kind] ?? 0)
    if (readsText(accumulator.kind)) {
      if (accumulator.column >= 0) inputs[i] = textAt(accumulator.column)
      else if (accumulator.kind === 'approxDistinct') kinds[i] = HLL_KEY
      else if (accumulator.kind === 'boundedDistinct') kinds[i] = BOUNDED_KEY
      else kinds[i] = sendsKeys ? DISTINCT_KEY_SENT : DISTINCT_KEY
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
  plan.accumulators.forEach((accumulator, i) => {
    const more = furtherColumns(kinds[i]!, accumulator.bounds ?? [])
    if (more.length === 0) return
    extras[i] = initial.length
    initial.push(...more)
  })
  // Members of panes are united by panes that have them, not by events; a trigger counts events, whatever their weight.
  const memberCounts = plan.takesBack === true && plan.window.kind === 'tumbling' && plan.trigger === null
  return {
    count,
    kinds,
    predicates,
    inputs,
    compensations,
    extras,
    parameters: Float64Array.from(plan.accumulators, parameterOf),
    bounds: plan.accumulators.map((a) => Float64Array.from(a.bounds ?? [])),
    names: plan.accumulators.map((a) => (a.metrics ?? []).join(', ')),
    cells: pool !== null && kinds.some(isCell) ? new CellStore(pool) : null,
    memberCounts,
    memberBits: !memberCounts && createPanes(plan.window) === null,
    inverts:
      plan.trigger === null &&
      kinds.every((kind) => (kind === MOMENTS ? plan.keyed : inverts(kind)) || (memberCounts && isDistinct(kind))),
    initial: Float64Array.from(initial),
    mask,
  }
}

/** The number that a sketch goes by. */
function parameterOf({ precision, exactUpTo, error, k }: AccumulatorPlan): number {
  if (exactUpTo !== undefined) return boundedParameter(precision ?? 0, exactUpTo)
  return precision ?? error ?? k ?? 0
}

/** How many columns accumulator `i` has from `extras` on. */
export function furtherColumnsOf({ kinds, bounds }: Accumulators, i: number): number {
  return furtherColumns(kinds[i]!, Array.from(bounds[i]!)).length
}

/** Start values of the columns that a kind has beside its first. */
function furtherColumns(kind: number, bounds: readonly number[]): number[] {
  switch (kind) {
    case MOMENTS:
      return [0, 0]
    case FIRST:
      return [Infinity]
    case LAST:
      return [-Infinity]
    case HISTOGRAM:
      return bounds.map(() => 0)
    default:
      return []
  }
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

/** Fails the job because integer sum `i` is no longer exact. */
export function sumOverflow({ names }: Accumulators, i: number, table: string): never {
  const metric = names[i] === '' ? 'a sum' : `the sum of metric '${names[i]}'`
  throw new MillraceError(
    'SUM_OVERFLOW',
    `${metric} in table '${table}' left the range of exact integers (2^53): sum a coarser unit, or shorter windows`,
  )
}

/** The value of accumulator `i` of a row, ready to read; of a sketch or a list, see operator/read-metric. */
export function readAccumulator(accumulators: Accumulators, f64: Float64Array, at: number, i: number): number {
  const value = f64[at + i]!
  // The compensation of a sum that has left the finite numbers means nothing.
  if (accumulators.kinds[i] !== SUM_FLOATING || !Number.isFinite(value)) return value
  return value + f64[at + accumulators.compensations[i]!]!
}
