/** What a detector is asked to be, and what of it cannot be. */
import { MillraceError } from '../core/errors.ts'
import type { Baseline } from './baseline.ts'
import { ewmaBaseline } from './ewma.ts'
import { holtWintersBaseline, type Smoothing } from './holt-winters.ts'
import type { Noise } from './noise.ts'
import { type SeasonSpec, seasonOf } from './season.ts'
import { seasonalMedianBaseline } from './seasonal-median.ts'

/** Which side of the expected value matters. */
export type Direction = 'up' | 'down' | 'both'

/** How a detector knows what is usual. */
export type BaselineSpec =
  | {
      readonly kind: 'ewma'
      /** Windows after which a value weighs half: 24 by default; Infinity is the mean of all. */
      readonly halfLife?: number
      /** Windows to learn before the first judgement: 24 by default. */
      readonly warmUp?: number
    }
  | {
      readonly kind: 'seasonalMedian'
      readonly season: SeasonSpec
      /** Values a slot to remember: 8 by default. */
      readonly memory?: number
      /** Values a slot wants before it is judged: 3 by default. */
      readonly warmUp?: number
      /** Moves the medians to the level of the last windows, whose weights halve in as many; Infinity, by default: not. */
      readonly levelHalfLife?: number
    }
  | {
      readonly kind: 'holtWinters'
      readonly season: SeasonSpec
      /** 0.05 for the level, 0 for the trend and 0.2 for the season by default. Its warm-up is two periods. */
      readonly smoothing?: Smoothing
    }

/** What all detectors have. */
export interface CommonSpec {
  /** `poisson` for counts, `binomial` for shares of a volume, `normal` for other numbers. */
  readonly noise: Noise
  readonly direction: Direction
  /**
   * A share of less than this volume is not judged; of counts and other numbers a window of which less is expected and
   * less has come. 0 by default.
   */
  readonly minVolume?: number
  /** Joins thin windows of a share with the ones after them until they have `minVolume`, where the baseline has no season. */
  readonly pool?: boolean
}

/**
 * One detector. `threshold` of the baselines counts standardised residuals, of `cusum` their sum: calibrate sets it.
 */
export type DetectorSpec = CommonSpec &
  (
    | { readonly kind: 'threshold'; readonly lower?: number; readonly upper?: number }
    | (BaselineSpec & { readonly threshold: number })
    | {
        readonly kind: 'cusum'
        readonly baseline: BaselineSpec
        /** Half of the shift to look for, in standard deviations: 0.5 by default. */
        readonly drift?: number
        readonly threshold: number
      }
  )

const WEEK_MS = 7 * 86_400_000
const DAY_MS = 86_400_000

/** The baseline of a specification; undefined for `threshold`. Throws JOB_INVALID for what cannot be. */
export function baselineOf(spec: DetectorSpec): Baseline | undefined {
  if (spec.minVolume !== undefined && !(spec.minVolume >= 0)) invalid(`a minVolume of ${spec.minVolume}`)
  if (spec.kind === 'threshold') {
    if (spec.lower === undefined && spec.upper === undefined) invalid('a threshold without lower and upper')
    if ((spec.lower ?? Number.NEGATIVE_INFINITY) > (spec.upper ?? Number.POSITIVE_INFINITY))
      invalid('a threshold whose lower is above its upper')
    checkPool(spec, false)
    return undefined
  }
  if (!(spec.threshold > 0)) invalid(`a threshold of ${spec.threshold}, which is not above 0`)
  const baseline = spec.kind === 'cusum' ? spec.baseline : spec
  checkPool(spec, baseline.kind !== 'ewma')
  if (spec.kind === 'cusum' && !((spec.drift ?? 0) >= 0)) invalid(`a drift of ${spec.drift}`)
  if (baseline.kind === 'ewma') {
    const { halfLife = 24, warmUp = 24 } = baseline
    if (!(halfLife > 0)) invalid(`a halfLife of ${halfLife}`)
    checkWarmUp(warmUp)
    return ewmaBaseline(halfLife, warmUp) as Baseline
  }
  const season = seasonOf(baseline.season)
  if (baseline.kind === 'seasonalMedian') {
    const { memory = 8, warmUp = 3, levelHalfLife = Number.POSITIVE_INFINITY } = baseline
    checkWarmUp(warmUp)
    if (!(memory >= warmUp)) invalid(`a memory of ${memory} values with a warm-up of ${warmUp}`)
    if (!(levelHalfLife > 0)) invalid(`a levelHalfLife of ${levelHalfLife}`)
    const multiplies = spec.noise !== 'normal'
    return seasonalMedianBaseline(season, { memory, warmUp, levelHalfLife, multiplies }) as Baseline
  }
  const smoothing = baseline.smoothing ?? { level: 0.05, trend: 0, season: 0.2 }
  if (!Object.values(smoothing).every((share) => share >= 0 && share <= 1)) invalid('a smoothing that is not 0 to 1')
  const periodMs = baseline.season.period === 'day' ? DAY_MS : WEEK_MS
  return holtWintersBaseline(season, periodMs, smoothing) as Baseline
}

function checkPool(spec: CommonSpec, seasonal: boolean): void {
  if (!spec.pool) return
  if (spec.noise !== 'binomial') invalid('pool with a noise other than binomial')
  if (seasonal) invalid('pool with a season: joined windows lie in no one slot')
}

function checkWarmUp(warmUp: number): void {
  if (!(Number.isInteger(warmUp) && warmUp >= 1)) invalid(`a warmUp of ${warmUp}, which is not 1 or more`)
}

function invalid(what: string): never {
  throw new MillraceError('JOB_INVALID', `a detector has ${what}: see docs/specs/detectors.md`)
}
