/** Episodes and detectors: domain types (detection/api.ts) to wire messages and back. Pure. */
import type {
  CalibrationInfo,
  DetectedJob,
  DetectorInfo,
  EpisodeInfo,
  EpisodeResult,
  EpisodeState,
  Group,
  SeriesInfo,
  SeriesState,
} from '../detection/api.ts'
import type { EpisodeNews, EpisodeRecord } from '../detection/episode-output.ts'
import type * as wire from '../gen/millrace/v1/query.ts'
import { EpisodeChange } from '../gen/millrace/v1/query.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

/** Episodes for the wire. */
export function toEpisode(episode: EpisodeInfo): wire.Episode {
  const { startMs, openedMs, lastMs, endMs, judgedThroughMs, group, ...rest } = episode
  return {
    ...rest,
    group: [...group],
    start: toTimestamp(startMs),
    opened: toTimestamp(openedMs),
    last: toTimestamp(lastMs),
    end: endMs === null ? undefined : toTimestamp(endMs),
    judgedThrough: toTimestamp(judgedThroughMs),
  }
}

/** An episode from the wire. */
export function fromEpisode(message: wire.Episode): EpisodeInfo {
  const { start, opened, last, end, judgedThrough, group, state, direction, ...rest } = message
  return {
    ...rest,
    group: groupOf(group),
    state: state as EpisodeState,
    direction: direction === 'up' ? 'up' : 'down',
    startMs: fromTimestamp(start),
    openedMs: fromTimestamp(opened),
    lastMs: fromTimestamp(last),
    endMs: end === undefined ? null : fromTimestamp(end),
    judgedThroughMs: fromTimestamp(judgedThrough),
  }
}

/** How the changes of a job's episodes are records of a topic: see EpisodeChange. */
export function episodeRecords(
  { definition: { name, detectors = [] } }: DetectedJob,
  watermarksMs: ReadonlyMap<string, number>,
): (news: EpisodeNews) => EpisodeRecord {
  const kinds = new Map(detectors.map(({ id, kind }) => [id, kind]))
  return ({ change, episode }) => {
    const { detector, group } = episode
    const kind = kinds.get(detector)!
    const message: wire.EpisodeChange = {
      change,
      episode: toEpisode(episode),
      kind: kind.kind,
      baseline: kind.kind === 'threshold' ? '' : kind.kind === 'cusum' ? kind.baseline.kind : kind.kind,
      watermark: toTimestamp(watermarksMs.get(detector) ?? Number.NEGATIVE_INFINITY),
    }
    return {
      key: Buffer.from(JSON.stringify([name, detector, ...group.map(({ value }) => value)])),
      value: EpisodeChange.encode(message).finish(),
      timestampMs: (episode.endMs ?? episode.lastMs) - 1,
    }
  }
}

/** An answer for the wire. */
export function toEpisodes({ episodes, detectors }: EpisodeResult): wire.ListEpisodesResponse {
  return { episodes: episodes.map(toEpisode), detectors: detectors.map(toDetector) }
}

/** An answer from the wire. */
export function fromEpisodes({ episodes, detectors }: wire.ListEpisodesResponse): EpisodeResult {
  return { episodes: episodes.map(fromEpisode), detectors: detectors.map(fromDetector) }
}

function toDetector({ judgedThroughMs, series, ...rest }: DetectorInfo): wire.DetectorStatus {
  return { ...rest, series: series.map(toSeries), judgedThrough: toTimestamp(judgedThroughMs) }
}

function fromDetector({ judgedThrough, series, ...rest }: wire.DetectorStatus): DetectorInfo {
  return { ...rest, series: series.map(fromSeries), judgedThroughMs: fromTimestamp(judgedThrough) }
}

function toSeries({ group, actual, expected, lower, upper, calibration, ...rest }: SeriesInfo): wire.SeriesStatus {
  return {
    ...rest,
    group: [...group],
    actual: given(actual),
    expected: given(expected),
    lower: given(lower),
    upper: given(upper),
    calibration: calibration === null ? undefined : toCalibration(calibration),
  }
}

function fromSeries(message: wire.SeriesStatus): SeriesInfo {
  const { group, state, actual, expected, lower, upper, calibration, ...rest } = message
  return {
    ...rest,
    group: groupOf(group),
    state: state as SeriesState,
    actual: actual ?? Number.NaN,
    expected: expected ?? Number.NaN,
    lower: lower ?? Number.NaN,
    upper: upper ?? Number.NaN,
    calibration:
      calibration === undefined
        ? null
        : { ...calibration, ratePerPeriodMax: calibration.ratePerPeriodMax ?? Number.POSITIVE_INFINITY },
  }
}

function toCalibration(calibration: CalibrationInfo): wire.Calibration {
  const { verdict, falseAlarms, falseAlarmsAllowed, judgedWindows, ratePerPeriodMax } = calibration
  return {
    ...{ verdict, falseAlarms, falseAlarmsAllowed, judgedWindows },
    ratePerPeriodMax: given(ratePerPeriodMax),
  }
}

function given(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined
}

function groupOf(dimensions: readonly { readonly name: string; readonly value: string }[]): Group {
  return dimensions.map(({ name, value }) => ({ name, value }))
}
