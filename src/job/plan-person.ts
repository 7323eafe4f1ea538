/**
 * Metrics about persons in a plan: what their table computes of a person, its columns, and how values are read.
 *
 * Does not own: conditions and columns of events (job/planner.ts), what is computed (src/metrics). Pure.
 */

import { MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { greatestDivisor } from '../core/numbers.ts'
import type { MetricDefinition, MetricKind, WindowDefinition } from './definition.ts'
import { lifetimeSettleMs, planLifetimeValue, readLifetimeValueOf } from './person/lifetime-value.ts'
import { planPaths } from './person/paths.ts'
import { planRetention, readRetentionValue, retentionColumns, retentionSettleMs } from './person/retention.ts'
import { planSessions, readSessionsValue, sessionColumns, sessionsSettleMs } from './person/sessions.ts'
import { intervalWindow } from './person/stickiness.ts'
import { conditionsOf, type FunnelKind, isPersonKind, type PersonKind } from './person-definition.ts'
import type { AccumulatorPlan, MetricRead, PersonPlan, PersonValue, TablePlan } from './plan.ts'
import type { RatioKind } from './ratio-kind.ts'

const DAY_MS = 86_400_000

/** What a table about persons has beside its dimensions and windows. */
export interface PersonTablePlan {
  readonly table: Required<Pick<TablePlan, 'person'>> & Pick<TablePlan, 'settleMs'>
  /** In the order of contributions' columns: counts first. */
  readonly accumulators: readonly AccumulatorPlan[]
}

/**
 * Active persons of windows that start every day or some days: an ordinary metric that is best computed person by person,
 * since many such windows, and other metrics by the day, are of the same few events of a person.
 */
export interface ActivesKind {
  readonly kind: 'actives'
}

/** What the rows of a table's timelines are, as text, where they are the periods in which persons were active. */
function sharesOf(person: PersonPlan, window: WindowDefinition, dimensions: readonly number[]): string | undefined {
  if (person.value !== undefined) return undefined
  if (person.kind !== 'actives' && person.kind !== 'lifecycle' && person.kind !== 'stickiness') return undefined
  const periods = person.kind === 'stickiness' ? intervalWindow(person.interval, window) : window
  if (!('sizeMs' in periods) || ('unit' in periods && periods.unit !== undefined)) return undefined
  const { sizeMs, offsetMs, timezone } = periods
  const periodMs = 'slideMs' in periods ? greatestDivisor(sizeMs, periods.slideMs) : sizeMs
  // Where a day is cut into parts, they lie as the windows do.
  if (timezone !== 'UTC' && periodMs % DAY_MS !== 0) return undefined
  return JSON.stringify([person.active, dimensions, periodMs, offsetMs, timezone])
}

/** `sharesOf` as a part of a table's plan. */
export function sharing(person: PersonPlan | undefined, window: WindowDefinition, dimensions: readonly number[]) {
  const shares = person === undefined ? undefined : sharesOf(person, window, dimensions)
  return shares === undefined ? {} : { shares }
}

/** What a metric is in the plan where its table is about persons; null for the others. */
export function personKindOf(
  { kind, window, trigger, by }: MetricDefinition,
  key: string,
): PersonKind | ActivesKind | null {
  if (isPersonKind(kind)) return kind
  const rolling = window.kind === 'sliding' && window.slideMs < window.sizeMs && window.time === 'event'
  const daily = rolling && window.slideMs % DAY_MS === 0
  const isExact = kind.kind === 'activeUsers' && kind.exactUpTo === undefined
  return isExact && daily && trigger === null && !by.includes(key) ? { kind: 'actives' } : null
}

/** Kinds of metric that are about events. */
export type EventKind = Exclude<MetricKind, PersonKind | RatioKind>

/** The kind of a metric that is about events. */
export function eventKind({ id, kind }: MetricDefinition): EventKind {
  if (isPersonKind(kind) || kind.kind === 'ratio')
    throw new MillraceError('INTERNAL', `metric '${id}' is not about events`)
  return kind
}

/**
 * Plans a metric about persons; `predicates` are its conditions, in the order of `conditionsOf`; `value` the number that it
 * asks of events, or null, and
 * `text` the text column, or -1.
 */
export function planPerson(
  kind: PersonKind | ActivesKind,
  predicates: readonly number[],
  window: WindowDefinition,
  { value, text }: { readonly value: PersonValue | null; readonly text: number },
): PersonTablePlan {
  const [predicate] = predicates
  const of = (name: AccumulatorPlan['kind'], measure: string): AccumulatorPlan => {
    return { kind: name, predicate: predicate!, column: -1, floating: false, measure }
  }
  if (kind.kind === 'lifecycle') {
    const person: PersonPlan = { kind: 'lifecycle', active: predicate!, lookbackMs: kind.lookbackMs }
    return { table: { person }, accumulators: [of('count', 'persons')] }
  }
  if (kind.kind === 'stickiness') {
    const person: PersonPlan = { kind: 'stickiness', active: predicate!, interval: kind.interval }
    return { table: { person }, accumulators: [of('count', 'persons')] }
  }
  if (kind.kind === 'retention') {
    const table = { person: planRetention(kind, predicates), settleMs: retentionSettleMs(kind, window) }
    return { table, accumulators: retentionColumns.map((column) => of('count', column)) }
  }
  if (kind.kind === 'lifetimeValue') {
    const table = { person: planLifetimeValue(kind, predicates, value!), settleMs: lifetimeSettleMs(kind, window) }
    return { table, accumulators: [of('count', 'cohort'), of('sum', 'revenue')] }
  }
  if (kind.kind === 'sessions') {
    const table = { person: planSessions(kind, predicates), settleMs: sessionsSettleMs(kind, window) }
    return { table, accumulators: sessionColumns(kind, of) }
  }
  if (kind.kind === 'paths') {
    const table = { person: planPaths(kind, predicate!, text), settleMs: kind.maxDurationMs }
    return { table, accumulators: [of('count', 'transitions')] }
  }
  if (kind.kind === 'actives')
    return { table: { person: { kind: 'actives', active: predicate! } }, accumulators: [of('count', 'persons')] }
  const { withinMs, order, bucketsMs, attribution, attributionStep, steps } = kind
  const person: PersonPlan = {
    kind: 'funnel',
    steps: predicates.slice(0, steps.length),
    exclude: kind.exclude.map(({ from, to }, i) => ({ predicate: predicates[steps.length + i]!, from, to })),
    every: order === 'strict' ? predicates.at(-1)! : -1,
    attribution: attribution === 'step' ? attributionStep : attribution,
    ...{ withinMs, order, bucketsMs },
  }
  return {
    table: { person, settleMs: withinMs },
    accumulators: [
      ...['entered', 'previous', 'persons'].map((measure) => of('count', measure)),
      of('sum', 'time'),
      { ...of('histogram', 'times'), bounds: bucketsMs },
    ],
  }
}

/** How the value of a metric about persons is read; `at` gives the place of a measure in the table. */
export function readPerson(
  kind: PersonKind | ActivesKind,
  at: (measure: string) => number,
): { events: number; read: MetricRead } {
  switch (kind.kind) {
    case 'funnel':
      return { events: at('entered'), read: readFunnel(kind, at) }
    case 'retention':
      return { events: at('cohort'), read: readRetentionValue(kind, at) }
    case 'lifetimeValue':
      return { events: at('cohort'), read: readLifetimeValueOf(kind, at) }
    case 'sessions':
      return { events: at('sessions'), read: readSessionsValue(kind, at) }
    case 'paths':
      return { events: at('transitions'), read: { kind: 'value', of: at('transitions') } }
    case 'lifecycle':
    case 'stickiness':
    case 'actives':
      return { events: at('persons'), read: { kind: 'value', of: at('persons') } }
  }
}

function readFunnel({ measure }: FunnelKind, at: (measure: string) => number): MetricRead {
  switch (measure) {
    case 'persons':
      return { kind: 'value', of: at('persons') }
    case 'conversion':
      return { kind: 'ratio', of: at('persons'), by: at('entered') }
    case 'stepConversion':
      return { kind: 'ratio', of: at('persons'), by: at('previous') }
    case 'convertTime':
      return { kind: 'ratio', of: at('time'), by: at('persons') }
    case 'convertTimes':
      return { kind: 'histogram', of: at('times') }
  }
}

/** The part of a table's id that its metric makes: all but what is measured. */
export function personId(kind: PersonKind | ActivesKind, where: string | null): string {
  const { measure: _, ...shape } = { measure: '', ...kind }
  const bytes = new TextEncoder().encode(JSON.stringify([shape, conditionsOf({ kind, where })]))
  return `|${kind.kind}=${[1, 2].map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0')).join('')}`
}
