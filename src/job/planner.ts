/**
 * From a valid definition to the plan that worker threads execute.
 *
 * Owns: sharing (one column a field, one predicate an expression, one table a set of dimensions and windows, one
 * accumulator a question), and the names and hash that state is matched by. Does not own: whether the definition is valid
 * (job/validate.ts). Deterministic: the same definition gives the same plan everywhere.
 */
import { MillraceError } from '../core/errors.ts'
import type { Descriptors } from '../event/descriptor.ts'
import type { Column, ColumnEncoding, EventSchema, FieldRef } from '../event/schema.ts'
import type { JobDefinition, MetricDefinition, MetricKind } from './definition.ts'
import { hashDefinition } from './definition-hash.ts'
import { EventScope, timeUnitMs } from './event-scope.ts'
import { MoneyColumns } from './money-columns.ts'
import { isCurrencyCode, type MoneyDefinition } from './money-definition.ts'
import { conditionsOf, dimensionsOf, type PersonKind } from './person-definition.ts'
import type {
  AccumulatorKind,
  AccumulatorPlan,
  JobPlan,
  MetricPlan,
  PersonValue,
  Predicate,
  TablePlan,
} from './plan.ts'
import { addAccumulator, indexOfAccumulator, readOf } from './plan-accumulators.ts'
import { isFloating, isNumber, known } from './plan-fields.ts'
import { planMoney } from './plan-money.ts'
import { eventKind, personKindOf, planPerson, readPerson, sharing } from './plan-person.ts'
import { checkExpression, compileExpression } from './predicate.ts'
import { joinedRatios } from './ratio.ts'
import type { RatioKind } from './ratio-kind.ts'
import { hllPrecision } from './sketch-limits.ts'
import { tableId } from './table-id.ts'

/** What a plan depends on besides the definition. */
export interface PlanContext {
  /** Worker threads: the parallelism of a job that names none. */
  readonly threads: number
  readonly descriptors: Descriptors
}

/** Plans `definition`. Throws JOB_INVALID or EXPRESSION_INVALID for one that `validateJob` would have refused. */
export function planJob(definition: JobDefinition, context: PlanContext): JobPlan {
  return new Planner(definition, context).plan()
}

interface TableBuilder {
  readonly plan: Omit<TablePlan, 'accumulators'>
  readonly counts: AccumulatorPlan[]
  readonly others: AccumulatorPlan[]
  readonly metrics: { readonly index: number; readonly metric: MetricDefinition; readonly predicate: number }[]
}

class Planner {
  readonly #definition: JobDefinition
  readonly #context: PlanContext
  readonly #scope: EventScope
  readonly #columns: Column[] = []
  readonly #columnIndex = new Map<string, number>()
  readonly #predicates: Predicate[] = []
  readonly #predicateIndex = new Map<string, number>()
  readonly #tables = new Map<string, TableBuilder>()
  readonly #money = new MoneyColumns()

  constructor(definition: JobDefinition, context: PlanContext) {
    this.#definition = definition
    this.#context = context
    this.#scope = new EventScope(definition.event, context.descriptors)
  }

  plan(): JobPlan {
    const definition = this.#definition
    const ratios = joinedRatios(definition.metrics)
    // What is put together when it is asked for has no state, and no place among the rest.
    const counted = definition.metrics.filter(({ id }) => !ratios.some((ratio) => ratio.id === id))
    counted.forEach((metric, index) => {
      this.#addMetric(metric, index)
    })
    const metrics: MetricPlan[] = new Array(counted.length)
    const tables = [...this.#tables.values()].map((table, t): TablePlan => {
      const accumulators = [...table.counts, ...table.others]
      for (const { index, metric, predicate } of table.metrics)
        metrics[index] = this.#metricPlan(metric, t, predicate, accumulators)
      const retracts = definition.sinks.some(({ corrections }) => corrections === 'retract')
      const takesBack = definition.event.weight !== undefined
      return { ...table.plan, accumulators, ...(retracts ? { retracts } : {}), ...(takesBack ? { takesBack } : {}) }
    })
    const { event, dedupe } = definition
    const weightColumn = event.weight === undefined ? -1 : this.#numberColumn(event.weight)
    const idColumn = dedupe === undefined ? -1 : this.#column(this.#field(dedupe.by), 'text')
    const placed = tables.map((table) => this.#money.place(table, this.#columns.length))
    const [type] = this.#scope.types
    const format = this.#scope.format(this.#columns)
    const schema: EventSchema = {
      message: type!.message,
      time: known(type!.time, this.#scope.resolveIn(type!, type!.time)),
      timeUnitMs: timeUnitMs[event.timeUnit],
      key: known(type!.key, this.#scope.resolveIn(type!, type!.key)),
      columns: this.#columns,
      ...(format === null ? {} : { format }),
    }
    return {
      jobName: definition.name,
      definition,
      definitionHash: hashDefinition(definition),
      parallelism: Math.max(1, Math.min(definition.parallelism || this.#context.threads, definition.keyGroups)),
      keyGroups: definition.keyGroups,
      schema,
      predicates: this.#predicates,
      tables: placed,
      metrics,
      ...(this.#money.list.length === 0 ? {} : { money: this.#money.list }),
      ...(ratios.length === 0 ? {} : { ratios }),
      ...(weightColumn < 0 ? {} : { weight: weightColumn }),
      ...(dedupe === undefined ? {} : { dedupe: { ...dedupe, column: idColumn } }),
    }
  }

  #addMetric(metric: MetricDefinition, index: number): void {
    if (metric.kind.kind === 'ratio') {
      // All that it reads is there by the metrics that it is of; its table is theirs.
      const { to } = this.#partsOf(metric.kind)
      const [predicate = 0] = conditionsOf(to).map((texts) => this.#predicate(texts))
      this.#table(to).metrics.push({ index, metric, predicate })
      return
    }
    const predicates = conditionsOf(metric).map((texts) => this.#predicate(texts))
    const [predicate = 0] = predicates
    const kind = personKindOf(metric, this.#definition.event.key)
    if (kind !== null) {
      const value = kind.kind === 'actives' ? null : this.#valueOf(kind, metric, predicates)
      const text = kind.kind === 'paths' ? this.#textColumn(kind.field) : -1
      const person = planPerson(kind, predicates, metric.window, { value, text })
      const table = this.#table(metric, person.table)
      table.metrics.push({ index, metric, predicate })
      for (const own of person.accumulators)
        addAccumulator(own.kind === 'count' ? table.counts : table.others, { ...own, metrics: [metric.id] })
      return
    }
    const table = this.#table(metric)
    table.metrics.push({ index, metric, predicate })
    addAccumulator(table.counts, { kind: 'count', predicate, column: -1, floating: false })
    for (const own of this.#accumulators(metric, eventKind(metric), predicate)) addAccumulator(table.others, own)
  }

  /** What a metric needs besides the count of its events; the first is what it reads. */
  #accumulators(
    metric: MetricDefinition,
    kind: Exclude<MetricKind, PersonKind | RatioKind>,
    predicate: number,
  ): AccumulatorPlan[] {
    const of = (name: AccumulatorKind, column: number, more: Partial<AccumulatorPlan> = {}): AccumulatorPlan[] => [
      { kind: name, predicate, column, floating: false, metrics: [metric.id], ...more },
    ]
    switch (kind.kind) {
      case 'count':
        return []
      case 'activeUsers':
        return kind.exactUpTo === undefined ? of('distinct', -1) : of('boundedDistinct', -1, boundsOfDistinct(kind))
      case 'distinct':
        return of('distinct', this.#textColumn(kind.field))
      case 'approxDistinct': {
        const column = kind.field === '' ? -1 : this.#textColumn(kind.field)
        return of(kind.exactUpTo === undefined ? kind.kind : 'boundedDistinct', column, boundsOfDistinct(kind))
      }
      case 'topK':
        return of('topK', this.#column(this.#field(kind.field), 'text'), { k: kind.k })
      case 'first':
      case 'last': {
        const field = this.#field(kind.field)
        if (!isNumber(field)) return of(`${kind.kind}Text`, this.#column(field, 'text'))
        return of(kind.kind, this.#numberColumn(kind.field), { floating: isFloating(field) })
      }
      case 'quantile':
        return of('quantiles', this.#amountColumn(metric, kind), { floating: true, error: kind.error })
      case 'variance':
      case 'stddev':
        return of('moments', this.#numberColumn(kind.field), { floating: true })
      case 'histogram':
        return of('histogram', this.#numberColumn(kind.field), { bounds: kind.bounds })
      default: {
        const field = this.#field(kind.field)
        const column = this.#amountColumn(metric, kind)
        const floating = kind.money === undefined && isFloating(field)
        if (kind.kind !== 'avg') return of(kind.kind, column, { floating })
        // Where a number may be none (NaN), an average is over those that are one.
        const mayBeNone = floating || kind.money !== undefined || this.#columns[column]!.nullable === true
        return [...of('sum', column, { floating }), ...(mayBeNone ? of('values', column) : [])]
      }
    }
  }

  #metricPlan(
    metric: MetricDefinition,
    table: number,
    predicate: number,
    accumulators: readonly AccumulatorPlan[],
  ): MetricPlan {
    const { id } = metric
    if (metric.kind.kind === 'ratio') {
      const { scale } = metric.kind
      const { of, to } = this.#partsOf(metric.kind)
      const [above, below] = [of, to].map((part) => {
        const [own = 0] = conditionsOf(part).map((texts) => this.#predicate(texts))
        return this.#metricPlan(part, table, own, accumulators)
      })
      const read = { kind: 'ratio', of: above!.read.of, by: below!.read.of, scale } as const
      return { id, table, predicate, events: below!.events, read, integer: false }
    }
    const person = personKindOf(metric, this.#definition.event.key)
    if (person !== null) {
      const at = (measure: string): number => accumulators.findIndex((one) => one.measure === measure)
      const { events, read } = readPerson(person, at)
      return { id, table, predicate, events, read, integer: read.kind !== 'ratio' }
    }
    const kind = eventKind(metric)
    const count: AccumulatorPlan = { kind: 'count', predicate, column: -1, floating: false }
    const events = indexOfAccumulator(accumulators, count)
    const own = this.#accumulators(metric, kind, predicate).map((plan) => indexOfAccumulator(accumulators, plan))
    const read = readOf(kind, accumulators, own[0] ?? events, own[1] ?? events)
    return {
      id,
      table,
      predicate,
      events,
      read,
      integer: ['value', 'topK', 'histogram'].includes(read.kind) && !accumulators[read.of]!.floating,
    }
  }

  #partsOf({ of, to }: RatioKind): { readonly of: MetricDefinition; readonly to: MetricDefinition } {
    const named = (id: string) => this.#definition.metrics.find((metric) => metric.id === id)!
    return { of: named(of), to: named(to) }
  }

  #textColumn(path: string): number {
    return path === this.#definition.event.key ? -1 : this.#column(this.#field(path), 'text')
  }

  /** The numbers that an aggregate is over: where the field may be absent, that is no value. */
  #numberColumn(path: string): number {
    const field = this.#field(path)
    return this.#column(field, 'number', this.#scope.mayBeAbsent(field))
  }

  /** The numbers of a field, or the money that they are. */
  #amountColumn(
    metric: MetricDefinition,
    { field, money }: { readonly field: string; readonly money?: MoneyDefinition },
  ) {
    return money === undefined ? this.#numberColumn(field) : this.#moneyColumn(field, money, conditionsOf(metric)[1])
  }

  /** The number that a metric about persons asks of events. */
  #valueOf(kind: PersonKind, metric: MetricDefinition, predicates: readonly number[]): PersonValue | null {
    if (kind.kind !== 'lifetimeValue') return null
    const column = this.#moneyColumn(kind.field, kind.money, conditionsOf(metric)[2])
    return { column, predicate: predicates[1]! }
  }

  /** `refunds`: the condition of amounts that are taken off; undefined for none. */
  #moneyColumn(path: string, money: MoneyDefinition, refunds: readonly string[] | undefined): number {
    const field = this.#field(path)
    const column = planMoney(path, money, this.#definition.currencies, {
      amount: field.type === 'string' ? -1 : this.#numberColumn(path),
      amountText: field.type === 'string' || field.type === 'property' ? this.#column(field, 'text') : -1,
      currency: isCurrencyCode(money.currency) ? -1 : this.#column(this.#field(money.currency), 'text'),
      refunds: refunds === undefined ? -1 : this.#predicate(refunds),
      refundsText: JSON.stringify(refunds ?? []),
    })
    return this.#money.add(column)
  }

  #table(metric: MetricDefinition, person?: Pick<TablePlan, 'person' | 'settleMs'>): TableBuilder {
    const dimensionNames = dimensionsOf(metric)
    const dimensions = metric.by.map((path) =>
      path === this.#definition.event.key ? -1 : this.#column(this.#field(path), 'text'),
    )
    const id = tableId(metric, this.#definition.event.key)
    let table = this.#tables.get(id)
    if (table === undefined) {
      table = {
        plan: {
          id,
          ...person,
          ...sharing(person?.person, metric.window, dimensions),
          dimensions: dimensionNames.map((_, i) => dimensions[i] ?? -2),
          dimensionNames,
          keyed: dimensions.includes(-1),
          window: metric.window,
          trigger: metric.trigger,
          earlyMs: metric.earlyMs,
          allowedLatenessMs: metric.allowedLatenessMs,
          retainMs: metric.retainMs,
        },
        counts: [],
        others: [],
        metrics: [],
      }
      this.#tables.set(id, table)
    }
    return table
  }

  /** The condition that all of `wheres` hold. */
  #predicate(wheres: readonly string[]): number {
    const of = wheres.map((where) => this.#compile(where))
    const predicate: Predicate = of.length === 0 ? { op: 'true' } : of.length === 1 ? of[0]! : { op: 'and', of }
    const key = JSON.stringify(predicate)
    let index = this.#predicateIndex.get(key)
    if (index === undefined) {
      index = this.#predicates.push(predicate) - 1
      this.#predicateIndex.set(key, index)
    }
    return index
  }

  #compile(where: string): Predicate {
    const checked = checkExpression(where, this.#scope)
    if ('problems' in checked)
      throw new MillraceError('EXPRESSION_INVALID', `in "${where}": ${checked.problems[0]!.message}`)
    return compileExpression(checked.expression, (field, encoding) => this.#column(field, encoding))
  }

  #column(field: FieldRef, encoding: ColumnEncoding, nullable = false): number {
    const key = JSON.stringify([encoding, nullable, field.path, field.type, field.steps])
    let index = this.#columnIndex.get(key)
    if (index === undefined) {
      index = this.#columns.push({ field, encoding, ...(nullable ? { nullable } : {}) }) - 1
      this.#columnIndex.set(key, index)
    }
    return index
  }

  #field(path: string): FieldRef {
    return known(path, this.#scope.resolve(path))
  }
}

/** What the sketch of a distinct goes by. */
function boundsOfDistinct({ error = 0, exactUpTo }: { error?: number; exactUpTo?: number }): Partial<AccumulatorPlan> {
  return { precision: hllPrecision(error), ...(exactUpTo === undefined ? {} : { exactUpTo }) }
}
