/**
 * Values of a metric to hand on: CSV or JSON whose header says what they are (definition, window, time zone) and how far the
 * input was complete (watermark, values that can still change).
 *
 * CSV is RFC 4180, with LF as its line end, under lines that begin with `#`. Spreadsheets take a cell that begins with `=`,
 * `+`, `-` or `@` for a formula, and texts come from strangers' events: such texts get an apostrophe in front, and so do
 * those that have theirs already, so that no two texts are one cell. Numbers are as they are.
 */
import { describeWindow } from '../job/window-text.ts'
import type { MetricResult, MetricValue } from '../query/metric-info.ts'
import { formatWindow } from './format.ts'
import { jsonInstant } from './job-view.ts'
import { describeKind, metricJson, valueJson } from './metric-view.ts'
import type { Output } from './output.ts'

/** Forms of an export. */
export type ExportForm = 'csv' | 'json'

/** Writes an export; `nowMs` is the wall clock. */
export function writeExport(output: Output, result: MetricResult, form: ExportForm, nowMs: number): void {
  if (form === 'json') {
    const { values } = result
    output.json({
      export: headerOf(result, nowMs),
      metric: metricJson(result.info),
      values: values.map((value) => valueJson(result, value)),
    })
    return
  }
  for (const [name, value] of Object.entries(headerOf(result, nowMs)))
    output.line(`# ${name}: ${oneLine(String(value))}`)
  for (const row of csvRows(result)) output.line(row.map(csvCell).join(','))
}

/** What the values are, and how complete. */
export function headerOf({ info, values, truncated }: MetricResult, nowMs: number) {
  const watermarks = values.map(({ watermarkMs }) => watermarkMs)
  const isOpen = ({ status, immature }: MetricValue): boolean => status === 'provisional' || immature === true
  return {
    metric: `${info.job}/${info.metric}`,
    description: info.description,
    definition: [
      describeKind(info.kind),
      ...(info.where === '' ? [] : [`where ${info.where}`]),
      ...(info.dimensions.length === 0 ? [] : [`by ${info.dimensions.join(', ')}`]),
      ...(info.preset === undefined ? [] : [`preset ${info.preset}`]),
    ].join(', '),
    window: describeWindow(info.window),
    timezone: info.window.timezone,
    watermark: watermarks.length === 0 ? '' : (jsonInstant(Math.min(...watermarks)) ?? ''),
    exportedAt: jsonInstant(nowMs) ?? '',
    values: values.length,
    canStillChange: values.filter(isOpen).length,
    truncated,
  }
}

/** The table, its names first: texts and numbers. */
export function csvRows(result: MetricResult): (string | number)[][] {
  const { info, dimensions, values } = result
  const { timezone, kind } = info.window
  const listed = values.some(({ detail }) => detail != null)
  return [
    [
      ...['window', ...dimensions, 'value', 'status', 'immature', 'revision', 'event_count', 'late_count'],
      ...['window_start', 'window_end', 'other_groups'],
      ...(listed ? ['detail'] : []),
    ],
    ...values.map((value) => [
      kind === 'global' ? 'all time' : formatWindow(value.windowStartMs, value.windowEndMs, timezone),
      ...value.dimensions,
      Number.isNaN(value.value) ? '' : value.value,
      ...[value.status, String(value.immature === true), value.revision, value.eventCount, value.lateCount],
      ...[jsonInstant(value.windowStartMs) ?? '', jsonInstant(value.windowEndMs) ?? '', value.otherGroups ?? 0],
      ...(listed ? [detailOf(value)] : []),
    ]),
  ]
}

function detailOf({ detail }: MetricValue): string {
  if (detail == null) return ''
  if (detail.error !== undefined) return `standard error ${detail.error}`
  return detail.text ?? JSON.stringify(Object.fromEntries(detail.items.map(({ label, value }) => [label, value])))
}

/** What a spreadsheet would run, behind any number of apostrophes; East Asian ones take the wide forms for the same. */
const formula = /^'*[=+\-@\t\r\n＝＋－＠]/

/** A cell by RFC 4180. A reader gets the text back by taking one apostrophe from what is a formula behind it. */
export function csvCell(cell: string | number): string {
  if (typeof cell === 'number') return String(cell)
  const text = formula.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
