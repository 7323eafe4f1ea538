/**
 * Metrics about persons in a plan: what their table computes of a person, its columns, and how values are read.
 *
 * Does not own: conditions and columns of events (job/planner.ts), what is computed (src/metrics). Pure.
 */
import { hashBytes } from '../core/hash.ts'
import type { WindowDefinition } from './definition.ts'
import { lifetimeSettleMs, planLifetimeValue, readLifetimeValueOf } from './person/lifetime-value.ts'
import { planRetention, readRetentionValue, retentionColumns, retentionSettleMs } from './person/retention.ts'
import { conditionsOf, type FunnelKind, type PersonKind } from './person-definition.ts'
import type { AccumulatorPlan, MetricRead, PersonPlan, PersonValue, TablePlan } from './plan.ts'

/** What a table about persons has beside its dimensions and windows. */
export interface PersonTablePlan {
  readonly table: Required<Pick<TablePlan, 'person'>> & Pick<TablePlan, 'settleMs'>
  /** In the order of contributions' columns: counts first. */
  readonly accumulators: readonly AccumulatorPlan[]
}

/** Plans a metric about persons; `predicates` are its conditions, in the order of `conditionsOf`; `value` the number that it
 * asks of events. */
export function planPerson(
  kind: PersonKind,
  predicates: readonly number[],
  window: WindowDefinition,
  value: PersonValue | null,
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
export function readPerson(kind: PersonKind, at: (measure: string) => number): { events: number; read: MetricRead } {
  switch (kind.kind) {
    case 'funnel':
      return { events: at('entered'), read: readFunnel(kind, at) }
    case 'retention':
      return { events: at('cohort'), read: readRetentionValue(kind, at) }
    case 'lifetimeValue':
      return { events: at('cohort'), read: readLifetimeValueOf(kind, at) }
    case 'lifecycle':
    case 'stickiness':
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
export function personId(kind: PersonKind, where: string | null): string {
  const { measure: _, ...shape } = { measure: '', ...kind }
  const bytes = new TextEncoder().encode(JSON.stringify([shape, conditionsOf({ kind, where })]))
  return `|${kind.kind}=${[1, 2].map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0')).join('')}`
}
