/**
 * What is known of one key, as tables and as JSON.
 *
 * The JSON form is API, as those of values are (cli/metric-view.ts).
 */
import type { KeyQuery, KeyResult, PersonTimeline } from '../query/key-api.ts'
import { formatNumber, formatTime, formatWatermark, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import { dimensionsJson, metricJson, textCells, valueCells, valueColumns, valueJson } from './metric-view.ts'
import type { Output } from './output.ts'

/** Writes what is known of one key: a table for each metric. */
export function writeKey(output: Output, asked: Pick<KeyQuery, 'job' | 'key'>, found: KeyResult): void {
  const { results, timelines, subtask, watermarkMs } = found
  if (output.format === 'json') {
    output.json({
      key: asked.key,
      subtask,
      watermark: jsonInstant(watermarkMs),
      metrics: results.map((result) => ({
        metric: metricJson(result.info),
        values: result.values.map((value) => valueJson(result, value)),
        truncated: result.truncated,
        ofPerson: result.ofPerson,
      })),
      timelines: timelines.map(timelineJson),
    })
    return
  }
  const known = results.filter((result) => result.values.length > 0)
  known.forEach((result, index) => {
    const { info } = result
    if (index > 0) output.line()
    output.line(output.style('bold', `${info.job}/${info.metric}`))
    const rows = result.values.map((value) => valueCells(info, value))
    output.table(valueColumns(result.dimensions, info), rows, '')
    if (result.ofPerson) output.note(`what ${printable(asked.key)} alone comes to, in windows that can still change`)
    if (result.truncated) output.note(`there are more of ${info.metric}; these are the newest`)
  })
  const told = timelines.filter(({ events }) => events.length > 0)
  for (const timeline of told) writeTimeline(output, timeline)
  if (known.length === 0 && told.length === 0)
    output.note(`nothing is known of ${printable(asked.key)} in job ${asked.job}`)
  output.note(`owned by subtask ${subtask}, watermark ${formatWatermark(watermarkMs)}`)
}

/** Writes a person's events, a line each. */
function writeTimeline(output: Output, { metrics, conditions, dimensions, events, truncated }: PersonTimeline): void {
  output.line()
  output.line(output.style('bold', `timeline of ${metrics.join(', ')}`))
  const valued = events.some(({ value }) => !Number.isNaN(value))
  output.table(
    [
      { title: 'TIME' },
      { title: 'IS' },
      ...dimensions.map((name) => ({ title: name.toUpperCase() })),
      ...(valued ? [{ title: 'VALUE', align: 'right' as const }] : []),
      { title: 'COPIES', align: 'right' },
    ],
    events.map((event) => [
      formatTime(event.timeMs),
      printable(event.conditions.map((index) => conditions[index] ?? String(index)).join(', ')),
      ...textCells(event.dimensions),
      ...(valued ? [Number.isNaN(event.value) ? '' : formatNumber(event.value)] : []),
      event.copies === 1 ? '' : formatNumber(event.copies),
    ]),
    '',
  )
  if (truncated) output.note('there are earlier ones')
}

function timelineJson({ events, dimensions, conditions, ...timeline }: PersonTimeline) {
  return {
    ...timeline,
    conditions,
    events: events.map((event) => ({
      time: jsonInstant(event.timeMs),
      is: event.conditions.map((index) => conditions[index] ?? String(index)),
      dimensions: dimensionsJson(dimensions, event.dimensions),
      copies: event.copies,
      value: jsonNumber(event.value),
    })),
  }
}
