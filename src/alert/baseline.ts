/** What a baseline is: the part of a detector that knows what is usual. */
/** Memory of a baseline: plain data. */
export type BaselineState = EwmaState | SeasonalMedianState | HoltWintersState

/** A decaying weighted sum of values, and of weights. */
export interface EwmaState {
  kind: 'ewma'
  sum: number
  weight: number
  seen: number
}

/** The last values of each slot, oldest first; and decaying sums of what came, of its medians and of its weights. */
export interface SeasonalMedianState {
  kind: 'seasonalMedian'
  slots: number[][]
  seen: number
  usual: number
  windows: number
}

/** Level, trend a window, and what each slot adds; `first` holds the windows of the first two periods until they are full. */
export interface HoltWintersState {
  kind: 'holtWinters'
  first: { startMs: number; slot: number; value: number }[]
  /** Null until then. */
  level: number | null
  trend: number
  season: number[]
}

/** One window's value as a baseline learns it. */
export interface Lesson {
  readonly startMs: number
  /** What was seen, drawn towards `expected` where it was far out; as seen while there is no expectation. */
  readonly value: number
  /** Weight of the value among others: the volume of a share, else 1. */
  readonly weight: number
}

/** Knows what is usual, from a state that it is handed and changes in place. */
export interface Baseline<S extends BaselineState = BaselineState> {
  start(): S
  /** What to expect of the window that starts then; NaN while it has not seen enough. */
  expected(state: S, startMs: number): number
  /** The scatter of this place alone and how many values it rests on, where the baseline has such; sizes by `residual`. */
  localSpread?(state: S, startMs: number, residual: (value: number, expected: number) => number): LocalSpread
  learn(state: S, lesson: Lesson): void
}

/** Scatter of one slot. */
export interface LocalSpread {
  readonly scale: number
  readonly values: number
}
