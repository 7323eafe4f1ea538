/**
 * A detector: windows of one series go in, in the order of time; out comes for each how far it is from what is usual.
 *
 * Owns: which windows are judged at all, standardising (what was expected, how wide it scatters, the residual in units of
 * that), and the decision. Does not own: what is usual (baseline.ts), what a run of decisions means (episodes.ts), nor
 * the threshold (calibrate.ts).
 *
 * Always: only final windows are judged, each once, in the order of time; another one changes nothing. Standardising
 * does not know the threshold, so a history is standardised once for all thresholds that are tried. States are plain
 * data (JSON holds them) and changed in place; the same state and windows give the same judgements.
 */
import type { Baseline, BaselineState } from './baseline.ts'
import { accumulate, type CusumState, newCusum } from './cusum.ts'
import { baselineOf, type DetectorSpec } from './detector-spec.ts'
import { residualOf, valueAt } from './noise.ts'
import { newSpread, type Spread, widen } from './spread.ts'

/** One window of one series. A window without events is given too: as value 0, or as a share of volume 0. */
export interface Observation {
  readonly startMs: number
  /** Exclusive. */
  readonly endMs: number
  /** Of shares the share; NaN where there is none. */
  readonly value: number
  /** Of shares what they are of; of others it is not used. */
  readonly volume: number
  /** Whether nothing can change the value any more but a correction of what was settled. */
  readonly final: boolean
}

/**
 * `ignored`: not final, or not after the last one. `thin`: too little volume. `warmingUp`: learned only. `judged`: has a
 * residual.
 */
export type Status = 'ignored' | 'thin' | 'warmingUp' | 'judged'

/** A window, several that were joined, in units of chance. */
export interface Standing {
  readonly status: Status
  readonly startMs: number
  readonly endMs: number
  readonly value: number
  readonly volume: number
  /** NaN where not judged, as `z`. */
  readonly expected: number
  /** Residuals that are usual have this size. */
  readonly scale: number
  /** Residual / scale. Of `threshold` the distance beyond the bound, 0 within. */
  readonly z: number
}

/** What a detector says of a window. */
export interface Judgement extends Standing {
  /** How unusual: |z| in the direction asked for, of `cusum` the greater sum. 0 where not judged. */
  readonly score: number
  readonly side: 'up' | 'down' | 'none'
  /** The score has reached the threshold. */
  readonly anomalous: boolean
  /** The score is below half of the threshold: between the two an episode neither goes on nor ends. */
  readonly quiet: boolean
  /** When the deviation is thought to have begun: of `cusum` the change point, else the window's start. */
  readonly sinceMs: number
}

/** A judgement with the values that would not have been anomalous, by the threshold on one window. */
export interface BandedJudgement extends Judgement {
  /** NaN where not judged, -Infinity where that side is not asked for. */
  readonly lower: number
  readonly upper: number
}

/** Memory of a detector. */
export interface DetectorState {
  /** End of the last window that was taken. */
  takenUntilMs: number
  /** Thin windows that wait for more: successes, volume, and where they begin. */
  pool: { successes: number; volume: number; startMs: number }
  baseline: BaselineState | null
  spread: Spread
  cusum: CusumState
}

/** What of a judgement depends on the threshold. */
export interface Decision {
  readonly score: number
  readonly side: 'up' | 'down' | 'none'
  readonly anomalous: boolean
  readonly quiet: boolean
  readonly sinceMs: number
}

/** Lessons further out than this many scales are drawn in to it. */
const LESSON_Z_MAX = 2
/** Weight of the scatter of all slots beside one slot's own, in values. */
const POOLED_VALUES = 8
const DRIFT = 0.5

/** A detector of one specification: functions over a state. */
export class Detector {
  readonly spec: DetectorSpec
  readonly #baseline: Baseline | undefined

  /** Throws JOB_INVALID for a specification that cannot be. */
  constructor(spec: DetectorSpec) {
    this.spec = spec
    this.#baseline = baselineOf(spec)
  }

  /** The state of a series of which nothing was seen. */
  start(): DetectorState {
    return {
      takenUntilMs: Number.MIN_SAFE_INTEGER,
      pool: { successes: 0, volume: 0, startMs: 0 },
      baseline: this.#baseline?.start() ?? null,
      spread: newSpread(),
      cusum: newCusum(),
    }
  }

  /** Judges the next window and learns from it. */
  judge(state: DetectorState, observation: Observation): BandedJudgement {
    const standing = this.standardise(state, observation)
    return { ...standing, ...this.decide(state.cusum, standing), ...this.#bandOf(standing) }
  }

  /** The first half of `judge`, which does not depend on the threshold. */
  standardise(state: DetectorState, { startMs, endMs, value, volume, final }: Observation): Standing {
    if (!final || startMs < state.takenUntilMs) return unjudged('ignored', startMs, endMs, value, volume)
    state.takenUntilMs = endMs
    if (this.spec.noise !== 'binomial') {
      return Number.isNaN(value)
        ? unjudged('thin', startMs, endMs, value, volume)
        : this.#stand(state, startMs, endMs, value, volume)
    }
    const { minVolume = 0, pool } = this.spec
    if (!pool) {
      return volume > 0 && volume >= minVolume
        ? this.#stand(state, startMs, endMs, value, volume)
        : unjudged('thin', startMs, endMs, value, volume)
    }
    const joined = state.pool
    if (joined.volume === 0) joined.startMs = startMs
    if (volume > 0) joined.successes += value * volume
    joined.volume += volume
    const share = joined.successes / joined.volume
    if (!(joined.volume > 0 && joined.volume >= minVolume))
      return unjudged('thin', joined.startMs, endMs, share, joined.volume)
    const standing = this.#stand(state, joined.startMs, endMs, share, joined.volume)
    state.pool = { successes: 0, volume: 0, startMs: 0 }
    return standing
  }

  /** The second half of `judge`: changes `cusum` only. `threshold` may be another one than the specification's. */
  decide(cusum: CusumState, { status, startMs, z }: Standing, threshold = thresholdOf(this.spec)): Decision {
    if (status !== 'judged') return UNDECIDED
    const { direction } = this.spec
    let up = Math.max(z, 0)
    let down = Math.max(-z, 0)
    let sinceMs = startMs
    if (this.spec.kind === 'cusum') ({ up, down } = accumulate(cusum, startMs, z, this.spec.drift ?? DRIFT, threshold))
    if (direction === 'down') up = 0
    if (direction === 'up') down = 0
    const score = Math.max(up, down)
    const side = score === 0 ? 'none' : up >= down ? 'up' : 'down'
    if (this.spec.kind === 'cusum' && side !== 'none')
      sinceMs = (side === 'up' ? cusum.upSinceMs : cusum.downSinceMs) ?? startMs
    return { score, side, anomalous: score >= threshold, quiet: score === 0 || score < threshold / 2, sinceMs }
  }

  #stand(state: DetectorState, startMs: number, endMs: number, value: number, volume: number): Standing {
    const { spec } = this
    if (spec.kind === 'threshold') {
      const { lower = Number.NEGATIVE_INFINITY, upper = Number.POSITIVE_INFINITY } = spec
      const expected = Math.min(Math.max(value, lower), upper)
      const judged = { startMs, endMs, value, volume, expected, scale: 1, z: value - expected }
      return thinCount(spec, value, value)
        ? unjudged('thin', startMs, endMs, value, volume)
        : { status: 'judged', ...judged }
    }
    const baseline = this.#baseline!
    const expected = baseline.expected(state.baseline!, startMs)
    const weight = spec.noise === 'binomial' ? volume : 1
    if (Number.isNaN(expected)) {
      baseline.learn(state.baseline!, { startMs, value, weight })
      return unjudged('warmingUp', startMs, endMs, value, volume)
    }
    const residual = residualOf(spec.noise, value, expected, volume)
    const scale = this.#scaleOf(state, startMs, expected, volume)
    const z = residual / scale
    widen(state.spread, residual)
    const far = Math.abs(z) > LESSON_Z_MAX
    const lesson = far ? expected + ((value - expected) * LESSON_Z_MAX) / Math.abs(z) : value
    baseline.learn(state.baseline!, { startMs, value: lesson, weight })
    if (Number.isNaN(z)) return unjudged('warmingUp', startMs, endMs, value, volume)
    if (thinCount(spec, value, expected)) return unjudged('thin', startMs, endMs, value, volume)
    return { status: 'judged', startMs, endMs, value, volume, expected, scale, z }
  }

  /** NaN while a `normal` series has not shown how it scatters; never less than the chance that the noise knows. */
  #scaleOf(state: DetectorState, startMs: number, expected: number, volume: number): number {
    const { noise } = this.spec
    let scale = state.spread.scale ?? Number.NaN
    if (noise !== 'normal') scale = Math.max(state.spread.scale ?? 1, 1)
    const local = this.#baseline!.localSpread?.(state.baseline!, startMs, (v, e) => residualOf(noise, v, e, volume))
    if (local !== undefined) {
      const squares = local.values * local.scale ** 2 + POOLED_VALUES * scale ** 2
      scale = Math.sqrt(squares / (local.values + POOLED_VALUES))
    }
    // A constant series scatters by nothing: any other value of it is far out, but not by Infinity.
    return noise === 'normal' ? Math.max(scale, 1e-6 * Math.abs(expected), 1e-9) : Math.max(scale, 1)
  }

  #bandOf({ status, expected, scale, volume }: Standing): { readonly lower: number; readonly upper: number } {
    const { spec } = this
    if (status !== 'judged') return { lower: Number.NaN, upper: Number.NaN }
    if (spec.kind === 'threshold')
      return { lower: spec.lower ?? Number.NEGATIVE_INFINITY, upper: spec.upper ?? Number.POSITIVE_INFINITY }
    const width = scale * spec.threshold
    return {
      lower: spec.direction === 'up' ? Number.NEGATIVE_INFINITY : valueAt(spec.noise, -width, expected, volume),
      upper: spec.direction === 'down' ? Number.POSITIVE_INFINITY : valueAt(spec.noise, width, expected, volume),
    }
  }
}

const UNDECIDED: Decision = { score: 0, side: 'none', anomalous: false, quiet: false, sinceMs: Number.NaN }

/** The score from which a window is anomalous: of `threshold` any distance beyond its bounds. */
export function thresholdOf(spec: DetectorSpec): number {
  return spec.kind === 'threshold' ? Number.MIN_VALUE : spec.threshold
}

function thinCount({ noise, minVolume = 0 }: DetectorSpec, value: number, expected: number): boolean {
  return noise !== 'binomial' && Math.abs(value) < minVolume && Math.abs(expected) < minVolume
}

function unjudged(status: Status, startMs: number, endMs: number, value: number, volume: number): Standing {
  return { status, startMs, endMs, value, volume, expected: Number.NaN, scale: Number.NaN, z: Number.NaN }
}
