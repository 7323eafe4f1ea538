/**
 * A metric's value out of a row: a number, and for some kinds a list or a text beside it.
 *
 * Owns: what each kind of metric reads. Does not own: the wire (sink/metric-values, rpc), order and limits (query/).
 */
import { textDecoder } from '../event/utf8.ts'
import type { MetricPlan, MetricRead } from '../job/plan.ts'
import { hllError } from '../job/sketch-limits.ts'
import { boundedCount, boundedIsExact, precisionOf } from '../state/sketch/bounded-set.ts'
import { ddQuantile } from '../state/sketch/dd-sketch.ts'
import { itemsGreatest, itemsTop } from '../state/sketch/frequent-items.ts'
import { hllEstimate } from '../state/sketch/hll.ts'
import { momentsVariance } from '../state/sketch/moments.ts'
import { textOf } from '../state/sketch/timed-text.ts'
import { type Accumulators, BOUNDED_KEY, BOUNDED_TEXT, HLL_KEY, HLL_TEXT, readAccumulator } from './accumulators.ts'

/** One entry of a value that is a list: a bucket of a histogram, a text of a top list. */
export interface MetricItem {
  readonly label: string
  readonly value: number
  /** The true value is at most this much below; 0 for exact. */
  readonly error: number
}

/** What a value has beside its number. */
export interface MetricDetail {
  /** Of topK and histogram, in their order; none else. */
  readonly items: readonly MetricItem[]
  /** Of first and last of a text; null else. */
  readonly text: string | null
  /** Of a distinct that is exact up to a number, where it is beyond it: the standard error, relative. Absent: exact. */
  readonly error?: number
}

/** Several numbers of a row at once, each with its name, and a histogram where that is not -1. The value is the first. */
export interface ColumnsRead {
  readonly kind: 'columns'
  readonly of: readonly { readonly label: string; readonly at: number }[]
  readonly histogram: number
}

/** What is read of a row: a metric's value, or what a question asks for instead. */
export type RowRead = Pick<MetricPlan, 'events'> & { readonly read: MetricRead | ColumnsRead }

/**
 * The number of a metric: for topK the count of its most frequent text, for a histogram the count of its values, NaN for
 * a text and where there is no value. `f64[at ..]` are the row's columns.
 */
export function readMetric(
  { read }: Pick<RowRead, 'read'>,
  accumulators: Accumulators,
  f64: Float64Array,
  at: number,
): number {
  const { kinds, cells, extras, bounds } = accumulators
  switch (read.kind) {
    case 'value': {
      const kind = kinds[read.of]
      if (kind === HLL_KEY || kind === HLL_TEXT) return hllEstimate(cells!, f64[at + read.of]!)
      if (kind === BOUNDED_KEY || kind === BOUNDED_TEXT) return boundedCount(cells!, f64[at + read.of]!)
      return readAccumulator(accumulators, f64, at, read.of)
    }
    case 'ratio': {
      const by = readAccumulator(accumulators, f64, at, read.by)
      if (by === 0) return Number.NaN
      return (readAccumulator(accumulators, f64, at, read.of) / by) * (read.scale ?? 1)
    }
    case 'quantile':
      return ddQuantile(cells!, f64[at + read.of]!, read.q)
    case 'variance': {
      const variance = momentsVariance(f64, at + read.of, at + extras[read.of]!, read.sample)
      return read.root ? Math.sqrt(variance) : variance
    }
    case 'text':
      return Number.NaN
    case 'topK':
      return itemsGreatest(cells!, f64[at + read.of]!)
    case 'columns':
      return readAccumulator(accumulators, f64, at, read.of[0]!.at)
    case 'histogram': {
      let sum = f64[at + read.of]!
      for (let k = 0; k < bounds[read.of]!.length; k++) sum += f64[at + extras[read.of]! + k]!
      return sum
    }
  }
}

/** What a metric's value is a share or a mean of; 0 for those that are neither. */
export function readVolume(
  { read }: Pick<RowRead, 'read'>,
  accumulators: Accumulators,
  f64: Float64Array,
  at: number,
): number {
  return read.kind === 'ratio' ? readAccumulator(accumulators, f64, at, read.by) : 0
}

/** What a metric has beside its number; null for the kinds that have nothing. */
export function readDetail(
  { read }: Pick<RowRead, 'read'>,
  accumulators: Accumulators,
  f64: Float64Array,
  at: number,
): MetricDetail | null {
  const { cells, parameters } = accumulators
  switch (read.kind) {
    case 'value': {
      const kind = accumulators.kinds[read.of]
      if (kind !== BOUNDED_KEY && kind !== BOUNDED_TEXT) return null
      if (boundedIsExact(cells!, f64[at + read.of]!)) return null
      return { items: [], text: null, error: hllError(precisionOf(parameters[read.of]!)) }
    }
    case 'text': {
      const text = textOf(cells!, f64[at + read.of]!)
      return { items: [], text: text === null ? '' : textDecoder.decode(text) }
    }
    case 'topK': {
      const top = itemsTop(cells!, f64[at + read.of]!, parameters[read.of]!)
      return {
        items: top.map(({ text, count, error }) => ({ label: textDecoder.decode(text), value: count, error })),
        text: null,
      }
    }
    case 'histogram':
      return { items: bucketItems(accumulators, f64, at, read.of), text: null }
    case 'columns': {
      const numbers = read.of.map(({ label, at: column }) => {
        return { label, value: readAccumulator(accumulators, f64, at, column), error: 0 }
      })
      const buckets = read.histogram < 0 ? [] : bucketItems(accumulators, f64, at, read.histogram)
      return { items: [...numbers, ...buckets], text: null }
    }
    default:
      return null
  }
}

/** The buckets of a histogram for people: `<10`, `10..<20`, `>=20`. */
export function bucketLabels(bounds: readonly number[]): string[] {
  return [`<${bounds[0]}`, ...bounds.slice(1).map((bound, k) => `${bounds[k]}..<${bound}`), `>=${bounds.at(-1)}`]
}

function bucketItems({ bounds, extras }: Accumulators, f64: Float64Array, at: number, of: number): MetricItem[] {
  return bucketLabels(Array.from(bounds[of]!)).map((label, k) => ({
    label,
    value: f64[k === 0 ? at + of : at + extras[of]! + k - 1]!,
    error: 0,
  }))
}
