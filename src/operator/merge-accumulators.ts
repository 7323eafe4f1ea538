/**
 * Merging the accumulators of two rows: the one way in which partials join groups, panes windows, and sessions each other.
 *
 * Owns: what each kind does. Does not own: sketches (operator/cells), member sets, which travel and merge by themselves.
 */
import type { CellStore } from '../state/cell-store.ts'
import { momentsMerge } from '../state/sketch/moments.ts'
import {
  type Accumulators,
  addCompensated,
  COUNT,
  DISTINCT_KEY,
  DISTINCT_KEY_SENT,
  DISTINCT_TEXT,
  FIRST,
  HISTOGRAM,
  LAST,
  MAX,
  MIN,
  MOMENTS,
  SUM,
  SUM_FLOATING,
  sumOverflow,
  VALUES,
} from './accumulators.ts'
import { mergeCell } from './cells.ts'

/**
 * Adds the accumulators of a row (`from`, at `fromAt`) to those of another (`into`, at `intoAt`): a partial to its group,
 * a pane to its window, a session to the one that it touches. The sketches of `into` are in `accumulators.cells`, those of
 * `from` in `fromCells`, and stay as they are (see releaseCells).
 */
export function mergePartial(
  accumulators: Accumulators,
  into: Float64Array,
  intoAt: number,
  from: Float64Array,
  fromAt: number,
  table: string,
  fromCells: CellStore | null = accumulators.cells,
): void {
  const { kinds, count, compensations, extras } = accumulators
  for (let i = 0; i < count; i++) {
    const at = intoAt + i
    const value = from[fromAt + i]!
    switch (kinds[i]) {
      case COUNT:
      case DISTINCT_KEY:
      case VALUES:
        into[at]! += value
        break
      case SUM: {
        const total = into[at]! + value
        if (total > Number.MAX_SAFE_INTEGER || total < Number.MIN_SAFE_INTEGER) sumOverflow(accumulators, i, table)
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
      case MOMENTS:
        momentsMerge(into, at, intoAt + extras[i]!, from, fromAt + i, fromAt + extras[i]!, 1)
        break
      case FIRST:
      case LAST:
        takeNumber(into, at, intoAt + extras[i]!, value, from[fromAt + extras[i]!]!, kinds[i] === LAST)
        break
      case HISTOGRAM: {
        into[at]! += value
        const buckets = accumulators.bounds[i]!.length
        for (let k = 0; k < buckets; k++) into[intoAt + extras[i]! + k]! += from[fromAt + extras[i]! + k]!
        break
      }
      default:
        if (value !== 0) {
          const { u8, length } = fromCells!.load(value)
          if (fromCells !== accumulators.cells) accumulators.cells!.loaded.set(u8, 0, length)
          into[at] = mergeCell(accumulators, i, into[at]!)
        }
    }
  }
}

/**
 * Takes a number if its event is earlier (later, for `last`) than that of the one at `f64[at]`, whose time is at
 * `f64[timeAt]`. Of numbers at the same time the lesser is first and the greater last: arrival has no order to go by.
 */
export function takeNumber(
  f64: Float64Array,
  at: number,
  timeAt: number,
  value: number,
  timeMs: number,
  last: boolean,
): void {
  // NaN is no value; it also stands where there is none yet, at an infinite time.
  if (Number.isNaN(value)) return
  const known = f64[timeAt]!
  if (timeMs === known ? (last ? value > f64[at]! : value < f64[at]!) : last ? timeMs > known : timeMs < known) {
    f64[at] = value
    f64[timeAt] = timeMs
  }
}
