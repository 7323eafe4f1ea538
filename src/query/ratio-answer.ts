/**
 * Ratios of metrics of different tables: both sides are asked, and put together here.
 *
 * Owns: what each side is asked, and following both. Does not own: dividing (query/ratio.ts). A watch keeps no values: what
 * changed on either side names windows and groups, and those are asked for anew. So it ends with what both sides have, and
 * a change that comes while it asks is told with the next look.
 */
import { MillraceError } from '../core/errors.ts'
import type { RatioPlan } from '../job/plan.ts'
import { windowSizeMs } from '../job/window-text.ts'
import { answerQuery } from './answer.ts'
import { type MetricQuery, maxQueryLimit } from './api.ts'
import { Follower, type Looker } from './follower.ts'
import type { MetricInfo, MetricResult, MetricValue } from './metric-info.ts'
import { keyOf, ratioValues } from './ratio.ts'
import { keptDimensions, limitValues } from './render.ts'
import { checkConditions, passing, topOfWindows } from './selection.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

const DAY_MS = 86_400_000

/** Windows that are asked for one by one; more are asked for together. */
const SINGLE_WINDOWS_MAX = 16

/** A ratio and its metrics. */
export interface RatioSides {
  readonly info: MetricInfo
  readonly plan: RatioPlan
  readonly of: ViewMetric
  readonly to: ViewMetric
}

/** The metrics of a ratio; null where `metric` is none that is put together here. */
export function sidesOf(metrics: readonly ViewMetric[], metric: ViewMetric): RatioSides | null {
  const { info, ratio } = metric
  if (ratio === undefined) return null
  const named = (id: string): ViewMetric => metrics.find((one) => one.info.job === info.job && one.info.metric === id)!
  return { info, plan: ratio, of: named(ratio.of), to: named(ratio.to) }
}

/** Answers a query about a ratio. */
export async function answerRatio(views: ViewPort, sides: RatioSides, query: MetricQuery): Promise<MetricResult> {
  checkConditions(query)
  const { info, plan } = sides
  const [ofQuery, toQuery] = sideQueries(sides, query)
  const [of, to] = await Promise.all([
    answerQuery(views, sides.of, ofQuery, null),
    answerQuery(views, sides.to, toQuery, null),
  ])
  const values = ratioValues(
    { ...of, settleMs: sides.of.settleMs ?? 0 },
    { ...to, settleMs: sides.to.settleMs ?? 0 },
    plan,
    query,
  )
  // Of a side that was cut, the oldest window may be there in part.
  const wholeFromMs = Math.max(...[of, to].map(({ result }) => wholeFrom(result)))
  const whole = passing(values, query).filter(({ windowEndMs }) => windowEndMs > wholeFromMs)
  const answer = limitValues(query.top == null ? whole : topOfWindows(whole, query.top), query)
  const truncated = answer.truncated || wholeFromMs > Number.NEGATIVE_INFINITY
  return { info, dimensions: of.result.dimensions, values: answer.values, truncated }
}

function wholeFrom({ truncated, values }: MetricResult): number {
  return truncated ? Math.min(...values.map(({ windowEndMs }) => windowEndMs)) : Number.NEGATIVE_INFINITY
}

/** What each side is asked: the same, as far as it has the dimensions. Conditions on values are the ratio's. */
function sideQueries({ of, to, info }: RatioSides, query: MetricQuery): readonly [MetricQuery, MetricQuery] {
  // Names that are no dimension at all are told of the ratio.
  keptDimensions(info, { ...query, groupBy: null })
  const all = { ...query, values: [], top: null, limit: maxQueryLimit }
  const has = (name: string): boolean => to.info.dimensions.includes(name)
  return [
    { ...all, metric: of.info.metric },
    {
      ...all,
      metric: to.info.metric,
      // A window below the line may begin when the one above it is long over, and ends with it all the same.
      toMs: query.toMs + windowSizeMs(of.info.window) + DAY_MS,
      filters: new Map([...query.filters].filter(([name]) => has(name))),
      where: (query.where ?? []).filter(({ name }) => has(name)),
      groupBy: query.groupBy?.filter(has) ?? null,
    },
  ]
}

/** What a watch of a ratio has seen: what its sides have told since the last look that succeeded. */
export class RatioFollower implements Looker {
  readonly #views: ViewPort
  readonly #sides: RatioSides
  readonly #query: MetricQuery
  readonly #changesOnly: boolean
  readonly #deliver: (result: MetricResult) => void
  readonly #followers: readonly Follower[]
  readonly #changed: readonly [MetricValue[], MetricValue[]] = [[], []]

  constructor(
    views: ViewPort,
    sides: RatioSides,
    query: MetricQuery,
    changesOnly: boolean,
    deliver: (result: MetricResult) => void,
  ) {
    this.#views = views
    this.#sides = sides
    this.#query = query
    this.#changesOnly = changesOnly
    this.#deliver = deliver
    const queries = sideQueries(sides, query)
    this.#followers = [sides.of, sides.to].map((metric, side) => {
      const asked = { ...queries[side]!, latest: false }
      const take = ({ values }: MetricResult): void => {
        for (const value of values) this.#changed[side]!.push(value)
      }
      return new Follower(views, metric, asked, keptDimensions(metric.info, asked), true, take)
    })
  }

  async look(first: boolean): Promise<boolean> {
    const ended = await Promise.all(this.#followers.map((follower) => follower.look(first)))
    if (first) {
      // Asked for after the sides have said where changes begin: none is missed between the two.
      const all = await answerRatio(this.#views, this.#sides, this.#query)
      this.#deliver(this.#changesOnly ? { ...all, values: [], truncated: false } : all)
    } else {
      const result = await this.#changes()
      if (result !== null) this.#deliver(result)
    }
    for (const side of this.#changed) side.length = 0
    return ended.every((over) => over)
  }

  /** The ratios that what changed is part of, as they are now; null for none. */
  async #changes(): Promise<MetricResult | null> {
    const [of, to] = this.#changed
    const ends = [...new Set([...of, ...to].map(({ windowEndMs }) => windowEndMs))]
    if (ends.length === 0) return null
    const answers = await this.#askFor(ends)
    const { dimensions } = answers[0]!
    const common = this.#commonOf(dimensions)
    const wanted = new Set([
      ...of.map((value) => `of ${keyOf(value.windowEndMs, value.dimensions)}`),
      ...to.map((value) => `to ${keyOf(value.windowEndMs, value.dimensions)}`),
    ])
    const told = new Set<string>()
    const values = answers
      .flatMap((answer) => answer.values)
      .filter((value) => {
        const own = keyOf(value.windowEndMs, value.dimensions)
        const under = keyOf(
          value.windowEndMs,
          common.map((index) => value.dimensions[index] ?? ''),
        )
        if (told.has(own) || !(wanted.has(`of ${own}`) || wanted.has(`to ${under}`))) return false
        told.add(own)
        return true
      })
    // Persons have left: there is no such value any more.
    const left = of.filter((value) => value.eventCount === 0 && !told.has(keyOf(value.windowEndMs, value.dimensions)))
    const all = [...values, ...left.map((value) => ({ ...value, value: Number.NaN }))]
    return all.length === 0 ? null : { info: this.#sides.info, dimensions, values: all, truncated: false }
  }

  async #askFor(ends: readonly number[]): Promise<MetricResult[]> {
    const query = { ...this.#query, latest: false, limit: maxQueryLimit }
    const within = (fromMs: number, toMs: number): MetricQuery => {
      return { ...query, fromMs: Math.max(query.fromMs, fromMs), toMs: Math.min(query.toMs, toMs) }
    }
    if (ends.length > SINGLE_WINDOWS_MAX) {
      const range = within(Math.min(...ends) - 1, Math.max(...ends))
      return [await answerRatio(this.#views, this.#sides, range)]
    }
    const answers: MetricResult[] = []
    for (const end of ends) answers.push(await answerRatio(this.#views, this.#sides, within(end - 1, end)))
    return answers
  }

  /** Places of the dimensions below the line in those of the ratio. */
  #commonOf(dimensions: readonly string[]): readonly number[] {
    const { to } = this.#sides
    const kept = this.#query.groupBy?.filter((name) => to.info.dimensions.includes(name)) ?? to.info.dimensions
    return kept.map((name) => dimensions.indexOf(name))
  }
}

/** Refuses a lookup by name of a metric that is put together of others. QUERY_INVALID. */
export function refuseLookup({ info, ratio }: ViewMetric): void {
  if (ratio === undefined) return
  throw new MillraceError(
    'QUERY_INVALID',
    `metric ${info.job}/${info.metric} is put together of ${ratio.of} and ${ratio.to}: look those up`,
  )
}
