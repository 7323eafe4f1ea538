/** Whether detectors make sense: in themselves, and of the metrics that they watch. */
import { nearestName } from '../core/suggest.ts'
import type { JobDefinition, MetricDefinition } from './definition.ts'
import type { BaselineDefinition, DetectorDefinition } from './detector-definition.ts'
import { detectorValuesOf, longestHistoryMs } from './detector-values.ts'
import { formatDuration } from './duration.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { dimensionsOf } from './person-definition.ts'
import { joinedRatios } from './ratio.ts'
import { isTimeZone } from './timezone.ts'

const DAY_MS = 86_400_000

/** Most detectors of a job. */
export const DETECTORS_MAX = 50
/** Most windows in the histories of a job's detectors, all groups together: their values are in memory. */
export const HISTORY_WINDOWS_MAX = 5_000_000

/** Most stretches from which a detector learns nothing. */
export const EXCLUSIONS_MAX = 1000

/** Tells every mistake of the job's detectors. */
export function validateDetectors(definition: JobDefinition, report: Report): void {
  const { detectors = [], metrics } = definition
  if (detectors.length > DETECTORS_MAX)
    report(['detectors'], `a job has at most ${DETECTORS_MAX} detectors, not ${detectors.length}`)
  const ids = new Set<string>()
  const joined = new Set(joinedRatios(metrics).map(({ id }) => id))
  let windows = 0
  detectors.slice(0, DETECTORS_MAX).forEach((detector, i) => {
    const path = ['detectors', i]
    if (!/^[a-z][a-z0-9_]{0,62}$/.test(detector.id))
      report([...path, 'id'], `"${detector.id}" must be lower-case snake_case, at most 63 characters`)
    else if (ids.has(detector.id)) report([...path, 'id'], `detector "${detector.id}" is defined twice`)
    ids.add(detector.id)
    validateExclusions(detector, path, report)
    validateKind(detector, path, report)
    const metric = metrics.find(({ id }) => id === detector.metric)
    if (joined.has(detector.metric))
      report(
        [...path, 'metric'],
        `"${detector.metric}" cannot be watched: its two sides are in two tables, so it has no history. Give both the same ` +
          'dimensions, windows, lateness and retention, and leave out queriesOnly',
      )
    else if (metric !== undefined) {
      if (validateMetric(detector, metric, definition.event.key, path, report))
        windows += validateHistory(detector, metric, path, report)
    } else {
      const names = metrics.map(({ id }) => id)
      const near = nearestName(detector.metric, names)
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      report([...path, 'metric'], `there is no metric "${detector.metric}"${hint}`)
    }
  })
  if (windows > HISTORY_WINDOWS_MAX)
    report(
      ['detectors'],
      `the histories of the detectors have up to ${windows} windows of all groups, more than ${HISTORY_WINDOWS_MAX}: ` +
        'lower maxGroups or history.length, use longer windows, or give a score instead of falseAlarms',
    )
}

function validateExclusions({ exclude = [] }: DetectorDefinition, path: DocumentPath, report: Report): void {
  if (exclude.length > EXCLUSIONS_MAX)
    report([...path, 'exclude'], `a detector has at most ${EXCLUSIONS_MAX} stretches, not ${exclude.length}`)
  exclude.forEach(({ fromMs, toMs }, i) => {
    if (toMs <= fromMs) report([...path, 'exclude', i, 'to'], 'must be after from')
  })
}

function validateKind({ kind, noise, pool, score }: DetectorDefinition, path: DocumentPath, report: Report): void {
  if (kind.kind === 'threshold') {
    const { lower, upper } = kind
    if (lower !== null && upper !== null && lower > upper)
      report([...path, 'threshold', 'lower'], `must not be above upper, ${upper}`)
    if (score > 0) report([...path, 'score'], 'has no meaning for a threshold, which is its bounds: leave it out')
    if (pool) report([...path, 'pool'], 'is for detectors that know what is usual by ewma')
    return
  }
  const at = kind.kind === 'cusum' ? [...path, 'cusum', kind.baseline.kind] : [...path, kind.kind]
  const baseline = kind.kind === 'cusum' ? kind.baseline : kind
  if (pool && noise !== 'binomial') report([...path, 'pool'], 'joins windows of shares: this metric is none')
  else if (pool && baseline.kind !== 'ewma')
    report([...path, 'pool'], 'needs ewma: windows that are joined lie in no one slot of a season')
  validateBaseline(baseline, at, report)
}

function validateBaseline(baseline: BaselineDefinition, at: DocumentPath, report: Report): void {
  if (baseline.kind === 'ewma') return
  const { slotMs, zone } = baseline.season
  if (DAY_MS % slotMs !== 0) report([...at, 'slot'], `must divide a day evenly, not be ${formatDuration(slotMs)}`)
  if (!isTimeZone(zone))
    report([...at, 'timezone'], `there is no time zone "${zone}"; use an IANA name, as Europe/Berlin`)
  if (baseline.kind === 'seasonalMedian' && baseline.memory < baseline.warmUp)
    report([...at, 'memory'], `must be at least warmUp, ${baseline.warmUp}`)
}

/** False when nothing more can be said about the detector. */
function validateMetric(
  { noise, groups, pool }: DetectorDefinition,
  metric: MetricDefinition,
  key: string,
  path: DocumentPath,
  report: Report,
): boolean {
  const { kind, window, by } = metric
  const values = detectorValuesOf(kind)
  const at = [...path, 'metric']
  if (typeof values === 'string') {
    report(at, `"${metric.id}" cannot be watched: ${values}`)
    return false
  }
  if (window.kind !== 'tumbling') {
    const why: Readonly<Record<string, string>> = {
      sliding: 'its windows overlap, so one event would be judged several times',
      cumulate: 'its windows grow within a period, so they are no series',
      session: "its windows are one person's",
      global: 'its window never ends',
    }
    report(at, `"${metric.id}" cannot be watched: ${why[window.kind]}. Use tumbling windows, which lie side by side`)
    return false
  }
  if (window.time === 'processing') {
    report(at, `"${metric.id}" cannot be watched: by the clock of the machine, a restart would look like an incident`)
    return false
  }
  if (by.includes(key)) {
    report(at, `"${metric.id}" cannot be watched: by "${key}" each person would be a series`)
    return false
  }
  if (noise === 'binomial' && !values.shares)
    report([...path, 'noise'], `"${metric.id}" is no share of a number that is known: use poisson or normal`)
  if (pool && !values.shares && noise === 'binomial') report([...path, 'pool'], 'joins windows of shares')
  const dimensions = dimensionsOf({ kind, by })
  for (const name of Object.keys(groups)) {
    if (dimensions.includes(name)) continue
    const has = dimensions.length === 0 ? 'has no dimensions' : `has ${dimensions.join(', ')}`
    report([...path, 'groups', name], `is no dimension of "${metric.id}", which ${has}`)
  }
  return true
}

/** Windows that the detector may have in memory. */
function validateHistory(
  { kind, history, score, groupsMax }: DetectorDefinition,
  metric: MetricDefinition,
  path: DocumentPath,
  report: Report,
): number {
  const sizeMs = 'sizeMs' in metric.window ? metric.window.sizeMs : 0
  if (!(sizeMs > 0)) return 0
  const at = [...path, 'history', 'length']
  const longest = longestHistoryMs(metric)
  const { lengthMs } = history
  if (lengthMs > longest || lengthMs < sizeMs) {
    report(
      at,
      `must be from a window, ${formatDuration(sizeMs)}, to a third of what "${metric.id}" retains, less what it needs ` +
        `to become final (${formatDuration(longest)}): retain more`,
    )
    return 0
  }
  const wanted = warmUpMs(kind.kind === 'cusum' ? kind.baseline : kind, sizeMs)
  if (wanted > lengthMs)
    report(at, `must be at least the warm-up, ${formatDuration(wanted)}: else nothing would ever be judged`)
  const kept = kind.kind === 'threshold' ? kind.lower === null && kind.upper === null : score === 0
  return kept ? Math.ceil(lengthMs / sizeMs) * groupsMax : 0
}

function warmUpMs(kind: DetectorDefinition['kind'], sizeMs: number): number {
  switch (kind.kind) {
    case 'ewma':
      return kind.warmUp * sizeMs
    case 'seasonalMedian':
      return kind.warmUp * (kind.season.period === 'day' ? DAY_MS : 7 * DAY_MS)
    case 'holtWinters':
      return 2 * (kind.season.period === 'day' ? DAY_MS : 7 * DAY_MS)
    default:
      return 0
  }
}
