/** What a metric is, and what its values are: plain data, as in query/api.ts. */
import type { MetricKind, WindowDefinition } from '../job/definition.ts'
import type { MetricDetail } from '../operator/read-metric.ts'

/** What a metric is. */
export interface MetricInfo {
  readonly job: string
  readonly metric: string
  readonly description: string
  readonly kind: MetricKind
  /** Whose definition filled in what the author left out; absent for nobody's. */
  readonly preset?: string
  /** CEL; empty for all events. */
  readonly where: string
  /** Names of the dimensions, in the order in which values carry them. */
  readonly dimensions: readonly string[]
  readonly window: WindowDefinition
  /** Values are whole numbers. */
  readonly integer: boolean
  /** Most groups of a window in an answer; absent for any number. */
  readonly maxGroups?: number
}

/** True where values of groups may be added up: counts, sums, and steps of paths. */
export function isAdditive(info: MetricInfo): boolean {
  return ['count', 'sum', 'paths'].includes(info.kind.kind)
}

/** How settled a value is. */
export type ValueStatus = 'provisional' | 'final' | 'corrected'

/** The value of a metric in one window for one group. */
export interface MetricValue {
  /** Texts in the order of the metric's dimensions, or of the query's grouping. */
  readonly dimensions: readonly string[]
  readonly windowStartMs: number
  readonly windowEndMs: number
  /** NaN where there is none: of a text, and of no values at all. */
  readonly value: number
  /** What it has beside the number: a list (topK, histogram) or a text (first, last); absent or null for nothing. */
  readonly detail?: MetricDetail | null
  readonly status: ValueStatus
  /** Firings so far: 0 while provisional. */
  readonly revision: number
  readonly watermarkMs: number
  readonly lateCount: number
  readonly eventCount: number
  readonly attempt: number
  /**
   * It is no group, but what is left beside those that are shown: so many of them. Its dimensions are empty, and its value is
   * NaN where the values of groups do not make one. Absent for a group, whatever its texts.
   */
  readonly otherGroups?: number
  /** Whom it is about have not all had their time (query/maturity.ts). Absent: they have, or it is no such metric. */
  readonly immature?: boolean
}

/** The answer to a query. */
export interface MetricResult {
  readonly info: MetricInfo
  /** Names of `values[].dimensions`. */
  readonly dimensions: readonly string[]
  /** By window start, then by dimension texts; with `top`, by window start, then by value. */
  readonly values: readonly MetricValue[]
  readonly truncated: boolean
}
