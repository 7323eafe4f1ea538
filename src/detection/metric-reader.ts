/**
 * The rows of a detector's metric, out of the views of its job: all that a history of it needs, then what changes.
 *
 * Owns: asking in parts that do not hold up the threads that answer. A thread that is asked answers between two batches.
 */
import { historyOf } from '../alert/series.ts'
import type { WatchPlan } from '../alert/watch-plan.ts'
import type { WatchedRow } from '../alert/watched-groups.ts'
import { MillraceError } from '../core/errors.ts'
import type { DetectorDefinition } from '../job/detector-definition.ts'
import type { ViewQuery, ViewRows } from '../operator/view-rows.ts'
import type { ViewAnswer, ViewMetric, ViewPort } from '../query/view-port.ts'

/** Most rows of a part. */
const PART_ROWS_MAX = 20_000

/** What an answer brings, and how far it goes. */
export interface MetricChanges {
  readonly rows: readonly WatchedRow[]
  /** Below it nothing is missing: the least watermark of those who answered. */
  readonly watermarkMs: number
  /** There is more than one answer holds: read anew. */
  readonly truncated: boolean
  readonly attempt: number
  /** The job has ended: nothing will change any more. */
  readonly ended: boolean
}

/** Reads one metric for one detector. */
export class MetricReader {
  readonly #views: ViewPort
  readonly #job: string
  readonly #definition: DetectorDefinition
  readonly #plan: WatchPlan
  #metric: ViewMetric | null = null
  #since: number[] = []

  constructor(views: ViewPort, job: string, definition: DetectorDefinition, plan: WatchPlan) {
    this.#views = views
    this.#job = job
    this.#definition = definition
    this.#plan = plan
  }

  /** Names of the metric's dimensions; none before the first answer. */
  get dimensions(): readonly string[] {
    return this.#metric?.info.dimensions ?? []
  }

  /**
   * Gives to `take`, part by part, the rows of the histories that the newest final window needs. Null while there is no
   * watermark, and so nothing to judge. Changes are those since then.
   */
  async readHistories(take: (rows: readonly WatchedRow[]) => void): Promise<MetricChanges | null> {
    // First, so that what changes while parts are read is read again with the changes.
    const start = await this.#ask({ ...everything, rowsMax: 0 })
    const watermarkMs = watermarkOf(start)
    if (watermarkMs === Number.NEGATIVE_INFINITY) return null
    const newestMs = Math.max(...rowsOf(await this.#ask({ ...everything, newest: 1 })).map((row) => row.startMs))
    if (newestMs > Number.NEGATIVE_INFINITY) {
      const { history, settleMs, window } = this.#plan
      const headMs = watermarkMs === Number.POSITIVE_INFINITY ? newestMs : watermarkMs - settleMs - window.sizeMs
      const fromMs = history.fromMs + (historyOf(this.#plan, headMs) - 2) * history.lengthMs
      await this.#part(fromMs, Math.max(newestMs + 1, fromMs + 1), take)
    }
    this.#remember(start)
    const { attempt, ended } = start
    return { rows: [], watermarkMs, truncated: false, attempt, ended }
  }

  /** What has changed since the last answer, in windows that end after `fromMs`. */
  async readChanges(fromMs: number): Promise<MetricChanges> {
    const answer = await this.#ask({ ...everything, fromMs, sinceChange: this.#since })
    this.#remember(answer)
    const { attempt, ended } = answer
    const truncated = answer.rows.some((part) => part.truncated)
    return { rows: rowsOf(answer), watermarkMs: watermarkOf(answer), truncated, attempt, ended }
  }

  async #part(fromMs: number, toMs: number, take: (rows: readonly WatchedRow[]) => void): Promise<void> {
    const answer = await this.#ask({ ...everything, fromMs, toMs, rowsMax: PART_ROWS_MAX })
    if (!answer.rows.some((part) => part.truncated)) {
      take(rowsOf(answer))
      return
    }
    if (toMs - fromMs <= this.#plan.window.sizeMs) {
      const { id, metric } = this.#definition
      const message = `detector ${id}: a window of ${this.#job}/${metric} has more than ${PART_ROWS_MAX} groups: name some by "groups"`
      throw new MillraceError('QUERY_TOO_LARGE', message)
    }
    const middleMs = fromMs + Math.floor((toMs - fromMs) / 2)
    await this.#part(fromMs, middleMs, take)
    await this.#part(middleMs, toMs, take)
  }

  async #ask(query: Omit<ViewQuery, 'metric' | 'filter'>): Promise<ViewAnswer> {
    const { metric: name, groups } = this.#definition
    this.#metric ??= (await this.#views.metrics(this.#job)).find(({ info }) => info.metric === name) ?? null
    if (this.#metric === null) throw new MillraceError('METRIC_NOT_FOUND', `${this.#job}/${name} is gone`)
    const { index, info } = this.#metric
    const filter = info.dimensions.map((dimension) => groups[dimension] ?? null)
    return this.#views.ask(this.#job, { ...query, metric: index, filter }, info)
  }

  #remember({ rows }: ViewAnswer): void {
    this.#since = []
    for (const { subtask, change } of rows) this.#since[subtask] = change
    for (let subtask = 0; subtask < this.#since.length; subtask++) this.#since[subtask] ??= -1
  }
}

const everything = {
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
  sinceChange: [],
  rowsMax: 100_000,
} as const

function watermarkOf({ rows }: ViewAnswer): number {
  return rows.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...rows.map((part) => part.watermarkMs))
}

function rowsOf({ rows }: ViewAnswer): WatchedRow[] {
  return rows.flatMap(watchedRows)
}

function watchedRows(part: ViewRows): WatchedRow[] {
  return Array.from({ length: part.count }, (_, row) => ({
    startMs: part.windowStartMs[row]!,
    endMs: part.windowEndMs[row]!,
    dimensions: part.dimensions[row]!,
    value: part.values[row]!,
    volume: part.volumes?.[row] ?? 0,
    revision: Math.max(1, part.revision[row]!),
    events: part.events[row]!,
  }))
}
