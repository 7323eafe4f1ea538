/** What is known of one key: domain types (query/key-api.ts) to wire messages and back. Pure. */

import { MillraceError } from '../core/errors.ts'
import type { LookupKeyResponse, PersonTimeline as WireTimeline } from '../gen/millrace/v1/query.ts'
import type { KeyResult, PersonTimeline } from '../query/key-api.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'
import { fromDescription, fromValue, toDescription, toValues } from './query-messages.ts'

/** An answer for the wire. */
export function toKeyResponse({ results, timelines, subtask, watermarkMs }: KeyResult): LookupKeyResponse {
  const metrics = results.map((result) => ({
    metric: toDescription(result.info),
    values: toValues(result),
    truncated: result.truncated,
    ofPerson: result.ofPerson,
  }))
  return { metrics, subtask, watermark: toTimestamp(watermarkMs), timelines: timelines.map(toTimeline) }
}

/** An answer from the wire. */
export function fromKeyResponse(response: LookupKeyResponse): KeyResult {
  const results = response.metrics.map(({ metric, values, truncated, ofPerson }) => {
    if (metric === undefined) throw new MillraceError('INTERNAL', "the server's answer lacks `metric`")
    const info = fromDescription(metric)
    return { info, dimensions: info.dimensions, values: values.map(fromValue), truncated, ofPerson }
  })
  const { subtask, watermark, timelines } = response
  return { results, subtask, watermarkMs: fromTimestamp(watermark), timelines: timelines.map(fromTimeline) }
}

function toTimeline({ metrics, conditions, dimensions, events, truncated }: PersonTimeline): WireTimeline {
  return {
    ...{ metrics: [...metrics], conditions: [...conditions], dimensions: [...dimensions], truncated },
    events: events.map(({ timeMs, value, ...event }) => ({
      ...{ time: toTimestamp(timeMs), copies: event.copies },
      ...{ conditions: [...event.conditions], dimensions: [...event.dimensions] },
      ...(Number.isNaN(value) ? {} : { value }),
    })),
  }
}

function fromTimeline({ events, ...timeline }: WireTimeline): PersonTimeline {
  return {
    ...timeline,
    events: events.map(({ time, value = Number.NaN, ...event }) => {
      return { ...event, timeMs: fromTimestamp(time, Number.NaN), value }
    }),
  }
}
