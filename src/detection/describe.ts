/** What is known of a detector's series, in the words of the API. Pure. */
import { thresholdOf } from '../alert/detector.ts'
import type { KnownEpisode, SeriesState } from '../alert/series.ts'
import type { WatchedGroups } from '../alert/watched-groups.ts'
import { hashBytes } from '../core/hash.ts'
import type { DetectorDefinition } from '../job/detector-definition.ts'
import type { DetectorInfo, EpisodeInfo, Group, SeriesInfo } from './api.ts'

/** A detector as it is now. */
export interface DetectorView {
  readonly job: string
  readonly definition: DetectorDefinition
  /** Names of the metric's dimensions. */
  readonly dimensions: readonly string[]
  /** Null until its history has been read. */
  readonly groups: WatchedGroups | null
  /** The watermark stands. */
  readonly idle: boolean
  readonly waiting: string
}

const encoder = new TextEncoder()

/** The episodes that are known of a detector. */
export function episodesOf(view: DetectorView): EpisodeInfo[] {
  const { groups } = view
  if (groups === null) return []
  return groups.series().flatMap((one) => {
    const group = groupOf(view, one.dimensions)
    const state = stateOf(one.series, view.idle)
    return groups.episodesOf(one).map((known) => episodeInfo(view, groups, group, known, state))
  })
}

/** The detector and its series. */
export function detectorOf(view: DetectorView): DetectorInfo {
  const { definition, groups, waiting } = view
  const { id, metric, description, kind } = definition
  const series = groups?.series() ?? []
  return {
    ...{ id, metric, description, kind: kind.kind, waiting },
    series: series.map((one) => seriesInfo(groupOf(view, one.dimensions), one.series, view.idle)),
    groupsLeftOut: groups?.groupsLeftOut ?? 0,
    judgedThroughMs: groups?.judgedThroughMs ?? Number.NEGATIVE_INFINITY,
    open: series.filter(({ series: { known } }) => known.state.phase === 'open' || known.state.phase === 'recovering')
      .length,
  }
}

function episodeInfo(
  { job, definition }: DetectorView,
  groups: WatchedGroups,
  group: Group,
  { episode, revision, threshold }: KnownEpisode,
  state: SeriesInfo['state'],
): EpisodeInfo {
  const { side, sinceMs, openedMs, lastMs, closedMs, anomalousWindows, score, peakValue, peakExpected } = episode
  const open = state === 'recovering' || state === 'noData' ? state : 'alerting'
  const name = JSON.stringify([job, definition.id, definition.metric, group.map(({ value }) => value), side, sinceMs])
  return {
    id: idOf(name),
    ...{ job, detector: definition.id, metric: definition.metric, group, revision, anomalousWindows, score },
    state: closedMs === undefined ? open : 'normal',
    direction: side,
    startMs: sinceMs,
    ...{ openedMs, lastMs, endMs: closedMs ?? null, actual: peakValue, expected: peakExpected },
    threshold: definition.kind.kind === 'threshold' ? 0 : threshold,
    judgedThroughMs: groups.judgedThroughMs,
    settled: closedMs !== undefined && closedMs <= groups.settledThroughMs,
  }
}

function idOf(name: string): string {
  const bytes = encoder.encode(name)
  return [1, 2].map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0')).join('')
}

function seriesInfo(group: Group, series: SeriesState, idle: boolean): SeriesInfo {
  const { judge, last } = series
  const spec = judge?.detector.spec
  const bounds = spec?.kind === 'threshold' ? spec : undefined
  const bound = (value: number | undefined): number => (Number.isFinite(value) ? value! : Number.NaN)
  return {
    group,
    state: stateOf(series, idle),
    score: last?.score ?? 0,
    actual: last?.value ?? Number.NaN,
    expected: last?.expected ?? Number.NaN,
    threshold: spec === undefined || bounds !== undefined ? 0 : thresholdOf(spec),
    lower: bound(bounds?.lower),
    upper: bound(bounds?.upper),
    calibration: judge?.calibration ?? null,
  }
}

function stateOf({ known, last }: SeriesState, idle: boolean): SeriesInfo['state'] {
  if (idle || last === null || (last.status === 'thin' && !(last.volume > 0) && !(Math.abs(last.value) > 0)))
    return 'noData'
  if (last.status === 'warmingUp') return 'warmingUp'
  const { phase } = known.state
  return phase === 'open' ? 'alerting' : phase
}

function groupOf({ dimensions: names }: DetectorView, texts: readonly string[]): Group {
  return names.map((name, i) => ({ name, value: texts[i] ?? '' }))
}
