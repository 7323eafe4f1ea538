/**
 * What retentions, stickinesses and lifetime values say, after parsing. Their definitions are in docs/metrics.md.
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
