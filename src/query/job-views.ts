/** The views of running jobs, for the query service: which metrics there are, and how to ask the threads that have them. */
import type { JobManager } from '../coordinator/job-manager.ts'
import type { ManagedJob } from '../coordinator/managed-jobs.ts'
import { MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { keyGroupOf, subtaskOf } from '../core/key-groups.ts'
import type { MetricPlan, TablePlan } from '../job/plan.ts'
import type { ColumnsRead } from '../operator/read-metric.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { MetricInfo } from './metric-info.ts'
import { timelineInfo } from './timeline-info.ts'
import type { ViewAnswer, ViewMetric, ViewPort } from './view-port.ts'

/** How long a thread may take to answer a query. */
const DEADLINE_MS = 10_000

const encoder = new TextEncoder()

/** States after which nothing changes any more. */
const ended = new Set(['FINISHED', 'SUSPENDED', 'CANCELLED', 'FAILED'])

/** The views of a manager's jobs. */
export function jobViews(manager: JobManager): ViewPort {
  return {
    metrics: async (job: string): Promise<readonly ViewMetric[]> => {
      const jobs = job === '' ? manager.jobs() : [manager.job(job)]
      return jobs.flatMap(metricsOf)
    },
    ask: async (job: string, asked: ViewQuery, metric: MetricInfo): Promise<ViewAnswer> => {
      const { coordinator } = manager.job(job)
      const query = { ...asked, metric: indexOf(manager.job(job), metric) }
      let rows: readonly ViewRows[]
      try {
        rows = await coordinator.query(query, DEADLINE_MS)
      } catch (thrown) {
        const error = MillraceError.from(thrown)
        // Nobody waits for the values of a job that does not come back by itself.
        if (error.code !== 'UNAVAILABLE' || !ended.has(coordinator.status.state)) throw error
        throw new MillraceError(error.code, error.message, { retry: 'never', cause: error })
      }
      const { attempt, state } = coordinator.status
      return { attempt, rows, ended: ended.has(state) }
    },
    ownerOf: (job: string, key: string): number => {
      const { keyGroups, parallelism } = manager.job(job).coordinator.plan
      const bytes = encoder.encode(key)
      return subtaskOf(keyGroupOf(hashBytes(bytes, 0, bytes.length), keyGroups), keyGroups, parallelism)
    },
  }
}

/** Where a metric is now. */
function indexOf(job: ManagedJob, asked: MetricInfo): number {
  const now = metricsOf(job).find(({ info }) => info.metric === asked.metric)
  const name = `${asked.job}/${asked.metric}`
  if (now === undefined) throw new MillraceError('METRIC_NOT_FOUND', `${name} is gone: the job has been upgraded`)
  if (meaningOf(now.info) === meaningOf(asked)) return now.index
  throw new MillraceError('QUERY_INVALID', `${name} means something else since the job was upgraded: ask anew`)
}

function meaningOf({ kind, where, dimensions, window }: MetricInfo): string {
  return JSON.stringify([kind, where, dimensions, window])
}

function metricsOf({ coordinator }: ManagedJob): ViewMetric[] {
  const { definition, tables, metrics, ratios = [] } = coordinator.plan
  const places = new Map(metrics.map(({ id }, index) => [id, index]))
  return definition.metrics.map((metric): ViewMetric => {
    const ratio = ratios.find(({ id }) => id === metric.id)
    // A ratio's windows and dimensions are those of the metric above the line.
    const index = places.get(ratio?.of ?? metric.id)!
    const plan = metrics[index]!
    const table = tables[plan.table]!
    const info: MetricInfo = {
      job: definition.name,
      metric: metric.id,
      description: metric.description,
      kind: metric.kind,
      ...(metric.preset === undefined ? {} : { preset: metric.preset }),
      where: metric.where ?? '',
      dimensions: table.dimensionNames,
      window: metric.window,
      integer: ratio === undefined && plan.integer,
      ...(metric.maxGroups === undefined ? {} : { maxGroups: metric.maxGroups }),
    }
    if (ratio !== undefined) return { info, index: -1, ratio }
    const columns = columnsOf(table, plan)
    const timeline = timelineInfo(coordinator.plan, plan, info)
    const own = { keyDimension: table.dimensions.indexOf(-1), settleMs: table.settleMs ?? 0 }
    return { info, index, ...own, ...(columns === null ? {} : { columns }), ...(timeline === null ? {} : { timeline }) }
  })
}

/** The numbers of a row of a table about persons that the metric counts by; null for other tables. */
function columnsOf({ person, accumulators }: TablePlan, { events }: MetricPlan): ColumnsRead | null {
  if (person === undefined) return null
  const since = accumulators[events]!.since ?? 0
  const own = accumulators.flatMap(({ measure = '', kind, since: began = 0 }, at) => {
    return began === since ? [{ label: measure, at, kind }] : []
  })
  return {
    kind: 'columns',
    of: own.flatMap(({ label, at, kind }) => (kind === 'count' || kind === 'sum' ? [{ label, at }] : [])),
    histogram: own.find(({ kind }) => kind === 'histogram')?.at ?? -1,
  }
}
