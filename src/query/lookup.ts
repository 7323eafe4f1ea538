/**
 * All that is known of one key: its rows of every metric whose dimensions contain the event's key, and of metrics about
 * persons what this one alone comes to, and their timelines.
 *
 * Owns: which metrics are asked, and asking only the subtask that owns the key. Such tables and timelines live whole in the
 * window operator, so the owner's answer is complete. The questions leave together; the rows of one metric are of one
 * moment.
 */
import { MillraceError } from '../core/errors.ts'
import type { PersonEvents, ViewQuery } from '../operator/view-rows.ts'
import { type MetricQuery, maxQueryLimit } from './api.ts'
import type { KeyMetric, KeyQuery, KeyResult, PersonTimeline, TimelineEvent } from './key-api.ts'
import { refuseLookup } from './ratio-answer.ts'
import { leastWatermarkMs, limitValues, valuesOf } from './render.ts'
import type { TimelineInfo, ViewAnswer, ViewMetric, ViewPort } from './view-port.ts'

/** Answers a lookup. JOB_NOT_FOUND, METRIC_NOT_FOUND, QUERY_INVALID where there is nothing by key, UNAVAILABLE. */
export async function lookupKey(views: ViewPort, query: KeyQuery): Promise<KeyResult> {
  const asked = metricsOf(await views.metrics(query.job), query)
  const subtask = views.ownerOf(query.job, query.key)
  const firstOf = new Map<string, ViewMetric>()
  for (const metric of asked)
    if (metric.timeline !== undefined && !firstOf.has(metric.timeline.name)) firstOf.set(metric.timeline.name, metric)
  const answers = await Promise.all(
    asked.map((metric) => {
      // A timeline that several look at is told once.
      const events = firstOf.get(metric.timeline?.name ?? '') === metric ? query.events : 0
      return views.ask(query.job, questionOf(metric, query, subtask, events), metric.info)
    }),
  )
  const results = asked.map((metric, at): KeyMetric => {
    const { info } = metric
    const { attempt, rows } = answers[at]!
    if (rows.some((part) => part.truncated)) {
      throw new MillraceError(
        'QUERY_TOO_LARGE',
        `${query.job}/${info.metric} takes too long to search for that key: narrow the range`,
      )
    }
    const values = rows.flatMap((part) => valuesOf(part, attempt))
    const limited = limitValues(values, asMetricQuery(query, info.metric))
    return { info, dimensions: info.dimensions, ...limited, ofPerson: metric.timeline !== undefined }
  })
  return {
    results,
    timelines: query.events === 0 ? [] : timelinesOf(asked, answers),
    subtask,
    watermarkMs: leastWatermarkMs(answers.flatMap(({ rows }) => rows)),
  }
}

function questionOf(metric: ViewMetric, query: KeyQuery, subtask: number, eventsMax: number): ViewQuery {
  const { index, info, keyDimension, timeline } = metric
  const { fromMs, toMs, key, limit } = query
  const common = { metric: index, fromMs, toMs, sinceChange: [], rowsMax: maxQueryLimit, subtask }
  if (timeline !== undefined) return { ...common, filter: info.dimensions.map(() => null), person: { key, eventsMax } }
  const filter = info.dimensions.map((_, dimension) => (dimension === keyDimension ? key : null))
  // One more than are wanted, so that it is known that there are more.
  return { ...common, filter, newest: limit + 1 }
}

function timelinesOf(asked: readonly ViewMetric[], answers: readonly ViewAnswer[]): PersonTimeline[] {
  const found = new Map<string, { info: TimelineInfo; metrics: string[]; told: PersonEvents | undefined }>()
  asked.forEach(({ info, timeline }, at) => {
    if (timeline === undefined) return
    const one = found.get(timeline.name) ?? { info: timeline, metrics: [], told: undefined }
    found.set(timeline.name, one)
    one.metrics.push(info.metric)
    one.told ??= answers[at]!.rows.find(({ person }) => person !== undefined)?.person
  })
  return [...found.values()].map(({ info: { conditions, dimensions }, metrics, told }) => {
    const events = told === undefined ? [] : eventsOf(told)
    return { metrics, conditions, dimensions, events, truncated: told?.truncated ?? false }
  })
}

function eventsOf({ timeMs, bits, copies, value, dimensions }: PersonEvents): TimelineEvent[] {
  return Array.from(timeMs, (time, i) => ({
    timeMs: time,
    conditions: Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((bits[i]! >>> bit) & 1) === 1),
    dimensions: dimensions[i]!,
    copies: copies[i]!,
    value: value[i] ?? Number.NaN,
  }))
}

function metricsOf(known: readonly ViewMetric[], query: KeyQuery): ViewMetric[] {
  const byKey = known.filter(knowsKeys)
  const names = byKey.map(({ info }) => info.metric).join(', ')
  const there = names === '' ? 'no metric of it does' : `those that do: ${names}`
  for (const name of query.metrics) {
    const metric = known.find(({ info }) => info.metric === name)
    if (metric === undefined) {
      throw new MillraceError('METRIC_NOT_FOUND', `job ${query.job} has no metric ${name}`)
    }
    refuseLookup(metric)
    if (!knowsKeys(metric)) {
      throw new MillraceError(
        'QUERY_INVALID',
        `metric ${query.job}/${name} has not the event's key among its dimensions, and is not about persons, so it knows ` +
          `nothing of one key; ${there}`,
      )
    }
  }
  if (byKey.length === 0) {
    throw new MillraceError(
      'QUERY_INVALID',
      `no metric of job ${query.job} has the event's key among its dimensions, or is about persons: define one with the key ` +
        'in `by`',
    )
  }
  return query.metrics.length === 0 ? byKey : byKey.filter(({ info }) => query.metrics.includes(info.metric))
}

function knowsKeys({ keyDimension = -1, timeline, ratio }: ViewMetric): boolean {
  return ratio === undefined && (keyDimension >= 0 || timeline !== undefined)
}

function asMetricQuery(query: KeyQuery, metric: string): MetricQuery {
  const { job, fromMs, toMs, limit } = query
  return { job, metric, fromMs, toMs, filters: new Map(), groupBy: null, limit, latest: true }
}
