/**
 * Predicted lifetimes: domain types (query/api.ts) to wire messages and back.
 *
 * Pure. A number that there is none of is NaN here and absent there.
 */
import { MillraceError } from '../core/errors.ts'
import type { PredictLifetimeValueRequest, PredictLifetimeValueResponse } from '../gen/millrace/v1/query.ts'
import type { LifetimeQuery, LifetimeResult } from '../query/lifetime-api.ts'
import type { MetricInfo } from '../query/metric-info.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'
import { toDescription } from './query-messages.ts'

const DEFAULT_STEPS = 12
const DEFAULT_DAYS_A_STEP = 30
const DEFAULT_PERSONS = 100

/** A question for the wire. */
export function toLifetimeRequest(query: LifetimeQuery): PredictLifetimeValueRequest {
  const { untilMs, persons, margin, churn, ...same } = query
  return {
    ...same,
    until: Number.isFinite(untilMs) ? toTimestamp(untilMs) : undefined,
    persons: [...persons],
    ...(margin === null ? {} : { margin }),
    ...(churn === null ? {} : { churn }),
  }
}

/** A question from the wire. QUERY_INVALID without job or metric; what is 0 is by default. */
export function fromLifetimeRequest(request: PredictLifetimeValueRequest): LifetimeQuery {
  const { until, steps, daysPerStep, limit, margin = null, churn = null, ...same } = request
  if (same.job === '' || same.metric === '') throw new MillraceError('QUERY_INVALID', '`job` and `metric` are missing')
  return {
    ...same,
    untilMs: fromTimestamp(until, Number.POSITIVE_INFINITY),
    steps: steps || DEFAULT_STEPS,
    daysPerStep: daysPerStep || DEFAULT_DAYS_A_STEP,
    limit: limit || DEFAULT_PERSONS,
    ...{ margin, churn },
  }
}

/** An answer for the wire. */
export function toLifetimeResponse(result: LifetimeResult): PredictLifetimeValueResponse {
  const { info, sinceMs, watermarkMs, purchases, spend, correlation, steadyState, persons, ...same } = result
  return {
    ...same,
    metric: toDescription(info),
    since: toTimestamp(sinceMs),
    purchases: { ...purchases, parameters: { ...purchases.parameters } },
    spend: { ...spend, parameters: { ...spend.parameters } },
    ...some({ correlation }),
    steadyState:
      steadyState === null
        ? undefined
        : { ...steadyState, ...none, ...some({ arppu: steadyState.arppu, value: steadyState.value }) },
    persons: persons.map(({ expectedAmount, value, ...person }) => ({ ...person, ...some({ expectedAmount, value }) })),
    watermark: toTimestamp(watermarkMs),
  }
}

/** An answer from the wire. */
export function fromLifetimeResponse(response: PredictLifetimeValueResponse, info: MetricInfo): LifetimeResult {
  const { metric: _, since, purchases, spend, correlation = NaN, steadyState, persons, watermark, ...same } = response
  if (purchases === undefined || spend === undefined)
    throw new MillraceError('INTERNAL', "the server's answer lacks its models")
  return {
    ...same,
    info,
    sinceMs: fromTimestamp(since, Number.NaN),
    ...{ purchases, spend, correlation },
    steadyState:
      steadyState === undefined
        ? null
        : { ...steadyState, arppu: steadyState.arppu ?? NaN, value: steadyState.value ?? NaN },
    persons: persons.map(({ expectedAmount = NaN, value = NaN, ...person }) => ({ ...person, expectedAmount, value })),
    watermarkMs: fromTimestamp(watermark),
  }
}

const none = { arppu: undefined, value: undefined }

/** Only those numbers that are some. */
function some<T extends Readonly<Record<string, number>>>(numbers: T): { [K in keyof T]?: number } {
  const found: { [K in keyof T]?: number } = {}
  for (const key in numbers) if (!Number.isNaN(numbers[key])) found[key] = numbers[key]!
  return found
}
