/**
 * A ratio of two metrics: from the values of both sides to its own.
 *
 * Owns: which value is below which, how settled a ratio is, and where it is 0 or none. Does not own: asking for the sides
 * (query/ratio-answer.ts). Pure. The rules: docs/metrics.md, "Ratios".
 */
import type { WindowDefinition } from '../job/definition.ts'
import { countsFromZero } from '../job/ratio.ts'
import type { RatioKind } from '../job/ratio-kind.ts'
import { createAssigner } from '../window/assigner.ts'
import { isDue } from '../window/lateness.ts'
import type { MetricResult, MetricValue, ValueStatus } from './metric-info.ts'
import { statusOf } from './render.ts'

/** What is known of one side. */
export interface RatioSide {
  readonly result: Pick<MetricResult, 'info' | 'dimensions' | 'values'>
  /** Up to when the input of all who answered is complete. */
  readonly watermarkMs: number
  /** How long after its end a window is settled. */
  readonly settleMs: number
}

/** The values of `of` by those of `to`, in no order. Windows that overlap [fromMs, toMs), as in a query. */
export function ratioValues(
  of: RatioSide,
  to: RatioSide,
  { scale }: Pick<RatioKind, 'scale'>,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): MetricValue[] {
  const common = to.result.dimensions.map((name) => of.result.dimensions.indexOf(name))
  const below = new Map(to.result.values.map((value) => [keyOf(value.windowEndMs, value.dimensions), value]))
  const values: MetricValue[] = []
  const above = new Set<string>()
  for (const value of of.result.values) {
    const key = keyOf(
      value.windowEndMs,
      common.map((index) => value.dimensions[index] ?? ''),
    )
    above.add(key)
    const under = below.get(key)
    if (under !== undefined) values.push(divided(value, under, scale))
  }
  // Where both have the same groups, it is known which of them nothing was counted in above the line.
  if (common.length !== of.result.dimensions.length || !countsFromZero(of.result.info.kind)) return values
  const startOf = startFinder(of.result.info.window, to.result.info.window)
  for (const [key, under] of below) {
    if (above.has(key)) continue
    const startMs = startOf(under)
    if (startMs === null || startMs >= toMs || under.windowEndMs <= fromMs) continue
    values.push(divided(nothing(of, under, startMs, common), under, scale))
  }
  return values
}

/** Names a window by its end, which both sides have in common, and a group. */
export function keyOf(windowEndMs: number, dimensions: readonly string[]): string {
  return JSON.stringify([windowEndMs, ...dimensions])
}

function divided(above: MetricValue, under: MetricValue, scale: number): MetricValue {
  const revision = revisionOf(above, under)
  return {
    dimensions: above.dimensions,
    windowStartMs: above.windowStartMs,
    windowEndMs: above.windowEndMs,
    value: under.value === 0 ? Number.NaN : (above.value / under.value) * scale,
    status: revision === 0 ? 'provisional' : lessSettled(above, under),
    revision,
    watermarkMs: Math.min(above.watermarkMs, under.watermarkMs),
    // What a ratio is about is what is below the line.
    lateCount: under.lateCount,
    eventCount: under.eventCount,
    attempt: Math.max(above.attempt, under.attempt),
    ...(above.immature === true || under.immature === true ? { immature: true } : {}),
  }
}

/** One firing of both together is the first; each further one of either side is one more. */
function revisionOf(above: MetricValue, under: MetricValue): number {
  if (above.status === 'provisional' || under.status === 'provisional') return 0
  return Math.max(1, above.revision + under.revision - 1)
}

function lessSettled(above: MetricValue, under: MetricValue): ValueStatus {
  return above.status === 'corrected' || under.status === 'corrected' ? 'corrected' : 'final'
}

/** A value of a group in which nothing was counted: 0, as settled as its window is. */
function nothing(of: RatioSide, under: MetricValue, startMs: number, common: readonly number[]): MetricValue {
  const dimensions = of.result.dimensions.map((_, index) => under.dimensions[common.indexOf(index)] ?? '')
  const revision = isDue(under.windowEndMs + of.settleMs, of.watermarkMs) ? 1 : 0
  return {
    ...{ dimensions, windowStartMs: startMs, windowEndMs: under.windowEndMs, value: 0 },
    ...{ status: statusOf(revision), revision, watermarkMs: of.watermarkMs },
    ...{ lateCount: 0, eventCount: 0, attempt: under.attempt },
  }
}

/** Start of the window above the line that ends with one below it; null where none does, or where it is not known. */
function startFinder(of: WindowDefinition, to: WindowDefinition): (under: MetricValue) => number | null {
  if (JSON.stringify(of) === JSON.stringify(to)) return ({ windowStartMs }) => windowStartMs
  if (of.kind !== 'tumbling') return () => null
  const assigner = createAssigner(of)
  return ({ windowEndMs }) => {
    assigner.assign(windowEndMs - 1)
    return assigner.endMs === windowEndMs ? assigner.startMs : null
  }
}
