/**
 * Holt-Winters, additive: level, trend and season by exponential smoothing (Winters 1960), of values that detector.ts has
 * drawn in where they were far out (the robust form of Gelper, Fried and Croux 2010).
 *
 * The first two periods give the start: the level is the median of the second, the trend the step between the medians of
 * both, a slot's season the mean of its distances from its period's median.
 */
import type { Baseline, HoltWintersState } from './baseline.ts'
import type { Season } from './season.ts'
import { median } from './spread.ts'

/** Shares of the news that each part takes on, 0 to 1. */
export interface Smoothing {
  readonly level: number
  readonly trend: number
  readonly season: number
}

/** Usable after two periods of `periodMs`. */
export function holtWintersBaseline(
  season: Season,
  periodMs: number,
  { level: alpha, trend: beta, season: gamma }: Smoothing,
): Baseline<HoltWintersState> {
  return {
    start: () => ({ kind: 'holtWinters', first: [], level: null, trend: 0, season: [] }),
    expected(state, startMs) {
      if (state.level === null) return Number.NaN
      return state.level + state.trend + state.season[season.slotOf(startMs)]!
    },
    learn(state, { startMs, value }) {
      const slot = season.slotOf(startMs)
      if (state.level === null) {
        state.first.push({ startMs, slot, value })
        const beganMs = state.first[0]!.startMs
        const stepMs = state.first.length > 1 ? startMs - state.first.at(-2)!.startMs : 0
        if (startMs + stepMs - beganMs >= 2 * periodMs) begin(state, season.slots, beganMs + periodMs)
        return
      }
      const before = state.level
      const seasonal = state.season[slot]!
      state.level = alpha * (value - seasonal) + (1 - alpha) * (before + state.trend)
      state.trend = beta * (state.level - before) + (1 - beta) * state.trend
      state.season[slot] = gamma * (value - state.level) + (1 - gamma) * seasonal
    },
  }
}

function begin(state: HoltWintersState, slots: number, secondFromMs: number): void {
  const first = state.first.filter((w) => w.startMs < secondFromMs)
  const second = state.first.filter((w) => w.startMs >= secondFromMs)
  const levels = [median(first.map((w) => w.value)), median(second.map((w) => w.value))] as const
  const sums = new Float64Array(slots)
  const counts = new Float64Array(slots)
  for (const [i, part] of [first, second].entries()) {
    for (const { slot, value } of part) {
      sums[slot]! += value - levels[i]!
      counts[slot]!++
    }
  }
  state.season = Array.from(sums, (sum, slot) => (counts[slot]! > 0 ? sum / counts[slot]! : 0))
  state.trend = (levels[1] - levels[0]) / Math.max(second.length, 1)
  // The median of a period is the level of its middle.
  state.level = levels[1] + (state.trend * second.length) / 2
  state.first = []
}
