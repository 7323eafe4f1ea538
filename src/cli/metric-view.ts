/**
 * Metrics and their values, as tables and as JSON.
 *
 * The JSON forms are API: dimensions by name, times as RFC 3339, every field always there.
 */

import { type MoneyDefinition, moneyOf, shownMoney } from '../job/money-definition.ts'
import { boundsOf, statedError } from '../job/sketch-limits.ts'
import { describeWindow, windowOffsetMs, windowSizeMs, windowStepMs } from '../job/window-text.ts'
import type { MetricResult, MetricValue } from '../query/metric-info.ts'
import { isAdditive, type MetricInfo } from '../query/metric-info.ts'
import { formatNumber, formatWatermark, formatWindow, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

/** A metric for JSON. */
export function metricJson(info: MetricInfo) {
  return {
    job: info.job,
    metric: info.metric,
    description: info.description,
    kind: info.kind.kind,
    preset: info.preset ?? '',
    field: 'field' in info.kind ? info.kind.field : '',
    where: info.where,
    dimensions: info.dimensions,
    window: describeWindow(info.window),
    windowKind: info.window.kind,
    windowSizeMs: windowSizeMs(info.window),
    windowStepMs: windowStepMs(info.window),
    windowOffsetMs: windowOffsetMs(info.window),
    timezone: info.window.timezone,
    integer: info.integer,
    additive: isAdditive(info),
    maxGroups: info.maxGroups ?? null,
    error: statedError(info.kind),
    exactUpTo: 'exactUpTo' in info.kind ? info.kind.exactUpTo : null,
    q: info.kind.kind === 'quantile' ? info.kind.q : null,
    k: info.kind.kind === 'topK' ? info.kind.k : null,
    sample: 'sample' in info.kind && info.kind.sample,
    bounds: boundsOf(info.kind),
    measure: 'measure' in info.kind ? info.kind.measure : (moneyOf(info.kind)?.measure ?? null),
    ratio: info.kind.kind === 'ratio' ? { of: info.kind.of, to: info.kind.to, scale: info.kind.scale } : null,
    periods: info.kind.kind === 'retention' ? info.kind.periods : null,
    retentionMode: info.kind.kind === 'retention' ? info.kind.mode : null,
    cohort: info.kind.kind === 'retention' ? info.kind.cohort : null,
    clock: info.kind.kind === 'retention' ? info.kind.clock : null,
    interval: info.kind.kind === 'stickiness' ? info.kind.interval : null,
    gapMs: 'gapMs' in info.kind ? info.kind.gapMs : null,
    maxDurationMs: 'maxDurationMs' in info.kind ? info.kind.maxDurationMs : null,
    cutAtMidnight: info.kind.kind === 'sessions' ? info.kind.cutAtMidnight : null,
    engagedAfterMs: info.kind.kind === 'sessions' ? info.kind.engagedAfterMs : null,
    bounce: info.kind.kind === 'sessions' ? info.kind.bounce : null,
    steps: info.kind.kind === 'paths' ? info.kind.steps : null,
    collapse: info.kind.kind === 'paths' ? info.kind.collapse : null,
    currency: shownMoney(info.kind)?.in ?? null,
    decimals: moneyOf(info.kind)?.decimals ?? null,
    ages: info.kind.kind === 'lifetimeValue' ? info.kind.ages : null,
  }
}

/** Dimensions for JSON: texts by name. */
export function dimensionsJson(names: readonly string[], texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']))
}

/** The texts of a group for people; `-` for an empty one. */
export function textCells(texts: readonly string[]): string[] {
  return texts.map((text) => (text === '' ? '-' : printable(text)))
}

/** A value for JSON. */
export function valueJson(result: Pick<MetricResult, 'info' | 'dimensions'>, value: MetricValue) {
  return {
    job: result.info.job,
    metric: result.info.metric,
    dimensions: dimensionsJson(result.dimensions, value.dimensions),
    windowStart: jsonInstant(value.windowStartMs),
    windowEnd: jsonInstant(value.windowEndMs),
    value: jsonNumber(value.value),
    items: value.detail?.items ?? [],
    text: value.detail?.text ?? null,
    error: value.detail?.error ?? null,
    status: value.status,
    revision: value.revision,
    watermark: jsonInstant(value.watermarkMs),
    lateCount: value.lateCount,
    eventCount: value.eventCount,
    otherGroups: value.otherGroups ?? 0,
    attempt: value.attempt,
    immature: value.immature === true,
  }
}

/** Writes what metrics there are. */
export function writeMetrics(output: Output, metrics: readonly MetricInfo[]): void {
  if (output.format === 'json') {
    output.json({ metrics: metrics.map(metricJson) })
    return
  }
  output.table(
    ['METRIC', 'KIND', 'WINDOW', 'BY', 'DESCRIPTION'].map((title) => ({ title })),
    metrics.map((info) => [
      `${info.job}/${info.metric}`,
      `${describeKind(info.kind)}${info.preset === undefined ? '' : ` (${info.preset})`}`,
      describeWindow(info.window),
      info.dimensions.join(', '),
      printable(info.description),
    ]),
    'no metrics',
  )
}

/** A kind for people: `sum(price)`, `quantile 0.95 (price)`, `topK 10 (screen)`. */
export function describeKind(kind: MetricInfo['kind']): string {
  const field = 'field' in kind && kind.field !== '' ? `(${kind.field})` : ''
  if (kind.kind === 'lifetimeValue') return `lifetimeValue ${kind.measure} ${kind.money.in} ${field}`
  const money = moneyOf(kind)
  if (money?.measure === 'unconverted') return `unconverted${field}`
  if (money !== undefined) return `${kind.kind}${'q' in kind ? ` ${kind.q}` : ''} ${money.in} ${field}`
  if (kind.kind === 'quantile') return `quantile ${kind.q} ${field}`
  if (kind.kind === 'topK') return `topK ${kind.k} ${field}`
  if (kind.kind === 'funnel') return `funnel ${kind.measure}`
  if (kind.kind === 'retention') return `retention ${kind.measure} ${kind.mode}`
  if (kind.kind === 'stickiness') return `stickiness by ${kind.interval}`
  if (kind.kind === 'sessions')
    return `sessions ${kind.measure}${kind.measure === 'bounceRate' ? ` ${kind.bounce}` : ''}`
  if (kind.kind === 'ratio') return `${kind.of} / ${kind.to}${kind.scale === 1 ? '' : ` x ${kind.scale}`}`
  const exactUpTo = 'exactUpTo' in kind ? ` exact up to ${kind.exactUpTo}` : ''
  return `${kind.kind}${field}${exactUpTo}`
}

/** A value for people: its list or its text where it has one; money in main units; `-` for none. */
export function formatValue(
  { value, detail }: Pick<MetricValue, 'value' | 'detail'>,
  kind: MetricInfo['kind'] = { kind: 'count' },
): string {
  const money = shownMoney(kind)
  if (money !== undefined) return Number.isFinite(value) ? formatMoney(value, money) : '-'
  if (detail?.error !== undefined) return `${formatNumber(value)} ± ${formatNumber(Math.ceil(value * detail.error))}`
  if (detail != null && detail.text !== null) return printable(detail.text)
  if (detail != null) {
    return detail.items
      .map(({ label, value: count, error }) => {
        const about = error > 0 ? ` (-${formatNumber(error)})` : ''
        return `${printable(label)}: ${formatNumber(count)}${about}`
      })
      .join(', ')
  }
  return Number.isNaN(value) ? '-' : formatNumber(value)
}

/** Units as money: `1234.50 EUR`. What is no whole number of units, as a mean, has all its digits. */
function formatMoney(units: number, { in: currency, decimals }: MoneyDefinition): string {
  const main = units / 10 ** decimals
  return `${Number.isInteger(units) ? main.toFixed(decimals) : formatNumber(main)} ${currency}`
}

/** The columns of a table of values. */
export function valueColumns(dimensions: readonly string[], info: MetricInfo): TableColumn[] {
  const zone = info.window.timezone === 'UTC' ? '' : ` (${info.window.timezone})`
  return [
    { title: `WINDOW${zone}` },
    ...dimensions.map((name) => ({ title: name.toUpperCase() })),
    { title: 'VALUE', align: 'right' },
    { title: 'STATUS' },
    { title: 'EVENTS', align: 'right' },
    { title: 'LATE', align: 'right' },
  ]
}

/** The texts of a group; of what is left beside those that are shown, how many groups it is. */
function groupCells({ dimensions, otherGroups }: MetricValue): string[] {
  if (otherGroups === undefined) return textCells(dimensions)
  return dimensions.map((_, i) => (i === 0 ? `(${formatNumber(otherGroups)} others)` : ''))
}

/** The cells of one value. */
export function valueCells(info: MetricInfo, value: MetricValue): string[] {
  const { kind, timezone } = info.window
  return [
    kind === 'global' ? 'all time' : formatWindow(value.windowStartMs, value.windowEndMs, timezone),
    ...groupCells(value),
    formatValue(value, info.kind),
    statusText(value),
    formatNumber(value.eventCount),
    formatNumber(value.lateCount),
  ]
}

/** How settled a value is, for people: its status, how often it was corrected, and whether it can still rise in time. */
function statusText({ status, revision, immature }: MetricValue): string {
  if (immature === true) return 'immature'
  return revision > 1 ? `${status} (${revision})` : status
}

/** Writes the answer to a query. */
export function writeResult(output: Output, result: MetricResult): void {
  if (output.format === 'json') {
    output.json({
      metric: metricJson(result.info),
      values: result.values.map((value) => valueJson(result, value)),
      truncated: result.truncated,
    })
    return
  }
  const { info } = result
  output.table(
    valueColumns(result.dimensions, info),
    result.values.map((value) => valueCells(info, value)),
    `no values of ${info.job}/${info.metric} in that range`,
  )
  const newest = result.values.at(-1)
  if (newest !== undefined) output.note(`watermark ${formatWatermark(newest.watermarkMs)}`)
  if (result.truncated) output.note('there are more; these are the newest')
}
