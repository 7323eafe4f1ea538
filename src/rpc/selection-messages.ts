/**
 * What is asked of metrics: domain types (query/api.ts) to wire messages and back.
 *
 * Pure. What a caller sent is checked here as far as its shape goes; whether it makes sense for the metric is the
 * QueryApi's to say.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import {
  DimensionTest,
  type LookupKeyRequest,
  type MetricSelection,
  ValueRelation,
  type DimensionFilter as WireDimensionFilter,
  type ValueFilter as WireValueFilter,
} from '../gen/millrace/v1/query.ts'
import {
  type DimensionFilter,
  defaultLookupLimit,
  defaultQueryLimit,
  type MetricQuery,
  maxQueryLimit,
  type ValueFilter,
} from '../query/api.ts'
import type { KeyQuery } from '../query/key-api.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

const relationToWire = {
  '==': ValueRelation.VALUE_RELATION_EQUAL,
  '!=': ValueRelation.VALUE_RELATION_NOT_EQUAL,
  '<': ValueRelation.VALUE_RELATION_LESS,
  '<=': ValueRelation.VALUE_RELATION_LESS_OR_EQUAL,
  '>': ValueRelation.VALUE_RELATION_GREATER,
  '>=': ValueRelation.VALUE_RELATION_GREATER_OR_EQUAL,
} as const satisfies Record<ValueFilter['relation'], ValueRelation>

const relationFromWire = new Map<ValueRelation, ValueFilter['relation']>(
  Object.entries(relationToWire).map(([relation, wire]) => [wire, relation as ValueFilter['relation']]),
)

/** A query for the wire. */
export function toSelection(query: MetricQuery): MetricSelection {
  const { top = null } = query
  return {
    job: query.job,
    metric: query.metric,
    from: toTimestamp(query.fromMs),
    to: toEnd(query.toMs),
    filters: Array.from(query.filters, ([name, value]) => ({ name, value })),
    groupBy: query.groupBy === null ? undefined : { dimensions: [...query.groupBy] },
    limit: query.limit,
    latest: query.latest,
    where: (query.where ?? []).map(({ name, test, texts, not }) => ({
      name,
      values: [...texts],
      test: test === 'prefix' ? DimensionTest.DIMENSION_TEST_PREFIX : DimensionTest.DIMENSION_TEST_EQUALS,
      not,
    })),
    values: (query.values ?? []).map(({ relation, than }) => ({ relation: relationToWire[relation], value: than })),
    top: top === null ? undefined : { ...top },
  }
}

/** The end of a range: absent when it is open. */
function toEnd(toMs: number): Date | undefined {
  return toMs === Number.POSITIVE_INFINITY ? undefined : toTimestamp(toMs)
}

/** A query from the wire; QUERY_INVALID or QUERY_TOO_LARGE with all that is wrong with its shape. */
export function fromSelection(message: MetricSelection | undefined): MetricQuery {
  const wrong = new Wrong('selection.')
  if (!message?.job) wrong.note('job', 'is missing: name the job')
  if (!message?.metric) wrong.note('metric', 'is missing: name the metric')
  const filters = new Map<string, string>()
  for (const filter of message?.filters ?? []) {
    if (filters.has(filter.name)) wrong.note('filters', `names dimension ${filter.name} twice`)
    filters.set(filter.name, filter.value)
  }
  const where = (message?.where ?? []).map((condition, index) => fromCondition(condition, index, wrong))
  const values = (message?.values ?? []).map((condition, index) => fromRelation(condition, index, wrong))
  const range = rangeOf(message, wrong)
  wrong.check('the query')
  const { job, metric, groupBy, limit, latest, top } = message!
  return {
    job,
    metric,
    ...range,
    filters,
    groupBy: groupBy?.dimensions ?? null,
    limit: limitOf(limit, defaultQueryLimit),
    latest,
    where,
    values,
    top: top === undefined ? null : { count: top.count, ascending: top.ascending },
  }
}

function fromCondition({ name, values, test, not }: WireDimensionFilter, index: number, wrong: Wrong): DimensionFilter {
  if (name === '') wrong.note(`where[${index}].name`, 'is missing: name the dimension')
  if (values.length === 0) wrong.note(`where[${index}].values`, 'is missing: name at least one value')
  if (test < DimensionTest.DIMENSION_TEST_UNSPECIFIED || test > DimensionTest.DIMENSION_TEST_PREFIX) {
    wrong.note(`where[${index}].test`, `is no test that is known here: ${test}`)
  }
  return { name, test: test === DimensionTest.DIMENSION_TEST_PREFIX ? 'prefix' : 'equals', texts: values, not }
}

function fromRelation({ relation, value }: WireValueFilter, index: number, wrong: Wrong): ValueFilter {
  const known = relationFromWire.get(relation)
  if (known === undefined) wrong.note(`values[${index}].relation`, 'is missing: say how to compare')
  if (Number.isNaN(value)) wrong.note(`values[${index}].value`, 'is no number')
  return { relation: known ?? '==', than: value }
}

/** A lookup for the wire. */
export function toLookup(query: KeyQuery): LookupKeyRequest {
  const { job, key, metrics, fromMs, toMs, limit, events } = query
  return { job, key, metrics: [...metrics], from: toTimestamp(fromMs), to: toEnd(toMs), limit, events }
}

/** A lookup from the wire; QUERY_INVALID or QUERY_TOO_LARGE with all that is wrong with its shape. */
export function fromLookup(message: LookupKeyRequest): KeyQuery {
  const wrong = new Wrong('')
  if (message.job === '') wrong.note('job', 'is missing: name the job')
  if (message.key === '') wrong.note('key', 'is missing: name the key')
  const range = rangeOf(message, wrong)
  wrong.check('the lookup')
  const { job, key, metrics, limit, events } = message
  return { job, key, metrics, ...range, limit: limitOf(limit, defaultLookupLimit), events: limitOf(events, 0) }
}

function rangeOf(
  message: { readonly from?: Date | undefined; readonly to?: Date | undefined } | undefined,
  wrong: Wrong,
): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = fromTimestamp(message?.from)
  const toMs = fromTimestamp(message?.to, Number.POSITIVE_INFINITY)
  if (!(fromMs < toMs)) wrong.note('to', 'is not after `from`: the range is empty')
  return { fromMs, toMs }
}

function limitOf(limit: number, absent: number): number {
  if (limit <= maxQueryLimit) return limit === 0 ? absent : limit
  throw new MillraceError(
    'QUERY_TOO_LARGE',
    `a limit of ${limit} values is more than the ${maxQueryLimit} that one answer may hold; narrow the range`,
  )
}

/** What is wrong with the shape of a request, all of it. */
class Wrong {
  readonly #violations: Violation[] = []
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  note(field: string, message: string): void {
    this.#violations.push({ field: this.#prefix + field, message, line: 0, column: 0 })
  }

  /** QUERY_INVALID when anything was noted. */
  check(what: string): void {
    if (this.#violations.length === 0) return
    const list = this.#violations.map(({ field, message }) => `${field} ${message}`).join('; ')
    throw new MillraceError('QUERY_INVALID', `${what} cannot be answered: ${list}`, { violations: this.#violations })
  }
}
