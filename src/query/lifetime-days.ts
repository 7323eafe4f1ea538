/**
 * What each person spent on each day, out of the views of a metric by person and day: what lifetimes are predicted from.
 *
 * Owns: which metrics have it, reading more of it than one answer holds, and up to which day it is complete. Does not own:
 * what it comes to (query/lifetime-report.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK } from '../core/time.ts'
import type { PeriodPurchase } from '../metrics/purchase-statistics.ts'
import { createAssigner } from '../window/assigner.ts'
import { maxQueryLimit } from './api.ts'
import type { MetricInfo } from './metric-info.ts'
import { leastWatermarkMs } from './render.ts'
import { questionOf } from './selection.ts'
import type { ViewMetric, ViewPort } from './view-port.ts'

const DAY_MS = 86_400_000

/** Most days of persons that are read: some 500 MB. */
export const personDaysMax = 2_000_000

/** Where windows lie mostly: what must be asked in parts is first parted here, and halved where that is not enough. */
const EARLIEST_MS = 0
const LATEST_MS = Date.UTC(2100, 0)
/** The first and the last instant that a Date holds. */
const DATE_MAX_MS = 8.64e15

/** Days whose money is 0 or more are purchases: things are given away too. */
export interface PersonDays {
  /** By person, in the order in which they were found; periods are days from the first one on. */
  readonly purchases: ReadonlyMap<string, readonly PeriodPurchase[]>
  /** Start of day 0; NaN where there is nothing. */
  readonly sinceMs: number
  /** Days that are complete, or were asked for: 0 to this one. -1 for none. */
  readonly endDay: number
  /** Days that were left out, because more was refunded on them than bought. */
  readonly refundDays: number
  readonly watermarkMs: number
}

/** QUERY_INVALID for a metric that is not money by the event's key and day. */
export function checkByPersonAndDay({ info, keyDimension }: ViewMetric): void {
  const { window, kind, dimensions } = info
  const daily = window.kind === 'tumbling' && window.sizeMs === DAY_MS && window.time === 'event'
  if (kind.kind === 'sum' && daily && dimensions.length === 1 && keyDimension === 0) return
  throw new MillraceError(
    'QUERY_INVALID',
    `lifetimes are predicted from what each person spends on each day, which ${info.job}/${info.metric} is not: give a ` +
      "metric with sum, `by` the event's key alone, and window: { calendar: day }",
  )
}

/** Reads all days that start before `untilMs`. QUERY_TOO_LARGE, UNAVAILABLE. */
export async function personDays(views: ViewPort, metric: ViewMetric, untilMs: number): Promise<PersonDays> {
  const found: Day[] = []
  const whole = await readDays(views, metric, Number.NEGATIVE_INFINITY, untilMs, found)
  let { watermarkMs } = whole
  if (whole.truncated) {
    const bounds = [-DATE_MAX_MS, EARLIEST_MS, LATEST_MS, DATE_MAX_MS].filter((bound) => bound < untilMs)
    const parts = bounds.map((fromMs, i): [number, number] => [fromMs, Math.min(bounds[i + 1] ?? untilMs, untilMs)])
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const [fromMs, toMs] = part
      const answer = await readDays(views, metric, fromMs, toMs, found)
      watermarkMs = Math.min(watermarkMs, answer.watermarkMs)
      if (!answer.truncated) continue
      if (!(toMs - fromMs > DAY_MS)) throw tooLarge(metric.info)
      const middleMs = fromMs + (Math.min(toMs, DATE_MAX_MS + DAY_MS) - fromMs) / 2
      parts.unshift([fromMs, middleMs], [middleMs, toMs])
    }
  }
  return byPerson(metric.info, found, watermarkMs, untilMs)
}

interface Day {
  readonly person: string
  readonly startMs: number
  readonly amount: number
}

/** Adds the days that start in [fromMs, toMs) to `found`, or none where there are too many for one answer. */
async function readDays(
  views: ViewPort,
  { info, index }: ViewMetric,
  fromMs: number,
  toMs: number,
  found: Day[],
): Promise<{ readonly truncated: boolean; readonly watermarkMs: number }> {
  const query = { job: info.job, metric: info.metric, fromMs, toMs, filters: new Map<string, string>() }
  const { view } = questionOf(index, info, { ...query, groupBy: null, latest: false, limit: maxQueryLimit }, null, true)
  const { rows } = await views.ask(info.job, { ...view, sinceChange: [] }, info)
  const truncated = rows.some((part) => part.truncated)
  for (const part of truncated ? [] : rows) {
    for (let row = 0; row < part.count; row++) {
      const startMs = part.windowStartMs[row]!
      // A day that began before is of the part before.
      if (startMs < fromMs) continue
      found.push({ person: part.dimensions[row]![0] ?? '', startMs, amount: part.values[row]! })
    }
  }
  if (found.length > personDaysMax) throw tooLarge(info)
  return { truncated, watermarkMs: leastWatermarkMs(rows) }
}

function tooLarge({ job, metric }: MetricInfo): MillraceError {
  return new MillraceError(
    'QUERY_TOO_LARGE',
    `${job}/${metric} has more than ${personDaysMax} days of persons, or more than ${maxQueryLimit} persons on one day ` +
      'in a subtask: a fit needs no more than a sample; give a metric with a condition that takes some of the persons',
  )
}

function byPerson(info: MetricInfo, days: readonly Day[], watermarkMs: number, untilMs: number): PersonDays {
  const purchases = new Map<string, PeriodPurchase[]>()
  let sinceMs = Number.POSITIVE_INFINITY
  let lastMs = Number.NEGATIVE_INFINITY
  let refundDays = 0
  for (const { startMs, amount } of days) {
    if (!(amount >= 0)) continue
    sinceMs = Math.min(sinceMs, startMs)
    lastMs = Math.max(lastMs, startMs)
  }
  // Days of a clock are 23 to 25 hours.
  const dayOf = (startMs: number): number => Math.round((startMs - sinceMs) / DAY_MS)
  const completeMs = Math.min(watermarkMs === MAX_WATERMARK ? Infinity : watermarkMs + 1, untilMs)
  let endDay = Number.isFinite(sinceMs) ? dayOf(lastMs) : -1
  if (completeMs === Number.NEGATIVE_INFINITY) endDay = -1
  else if (endDay >= 0 && completeMs < Number.POSITIVE_INFINITY) {
    const windows = createAssigner(info.window)
    windows.assign(completeMs)
    endDay = Math.max(-1, dayOf(windows.startMs) - 1)
  }
  for (const { person, startMs, amount } of days) {
    if (!(amount >= 0)) {
      refundDays++
      continue
    }
    const own = purchases.get(person)
    const purchase = { period: dayOf(startMs), amount }
    if (own === undefined) purchases.set(person, [purchase])
    else own.push(purchase)
  }
  return { purchases, sinceMs: Number.isFinite(sinceMs) ? sinceMs : Number.NaN, endDay, refundDays, watermarkMs }
}
