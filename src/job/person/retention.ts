/**
 * Retention in a job: how it is read, what is refused, its plan, and how values are read.
 *
 * Does not own: what it computes (src/metrics/retention.ts). The definition is in docs/metrics.md. Pure.
 */

import { jobDefaults as defaults } from '../defaults.ts'
import type { MetricDefinition, WindowDefinition } from '../definition.ts'
import { formatDuration } from '../duration.ts'
import type { DocumentPath, MappingReader, Report } from '../parse-reader.ts'
import type { MetricRead, RetentionPlan } from '../plan.ts'
import { maxSpanMs } from '../window-span.ts'
import { type RetentionKind, retentionMeasures } from './kinds.ts'

/** Most periods. */
export const RETENTION_PERIODS_MAX = 366

/** Reads a retention. */
export function readRetention(of: MappingReader): RetentionKind {
  const cohort = of.choice('cohort', ['first', 'recurring'], 'first')
  if (cohort === 'recurring' && of.text('lookback', '') !== '')
    of.problem('lookback', 'is of cohort: first, which a person enters once; recurring ones look at no earlier period')
  const lookbackMs = of.duration('lookback', defaults.retention.lookbackMs, 1)
  return {
    kind: 'retention',
    start: textOrNull(of, 'start'),
    return: textOrNull(of, 'return'),
    periods: of.number('periods', defaults.retention.periods, 1, RETENTION_PERIODS_MAX),
    mode: of.choice('mode', ['on', 'onOrAfter'], 'on'),
    cohort,
    clock: of.choice('clock', ['calendar', 'elapsed'], 'calendar'),
    lookbackMs: cohort === 'first' ? lookbackMs : 0,
    measure: of.choice('measure', retentionMeasures, 'persons'),
  }
}

function textOrNull(of: MappingReader, key: string): string | null {
  const text = of.text(key, '')
  return text.trim() === '' ? null : text
}

/** How long after its window a cohort's last period may end, ms. */
export function retentionSettleMs(
  { periods, clock }: Pick<RetentionKind, 'periods' | 'clock'>,
  window: WindowDefinition,
): number {
  return maxSpanMs(window, clock === 'elapsed' ? periods + 1 : periods)
}

/** Tells what is wrong with a retention of windows side by side. */
export function validateRetention(
  kind: RetentionKind,
  { window, retainMs, allowedLatenessMs }: MetricDefinition,
  path: DocumentPath,
  report: Report,
): void {
  const settledMs = retentionSettleMs(kind, window) + allowedLatenessMs
  if (retainMs <= settledMs)
    report(
      [...path, 'retain'],
      `must be longer than ${formatDuration(settledMs)}, ${kind.periods} periods and the lateness: values would be gone when they are final`,
    )
  if (kind.cohort === 'first' && window.kind === 'tumbling' && kind.lookbackMs < window.sizeMs)
    report(
      [...path, 'retention', 'lookback'],
      `must be as long as a period at least, ${formatDuration(window.sizeMs)}: else everybody would be new in each`,
    )
}

/** The plan of a retention whose conditions are `predicates`. */
export function planRetention(kind: RetentionKind, predicates: readonly number[]): RetentionPlan {
  const { periods, mode, cohort, clock, lookbackMs } = kind
  return {
    ...{ kind: 'retention', start: predicates[0]!, return: predicates[1]! },
    ...{ periods, mode, cohort, clock, lookbackMs },
  }
}

/** Columns of a period's row, in order. */
export const retentionColumns = ['cohort', 'previous', 'persons'] as const

/** How its values are read; `at` gives the place of a column. */
export function readRetentionValue({ measure }: RetentionKind, at: (column: string) => number): MetricRead {
  if (measure === 'persons') return { kind: 'value', of: at('persons') }
  return { kind: 'ratio', of: at('persons'), by: at(measure === 'retention' ? 'cohort' : 'previous') }
}
