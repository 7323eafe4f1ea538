/**
 * From a job's definition of a detector to what watches its series: the specification, the rules, and the histories.
 *
 * Owns: what of the metric decides (which windows, when they are final, what a window without events is). Pure.
 */
import type { MetricDefinition, TumblingWindow } from '../job/definition.ts'
import type { BaselineDefinition, DetectorDefinition } from '../job/detector-definition.ts'
import { detectorValuesOf, settleMsOf } from '../job/detector-values.ts'
import { type AlarmBudget, thresholdOfNoise } from './calibrate.ts'
import { Detector } from './detector.ts'
import type { BaselineSpec, CommonSpec, DetectorSpec } from './detector-spec.ts'
import type { EpisodeRules } from './episodes.ts'

/** All that watching the series of one detector goes by. */
export interface WatchPlan {
  readonly window: TumblingWindow
  /** A window is final when the watermark has reached its last instant and so much more. */
  readonly settleMs: number
  /** So much later nothing can correct it any more. */
  readonly latenessMs: number
  /** The detector before there is a history to set its threshold by, or where the definition says it. */
  readonly first: Detector
  readonly rules: EpisodeRules
  /** Null where the definition says the threshold. */
  readonly budget: AlarmBudget | null
  /** Histories: [fromMs + k × lengthMs, fromMs + (k + 1) × lengthMs). */
  readonly history: { readonly lengthMs: number; readonly fromMs: number }
  /** Stretches of which windows are judged, and not learned from. */
  readonly excluded: readonly { readonly fromMs: number; readonly toMs: number }[]
  /** Value of a group that had no events in a window: 0, or NaN for none. */
  readonly emptyValue: number
  /** Whether a window without events in any group is one of which nothing is known. */
  readonly gapsAreUnknown: boolean
  readonly groupsMax: number
}

/** Plans a valid detector of a valid job. Throws JOB_INVALID for a metric that cannot be watched. */
export function planWatch(definition: DetectorDefinition, metric: MetricDefinition): WatchPlan {
  const { kind, score, falseAlarms, openAfter, closeAfter, history, groupsMax } = definition
  const values = detectorValuesOf(metric.kind)
  const window = metric.window as TumblingWindow
  const calibrated = kind.kind === 'threshold' ? kind.lower === null && kind.upper === null : score === 0
  const budget = calibrated ? { episodes: falseAlarms.most, perMs: falseAlarms.perMs } : null
  const spec = specOf(definition)
  const noise = thresholdOfNoise(spec, falseAlarms.perMs / window.sizeMs, falseAlarms.most, openAfter)
  return {
    window,
    settleMs: settleMsOf(metric),
    latenessMs: metric.allowedLatenessMs,
    first: new Detector('threshold' in spec && budget !== null ? { ...spec, threshold: noise } : spec),
    rules: { openAfter, closeAfter },
    budget,
    history,
    excluded: definition.exclude ?? [],
    emptyValue: typeof values === 'object' && values.zeros ? 0 : Number.NaN,
    gapsAreUnknown: definition.gaps === 'noData',
    groupsMax,
  }
}

/** Its threshold is 1 where the definition says none. */
function specOf({ kind, noise, direction, minimumVolume, pool, score }: DetectorDefinition): DetectorSpec {
  const common: CommonSpec = { noise, direction, minVolume: minimumVolume, pool }
  const threshold = score === 0 ? 1 : score
  switch (kind.kind) {
    case 'threshold':
      return {
        ...common,
        kind: 'threshold',
        lower: kind.lower ?? Number.NEGATIVE_INFINITY,
        upper: kind.upper ?? Number.POSITIVE_INFINITY,
      }
    case 'cusum':
      return { ...common, kind: 'cusum', drift: kind.drift, baseline: baselineSpecOf(kind.baseline), threshold }
    default:
      return { ...common, ...baselineSpecOf(kind), threshold }
  }
}

function baselineSpecOf(baseline: BaselineDefinition): BaselineSpec {
  const endless = (windows: number): number => (windows === 0 ? Number.POSITIVE_INFINITY : windows)
  switch (baseline.kind) {
    case 'ewma':
      return { ...baseline, halfLife: endless(baseline.halfLife) }
    case 'seasonalMedian':
      return { ...baseline, levelHalfLife: endless(baseline.levelHalfLife) }
    case 'holtWinters':
      return baseline
  }
}
