/**
 * From a valid definition to the plan that worker threads execute.
 *
 * Owns: sharing (one column a field, one predicate an expression, one table a set of dimensions and windows, one
 * accumulator a question), and the names and hash that state is matched by. Does not own: whether the definition is valid
 * (job/validate.ts). Deterministic: the same definition gives the same plan everywhere.
 */
import { MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import type { Descriptors, FieldResolution } from '../event/descriptor.ts'
import type { Column, ColumnEncoding, EventSchema, FieldRef } from '../event/schema.ts'
import type { JobDefinition, MetricDefinition } from './definition.ts'
import { formatDuration } from './duration.ts'
import { EventScope, timeUnitMs } from './event-scope.ts'
import type { AccumulatorPlan, JobPlan, MetricPlan, Predicate, TablePlan } from './plan.ts'
import { checkExpression, compileExpression } from './predicate.ts'
import { triggerId, windowId } from './window-text.ts'

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

  constructor(definition: JobDefinition, context: PlanContext) {
    this.#definition = definition
    this.#context = context
    this.#scope = new EventScope(definition.event, context.descriptors)
  }

  plan(): JobPlan {
    const definition = this.#definition
    definition.metrics.forEach((metric, index) => {
      this.#addMetric(metric, index)
    })
    const metrics: MetricPlan[] = new Array(definition.metrics.length)
    const tables = [...this.#tables.values()].map((table, t): TablePlan => {
      const accumulators = [...table.counts, ...table.others]
      for (const { index, metric, predicate } of table.metrics)
        metrics[index] = this.#metricPlan(metric, t, predicate, accumulators)
      return { ...table.plan, accumulators }
    })
    const { event } = definition
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
      tables,
      metrics,
    }
  }

  #addMetric(metric: MetricDefinition, index: number): void {
    const predicate = this.#predicate(metric.where)
    const table = this.#table(metric)
    addAccumulator(table.counts, { kind: 'count', predicate, column: -1, floating: false })
    const own = this.#accumulator(metric, predicate)
    if (own !== null) addAccumulator(table.others, own)
    table.metrics.push({ index, metric, predicate })
  }

  /** What a metric needs besides the count of its events. */
  #accumulator(metric: MetricDefinition, predicate: number): AccumulatorPlan | null {
    const { kind } = metric
    switch (kind.kind) {
      case 'count':
        return null
      case 'activeUsers':
        return { kind: 'distinct', predicate, column: -1, floating: false }
      case 'distinct': {
        const column = kind.field === this.#definition.event.key ? -1 : this.#column(this.#field(kind.field), 'text')
        return { kind: 'distinct', predicate, column, floating: false }
      }
      default: {
        const field = this.#field(kind.field)
        const column = this.#column(field, 'number')
        const floating = field.type === 'float' || field.type === 'double' || field.type === 'property'
        return { kind: kind.kind === 'avg' ? 'sum' : kind.kind, predicate, column, floating }
      }
    }
  }

  #metricPlan(
    metric: MetricDefinition,
    table: number,
    predicate: number,
    accumulators: readonly AccumulatorPlan[],
  ): MetricPlan {
    const count: AccumulatorPlan = { kind: 'count', predicate, column: -1, floating: false }
    const events = indexOfAccumulator(accumulators, count)
    const own = this.#accumulator(metric, predicate)
    const of = own === null ? events : indexOfAccumulator(accumulators, own)
    const ratio = metric.kind.kind === 'avg'
    return {
      id: metric.id,
      table,
      predicate,
      events,
      read: ratio ? { kind: 'ratio', of, by: events } : { kind: 'value', of },
      integer: !ratio && !(own?.floating ?? false),
    }
  }

  #table(metric: MetricDefinition): TableBuilder {
    const dimensions = metric.by.map((path) =>
      path === this.#definition.event.key ? -1 : this.#column(this.#field(path), 'text'),
    )
    const id = tableId(metric)
    let table = this.#tables.get(id)
    if (table === undefined) {
      table = {
        plan: {
          id,
          dimensions,
          dimensionNames: metric.by,
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

  #predicate(where: string | null): number {
    const predicate = where === null ? ({ op: 'true' } as const) : this.#compile(where)
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

  #column(field: FieldRef, encoding: ColumnEncoding): number {
    const key = JSON.stringify([encoding, field.path, field.type, field.steps])
    let index = this.#columnIndex.get(key)
    if (index === undefined) {
      index = this.#columns.push({ field, encoding }) - 1
      this.#columnIndex.set(key, index)
    }
    return index
  }

  #field(path: string): FieldRef {
    return known(path, this.#scope.resolve(path))
  }
}

function known(path: string, resolved: FieldResolution): FieldRef {
  if (resolved.ok) return resolved.field
  throw new MillraceError('JOB_INVALID', `field "${path}" cannot be read: ${resolved.problem}`)
}

function addAccumulator(list: AccumulatorPlan[], accumulator: AccumulatorPlan): void {
  if (indexOfAccumulator(list, accumulator) < 0) list.push(accumulator)
}

function indexOfAccumulator(list: readonly AccumulatorPlan[], wanted: AccumulatorPlan): number {
  return list.findIndex((a) => a.kind === wanted.kind && a.predicate === wanted.predicate && a.column === wanted.column)
}

/** Names a table by what makes it: it stays when other metrics come and go. */
function tableId(metric: MetricDefinition): string {
  return [
    metric.by.join('+') || 'total',
    `${windowId(metric.window)}${triggerId(metric.trigger, metric.earlyMs)}`,
    `late=${formatDuration(metric.allowedLatenessMs)}`,
    `retain=${formatDuration(metric.retainMs)}`,
  ].join('|')
}

/**
 * A hash over what state depends on: the key, the time, the key groups, the source's id and the metrics. Sinks, checkpoint
 * cadence, parallelism and descriptions may change without touching it. 128 bits in hex, independent of key order.
 */
export function hashDefinition(definition: JobDefinition): string {
  const { event } = definition
  const relevant = {
    source: definition.source.id,
    keyGroups: definition.keyGroups,
    event: {
      message: event.message,
      time: event.time,
      timeUnit: event.timeUnit,
      key: event.key,
      ...(event.types && { types: event.types }),
    },
    metrics: definition.metrics.map(({ description: _, ...rest }) => rest),
  }
  const bytes = new TextEncoder().encode(canonicalJson(relevant))
  return [1, 2, 3, 4].map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0')).join('')
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
