/** The detectors of a job document. */
import { jobDefaults } from './defaults.ts'
import type { MetricDefinition } from './definition.ts'
import type {
  BaselineDefinition,
  DetectorDefinition,
  DetectorKind,
  DetectorNoise,
  SeasonDefinition,
} from './detector-definition.ts'
import { detectorValuesOf, longestHistoryMs } from './detector-values.ts'
import { describe, type MappingReader } from './parse-reader.ts'

const defaults = jobDefaults.detector
const baselines = ['ewma', 'seasonalMedian', 'holtWinters'] as const
const kinds = ['threshold', ...baselines, 'cusum'] as const

const WINDOWS_MAX = 1_000_000
const NUMBER_MAX = Number.MAX_VALUE

/** Reads the detectors of the job; nothing where it has none. Some defaults are those of the metric. */
export function readDetectors(
  root: MappingReader,
  metrics: readonly MetricDefinition[],
  zone: string,
): { readonly detectors?: readonly DetectorDefinition[] } {
  const detectors = root.mappings('detectors').map((reader) => readDetector(reader, metrics, zone))
  return detectors.length === 0 ? {} : { detectors }
}

function readDetector(reader: MappingReader, metrics: readonly MetricDefinition[], zone: string): DetectorDefinition {
  const id = reader.text('id')
  const of = reader.text('metric')
  const metric = metrics.find((one) => one.id === of)
  const values = metric === undefined ? undefined : detectorValuesOf(metric.kind)
  const noise: DetectorNoise = typeof values === 'object' ? values.noise : 'normal'
  const kind = reader.only(kinds, 'kind of detector')
  const falseAlarms = reader.mapping('falseAlarms', true)
  const history = reader.mapping('history', true)
  const definition: DetectorDefinition = {
    id,
    description: reader.text('description', ''),
    metric: of,
    groups: readGroups(reader.mapping('groups', true)),
    kind: kind === undefined ? readNoKind(reader) : readKind(kind, reader, zone),
    direction: reader.choice('direction', ['up', 'down', 'both'], 'both'),
    noise: reader.choice('noise', ['poisson', 'binomial', 'normal'], noise),
    minimumVolume: reader.number('minimumVolume', 0, 0, NUMBER_MAX, true),
    pool: reader.flag('pool', false),
    gaps: reader.choice('gaps', ['zero', 'noData'], 'zero'),
    openAfter: reader.number('openAfter', defaults.openAfter, 1, 1000),
    closeAfter: reader.number('closeAfter', defaults.closeAfter, 1, 1000),
    score: reader.number('score', 0, 0, NUMBER_MAX, true),
    falseAlarms: {
      most: falseAlarms.number('most', defaults.falseAlarms.most, 0.001, 1000, true),
      perMs: falseAlarms.duration('per', defaults.falseAlarms.perMs, 1),
    },
    history: {
      lengthMs: history.duration('length', 0, 1) || (metric === undefined ? 0 : longestHistoryMs(metric)),
      fromMs: history.instant('from', 0),
    },
    ...readExclusions(reader),
    groupsMax: reader.number('maxGroups', defaults.groupsMax, 1, 1000),
  }
  falseAlarms.finish()
  history.finish()
  reader.finish()
  return definition
}

function readExclusions(reader: MappingReader): Pick<DetectorDefinition, 'exclude'> {
  const exclude = reader.mappings('exclude').map((stretch) => {
    for (const key of ['from', 'to']) if (!stretch.has(key)) stretch.problem(key, 'is missing')
    const read = { fromMs: stretch.instant('from', 0), toMs: stretch.instant('to', 0) }
    stretch.finish()
    return read
  })
  return exclude.length === 0 ? {} : { exclude }
}

function readGroups(reader: MappingReader): Readonly<Record<string, string>> {
  return Object.fromEntries(
    reader.keys.map((name) => {
      const value = reader.raw(name)
      if (typeof value !== 'string') reader.problem(name, `must be a text, not ${describe(value)}; put it in quotes`)
      return [name, String(value)]
    }),
  )
}

function readNoKind(reader: MappingReader): DetectorKind {
  for (const known of kinds) reader.has(known)
  return ewma
}

const ewma: BaselineDefinition = { kind: 'ewma', halfLife: defaults.halfLife, warmUp: defaults.warmUp }

function readKind(kind: (typeof kinds)[number], reader: MappingReader, zone: string): DetectorKind {
  const of = reader.mapping(kind, kind !== 'threshold')
  const read = readBounds(kind, of, zone) ?? readBaseline(kind as (typeof baselines)[number], of, zone)
  of.finish()
  return read
}

function readBounds(kind: (typeof kinds)[number], of: MappingReader, zone: string): DetectorKind | null {
  if (kind === 'threshold') {
    const bound = (key: string): number | null =>
      of.has(key) ? of.number(key, 0, -NUMBER_MAX, NUMBER_MAX, true) : null
    return { kind, lower: bound('lower'), upper: bound('upper') }
  }
  if (kind !== 'cusum') return null
  const drift = of.number('drift', defaults.drift, 0, 100, true)
  const named = baselines.filter((one) => of.has(one))
  if (named.length > 1) of.problem(null, `has ${named.join(' and ')}: only one says what is usual`)
  const [baseline = 'ewma'] = named
  const below = of.mapping(baseline, true)
  const read = readBaseline(baseline, below, zone)
  below.finish()
  return { kind, drift, baseline: read }
}

function readBaseline(kind: (typeof baselines)[number], of: MappingReader, zone: string): BaselineDefinition {
  switch (kind) {
    case 'ewma':
      return {
        kind,
        halfLife: of.number('halfLife', defaults.halfLife, 0, WINDOWS_MAX, true),
        warmUp: of.number('warmUp', defaults.warmUp, 1, WINDOWS_MAX),
      }
    case 'seasonalMedian':
      return {
        kind,
        season: readSeason(of, zone),
        memory: of.number('memory', defaults.memory, 1, 100),
        warmUp: of.number('warmUp', defaults.slotWarmUp, 1, 100),
        levelHalfLife: of.number('levelHalfLife', 0, 0, WINDOWS_MAX, true),
      }
    case 'holtWinters': {
      const share = (key: 'level' | 'trend' | 'season') => of.number(key, defaults.smoothing[key], 0, 1, true)
      return {
        kind,
        season: readSeason(of, zone),
        smoothing: { level: share('level'), trend: share('trend'), season: share('season') },
      }
    }
  }
}

function readSeason(of: MappingReader, zone: string): SeasonDefinition {
  return {
    period: of.choice('period', ['day', 'week'], 'week'),
    slotMs: of.duration('slot', defaults.slotMs, 1),
    zone: of.text('timezone', zone),
  }
}
