/**
 * Ratios: metrics that are one metric of the job divided by another. Their definition is in docs/metrics.md.
 *
 * Owns: reading them, what a ratio takes over from its metrics, and which ratios one table has both sides of. Does
 * not own: whether a ratio makes sense (job/validate-ratio.ts), dividing (operator/read-metric, query/ratio). Pure.
 */
import { jobDefaults as defaults } from './defaults.ts'
import type { MetricDefinition, MetricKind } from './definition.ts'
import type { MappingReader } from './parse-reader.ts'
import type { RatioPlan } from './plan.ts'
import type { RatioKind } from './ratio-kind.ts'
import { tableId } from './table-id.ts'

/** Reads a ratio. */
export function readRatio(of: MappingReader): RatioKind {
  return {
    kind: 'ratio',
    of: of.text('of'),
    to: of.text('to'),
    scale: of.number('scale', 1, 1e-12, 1e12, true),
    queriesOnly: of.flag('queriesOnly', false),
  }
}

/** A ratio before its metrics are known. */
export function ratioDefinition(id: string, description: string, kind: RatioKind): MetricDefinition {
  return {
    ...{ id, description, kind, where: null, by: [], trigger: null, earlyMs: 0 },
    window: { kind: 'tumbling', sizeMs: 1, offsetMs: 0, timezone: 'UTC', time: 'event' },
    allowedLatenessMs: defaults.metric.allowedLatenessMs,
    retainMs: defaults.metric.retainMs,
  }
}

/** The metrics of a job, ratios with what they have from the metric above the line. */
export function resolveRatios(metrics: readonly MetricDefinition[]): readonly MetricDefinition[] {
  return metrics.map((metric) => {
    const { kind } = metric
    const above = kind.kind === 'ratio' ? metrics.find(({ id }) => id === kind.of) : undefined
    if (above === undefined || above.kind.kind === 'ratio') return metric
    const { by, window, trigger, earlyMs, allowedLatenessMs, retainMs } = above
    return { ...metric, by, window, trigger, earlyMs, allowedLatenessMs, retainMs }
  })
}

/** Kinds whose value is in one accumulator, and 0 where it is that nothing was counted. */
const plainKinds: ReadonlySet<MetricKind['kind']> = new Set(['count', 'sum', 'distinct', 'activeUsers'])

function isPlain(kind: MetricKind): boolean {
  return plainKinds.has(kind.kind) && !('exactUpTo' in kind)
}

/** Whether one table has both sides of a ratio, so that it is read like any other value of it. */
export function sharesTable(of: MetricDefinition, to: MetricDefinition): boolean {
  return isPlain(of.kind) && isPlain(to.kind) && tableId(of) === tableId(to)
}

/** The ratios that are put together when they are asked for: no table has both sides of them, or no sink shall have them. */
export function joinedRatios(metrics: readonly MetricDefinition[]): readonly RatioPlan[] {
  return metrics.flatMap(({ id, kind }) => {
    if (kind.kind !== 'ratio') return []
    const [of, to] = [kind.of, kind.to].map((name) => metrics.find((metric) => metric.id === name))
    if (of === undefined || to === undefined || (sharesTable(of, to) && !kind.queriesOnly)) return []
    return [{ id, of: kind.of, to: kind.to, scale: kind.scale }]
  })
}

/** Whether a metric that has no value of a group has counted nothing there: then it is 0. Of others there is no number. */
export function countsFromZero(kind: MetricKind): boolean {
  if (plainKinds.has(kind.kind) || ['approxDistinct', 'lifecycle', 'paths'].includes(kind.kind)) return true
  if (kind.kind === 'sessions' && kind.measure === 'count') return true
  return 'measure' in kind && (kind.measure as string) === 'persons'
}
