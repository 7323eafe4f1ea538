/**
 * Whole funnels and retentions: domain types (query/api.ts) to wire messages and back.
 *
 * Pure. A rate that there is none of is NaN here and absent there.
 */
import { MillraceError } from '../core/errors.ts'
import type {
  Cohort,
  Funnel,
  GetFunnelResponse,
  GetRetentionResponse,
  MetricSelection,
} from '../gen/millrace/v1/query.ts'
import type {
  CohortReport,
  FunnelReport,
  FunnelResult,
  ReportPlace,
  ReportQuery,
  RetentionResult,
} from '../query/api.ts'
import type { MetricInfo } from '../query/metric-info.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'
import { fromStatus, statusToWire, toDescription } from './query-messages.ts'
import { fromSelection, toSelection } from './selection-messages.ts'

/** What a report is asked about, for the wire. */
export function toReportSelection(query: ReportQuery): MetricSelection {
  return toSelection({ ...query, latest: false })
}

/** What a report is asked about; QUERY_INVALID where it asks for a part of one. */
export function fromReportSelection(message: MetricSelection | undefined): ReportQuery {
  const { values = [], top = null, latest, ...query } = fromSelection(message)
  if (values.length === 0 && top === null && !latest) return query
  throw new MillraceError(
    'QUERY_INVALID',
    'a report is whole: it has no conditions on values, no `latest` and no `top`',
  )
}

/** A funnel for the wire. */
export function toFunnelResponse({ info, dimensions, funnels, watermarkMs }: FunnelResult): GetFunnelResponse {
  return {
    metric: toDescription(info),
    funnels: funnels.map(({ steps, ...place }) => ({
      ...toPlace(place, dimensions),
      steps: steps.map(({ conversion, stepConversion, meanTimeMs, times, ...step }) => ({
        ...step,
        conversion: numberOf(conversion),
        stepConversion: numberOf(stepConversion),
        meanTimeMs: numberOf(meanTimeMs),
        times: times.map((item) => ({ ...item })),
      })),
    })),
    watermark: toTimestamp(watermarkMs),
  }
}

/** A funnel from the wire. */
export function fromFunnelResponse(
  response: GetFunnelResponse,
  info: MetricInfo,
  dimensions: readonly string[],
): FunnelResult {
  return { info, dimensions, funnels: response.funnels.map(fromFunnel), watermarkMs: fromTimestamp(response.watermark) }
}

function fromFunnel(message: Funnel): FunnelReport {
  return {
    ...fromPlace(message),
    steps: message.steps.map(({ conversion = NaN, stepConversion = NaN, meanTimeMs = NaN, ...step }) => {
      return { ...step, conversion, stepConversion, meanTimeMs }
    }),
  }
}

/** A retention for the wire. */
export function toRetentionResponse({
  info,
  dimensions,
  cohorts,
  curve,
  watermarkMs,
}: RetentionResult): GetRetentionResponse {
  return {
    metric: toDescription(info),
    cohorts: cohorts.map(({ size, periods, ...place }) => ({
      ...toPlace(place, dimensions),
      size,
      periods: periods.map(({ retention, previous, ...period }) => {
        return { ...period, retention: numberOf(retention), previous: numberOf(previous) }
      }),
    })),
    curve: curve.map(({ weighted, mean, ...point }) => {
      return { ...point, weighted: numberOf(weighted), mean: numberOf(mean) }
    }),
    watermark: toTimestamp(watermarkMs),
  }
}

/** A retention from the wire. */
export function fromRetentionResponse(
  response: GetRetentionResponse,
  info: MetricInfo,
  dimensions: readonly string[],
): RetentionResult {
  return {
    ...{ info, dimensions, watermarkMs: fromTimestamp(response.watermark) },
    cohorts: response.cohorts.map(fromCohort),
    curve: response.curve.map(({ weighted = NaN, mean = NaN, ...point }) => ({ ...point, weighted, mean })),
  }
}

function fromCohort(message: Cohort): CohortReport {
  return {
    ...fromPlace(message),
    size: message.size,
    periods: message.periods.map(({ retention = NaN, previous = NaN, ...period }) => {
      return { ...period, retention, previous }
    }),
  }
}

function toPlace(place: ReportPlace, dimensions: readonly string[]) {
  const { windowStartMs, windowEndMs, status, revision, immature } = place
  return {
    dimensions: dimensions.map((name, index) => ({ name, value: place.dimensions[index] ?? '' })),
    windowStart: toTimestamp(windowStartMs),
    windowEnd: toTimestamp(windowEndMs),
    status: statusToWire[status],
    ...{ revision, immature },
  }
}

function fromPlace(message: Omit<Funnel, 'steps'>): ReportPlace {
  return {
    dimensions: message.dimensions.map(({ value }) => value),
    windowStartMs: message.windowStart?.getTime() ?? Number.NaN,
    windowEndMs: message.windowEnd?.getTime() ?? Number.NaN,
    status: fromStatus(message.status),
    revision: message.revision,
    immature: message.immature,
  }
}

function numberOf(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value
}
