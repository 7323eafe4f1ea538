/**
 * Whole funnels and retentions, as tables and as JSON.
 *
 * The JSON forms are API, as those of values are (cli/metric-view.ts): a rate that there is none of is null.
 */
import type { CohortReport, FunnelResult, FunnelStepReport, ReportPlace, RetentionResult } from '../query/api.ts'
import { formatElapsed, formatNumber, formatWatermark, formatWindow, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import { dimensionsJson, metricJson, textCells } from './metric-view.ts'
import type { Output } from './output.ts'

/** Width of the bar of a whole, in characters. */
const BAR = 24

/** Writes a funnel: a table for each window and group. */
export function writeFunnel(output: Output, result: FunnelResult): void {
  const { info, funnels, dimensions, watermarkMs } = result
  if (output.format === 'json') {
    output.json({
      metric: metricJson(info),
      funnels: funnels.map(({ steps, ...place }) => ({ ...placeJson(place, dimensions), steps: steps.map(stepJson) })),
      watermark: jsonInstant(watermarkMs),
    })
    return
  }
  funnels.forEach(({ steps, ...place }, index) => {
    if (index > 0) output.line()
    output.line(output.style('bold', placeText(place, info.window.timezone)))
    output.table(
      [
        { title: 'STEP', align: 'right' },
        { title: 'WHERE' },
        { title: 'PERSONS', align: 'right' },
        { title: 'OF FIRST', align: 'right' },
        { title: '' },
        { title: 'OF BEFORE', align: 'right' },
        { title: 'LEFT', align: 'right' },
        { title: 'MEAN TIME', align: 'right' },
      ],
      steps.map((step) => [
        String(step.step),
        printable(step.where),
        formatNumber(step.persons),
        percent(step.conversion),
        bar(step.conversion),
        step.step === 1 ? '' : percent(step.stepConversion),
        step.step === 1 ? '' : formatNumber(step.dropped),
        step.step === 1 || Number.isNaN(step.meanTimeMs) ? '' : formatElapsed(step.meanTimeMs),
      ]),
      '',
    )
  })
  if (funnels.length === 0) output.note(`no values of ${info.job}/${info.metric} in that range`)
  output.note(`watermark ${formatWatermark(watermarkMs)}`)
}

/** Writes a retention: a row for each cohort, and the curve. Numbers in brackets can still rise. */
export function writeRetention(output: Output, result: RetentionResult): void {
  const { info, cohorts, curve, dimensions, watermarkMs } = result
  if (output.format === 'json') {
    output.json({
      metric: metricJson(info),
      cohorts: cohorts.map(({ size, periods, ...place }) => ({
        ...placeJson(place, dimensions),
        size,
        periods: periods.map((period) => ({
          ...period,
          retention: jsonNumber(period.retention),
          previous: jsonNumber(period.previous),
        })),
      })),
      curve: curve.map((point) => ({ ...point, weighted: jsonNumber(point.weighted), mean: jsonNumber(point.mean) })),
      watermark: jsonInstant(watermarkMs),
    })
    return
  }
  const { timezone } = info.window
  if (cohorts.length > 0) {
    output.table(
      [
        { title: timezone === 'UTC' ? 'COHORT' : `COHORT (${timezone})` },
        ...dimensions.map((name) => ({ title: name.toUpperCase() })),
        { title: 'PERSONS', align: 'right' },
        ...curve.map(({ period }) => ({ title: String(period), align: 'right' as const })),
      ],
      [
        ...cohorts.map((cohort) => cohortCells(cohort, timezone)),
        ['all that are mature', ...dimensions.map(() => ''), '', ...curve.map(({ weighted }) => percent(weighted))],
      ],
      '',
    )
    if (cohorts.some(({ immature }) => immature)) output.note('in brackets: not everybody has had their time yet')
  } else output.note(`no values of ${info.job}/${info.metric} in that range`)
  output.note(`watermark ${formatWatermark(watermarkMs)}`)
}

function cohortCells({ periods, size, ...place }: CohortReport, timezone: string): string[] {
  return [
    formatWindow(place.windowStartMs, place.windowEndMs, timezone),
    ...textCells(place.dimensions),
    formatNumber(size),
    ...periods.map(({ retention, immature }) => (immature ? `(${percent(retention)})` : percent(retention))),
  ]
}

function placeText({ dimensions, windowStartMs, windowEndMs, immature, status }: ReportPlace, zone: string): string {
  const window = `${formatWindow(windowStartMs, windowEndMs, zone)}${zone === 'UTC' ? '' : ` (${zone})`}`
  return [window, ...textCells(dimensions), immature ? 'immature' : status].join('  ')
}

function placeJson(place: ReportPlace, names: readonly string[]) {
  return {
    dimensions: dimensionsJson(names, place.dimensions),
    windowStart: jsonInstant(place.windowStartMs),
    windowEnd: jsonInstant(place.windowEndMs),
    status: place.status,
    revision: place.revision,
    immature: place.immature,
  }
}

function stepJson(step: FunnelStepReport) {
  return {
    ...step,
    conversion: jsonNumber(step.conversion),
    stepConversion: jsonNumber(step.stepConversion),
    meanTimeMs: jsonNumber(step.meanTimeMs),
  }
}

function bar(share: number): string {
  return Number.isNaN(share) ? '' : '█'.repeat(Math.round(share * BAR))
}

function percent(share: number): string {
  return Number.isNaN(share) ? '-' : `${formatNumber(Math.round(share * 1000) / 10)} %`
}
