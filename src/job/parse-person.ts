/** Metrics about persons in a job document. */
import { jobDefaults as defaults } from './defaults.ts'
import { parseDuration } from './duration.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import {
  FUNNEL_EXCLUSIONS_MAX,
  FUNNEL_STEPS_MAX,
  type FunnelKind,
  funnelMeasures,
  type LifecycleKind,
} from './person-definition.ts'
import type { Preset } from './presets.ts'
import { BOUNDS_MAX } from './sketch-limits.ts'

/** Reads a funnel; `preset` has defaults of its own. */
export function readFunnel(of: MappingReader, preset?: Preset['funnel']): FunnelKind {
  const steps = of.mappings('steps').map((step) => {
    const where = step.text('where')
    step.finish()
    return { where }
  })
  if (steps.length < 2 || steps.length > FUNNEL_STEPS_MAX)
    of.problem('steps', `must be 2 to ${FUNNEL_STEPS_MAX} steps, as steps: [{ where: … }, { where: … }]`)
  const exclude = of.mappings('exclude').map((exclusion) => {
    const where = exclusion.text('where')
    const from = exclusion.number('from', 1, 1, FUNNEL_STEPS_MAX)
    const to = exclusion.number('to', steps.length, 1, FUNNEL_STEPS_MAX)
    exclusion.finish()
    return { where, from, to }
  })
  if (exclude.length > FUNNEL_EXCLUSIONS_MAX)
    of.problem('exclude', `has more than ${FUNNEL_EXCLUSIONS_MAX} conditions: join some by ||`)
  return {
    kind: 'funnel',
    steps: steps.slice(0, FUNNEL_STEPS_MAX),
    withinMs: of.duration('within', preset?.withinMs ?? defaults.funnel.withinMs),
    order: of.choice('order', ['sequential', 'strict', 'any'], 'sequential'),
    exclude: exclude.slice(0, FUNNEL_EXCLUSIONS_MAX),
    attribution: of.choice('attribution', ['first', 'last', 'step'], 'first'),
    attributionStep: of.number('attributionStep', 0, 0, FUNNEL_STEPS_MAX),
    bucketsMs: readBuckets(of),
    measure: of.choice('measure', funnelMeasures, 'persons'),
  }
}

/** Reads a lifecycle. */
export function readLifecycle(of: MappingReader): LifecycleKind {
  return { kind: 'lifecycle', lookbackMs: of.duration('lookback', defaults.lifecycle.lookbackMs, 1) }
}

function readBuckets(of: MappingReader): readonly number[] {
  const items = of.list('buckets')
  if (items.length === 0) return defaults.funnel.bucketsMs
  if (items.length > BOUNDS_MAX) of.problem('buckets', `has more than ${BOUNDS_MAX} bounds`)
  let before = 0
  return items.slice(0, BOUNDS_MAX).map((item, i) => {
    const ms = typeof item === 'string' ? parseDuration(item) : Number.NaN
    const path = [...of.path, 'buckets', i]
    if (Number.isNaN(ms))
      of.problems.push({ path, message: `must be a duration such as 1m or 1h, not ${describe(item)}` })
    else if (ms <= before) of.problems.push({ path, message: 'must be longer than the one before, and than zero' })
    else before = ms
    return ms
  })
}
