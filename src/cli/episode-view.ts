/**
 * Episodes and detectors, as tables and as JSON.
 *
 * The JSON forms are API: groups by name, times as RFC 3339, every field always there.
 */
import type { DetectorInfo, EpisodeInfo, Group, SeriesInfo } from '../detection/api.ts'
import { formatNumber, formatWatermark, printable } from './format.ts'
import { jsonInstant, jsonNumber } from './job-view.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

/** An episode for JSON. */
export function episodeJson(episode: EpisodeInfo) {
  const { startMs, openedMs, lastMs, endMs, judgedThroughMs, group, ...rest } = episode
  return {
    ...rest,
    group: groupJson(group),
    start: jsonInstant(startMs),
    opened: jsonInstant(openedMs),
    last: jsonInstant(lastMs),
    end: endMs === null ? null : jsonInstant(endMs),
    judgedThrough: jsonInstant(judgedThroughMs),
  }
}

/** A detector for JSON. */
export function detectorJson({ judgedThroughMs, series, ...rest }: DetectorInfo) {
  return { ...rest, judgedThrough: jsonInstant(judgedThroughMs), series: series.map(seriesJson) }
}

function seriesJson({ group, actual, expected, lower, upper, calibration, ...rest }: SeriesInfo) {
  return {
    ...rest,
    group: groupJson(group),
    actual: jsonNumber(actual),
    expected: jsonNumber(expected),
    lower: jsonNumber(lower),
    upper: jsonNumber(upper),
    calibration:
      calibration === null ? null : { ...calibration, ratePerPeriodMax: jsonNumber(calibration.ratePerPeriodMax) },
  }
}

/** Writes episodes, and of detectors that do not judge why. */
export function writeEpisodes(
  output: Output,
  episodes: readonly EpisodeInfo[],
  detectors: readonly DetectorInfo[],
): void {
  if (output.format === 'json') {
    output.json({ episodes: episodes.map(episodeJson) })
    return
  }
  output.table(episodeColumns, episodes.map(episodeCells), 'no episodes')
  for (const { id, waiting } of detectors) if (waiting !== '') output.note(`${id} is waiting: ${printable(waiting)}`)
}

/** Writes detectors with their series. */
export function writeDetectors(output: Output, detectors: readonly DetectorInfo[]): void {
  if (output.format === 'json') {
    output.json({ detectors: detectors.map(detectorJson) })
    return
  }
  const rows = detectors.flatMap((detector) => {
    const { id, kind, metric, series, judgedThroughMs } = detector
    const own = [id, kind, metric]
    if (series.length === 0) return [[...own, '-', 'noData', '-', '-', '-', formatWatermark(judgedThroughMs)]]
    return series.map((one) => [...own, ...seriesCells(one), formatWatermark(judgedThroughMs)])
  })
  const titles = ['DETECTOR', 'KIND', 'METRIC', 'GROUP', 'STATE', 'SCORE', 'THRESHOLD', 'SET BY', 'JUDGED THROUGH']
  output.table(
    titles.map((title): TableColumn => ({ title, ...(title === 'SCORE' ? { align: 'right' } : {}) })),
    rows,
    'no detectors',
  )
  for (const { id, waiting, groupsLeftOut } of detectors) {
    if (waiting !== '') output.note(`${id} is waiting: ${printable(waiting)}`)
    if (groupsLeftOut > 0) output.note(`${id} leaves out ${formatNumber(groupsLeftOut)} groups: raise maxGroups`)
  }
}

const episodeColumns: readonly TableColumn[] = [
  { title: 'START' },
  { title: 'END' },
  { title: 'DETECTOR' },
  { title: 'GROUP' },
  { title: 'STATE' },
  { title: 'DIRECTION' },
  { title: 'SCORE', align: 'right' },
  { title: 'ACTUAL', align: 'right' },
  { title: 'EXPECTED', align: 'right' },
  { title: 'ID' },
]

function episodeCells(episode: EpisodeInfo): string[] {
  const { startMs, endMs, detector, group, state, direction, score, actual, expected, id } = episode
  return [
    formatWatermark(startMs),
    endMs === null ? '-' : formatWatermark(endMs),
    detector,
    groupText(group),
    state,
    direction,
    rounded(score),
    rounded(actual),
    rounded(expected),
    id,
  ]
}

/** One change of an episode in a line of columns with tabs. */
export function episodeLine(episode: EpisodeInfo): string {
  return episodeCells(episode).join('\t')
}

function seriesCells({ group, state, score, threshold, lower, upper, calibration }: SeriesInfo): string[] {
  const bounds = [lower, upper].map((bound) => (Number.isNaN(bound) ? '' : rounded(bound)))
  const limit = threshold === 0 ? bounds.join('..') : rounded(threshold)
  return [groupText(group), state, rounded(score), limit === '..' ? '-' : limit, setBy(calibration)]
}

function setBy(calibration: SeriesInfo['calibration']): string {
  if (calibration === null) return '-'
  const { verdict, falseAlarms, judgedWindows } = calibration
  return `${verdict}: ${formatNumber(falseAlarms)} false alarms in ${formatNumber(judgedWindows)} windows`
}

function groupText(group: Group): string {
  return group.length === 0 ? '-' : group.map(({ name, value }) => `${name}=${printable(value)}`).join(', ')
}

function groupJson(group: Group): Record<string, string> {
  return Object.fromEntries(group.map(({ name, value }) => [name, value]))
}

function rounded(value: number): string {
  return Number.isNaN(value) ? '-' : String(Number(value.toPrecision(4)))
}
