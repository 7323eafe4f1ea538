/**
 * Which values of an answer are immature: those whom they are about have not all had their time.
 *
 * Owns: marking them. Does not own: when that is (metrics/maturity.ts). Pure.
 */
import { isPersonKind, ownDimension } from '../job/person-definition.ts'
import { maturityOf } from '../metrics/maturity.ts'
import { isDue } from '../window/lateness.ts'
import type { MetricQuery } from './api.ts'
import type { MetricResult, MetricValue } from './metric-info.ts'

/** The answer with what is immature marked. Where it does not show periods, the query's filter says which one is meant. */
export function markImmature<T extends Pick<MetricResult, 'info' | 'dimensions' | 'values'>>(
  result: T,
  filters: MetricQuery['filters'] = new Map(),
): T {
  const { info, dimensions, values } = result
  const { kind, window } = info
  const matureFrom = maturityOf(kind, window)
  if (matureFrom === null || !isPersonKind(kind)) return result
  const own = ownDimension(kind)
  const at = own === null ? -1 : dimensions.indexOf(own)
  const last = kind.kind === 'retention' ? kind.periods : kind.kind === 'lifetimeValue' ? kind.ages : ''
  const fixed = (own === null ? undefined : filters.get(own)) ?? String(last)
  const isImmature = (value: MetricValue): boolean =>
    !isDue(matureFrom(value.windowEndMs, at < 0 ? fixed : (value.dimensions[at] ?? '')), value.watermarkMs)
  return { ...result, values: values.map((value) => (isImmature(value) ? { ...value, immature: true } : value)) }
}
