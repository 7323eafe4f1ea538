/**
 * Events into the accumulators that are more than a number: the rarer cases of the update loops.
 *
 * Owns: what one event does to each of these kinds. Does not own: finding its row (operator/aggregate-events), merging.
 * As in the loops, nothing is allocated a row but what a cell grows by.
 */
import { hashBytes64, lanes } from '../core/hash64.ts'
import type { EventBatch } from '../exchange/event-batch.ts'
import { boundedAdd } from '../state/sketch/bounded-set.ts'
import { ddAdd } from '../state/sketch/dd-sketch.ts'
import { itemsAdd } from '../state/sketch/frequent-items.ts'
import { hllAdd } from '../state/sketch/hll.ts'
import { momentsAdd } from '../state/sketch/moments.ts'
import { textTake } from '../state/sketch/timed-text.ts'
import {
  type Accumulators,
  BOUNDED_KEY,
  BOUNDED_TEXT,
  FIRST,
  FIRST_TEXT,
  HISTOGRAM,
  HLL_KEY,
  HLL_TEXT,
  LAST,
  LAST_TEXT,
  MOMENTS,
  QUANTILES,
  TOP,
  VALUES,
} from './accumulators.ts'
import { takeNumber } from './merge-accumulators.ts'

/**
 * Applies row `row` of a batch to accumulator `i` of the group whose columns begin at `f64[base]`. `weight` is 1, or -1
 * for an event that is taken back, which only kinds that invert can be given.
 */
export function updateSketch(
  accumulators: Accumulators,
  i: number,
  batch: EventBatch,
  row: number,
  f64: Float64Array,
  base: number,
  weight: number,
): void {
  const { kinds, inputs, extras, parameters } = accumulators
  const at = base + i
  const kind = kinds[i]!
  const input = inputs[i]!
  switch (kind) {
    case VALUES: {
      const value = batch.numbers[input]![row]!
      if (!Number.isNaN(value)) f64[at]! += weight
      return
    }
    case MOMENTS: {
      const value = batch.numbers[input]![row]!
      if (Number.isFinite(value)) momentsAdd(f64, at, base + extras[i]!, value, weight)
      return
    }
    case FIRST:
    case LAST:
      takeNumber(f64, at, base + extras[i]!, batch.numbers[input]![row]!, batch.timeMs[row]!, kind === LAST)
      return
    case HISTOGRAM: {
      const value = batch.numbers[input]![row]!
      if (Number.isNaN(value)) return
      const bucket = bucketOf(accumulators.bounds[i]!, value)
      f64[bucket === 0 ? at : base + extras[i]! + bucket - 1]! += weight
      return
    }
    case HLL_KEY: {
      const start = batch.keyStart[row]!
      hashBytes64(batch.bytes, start, start + batch.keyLength[row]!)
      f64[at] = hllAdd(accumulators.cells!, f64[at]!, parameters[i]!, lanes[0]!, lanes[1]!)
      return
    }
    case BOUNDED_KEY: {
      const start = batch.keyStart[row]!
      const end = start + batch.keyLength[row]!
      f64[at] = boundedAdd(accumulators.cells!, f64[at]!, parameters[i]!, batch.bytes, start, end)
      return
    }
    case QUANTILES: {
      const value = batch.numbers[input]![row]!
      if (Number.isFinite(value)) f64[at] = ddAdd(accumulators.cells!, f64[at]!, parameters[i]!, value, weight)
      return
    }
  }
  const id = batch.texts[input]![row]!
  // The empty text is an absent field: no value, as SQL's NULL.
  if (id === 0) return
  const start = batch.entryStart[input]![id]!
  const end = start + batch.entryLength[input]![id]!
  const cells = accumulators.cells!
  switch (kind) {
    case HLL_TEXT:
      hashBytes64(batch.bytes, start, end)
      f64[at] = hllAdd(cells, f64[at]!, parameters[i]!, lanes[0]!, lanes[1]!)
      return
    case BOUNDED_TEXT:
      f64[at] = boundedAdd(cells, f64[at]!, parameters[i]!, batch.bytes, start, end)
      return
    case TOP:
      f64[at] = itemsAdd(cells, f64[at]!, batch.bytes, start, end, weight)
      return
    case FIRST_TEXT:
    case LAST_TEXT:
      f64[at] = textTake(cells, f64[at]!, kind === LAST_TEXT, batch.timeMs[row]!, batch.bytes, start, end)
  }
}

/** How many bounds are at or below `value`: bucket k holds bounds[k - 1] <= value < bounds[k]. */
function bucketOf(bounds: Float64Array, value: number): number {
  let low = 0
  let high = bounds.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (bounds[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}
