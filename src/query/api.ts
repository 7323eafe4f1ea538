/**
 * Asking for metrics, as the rest of the program does it.
 *
 * Owns: the contract between who holds the values and who asks (rpc/, cli). Does not own: the wire form
 * (rpc/query-messages.ts), rolling up (query/rollup.ts), where values live. Plain data; times are epoch ms, watermarks
 * may be infinite.
 */
import type { MillraceError } from '../core/errors.ts'
import type { MetricItem } from '../operator/read-metric.ts'
import type { TopRows, ValueCondition } from '../operator/view-rows.ts'
import type { KeyQuery, KeyResult } from './key-api.ts'
import type { LifetimeQuery, LifetimeResult } from './lifetime-api.ts'
import type { MetricInfo, MetricResult, ValueStatus } from './metric-info.ts'

/** Which values of which metric. */
export interface MetricQuery {
  readonly job: string
  readonly metric: string
  /** Windows that end after this; -Infinity for all. */
  readonly fromMs: number
  /** Windows that start before this; Infinity for all. */
  readonly toMs: number
  /** Dimension name to the text that it must have. */
  readonly filters: ReadonlyMap<string, string>
  /** Dimensions to keep; null for all of them. Anything else needs an additive metric. */
  readonly groupBy: readonly string[] | null
  /** Most values in the answer. */
  readonly limit: number
  /** Keep the newest windows when there are more than `limit`, instead of QUERY_TOO_LARGE. */
  readonly latest: boolean
  /** Further conditions on dimensions, all of which must hold. */
  readonly where?: readonly DimensionFilter[]
  /** Conditions on the value, all of which must hold; with `groupBy`, on the total. */
  readonly values?: readonly ValueFilter[]
  /** Only so many values of each window; not for watches. */
  readonly top?: TopRows | null
}

/** What a report is asked about: the metric, the windows, and which groups, added up over the dimensions that are not kept. */
export type ReportQuery = Omit<MetricQuery, 'values' | 'top' | 'latest'>

/** A condition on one dimension by name. */
export interface DimensionFilter {
  readonly name: string
  readonly test: 'equals' | 'prefix'
  /** One of these is enough. */
  readonly texts: readonly string[]
  /** Keeps what fails the test instead. */
  readonly not: boolean
}

/** A condition on a value. */
export type ValueFilter = ValueCondition

/** Where a watch delivers. Nothing of it may throw. */
export interface MetricWatcher {
  /**
   * First all values of the query (unless `changesOnly`), then those that changed; `result.values` has at most one
   * value per window and group. Called again only with what changed since.
   */
  readonly onValues: (result: MetricResult) => void
  /**
   * Called with the reason when values cannot be had for now (the job starts or restarts, a thread is slow), which passes
   * by itself, and with null once they can be had again: before the values that this brings.
   */
  readonly onWaiting?: (why: string | null) => void
  /**
   * Called once, last: with null because the job has finished, or with what ended the watch; UNAVAILABLE (retry: never)
   * when the job was cancelled, stopped or has failed.
   */
  readonly onEnd: (error: MillraceError | null) => void
}

/** A step of a funnel in one window and group. Rates are NaN where nobody could have come. */
export interface FunnelStepReport {
  /** Counted from 1. */
  readonly step: number
  /** Its condition, CEL. */
  readonly where: string
  /** Persons who reached it. */
  readonly persons: number
  /** Of those who entered. */
  readonly conversion: number
  /** Of those who reached the step before; 1 for the first. */
  readonly stepConversion: number
  /** Persons who reached the step before and not this one. */
  readonly dropped: number
  /** Mean time from the first step, ms. */
  readonly meanTimeMs: number
  /** How many took how long from the first step, by the funnel's `buckets`. */
  readonly times: readonly MetricItem[]
}

/** A funnel in one window and group. */
export interface FunnelReport extends ReportPlace {
  readonly steps: readonly FunnelStepReport[]
}

/** Which window and group a report is about, and how settled. */
export interface ReportPlace {
  /** Texts of the dimensions that the answer shows. */
  readonly dimensions: readonly string[]
  readonly windowStartMs: number
  readonly windowEndMs: number
  readonly status: ValueStatus
  readonly revision: number
  /** Some of those whom it is about have not had their time yet. */
  readonly immature: boolean
}

/** The answer to a question for funnels: by window, then by dimensions. */
export interface FunnelResult {
  readonly info: MetricInfo
  readonly dimensions: readonly string[]
  readonly funnels: readonly FunnelReport[]
  readonly watermarkMs: number
}

/** One period of a cohort. */
export interface RetentionPeriod {
  readonly period: number
  readonly persons: number
  /** Of the cohort; NaN for an empty one. */
  readonly retention: number
  /** Of those of the period before; NaN for period 0, and where there was nobody. */
  readonly previous: number
  /** Not everybody has had their time in it. */
  readonly immature: boolean
}

/** A cohort: those who began in one window, of one group. */
export interface CohortReport extends ReportPlace {
  /** Persons in it. */
  readonly size: number
  /** Period 0 and on. */
  readonly periods: readonly RetentionPeriod[]
}

/** Retention over all cohorts of an answer that are mature in a period. */
export interface RetentionCurvePoint {
  readonly period: number
  /** Such cohorts. */
  readonly cohorts: number
  /** Their persons, and those who came back. */
  readonly size: number
  readonly persons: number
  /** Persons by size: large cohorts weigh more. NaN where no cohort is mature. */
  readonly weighted: number
  /** Mean of the cohorts' own retentions. NaN where no cohort is mature. */
  readonly mean: number
}

/** The answer to a question for retention: by window, then by dimensions. */
export interface RetentionResult {
  readonly info: MetricInfo
  readonly dimensions: readonly string[]
  readonly cohorts: readonly CohortReport[]
  readonly curve: readonly RetentionCurvePoint[]
  readonly watermarkMs: number
}

/** Answers questions about metrics. */
export interface QueryApi {
  /** Of one job (JOB_NOT_FOUND), or of all with ''; by job and metric. */
  listMetrics(job: string): Promise<readonly MetricInfo[]>
  /** METRIC_NOT_FOUND, JOB_NOT_FOUND, QUERY_INVALID, QUERY_TOO_LARGE, UNAVAILABLE while the job restarts. */
  query(query: MetricQuery): Promise<MetricResult>
  /** A funnel whole, whatever its metric measures. `groupBy` keeps dimensions other than `step`. As `query`. */
  funnel(query: ReportQuery): Promise<FunnelResult>
  /** A retention whole, whatever its metric measures. `groupBy` keeps dimensions other than `period`. As `query`. */
  retention(query: ReportQuery): Promise<RetentionResult>
  /** What persons are likely to bring. As `query`; UNAVAILABLE while too many others ask. */
  lifetime(query: LifetimeQuery): Promise<LifetimeResult>
  /** All that is known of one key. JOB_NOT_FOUND, METRIC_NOT_FOUND, QUERY_INVALID where no metric has the key, UNAVAILABLE. */
  lookupKey(query: KeyQuery): Promise<KeyResult>
  /** Starts a watch; the function that it returns ends it, silently. Failures arrive by `onEnd`. */
  watch(query: MetricQuery, watcher: MetricWatcher, options?: { readonly changesOnly?: boolean }): () => void
}

/** Values in an answer when the query names no limit. */
export const defaultQueryLimit = 10_000

/** Most values in one answer. */
export const maxQueryLimit = 100_000

/** Values of each metric in a lookup that names no limit. */
export const defaultLookupLimit = 1000
