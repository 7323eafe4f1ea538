/** How the views of jobs are reached: the contract between who asks (query/) and who knows the jobs (query/job-views.ts). */
import type { RatioPlan } from '../job/plan.ts'
import type { ColumnsRead } from '../operator/read-metric.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { MetricInfo } from './metric-info.ts'

/** One metric as the owner of the views knows it. */
export interface ViewMetric {
  readonly info: MetricInfo
  /** Index into JobPlan.metrics; -1 for one that is put together of two others. */
  readonly index: number
  /** The metrics above and below the line, by id; absent for a metric that workers have values of. */
  readonly ratio?: RatioPlan
  /** How long after its end a window is settled, ms; absent: at once. */
  readonly settleMs?: number
  /** Which of the dimensions is the event's key; -1 when none is. */
  readonly keyDimension?: number
  /** Of metrics about persons: their timelines. */
  readonly timeline?: TimelineInfo
  /** Of metrics about persons: all numbers of a row, by their names (job/plan-person.ts). */
  readonly columns?: ColumnsRead
}

/** What timelines of persons are, that one metric or several look at. */
export interface TimelineInfo {
  /** The same for metrics that share one. */
  readonly name: string
  /** What events can be, by bit. */
  readonly conditions: readonly string[]
  /** Names of the texts of events. */
  readonly dimensions: readonly string[]
}

/** What all subtasks of a job answered. */
export interface ViewAnswer {
  readonly attempt: number
  readonly rows: readonly ViewRows[]
  /** The job has ended: nothing will change any more. */
  readonly ended: boolean
}

/** Who can reach the views. */
export interface ViewPort {
  /** Metrics of one job, or of all with ''. JOB_NOT_FOUND. */
  metrics(job: string): Promise<readonly ViewMetric[]>
  /**
   * Sends the query about `metric` to every subtask. An upgrade may have moved the metric meanwhile: it is found by its
   * name. METRIC_NOT_FOUND when it is gone, QUERY_INVALID when it means something else now; JOB_NOT_FOUND; UNAVAILABLE while the job is not deployed (retry: never when it will not be by itself).
   */
  ask(job: string, query: ViewQuery, metric: MetricInfo): Promise<ViewAnswer>
  /** The window subtask that owns a key. JOB_NOT_FOUND. */
  ownerOf(job: string, key: string): number
}
