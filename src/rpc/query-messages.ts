/**
 * Queries and their answers: domain types (query/api.ts) to wire messages and back.
 *
 * Pure. What a caller sent is checked here as far as its shape goes; whether it makes sense for the metric is the
 * QueryApi's to say.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import { type Dimension, type MetricValue as MetricValueMessage, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { MetricDescription, MetricSelection } from '../gen/millrace/v1/query.ts'
import type { MetricKind } from '../job/definition.ts'
import {
  defaultQueryLimit,
  isAdditive,
  type MetricInfo,
  type MetricQuery,
  type MetricResult,
  type MetricValue,
  maxQueryLimit,
  type ValueStatus as Status,
} from '../query/api.ts'
import { describeWindow } from '../query/render.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

/** A metric's description for the wire. */
export function toDescription(info: MetricInfo): MetricDescription {
  return {
    job: info.job,
    metric: info.metric,
    description: info.description,
    kind: info.kind.kind,
    field: 'field' in info.kind ? info.kind.field : '',
    where: info.where,
    dimensions: [...info.dimensions],
    window: describeWindow(info.window),
    windowSizeMs: info.window.sizeMs,
    windowOffsetMs: info.window.offsetMs,
    timezone: info.window.timezone,
    integer: info.integer,
    additive: isAdditive(info),
  }
}

/** A metric's description from the wire. */
export function fromDescription(message: MetricDescription): MetricInfo {
  return {
    job: message.job,
    metric: message.metric,
    description: message.description,
    kind: fromKind(message.kind, message.field),
    where: message.where,
    dimensions: message.dimensions,
    window: {
      kind: 'tumbling',
      sizeMs: message.windowSizeMs,
      offsetMs: message.windowOffsetMs,
      timezone: message.timezone,
    },
    integer: message.integer,
  }
}

function fromKind(kind: string, field: string): MetricKind {
  switch (kind) {
    case 'sum':
    case 'min':
    case 'max':
    case 'avg':
    case 'distinct':
      return { kind, field }
    case 'activeUsers':
      return { kind }
    default:
      return { kind: 'count' }
  }
}

/** A query for the wire. */
export function toSelection(query: MetricQuery): MetricSelection {
  return {
    job: query.job,
    metric: query.metric,
    from: toTimestamp(query.fromMs),
    to: query.toMs === Number.POSITIVE_INFINITY ? undefined : toTimestamp(query.toMs),
    filters: Array.from(query.filters, ([name, value]) => ({ name, value })),
    groupBy: query.groupBy === null ? undefined : { dimensions: [...query.groupBy] },
    limit: query.limit,
    latest: query.latest,
  }
}

/** A query from the wire; QUERY_INVALID or QUERY_TOO_LARGE with all that is wrong with its shape. */
export function fromSelection(message: MetricSelection | undefined): MetricQuery {
  const violations: Violation[] = []
  const wrong = (field: string, text: string) =>
    violations.push({ field: `selection.${field}`, message: text, line: 0, column: 0 })
  if (!message?.job) wrong('job', 'is missing: name the job')
  if (!message?.metric) wrong('metric', 'is missing: name the metric')
  const filters = new Map<string, string>()
  for (const filter of message?.filters ?? []) {
    if (filters.has(filter.name)) wrong('filters', `names dimension ${filter.name} twice`)
    filters.set(filter.name, filter.value)
  }
  const fromMs = fromTimestamp(message?.from)
  const toMs = fromTimestamp(message?.to, Number.POSITIVE_INFINITY)
  if (!(fromMs < toMs)) wrong('to', 'is not after `from`: the range is empty')
  if (message === undefined || violations.length > 0) {
    const list = violations.map((violation) => `${violation.field} ${violation.message}`).join('; ')
    throw new MillraceError('QUERY_INVALID', `the query cannot be answered: ${list}`, { violations })
  }
  if (message.limit > maxQueryLimit) {
    throw new MillraceError(
      'QUERY_TOO_LARGE',
      `a limit of ${message.limit} values is more than the ${maxQueryLimit} that one answer may hold; narrow the range`,
    )
  }
  return {
    job: message.job,
    metric: message.metric,
    fromMs,
    toMs,
    filters,
    groupBy: message.groupBy?.dimensions ?? null,
    limit: message.limit === 0 ? defaultQueryLimit : message.limit,
    latest: message.latest,
  }
}

const statusToWire = {
  provisional: ValueStatus.VALUE_STATUS_PROVISIONAL,
  final: ValueStatus.VALUE_STATUS_FINAL,
  corrected: ValueStatus.VALUE_STATUS_CORRECTED,
} as const satisfies Record<Status, ValueStatus>

/** The values of a result for the wire. `only` picks some of them. */
export function toValues(result: MetricResult, only: readonly MetricValue[] = result.values): MetricValueMessage[] {
  return only.map((value) => ({
    job: result.info.job,
    metric: result.info.metric,
    dimensions: result.dimensions.map((name, index) => ({ name, value: value.dimensions[index] ?? '' })),
    windowStart: toTimestamp(value.windowStartMs),
    windowEnd: toTimestamp(value.windowEndMs),
    value:
      result.info.integer && Number.isSafeInteger(value.value)
        ? { $case: 'intValue', value: value.value }
        : { $case: 'doubleValue', value: value.value },
    status: statusToWire[value.status],
    revision: value.revision,
    watermark: toTimestamp(value.watermarkMs),
    lateCount: value.lateCount,
    eventCount: value.eventCount,
    attempt: value.attempt,
  }))
}

/** One value from the wire. */
export function fromValue(message: MetricValueMessage): MetricValue {
  return {
    dimensions: message.dimensions.map((dimension: Dimension) => dimension.value),
    windowStartMs: fromTimestamp(message.windowStart, Number.NaN),
    windowEndMs: fromTimestamp(message.windowEnd, Number.NaN),
    value: message.value?.value ?? 0,
    status: fromStatus(message.status),
    revision: message.revision,
    watermarkMs: fromTimestamp(message.watermark),
    lateCount: message.lateCount,
    eventCount: message.eventCount,
    attempt: message.attempt,
  }
}

function fromStatus(status: ValueStatus): Status {
  if (status === ValueStatus.VALUE_STATUS_FINAL) return 'final'
  if (status === ValueStatus.VALUE_STATUS_CORRECTED) return 'corrected'
  return 'provisional'
}
