/**
 * Historic lifetime value in a job: how it is read, what is refused, its plan, and how values are read.
 *
 * Does not own: what it computes (src/metrics/cohort-value.ts). The definition is in docs/metrics.md. Pure.
 */
import { jobDefaults as defaults } from '../defaults.ts'
import type { MetricDefinition, WindowDefinition } from '../definition.ts'
import { formatDuration } from '../duration.ts'
import { readMoney } from '../parse-money.ts'
import type { DocumentPath, MappingReader, Report } from '../parse-reader.ts'
import type { LifetimeValuePlan, MetricRead, PersonValue } from '../plan.ts'
import { maxSpanMs } from '../window-span.ts'
import { type LifetimeValueKind, lifetimeValueMeasures } from './kinds.ts'

/** Most ages behind the first. */
export const AGES_MAX = 366

/** Reads a lifetime value. */
export function readLifetimeValue(of: MappingReader): LifetimeValueKind {
  const measure = of.choice('measure', lifetimeValueMeasures, 'value')
  const field = of.text('of')
  const { money } = readMoney(of, false)
  if (money === undefined && !of.has('currency'))
    of.problem('currency', 'is missing: the path of the currency of each amount, or a code such as EUR')
  return {
    kind: 'lifetimeValue',
    field,
    money: money ?? { currency: '', in: '', minorUnits: false, decimals: 2, refunds: null, measure: 'amount' },
    cohort: textOrNull(of, 'cohort'),
    revenue: textOrNull(of, 'revenue'),
    ages: of.number('ages', defaults.lifetimeValue.ages, 0, AGES_MAX),
    lookbackMs: of.duration('lookback', defaults.lifetimeValue.lookbackMs, 1),
    measure,
  }
}

function textOrNull(of: MappingReader, key: string): string | null {
  const text = of.text(key, '')
  return text.trim() === '' ? null : text
}

/** How long after its window a cohort's last age may end, ms. */
export function lifetimeSettleMs({ ages }: LifetimeValueKind, window: WindowDefinition): number {
  return maxSpanMs(window, ages)
}

/** Tells what is wrong with one of windows side by side. */
export function validateLifetimeValue(
  kind: LifetimeValueKind,
  { window, retainMs, allowedLatenessMs }: MetricDefinition,
  path: DocumentPath,
  report: Report,
): void {
  const settledMs = lifetimeSettleMs(kind, window) + allowedLatenessMs
  if (retainMs <= settledMs)
    report(
      [...path, 'retain'],
      `must be longer than ${formatDuration(settledMs)}, ${kind.ages} ages and the lateness: values would be gone when they are final`,
    )
  if (window.kind === 'tumbling' && kind.lookbackMs < window.sizeMs)
    report(
      [...path, 'lifetimeValue', 'lookback'],
      `must be as long as a period at least, ${formatDuration(window.sizeMs)}: else everybody would be new in each`,
    )
}

/** The plan of one whose conditions are `predicates`. */
export function planLifetimeValue(
  { ages, lookbackMs }: LifetimeValueKind,
  predicates: readonly number[],
  value: PersonValue,
): LifetimeValuePlan & { readonly value: PersonValue } {
  return { ...{ kind: 'lifetimeValue', start: predicates[0]!, money: predicates[1]!, ages, lookbackMs }, value }
}

/** How its values are read; `at` gives the place of a column. */
export function readLifetimeValueOf({ measure }: LifetimeValueKind, at: (column: string) => number): MetricRead {
  if (measure === 'value') return { kind: 'ratio', of: at('revenue'), by: at('cohort') }
  return { kind: 'value', of: at(measure === 'revenue' ? 'revenue' : 'cohort') }
}
