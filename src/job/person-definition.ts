/**
 * What a metric about persons says, after parsing: funnels, lifecycles, and by job/person/ others. Their definitions are in
 * docs/metrics.md.
 *
 * Owns: the shapes, and which conditions a metric has beside its `where`. Plain data.
 */
import type { MoneyDefinition, OfMoney } from './money-definition.ts'
import {
  type LifetimeValueKind,
  lifetimeConditions,
  type PathsKind,
  type RetentionKind,
  retentionConditions,
  type SessionsKind,
  type StickinessKind,
  sessionsConditions,
} from './person/kinds.ts'

/** What a funnel's value of a step is. */
export type FunnelMeasure = 'persons' | 'conversion' | 'stepConversion' | 'convertTime' | 'convertTimes'

/** All of them. */
export const funnelMeasures: readonly FunnelMeasure[] = [
  'persons',
  'conversion',
  'stepConversion',
  'convertTime',
  'convertTimes',
]

/** How far persons come along some steps. */
export interface FunnelKind {
  readonly kind: 'funnel'
  readonly steps: readonly FunnelStep[]
  /** How long after its first event an attempt may go on. */
  readonly withinMs: number
  readonly order: 'sequential' | 'strict' | 'any'
  readonly exclude: readonly FunnelExclusion[]
  /** Under whose dimensions a person counts: the first event's, the last step's, or step `attributionStep`'s. */
  readonly attribution: 'first' | 'last' | 'step'
  /** Counted from 1; 0 where no step is meant. */
  readonly attributionStep: number
  /** Bounds of the histogram of times to convert, ascending. */
  readonly bucketsMs: readonly number[]
  readonly measure: FunnelMeasure
}

/** One step. */
export interface FunnelStep {
  /** CEL over the event's fields. */
  readonly where: string
}

/** What may not happen between two steps. */
export interface FunnelExclusion {
  /** CEL over the event's fields. */
  readonly where: string
  /** Steps, counted from 1. */
  readonly from: number
  readonly to: number
}

/** Who is new, returning, resurrecting and dormant. */
export interface LifecycleKind {
  readonly kind: 'lifecycle'
  /** A person who was seen in no period that starts within so long before is new. */
  readonly lookbackMs: number
}

/** Kinds of metric that are about persons. */
export type PersonKind =
  | FunnelKind
  | LifecycleKind
  | RetentionKind
  | StickinessKind
  | LifetimeValueKind
  | SessionsKind
  | PathsKind

/** Their names in job documents. */
export const personKinds: readonly PersonKind['kind'][] = [
  'funnel',
  'lifecycle',
  'retention',
  'stickiness',
  'lifetimeValue',
  'sessions',
  'paths',
]

/** Most steps of a funnel, and most exclusions. */
export const FUNNEL_STEPS_MAX = 16
/** Most exclusions of a funnel. */
export const FUNNEL_EXCLUSIONS_MAX = 8

/** Whether a kind of metric is about persons. */
export function isPersonKind<T extends { readonly kind: string }>(kind: T): kind is Extract<T, PersonKind> {
  return (personKinds as readonly string[]).includes(kind.kind)
}

/** The name of the dimension that a metric about persons makes itself: its last one; null for none, and for several. */
export function ownDimension(kind: PersonKind): string | null {
  const own = ownDimensions(kind)
  return own.length === 1 ? own[0]! : null
}

/** The names of all dimensions that a metric about persons makes itself: its last ones, in order. */
export function ownDimensions(kind: PersonKind): readonly string[] {
  switch (kind.kind) {
    case 'funnel':
      return ['step']
    case 'lifecycle':
      return ['status']
    case 'retention':
      return ['period']
    case 'stickiness':
      return [`${kind.interval}s`]
    case 'lifetimeValue':
      return ['age']
    case 'paths':
      return ['step', 'from', 'to']
    case 'sessions':
      return []
  }
}

/** A kind in words, for messages. */
export function personName(kind: PersonKind): string {
  if (kind.kind === 'lifetimeValue') return 'a lifetime value'
  return ['stickiness', 'sessions', 'paths'].includes(kind.kind) ? kind.kind : `a ${kind.kind}`
}

/** The dimensions of a metric that is by `by`: one about persons may make some itself. */
export function dimensionsOf({
  kind,
  by,
}: {
  readonly kind: { readonly kind: string }
  readonly by: readonly string[]
}) {
  return isPersonKind(kind as PersonKind) ? [...by, ...ownDimensions(kind as PersonKind)] : by
}

/**
 * The conditions by which a metric takes events: each is all of these texts together, null for every event. For funnels
 * its steps, its exclusions, and where it is strict every event that it looks at; for retentions what starts and what
 * returns; for lifetime values who comes and whose amounts count; for sessions every event, views and interactions; for money, behind its own, refunds.
 */
export function conditionsOf(metric: {
  readonly kind: { readonly kind: string; readonly money?: MoneyDefinition } | PersonKind
  readonly where: string | null
}): readonly (readonly string[])[] {
  const kind = metric.kind as PersonKind
  const base = metric.where === null ? [] : [metric.where]
  if (kind.kind === 'lifetimeValue') return lifetimeConditions(kind, base)
  const { money } = metric.kind as OfMoney
  if (money !== undefined && money.refunds !== null) return [base, [...base, money.refunds]]
  if (kind.kind === 'retention') return retentionConditions(kind, base)
  if (kind.kind === 'sessions') return sessionsConditions(kind, base)
  if (kind.kind !== 'funnel') return [base]
  return [
    ...[...kind.steps, ...kind.exclude].map(({ where }) => [...base, where]),
    ...(kind.order === 'strict' ? [base] : []),
  ]
}
