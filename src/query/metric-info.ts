/** What is known of a metric without asking for its values: plain data, as in query/api.ts. */
import type { MetricKind, WindowDefinition } from '../job/definition.ts'

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
