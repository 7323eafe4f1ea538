/**
 * All that is known of one key: its rows of every metric whose dimensions contain the event's key.
 *
 * Owns: which metrics are asked, and asking only the subtask that owns the key. Such tables live whole in the window
 * operator, so the owner's answer is complete. The questions leave together; the rows of one metric are of one moment.
 */
import { MillraceError } from '../core/errors.ts'
import type { KeyQuery, KeyResult, MetricQuery } from './api.ts'
import { maxQueryLimit } from './api.ts'
import { refuseLookup } from './ratio-answer.ts'
import { leastWatermarkMs, limitValues, valuesOf } from './render.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

/** Answers a lookup. JOB_NOT_FOUND, METRIC_NOT_FOUND, QUERY_INVALID where there is nothing by key, UNAVAILABLE. */
export async function lookupKey(views: ViewPort, query: KeyQuery): Promise<KeyResult> {
  const asked = metricsOf(await views.metrics(query.job), query)
  const subtask = views.ownerOf(query.job, query.key)
  const answers = await Promise.all(
    asked.map(({ index, info, keyDimension }) =>
      views.ask(
        query.job,
        {
          metric: index,
          fromMs: query.fromMs,
          toMs: query.toMs,
          filter: info.dimensions.map((_, dimension) => (dimension === keyDimension ? query.key : null)),
          sinceChange: [],
          rowsMax: maxQueryLimit,
          // One more than are wanted, so that it is known that there are more.
          newest: query.limit + 1,
          subtask,
        },
        info,
      ),
    ),
  )
  const results = asked.map(({ info }, at) => {
    const { attempt, rows } = answers[at]!
    if (rows.some((part) => part.truncated)) {
      throw new MillraceError(
        'QUERY_TOO_LARGE',
        `${query.job}/${info.metric} takes too long to search for that key: narrow the range`,
      )
    }
    const values = rows.flatMap((part) => valuesOf(part, attempt))
    return { info, dimensions: info.dimensions, ...limitValues(values, asMetricQuery(query, info.metric)) }
  })
  return { results, subtask, watermarkMs: leastWatermarkMs(answers.flatMap(({ rows }) => rows)) }
}

function metricsOf(known: readonly ViewMetric[], query: KeyQuery): ViewMetric[] {
  const byKey = known.filter(hasKey)
  const names = byKey.map(({ info }) => info.metric).join(', ')
  const there = names === '' ? 'no metric of it has' : `those that have: ${names}`
  for (const name of query.metrics) {
    const metric = known.find(({ info }) => info.metric === name)
    if (metric === undefined) {
      throw new MillraceError('METRIC_NOT_FOUND', `job ${query.job} has no metric ${name}`)
    }
    refuseLookup(metric)
    if (!hasKey(metric)) {
      throw new MillraceError(
        'QUERY_INVALID',
        `metric ${query.job}/${name} has not the event's key among its dimensions, so it knows nothing of one key; ${there}`,
      )
    }
  }
  if (byKey.length === 0) {
    throw new MillraceError(
      'QUERY_INVALID',
      `no metric of job ${query.job} has the event's key among its dimensions: define one with the key in \`by\``,
    )
  }
  return query.metrics.length === 0 ? byKey : byKey.filter(({ info }) => query.metrics.includes(info.metric))
}

function hasKey(metric: ViewMetric): boolean {
  return (metric.keyDimension ?? -1) >= 0
}

function asMetricQuery(query: KeyQuery, metric: string): MetricQuery {
  const { job, fromMs, toMs, limit } = query
  return { job, metric, fromMs, toMs, filters: new Map(), groupBy: null, limit, latest: true }
}
