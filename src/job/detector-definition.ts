/**
 * What a detector of a job says, after parsing: which series are watched, and what counts as unusual. What the numbers
 * mean is in docs/specs/detectors.md.
 * Owns the shapes; plain data.
 */
/** How a detector knows what is usual. */
export type BaselineDefinition =
  /** `halfLife` in windows; 0 for the mean of all. */
  | { readonly kind: 'ewma'; readonly halfLife: number; readonly warmUp: number }
  | {
      readonly kind: 'seasonalMedian'
      readonly season: SeasonDefinition
      readonly memory: number
      readonly warmUp: number
      /** In windows; 0 for medians that are not moved to the level of the last windows. */
      readonly levelHalfLife: number
    }
  | {
      readonly kind: 'holtWinters'
      readonly season: SeasonDefinition
      readonly smoothing: { readonly level: number; readonly trend: number; readonly season: number }
    }

/** What repeats. */
export interface SeasonDefinition {
  readonly period: 'day' | 'week'
  readonly slotMs: number
  /** IANA name. */
  readonly zone: string
}

/** The kinds of detector. */
export type DetectorKind =
  /** Null where that side has no bound. */
  | { readonly kind: 'threshold'; readonly lower: number | null; readonly upper: number | null }
  | BaselineDefinition
  | { readonly kind: 'cusum'; readonly drift: number; readonly baseline: BaselineDefinition }

/** The law of chance of a metric's values. */
export type DetectorNoise = 'poisson' | 'binomial' | 'normal'

/** One detector. */
export interface DetectorDefinition {
  /** Lower-case snake_case name, unique among the detectors of the job. */
  readonly id: string
  readonly description: string
  /** Id of the metric whose windows are judged. */
  readonly metric: string
  /** Dimension name to the text that a group must have to be watched. */
  readonly groups: Readonly<Record<string, string>>
  readonly kind: DetectorKind
  readonly direction: 'up' | 'down' | 'both'
  readonly noise: DetectorNoise
  readonly minimumVolume: number
  readonly pool: boolean
  /** What a window is in which the metric had no event in any group: empty, or one of which nothing is known. */
  readonly gaps: 'zero' | 'noData'
  readonly openAfter: number
  readonly closeAfter: number
  /** Score from which a window is anomalous; 0: set by `falseAlarms`. */
  readonly score: number
  /** False episodes of one series that are borne. */
  readonly falseAlarms: { readonly most: number; readonly perMs: number }
  /** Histories follow each other: what is usual, and the threshold, come from the one before. */
  readonly history: { readonly lengthMs: number; readonly fromMs: number }
  /** Stretches from which nothing is learned; absent for none. */
  readonly exclude?: readonly { readonly fromMs: number; readonly toMs: number }[]
  /** Most groups that are watched: those that came first. */
  readonly groupsMax: number
}
