/**
 * The exponentially weighted mean of what was seen (Roberts 1959), as a quotient of two decaying sums: from the first
 * windows on it is their plain mean, and shares weigh by their volume. It knows no season.
 */
import type { Baseline, EwmaState } from './baseline.ts'

/** A mean whose weights halve every `halfLife` windows (Infinity: never), usable after `warmUp` of them. */
export function ewmaBaseline(halfLife: number, warmUp: number): Baseline<EwmaState> {
  const keep = 2 ** (-1 / halfLife)
  return {
    start: () => ({ kind: 'ewma', sum: 0, weight: 0, seen: 0 }),
    expected: (state) => (state.seen >= warmUp && state.weight > 0 ? state.sum / state.weight : Number.NaN),
    learn(state, { value, weight }) {
      state.sum = state.sum * keep + value * weight
      state.weight = state.weight * keep + weight
      state.seen++
    },
  }
}
