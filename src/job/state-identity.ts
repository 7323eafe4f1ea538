/**
 * What state is: the descriptors by which a checkpoint's state is found again, whatever else of a job has changed.
 *
 * Owns: the descriptors, making them of a plan, and what makes two of them one state. They say everything by name and
 * meaning (paths of fields, conditions, windows) and nothing by place, for places move when a metric is added or taken
 * away. Does not own: comparing a checkpoint with a plan (job/state-diff.ts). Pure; plain data, stored as JSON in every
 * snapshot, where fields are only ever added.
 */
import type { FieldType } from '../event/schema.ts'
import { type DedupeDescriptor, describeDedupe } from './dedupe.ts'
import type { SourceDefinition, SourceInput, TriggerDefinition, WindowDefinition } from './definition.ts'
import type { AccumulatorKind, AccumulatorPlan, JobPlan, MetricPlan, PersonPlan, Predicate, TablePlan } from './plan.ts'

/** What a field's values are, as far as state depends on it: widths of integers do not matter, nor the wire. */
export type FieldClass = 'text' | 'bytes' | 'boolean' | 'enum' | 'integer' | 'floating' | 'timestamp' | 'property'

/** One accumulator of a table. */
export interface AccumulatorDescriptor {
  readonly kind: AccumulatorKind
  /** The condition that an event must meet, over paths of fields. */
  readonly condition: string
  /** Path of its field; '' for none, and for the event's key. */
  readonly field: string
  /** Null where there is no field. */
  readonly class: FieldClass | null
  /** Whether an absent value is none, and not 0. */
  readonly nullable: boolean
  readonly floating: boolean
  /** What it gathers of persons; absent where it is of events. */
  readonly measure?: string
  /** Of sketches and histograms: precision, error, k or bounds. */
  readonly parameters: readonly number[]
  /** Accumulators of a table with the same number began together: 0 with the table, others when their metric was added. */
  readonly since: number
}

/** How a metric reads its table. */
export interface MetricDescriptor {
  readonly id: string
  /** The accumulators that it needs, by place in the table: first the count of its events. */
  readonly reads: readonly number[]
  /** What it makes of them, for people and to compare: `value`, `quantile 0.99`. */
  readonly as: string
}

/** One table. */
export interface TableDescriptor {
  /** Names its pages in the snapshot. */
  readonly id: string
  /** Paths and classes of the dimensions, in order; class `key` is the event's key, `own` one that the table makes. */
  readonly dimensions: readonly { readonly path: string; readonly class: FieldClass | 'key' | 'own' }[]
  /** What it makes of persons, conditions and all; absent for a table of events. */
  readonly person?: string
  readonly window: WindowDefinition
  readonly trigger: TriggerDefinition | null
  /** The condition that a trigger counts by; '' without a trigger. */
  readonly counted: string
  readonly takesBack: boolean
  readonly earlyMs: number
  readonly allowedLatenessMs: number
  readonly retainMs: number
  /** In the order of a row's columns. */
  readonly accumulators: readonly AccumulatorDescriptor[]
  readonly metrics: readonly MetricDescriptor[]
}

/** What an event's time and key are: of other ones all state is another. */
export interface EventDescriptor {
  readonly time: string
  readonly timeUnitMs: number
  readonly key: string
  readonly keyClass: FieldClass
}

/** A source: positions are in its input. */
export interface SourceDescriptor {
  readonly id: string
  /** `kafka topic events`; null where an old checkpoint does not say. */
  readonly input: string | null
}

/** A keyed operator of a job in TypeScript. */
export interface OperatorDescriptor {
  readonly id: string
  /** `name:kind` of each part of its state. */
  readonly slots: readonly string[]
}

/** All state of a job: that which a checkpoint has, or that which a plan wants. */
export interface StateDescription {
  readonly keyGroups: number
  /** In the order of their places; see source/several-sources.ts. */
  readonly sources: readonly SourceDescriptor[]
  /** Null for a job in TypeScript, and where no table was described. */
  readonly event: EventDescriptor | null
  /** Ids of events that were counted; absent where none are kept. */
  readonly dedupe?: DedupeDescriptor
  readonly tables: readonly TableDescriptor[]
  readonly operators: readonly OperatorDescriptor[]
}

const classes: Readonly<Record<FieldType, FieldClass>> = {
  string: 'text',
  bytes: 'bytes',
  bool: 'boolean',
  enum: 'enum',
  int32: 'integer',
  sint32: 'integer',
  uint32: 'integer',
  fixed32: 'integer',
  sfixed32: 'integer',
  int64: 'integer',
  sint64: 'integer',
  uint64: 'integer',
  fixed64: 'integer',
  sfixed64: 'integer',
  float: 'floating',
  double: 'floating',
  timestamp: 'timestamp',
  property: 'property',
}

/** The state that a plan wants. */
export function describeState(plan: JobPlan): StateDescription {
  const { definition, keyGroups, program } = plan
  const sources = describeSources(definition.source)
  if (program !== undefined) {
    const keyed = program.nodes.filter((node) => node.inputs.some((input) => input.route !== 'forward'))
    const operators = keyed.map(({ id, slots }) => ({ id, slots: [...slots] }))
    return { keyGroups, sources, event: null, tables: [], operators }
  }
  const tables = plan.tables.map((table, index) => describeTable(plan, table, index))
  const dedupe = plan.dedupe === undefined ? {} : { dedupe: describeDedupe(plan.dedupe) }
  return { keyGroups, sources, event: describeEvent(plan), ...dedupe, tables, operators: [] }
}

/** What a plan's events are by. */
export function describeEvent({ schema }: JobPlan): EventDescriptor {
  const { time, timeUnitMs, key } = schema
  return { time: time.path, timeUnitMs, key: key.path, keyClass: classes[key.type] }
}

/** One or several sources, each with what it reads. */
export function describeSources({ id, input }: SourceDefinition): SourceDescriptor[] {
  if (input.kind !== 'several') return [{ id, input: describeInput(input) }]
  return input.parts.map((part) => ({ id: part.id, input: describeInput(part.input) }))
}

/** What an input is, as far as positions in it go: where it is served from may change. */
function describeInput(input: Exclude<SourceInput, { kind: 'several' }>): string {
  switch (input.kind) {
    case 'kafka':
      return `kafka topic ${input.topic}`
    case 'log':
      return `log topic ${input.topic}`
    case 'generator':
      return `generator with seed ${input.seed}`
  }
}

/** One table of a plan. */
export function describeTable(plan: JobPlan, table: TablePlan, index: number): TableDescriptor {
  const { columns } = plan.schema
  return {
    id: table.id,
    dimensions: table.dimensions.map((column, i) => ({
      path: table.dimensionNames[i]!,
      class: column === -2 ? 'own' : column < 0 ? 'key' : classes[columns[column]!.field.type],
    })),
    ...(table.person === undefined ? {} : { person: personText(plan, table.person) }),
    window: table.window,
    trigger: table.trigger,
    counted: table.trigger === null ? '' : conditionOf(plan, table.accumulators[0]?.predicate ?? 0),
    takesBack: table.takesBack === true,
    earlyMs: table.earlyMs,
    allowedLatenessMs: table.allowedLatenessMs,
    retainMs: table.retainMs,
    accumulators: table.accumulators.map((accumulator) => describeAccumulator(plan, accumulator)),
    metrics: plan.metrics.flatMap((metric) => (metric.table === index ? [describeMetric(metric, table)] : [])),
  }
}

/** The accumulators that a metric needs, by place in its table: first the count of its events. */
export function readsOf({ events, read }: MetricPlan): readonly number[] {
  return [...new Set([events, read.of, ...(read.kind === 'ratio' ? [read.by] : [])])]
}

function describeMetric(metric: MetricPlan, { person, accumulators }: TablePlan): MetricDescriptor {
  const { read } = metric
  // What is computed of a person has all columns of its table, whatever of it is read.
  const reads = [...readsOf(metric), ...(person === undefined ? [] : accumulators.keys())]
  let as: string = read.kind
  if (read.kind === 'quantile') as = `quantile ${read.q}`
  else if (read.kind === 'variance') as = `${read.root ? 'stddev' : 'variance'}${read.sample ? ' of a sample' : ''}`
  return { id: metric.id, reads: [...new Set(reads)], as }
}

function describeAccumulator(plan: JobPlan, accumulator: AccumulatorPlan): AccumulatorDescriptor {
  const { kind, predicate, column, floating, precision, exactUpTo, error, k, bounds, since, measure } = accumulator
  const read = column < 0 ? undefined : plan.schema.columns[column]
  const money = plan.money?.[column - plan.schema.columns.length]
  return {
    kind,
    condition: conditionOf(plan, predicate),
    field: money === undefined ? (read?.field.path ?? '') : `money ${money.meaning}`,
    class: money !== undefined ? 'integer' : read === undefined ? null : classes[read.field.type],
    nullable: money !== undefined || read?.nullable === true,
    floating,
    ...(measure === undefined ? {} : { measure }),
    parameters: bounds ?? [precision, exactUpTo, error, k].filter((parameter) => parameter !== undefined),
    since: since ?? 0,
  }
}

function personText(plan: JobPlan, person: PersonPlan): string {
  const of = (predicate: number): string => (predicate < 0 ? '' : conditionOf(plan, predicate))
  const { value } = person
  const own = value && { value: { column: columnText(plan, value.column), condition: of(value.predicate) } }
  if (person.kind === 'lifetimeValue')
    return JSON.stringify({ ...person, ...own, start: of(person.start), money: of(person.money) })
  if (person.kind === 'sessions') {
    const conditions = { every: of(person.every), views: of(person.views), interactions: of(person.interactions) }
    return JSON.stringify({ ...person, ...own, ...conditions })
  }
  if (person.kind === 'paths')
    return JSON.stringify({ ...person, ...own, every: of(person.every), of: columnText(plan, person.of) })
  if (person.kind === 'retention')
    return JSON.stringify({ ...person, ...own, start: of(person.start), return: of(person.return) })
  if (person.kind !== 'funnel') return JSON.stringify({ ...person, ...own, active: of(person.active) })
  const exclude = person.exclude.map(({ predicate, ...between }) => ({ condition: of(predicate), ...between }))
  return JSON.stringify({ ...person, ...own, steps: person.steps.map(of), every: of(person.every), exclude })
}

function conditionOf(plan: JobPlan, predicate: number): string {
  return JSON.stringify(plan.predicates[predicate] ?? { op: 'true' }, (name, value: unknown) => {
    if (name === 'column') return columnText(plan, value as number)
    if (name === 'columns') return (value as readonly number[]).map((column) => columnText(plan, column))
    return value
  })
}

function columnText(plan: JobPlan, index: number): string {
  const money = plan.money?.[index - plan.schema.columns.length]
  if (money !== undefined) return `money ${money.meaning}`
  const { field, encoding, nullable } = plan.schema.columns[index]!
  return `${field.path} ${classes[field.type]} ${encoding}${nullable === true ? ' nullable' : ''}`
}

/** What two tables have in common that are the same one: all but lateness, retention, cadence and what they gather. */
export function tableKey(table: TableDescriptor): string {
  const { dimensions, window, trigger, counted, takesBack, person } = table
  // Of windows without boundaries, the zone is only how times are shown.
  const zoneless = window.kind === 'session' || window.kind === 'global'
  const windows = zoneless ? { ...window, timezone: '' } : window
  const more = person === undefined ? [] : [person]
  return JSON.stringify(sorted([dimensions, windows, trigger, counted, takesBack, ...more]))
}

/** What two accumulators have in common that hold the same numbers, but for `widens`. */
export function accumulatorKey({ kind, condition, field, parameters, measure }: AccumulatorDescriptor): string {
  return JSON.stringify([kind, condition, field, parameters, measure])
}

/** Whether the numbers of `held` are numbers of `wanted` too: of the same type, or of one that it widens. */
export function holds(held: AccumulatorDescriptor, wanted: AccumulatorDescriptor): boolean {
  if (accumulatorKey(held) !== accumulatorKey(wanted)) return false
  if (held.nullable && !wanted.nullable) return false
  if (held.floating && !wanted.floating) return false
  return held.class === wanted.class || (held.class === 'integer' && wanted.class === 'floating')
}

/** Whether `wanted` takes more values than `held`, of which it has the numbers. */
export function widens(held: AccumulatorDescriptor, wanted: AccumulatorDescriptor): boolean {
  return held.class !== wanted.class || held.nullable !== wanted.nullable || held.floating !== wanted.floating
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, sorted(part)]),
  )
}

/** A condition for people; the wider ones are named and not spelt out. */
export function describeCondition(condition: string): string {
  const predicate = JSON.parse(condition) as Predicate
  if (predicate.op === 'true') return 'every event'
  return condition.length > 120 ? 'its condition' : condition
}
