/**
 * The median of the same slot of the week (or day) over the last periods, with the slot's own MAD. A few odd weeks do
 * not move it. By itself it follows a trend half its memory late; with a level, the medians are moved to where the last
 * windows were beside theirs.
 */
import type { Baseline, SeasonalMedianState } from './baseline.ts'
import type { Season } from './season.ts'
import { MAD_SCALE, median } from './spread.ts'

/** What is remembered, in values a slot and in windows. */
export interface SeasonalMedianMemory {
  readonly memory: number
  readonly warmUp: number
  /** The level's; Infinity for none. */
  readonly levelHalfLife: number
  /** Whether a level multiplies (counts, shares) or is added. */
  readonly multiplies: boolean
}

/** Usable in a slot with `warmUp` values. */
export function seasonalMedianBaseline(
  season: Season,
  { memory, warmUp, levelHalfLife, multiplies }: SeasonalMedianMemory,
): Baseline<SeasonalMedianState> {
  const keep = 2 ** (-1 / levelHalfLife)
  const middleOf = (values: readonly number[]): number => (values.length >= warmUp ? median([...values]) : Number.NaN)
  return {
    start: () => ({
      kind: 'seasonalMedian',
      slots: Array.from({ length: season.slots }, () => []),
      seen: 0,
      usual: 0,
      windows: 0,
    }),
    expected({ slots, seen, usual, windows }, startMs) {
      const middle = middleOf(slots[season.slotOf(startMs)]!)
      if (keep === 1 || windows === 0) return middle
      if (multiplies) return usual > 0 ? (middle * seen) / usual : middle
      return middle + (seen - usual) / windows
    },
    localSpread({ slots }, startMs, residual) {
      const values = slots[season.slotOf(startMs)]!
      const middle = median([...values])
      return { scale: MAD_SCALE * median(values.map((v) => Math.abs(residual(v, middle)))), values: values.length }
    },
    learn(state, { startMs, value, weight }) {
      const values = state.slots[season.slotOf(startMs)]!
      const middle = middleOf(values)
      if (keep < 1 && !Number.isNaN(middle)) {
        state.seen = state.seen * keep + weight * value
        state.usual = state.usual * keep + weight * middle
        state.windows = state.windows * keep + weight
      }
      values.push(value)
      if (values.length > memory) values.shift()
    },
  }
}
