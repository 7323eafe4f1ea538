/** What of a metric decides about its detectors: what its values are, when they are final, how long they are kept. Pure. */
import type { MetricDefinition, MetricKind } from './definition.ts'
import type { DetectorNoise } from './detector-definition.ts'
import { conditionsOf, isPersonKind, type PersonKind } from './person-definition.ts'
import { planPerson, readPerson } from './plan-person.ts'

/** What a detector must know of the values of a metric. */
export interface DetectorValues {
  /** The law of chance unless the definition names one. */
  readonly noise: DetectorNoise
  /** Whether a group without events in a window has the value 0 there; else it has none. */
  readonly zeros: boolean
  /** Whether values are shares of a number that is known. */
  readonly shares: boolean
}

/** Measures of persons that are shares of persons: each of them does, or does not. */
const shareMeasures: ReadonlySet<string> = new Set([
  'conversion',
  'stepConversion',
  'retention',
  'bounceRate',
  'engagementRate',
])

/** What a metric's values are to a detector; a text says why it cannot have one. */
export function detectorValuesOf(kind: MetricKind): DetectorValues | string {
  switch (kind.kind) {
    case 'count':
    case 'activeUsers':
    case 'distinct':
    case 'approxDistinct':
      return { noise: 'poisson', zeros: true, shares: false }
    case 'sum':
      return { noise: 'normal', zeros: true, shares: false }
    case 'topK':
      return 'a top list is no number: watch a count by that dimension'
    case 'histogram':
      return 'a histogram is no number: watch a count, a mean or a quantile'
    case 'first':
    case 'last':
      return 'one event is no measure of its window: watch a count, a mean or a quantile'
    case 'ratio':
      // Whether it is a share only its author knows: one of events per person is none.
      return { noise: 'normal', zeros: false, shares: kind.scale === 1 }
    default:
      return isPersonKind(kind) ? personValuesOf(kind) : { noise: 'normal', zeros: false, shares: false }
  }
}

function personValuesOf(kind: PersonKind): DetectorValues | string {
  const { read } = readPerson(kind, () => 0)
  if (read.kind === 'histogram')
    return `a histogram is no number: watch the mean, by measure: ${kind.kind === 'funnel' ? 'convertTime' : 'duration'}`
  // Of money, the sizes of amounts make most of the noise.
  const isMoney = kind.kind === 'lifetimeValue' && kind.measure === 'revenue'
  if (read.kind === 'value' && !isMoney) return { noise: 'poisson', zeros: true, shares: false }
  const shares = 'measure' in kind && shareMeasures.has(kind.measure)
  return { noise: shares ? 'binomial' : 'normal', zeros: false, shares }
}

/** How long after a window's end its first final value comes, in event time. */
export function settleMsOf(metric: MetricDefinition): number {
  const { kind, window } = metric
  if (!isPersonKind(kind)) return 0
  const predicates = conditionsOf(metric).map((_, i) => i)
  return planPerson(kind, predicates, window, { value: { column: -1, predicate: 0 }, text: -1 }).table.settleMs ?? 0
}

/** The longest history of which three fit in what a metric retains, in whole windows; 0 where none does. */
export function longestHistoryMs(metric: MetricDefinition): number {
  const sizeMs = 'sizeMs' in metric.window ? metric.window.sizeMs : Number.POSITIVE_INFINITY
  const forHistoriesMs = metric.retainMs - settleMsOf(metric) - sizeMs
  return Math.max(0, Math.floor(forHistoriesMs / 3 / sizeMs) * sizeMs) || 0
}
