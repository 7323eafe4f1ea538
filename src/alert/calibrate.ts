/**
 * Sets a detector's threshold by replaying history: the lowest with which it would have raised no more false alarms than
 * a budget allows, and never one that ideal noise alone would exceed more often.
 *
 * Two bounds, because a history is short: the replay knows the series as it is (fat tails, seasons that the baseline
 * misses), but says nothing of what comes once in ten histories; the normal law says that and knows nothing of the series.
 * What no replay can promise is said: `ratePerPeriodMax`.
 */
import { newCusum } from './cusum.ts'
import { Detector, type Observation, type Standing } from './detector.ts'
import type { DetectorSpec } from './detector-spec.ts'
import type { EpisodeRules } from './episodes.ts'
import { episodesOf, standingsOf } from './monitor.ts'
import { bisect, cusumRunLength, normalTail, poissonUpperBound } from './normal-law.ts'
import { MAD_SCALE, median } from './spread.ts'

/** How many false episodes are borne: `episodes` in each `perMs`, such as 1 in 30 days. */
export interface AlarmBudget {
  readonly episodes: number
  readonly perMs: number
}

/** A calibrated detector, and what is known of it. */
export interface Calibration {
  /** The specification with its threshold (of `threshold`: its bounds) set. */
  readonly spec: DetectorSpec
  /** Score from which a window is anomalous; of `threshold` the half-width of the band in standard deviations. */
  readonly threshold: number
  /** The threshold that the normal law asks for. */
  readonly thresholdOfNoise: number
  /**
   * False episodes of the replay, and how many it may have: one less than the budget's in as much time, see `calibrate`.
   */
  readonly falseAlarms: number
  readonly falseAlarmsAllowed: number
  /** Windows that were judged, and the time that they cover. */
  readonly judgedWindows: number
  readonly judgedMs: number
  /** The false episodes a budget period may have for all that the replay tells, at 95 %: Infinity of nothing judged. */
  readonly ratePerPeriodMax: number
  /**
   * `overBudget`: not even the highest threshold that was tried keeps the budget. `tooThin`: fewer than JUDGED_MIN windows
   * were judged; the threshold is the specification's own, or the one that noise asks for where that is higher.
   */
  readonly verdict: 'calibrated' | 'overBudget' | 'tooThin'
}

/** A history with fewer judged windows tells nothing of a threshold. */
export const JUDGED_MIN = 8

const STEP = 1.1
const STEPS = 60

/**
 * Replays `history` (windows in the order of time) under growing thresholds. The threshold that the specification has
 * does not matter; bounds of `threshold` are laid around the median, in steps of the history's MAD.
 */
export function calibrate(
  spec: DetectorSpec,
  history: readonly Observation[],
  budget: AlarmBudget,
  options: { readonly rules?: EpisodeRules } = {},
): Calibration {
  const detector = spec.kind === 'threshold' ? undefined : new Detector(spec)
  const band = bandOf(history)
  const standings = detector === undefined ? fixedStandings(spec, history, band) : standingsOf(detector, history)
  const judged = standings.filter((s) => s.status === 'judged')
  const judgedMs = judged.reduce((sum, s) => sum + s.endMs - s.startMs, 0)
  const periods = judgedMs / budget.perMs
  // A threshold right above the m + 1 highest of a history is exceeded m + 1 times in as long a future, not m times.
  const allowed = Math.max(0, Math.floor(budget.episodes * periods) - 1)
  const windowsPerPeriod = periods > 0 ? judged.length / periods : 0
  const floor = thresholdOfNoise(spec, windowsPerPeriod, budget.episodes, options.rules?.openAfter ?? 1)
  const decider = detector ?? new Detector({ ...spec, kind: 'ewma', threshold: 1 })
  const alarmsAt = (threshold: number): number => episodesOf(decider, standings, threshold, options.rules).length
  // From above: episodes merge as thresholds fall, so a low one may have few that last for ever.
  const highest = highestScore(decider, standings)
  let step = STEPS
  while (step > 0 && floor * STEP ** (step - 1) > highest) step--
  let threshold = floor * STEP ** step
  let falseAlarms = alarmsAt(threshold)
  const overBudget = falseAlarms > allowed
  for (step--; step >= 0 && !overBudget; step--) {
    const alarms = alarmsAt(floor * STEP ** step)
    if (alarms > allowed) break
    threshold = floor * STEP ** step
    falseAlarms = alarms
  }
  const tooThin = judged.length < JUDGED_MIN
  if (tooThin && spec.kind !== 'threshold') threshold = Math.max(spec.threshold, floor)
  return {
    spec: withThreshold(spec, threshold, band),
    threshold,
    thresholdOfNoise: floor,
    falseAlarms,
    falseAlarmsAllowed: allowed,
    judgedWindows: judged.length,
    judgedMs,
    ratePerPeriodMax: poissonUpperBound(falseAlarms) / periods,
    verdict: tooThin ? 'tooThin' : overBudget ? 'overBudget' : 'calibrated',
  }
}

/** No threshold above it is ever reached: a sum that is not held is at least as high as one that is. */
function highestScore(detector: Detector, standings: readonly Standing[]): number {
  const cusum = newCusum()
  return standings.reduce((most, s) => Math.max(most, detector.decide(cusum, s, Number.POSITIVE_INFINITY).score), 0)
}

/** The threshold that ideal noise reaches no more than `episodes` times in so many windows. */
export function thresholdOfNoise(
  spec: DetectorSpec,
  windowsPerPeriod: number,
  episodes: number,
  openAfter: number,
): number {
  const sides = spec.direction === 'both' ? 2 : 1
  const alarms =
    spec.kind === 'cusum'
      ? (h: number) => windowsPerPeriod / cusumRunLength(h, spec.drift ?? 0.5)
      : (z: number) => windowsPerPeriod * normalTail(z) ** openAfter
  return bisect(1, 40, (threshold) => sides * alarms(threshold) <= episodes)
}

interface Band {
  readonly middle: number
  readonly scale: number
}

function bandOf(history: readonly Observation[]): Band {
  const values = history.filter((w) => w.final && !Number.isNaN(w.value)).map((w) => w.value)
  const middle = median([...values])
  const scale = MAD_SCALE * median(values.map((v) => Math.abs(v - middle)))
  return { middle, scale: Math.max(scale, 1e-6 * Math.abs(middle), 1e-9) }
}

/** Windows as a threshold detector judges them, in units of the history's scatter around its median. */
function fixedStandings(spec: DetectorSpec, history: readonly Observation[], { middle, scale }: Band): Standing[] {
  const unbounded = new Detector({ ...spec, kind: 'threshold', lower: middle, upper: middle })
  return standingsOf(unbounded, history).map((s) => ({ ...s, z: s.z / scale, scale }))
}

function withThreshold(spec: DetectorSpec, threshold: number, { middle, scale }: Band): DetectorSpec {
  if (spec.kind !== 'threshold') return { ...spec, threshold }
  const { lower: _lower, upper: _upper, ...rest } = spec
  return {
    ...rest,
    ...(spec.direction === 'up' ? {} : { lower: middle - threshold * scale }),
    ...(spec.direction === 'down' ? {} : { upper: middle + threshold * scale }),
  }
}
