/**
 * The accumulators of a table, and how the values of metrics are read out of them: metrics share what is equal.
 *
 * Does not own: which accumulators a kind of metric needs (job/planner.ts). Pure.
 */
import type { MetricKind } from './definition.ts'
import type { AccumulatorPlan, MetricRead } from './plan.ts'

/** Adds an accumulator to the list, or its metrics to the equal one that is there. */
export function addAccumulator(list: AccumulatorPlan[], accumulator: AccumulatorPlan): void {
  const at = indexOfAccumulator(list, accumulator)
  if (at < 0) list.push(accumulator)
  else if (accumulator.metrics !== undefined)
    list[at] = { ...list[at]!, metrics: [...(list[at]!.metrics ?? []), ...accumulator.metrics] }
}

/** Where an equal accumulator is; -1 for nowhere. */
export function indexOfAccumulator(list: readonly AccumulatorPlan[], wanted: AccumulatorPlan): number {
  return list.findIndex(
    (a) =>
      a.kind === wanted.kind &&
      a.predicate === wanted.predicate &&
      a.column === wanted.column &&
      a.precision === wanted.precision &&
      a.exactUpTo === wanted.exactUpTo &&
      a.error === wanted.error &&
      a.k === wanted.k &&
      a.measure === wanted.measure &&
      a.bounds?.join() === wanted.bounds?.join(),
  )
}

/** How the value is read out of accumulator `of`; `by` counts the values of an average. */
export function readOf(kind: MetricKind, accumulators: readonly AccumulatorPlan[], of: number, by: number): MetricRead {
  switch (kind.kind) {
    case 'avg':
      return { kind: 'ratio', of, by }
    case 'quantile':
      return { kind: 'quantile', of, q: kind.q }
    case 'variance':
    case 'stddev':
      return { kind: 'variance', of, sample: kind.sample, root: kind.kind === 'stddev' }
    case 'topK':
      return { kind: 'topK', of }
    case 'histogram':
      return { kind: 'histogram', of }
    case 'first':
    case 'last':
      return { kind: accumulators[of]!.kind.endsWith('Text') ? 'text' : 'value', of }
    default:
      return { kind: 'value', of }
  }
}
