/**
 * What retentions, stickinesses, lifetime values, sessions and paths say, after parsing. Their definitions are in docs/metrics.md.
 *
 * Owns: the shapes, and conditions. Plain data.
 */
import type { MoneyDefinition } from '../money-definition.ts'

/** What a retention's value of a period is. */
export type RetentionMeasure = 'persons' | 'retention' | 'previous'

/** All of them. */
export const retentionMeasures: readonly RetentionMeasure[] = ['persons', 'retention', 'previous']

/** Who comes back how many periods after they began. */
export interface RetentionKind {
  readonly kind: 'retention'
  /** CEL over the event's fields: what puts a person into a cohort; null for every event. */
  readonly start: string | null
  /** CEL: what is a return; null for what `start` says. */
  readonly return: string | null
  /** Periods behind the cohort's own. */
  readonly periods: number
  /** Returned in that very period, or in it or a later one. */
  readonly mode: 'on' | 'onOrAfter'
  /** In the cohort of the first start, or of each period with one. */
  readonly cohort: 'first' | 'recurring'
  /** Periods of the calendar, or of each person's own time since their start. */
  readonly clock: 'calendar' | 'elapsed'
  /** `first`: who started in no period that begins within so long before is new; 0 else. */
  readonly lookbackMs: number
  readonly measure: RetentionMeasure
}

/** What activity is counted by. */
export type StickinessInterval = 'hour' | 'day' | 'week'

/** On how many intervals of a window persons are active. */
export interface StickinessKind {
  readonly kind: 'stickiness'
  readonly interval: StickinessInterval
}

/** All of them. */
export const stickinessIntervals: readonly StickinessInterval[] = ['hour', 'day', 'week']

/** What a lifetime value's value of an age is. */
export type LifetimeValueMeasure = 'value' | 'revenue' | 'persons'

/** All of them. */
export const lifetimeValueMeasures: readonly LifetimeValueMeasure[] = ['value', 'revenue', 'persons']

/** What the persons of a cohort have brought by each age. */
export interface LifetimeValueKind {
  readonly kind: 'lifetimeValue'
  /** Path of the amount. */
  readonly field: string
  readonly money: MoneyDefinition
  /** CEL: what puts a person into a cohort; null for every event. */
  readonly cohort: string | null
  /** CEL: whose amounts count; null for every event. */
  readonly revenue: string | null
  /** Periods behind the cohort's own. */
  readonly ages: number
  /** Who came in no period that begins within so long before is new. */
  readonly lookbackMs: number
  readonly measure: LifetimeValueMeasure
}

/** What a value of sessions is. */
export type SessionsMeasure =
  | 'count'
  | 'persons'
  | 'duration'
  | 'durations'
  | 'depth'
  | 'bounceRate'
  | 'engagementRate'
  | 'perPerson'

/** All of them. */
export const sessionMeasures: readonly SessionsMeasure[] = [
  'count',
  'persons',
  'duration',
  'durations',
  'depth',
  'bounceRate',
  'engagementRate',
  'perPerson',
]

/** What a bounce is, by the product whose definition it is. */
export type SessionBounce = 'ga4' | 'posthog' | 'plausible' | 'matomo'

/** All of them. */
export const sessionBounces: readonly SessionBounce[] = ['ga4', 'posthog', 'plausible', 'matomo']

/** Sessions, each in the window in which it starts. */
export interface SessionsKind {
  readonly kind: 'sessions'
  /** Events so far apart are in one session. */
  readonly gapMs: number
  /** No event of a session is further from its first. */
  readonly maxDurationMs: number
  /** Whether a session ends with its day, of the zone of the window. */
  readonly cutAtMidnight: boolean
  /** CEL over the event's fields: what is a view; null for every event. */
  readonly views: string | null
  /** CEL: what is an interaction; null for none. */
  readonly interactions: string | null
  /** Sessions so long are engaged. */
  readonly engagedAfterMs: number
  readonly bounce: SessionBounce
  /** Bounds of the histogram of durations, ascending. */
  readonly bucketsMs: readonly number[]
  readonly measure: SessionsMeasure
}

/** From what to what persons go, step by step, in each session. */
export interface PathsKind {
  readonly kind: 'paths'
  /** Path of the field whose values they are of. */
  readonly field: string
  /** Events so far apart are in one session. */
  readonly gapMs: number
  /** No event of a session is further from its first. */
  readonly maxDurationMs: number
  /** Transitions of a session, at most. */
  readonly steps: number
  /** Whether equal values in a row are one. */
  readonly collapse: boolean
}

/** Most steps of paths. */
export const PATH_STEPS_MAX = 20

/** Conditions of sessions, each joined with `base`: every event, views, and interactions where there are any. */
export function sessionsConditions(kind: SessionsKind, base: readonly string[]): readonly (readonly string[])[] {
  const { views, interactions } = kind
  const own = [views === null ? base : [...base, views], ...(interactions === null ? [] : [[...base, interactions]])]
  return [base, ...own]
}

/** Conditions of a lifetime value, each joined with `base`: who comes, whose amounts count, and of these which are refunds. */
export function lifetimeConditions(kind: LifetimeValueKind, base: readonly string[]): readonly (readonly string[])[] {
  const revenue = kind.revenue === null ? base : [...base, kind.revenue]
  const { refunds } = kind.money
  const start = kind.cohort === null ? base : [...base, kind.cohort]
  return [start, revenue, ...(refunds === null ? [] : [[...revenue, refunds]])]
}

/** Its own conditions, each joined with `base`: starts, then returns. */
export function retentionConditions(kind: RetentionKind, base: readonly string[]): readonly (readonly string[])[] {
  const start = kind.start === null ? base : [...base, kind.start]
  return [start, kind.return === null ? start : [...base, kind.return]]
}
