/** Metrics about persons in a job document. */
import { jobDefaults as defaults } from './defaults.ts'
import { readBuckets } from './parse-buckets.ts'
import type { MappingReader } from './parse-reader.ts'
import {
  FUNNEL_EXCLUSIONS_MAX,
  FUNNEL_STEPS_MAX,
  type FunnelKind,
  funnelMeasures,
  type LifecycleKind,
} from './person-definition.ts'
import type { Preset } from './presets.ts'

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
    bucketsMs: readBuckets(of, defaults.funnel.bucketsMs),
    measure: of.choice('measure', funnelMeasures, 'persons'),
  }
}

/** Reads a lifecycle. */
export function readLifecycle(of: MappingReader): LifecycleKind {
  return { kind: 'lifecycle', lookbackMs: of.duration('lookback', defaults.lifecycle.lookbackMs, 1) }
}
