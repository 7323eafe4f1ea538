/**
 * Sessions in a job: how they are read, what is refused, their plan, and how values are read.
 *
 * Does not own: what is computed (src/metrics/sessions.ts). The definition is in docs/metrics.md. Pure.
 */
import { jobDefaults as defaults } from '../defaults.ts'
import type { MetricDefinition, WindowDefinition } from '../definition.ts'
import { formatDuration } from '../duration.ts'
import { readBuckets } from '../parse-buckets.ts'
import type { DocumentPath, MappingReader, Report } from '../parse-reader.ts'
import type { AccumulatorPlan, MetricRead, SessionsPlan } from '../plan.ts'
import type { Preset } from '../presets.ts'
import { type SessionsKind, sessionBounces, sessionMeasures } from './kinds.ts'

const DAY_MS = 86_400_000

/** Reads sessions; `preset` has defaults of its own. */
export function readSessions(of: MappingReader, preset?: Preset['sessions']): SessionsKind {
  const own = { ...defaults.sessions, ...preset }
  return {
    kind: 'sessions',
    gapMs: of.duration('gap', own.gapMs, 1),
    maxDurationMs: of.duration('maxDuration', own.maxDurationMs, 1),
    cutAtMidnight: of.flag('cutAtMidnight', own.cutAtMidnight),
    views: textOrNull(of, 'views'),
    interactions: textOrNull(of, 'interactions'),
    engagedAfterMs: of.duration('engagedAfter', own.engagedAfterMs, 1),
    bounce: of.choice('bounce', sessionBounces, own.bounce),
    bucketsMs: readBuckets(of, defaults.sessions.bucketsMs),
    measure: of.choice('measure', sessionMeasures, 'count'),
  }
}

function textOrNull(of: MappingReader, key: string): string | null {
  const text = of.text(key, '')
  return text.trim() === '' ? null : text
}

/** How long after its window a session that starts in it may go on, ms: where both end with the day, not at all. */
export function sessionsSettleMs(
  { maxDurationMs, cutAtMidnight }: Pick<SessionsKind, 'maxDurationMs' | 'cutAtMidnight'>,
  window: WindowDefinition,
): number {
  const isOfDays = window.kind === 'tumbling' && window.sizeMs % DAY_MS === 0 && window.offsetMs % DAY_MS === 0
  return cutAtMidnight && isOfDays ? 0 : maxDurationMs
}

/** Tells what is wrong with sessions by windows side by side. */
export function validateSessions(
  kind: SessionsKind,
  metric: MetricDefinition,
  path: DocumentPath,
  report: Report,
): void {
  validateSpan(kind, sessionsSettleMs(kind, metric.window), metric, path, report)
}

/** Tells what is wrong with how long sessions are, of which windows change for so long after their end. */
export function validateSpan(
  { kind, gapMs, maxDurationMs }: Pick<SessionsKind, 'gapMs' | 'maxDurationMs'> & { readonly kind: string },
  settleMs: number,
  { retainMs, allowedLatenessMs }: MetricDefinition,
  path: DocumentPath,
  report: Report,
): void {
  if (maxDurationMs < gapMs)
    report(
      [...path, kind, 'maxDuration'],
      `must be as long as the gap at least, ${formatDuration(gapMs)}: else every pause would end a session`,
    )
  const settledMs = settleMs + allowedLatenessMs
  if (retainMs <= settledMs)
    report(
      [...path, 'retain'],
      `must be longer than ${formatDuration(settledMs)}, "maxDuration" and the lateness: values would be gone when they are final`,
    )
}

/** The plan of sessions whose conditions are `predicates`. */
export function planSessions(kind: SessionsKind, predicates: readonly number[]): SessionsPlan {
  const { gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs, bounce, bucketsMs } = kind
  return {
    ...{ kind: 'sessions', every: predicates[0]!, views: predicates[1]!, interactions: predicates[2] ?? -1 },
    ...{ gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs, bounce, bucketsMs },
  }
}

/** The columns of its table, in order. */
export function sessionColumns(
  { bucketsMs }: Pick<SessionsKind, 'bucketsMs'>,
  of: (kind: AccumulatorPlan['kind'], measure: string) => AccumulatorPlan,
): readonly AccumulatorPlan[] {
  return [
    ...['sessions', 'persons', 'views', 'bounces', 'engaged'].map((measure) => of('count', measure)),
    of('sum', 'duration'),
    { ...of('histogram', 'durations'), bounds: bucketsMs },
  ]
}

/** How its values are read; `at` gives the place of a column. */
export function readSessionsValue({ measure }: SessionsKind, at: (column: string) => number): MetricRead {
  const by = at('sessions')
  switch (measure) {
    case 'count':
      return { kind: 'value', of: by }
    case 'persons':
      return { kind: 'value', of: at('persons') }
    case 'duration':
      return { kind: 'ratio', of: at('duration'), by }
    case 'durations':
      return { kind: 'histogram', of: at('durations') }
    case 'depth':
      return { kind: 'ratio', of: at('views'), by }
    case 'bounceRate':
      return { kind: 'ratio', of: at('bounces'), by }
    case 'engagementRate':
      return { kind: 'ratio', of: at('engaged'), by }
    case 'perPerson':
      return { kind: 'ratio', of: by, by: at('persons') }
  }
}
