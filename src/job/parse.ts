/**
 * YAML, JSON or a gRPC message to a JobDefinition: one shape, one path, all mistakes at once.
 *
 * Owns: the keys of a job document and what they default to. Does not own: shape checks as such (job/parse-reader.ts),
 * places in the text (job/parse-yaml.ts), whether the definition makes sense (job/validate.ts).
 *
 * The document is the ProtoJSON form of millrace.v1.JobDefinition; YAML may in addition write `start: earliest` and a
 * sample column as a text.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import type { Descriptors } from '../event/descriptor.ts'
import { readDedupe } from './dedupe.ts'
import { jobDefaults as defaults } from './defaults.ts'
import type { JobDefinition, SourceDefinition, SourceInput } from './definition.ts'
import { readDetectors } from './parse-detector.ts'
import { readEvent } from './parse-event.ts'
import { readMetric } from './parse-metric.ts'
import { readCurrencies } from './parse-money.ts'
import { readEpisodeOutput, readSideOutput, readSink } from './parse-output.ts'
import { type DocumentProblem, describe, formatPath, MappingReader } from './parse-reader.ts'
import { readRestart } from './parse-restart.ts'
import { readSample } from './parse-sample.ts'
import { type Place, readYaml } from './parse-yaml.ts'
import { readPreset } from './presets.ts'
import { resolveRatios } from './ratio.ts'
import type { SampleDefinition } from './sample.ts'
import { isTimeZone } from './timezone.ts'
import { validateJob } from './validate.ts'

/** The `apiVersion` of job documents. */
export const JOB_API_VERSION = 'millrace.dev/v1'

/** Most violations that are told at once. */
const VIOLATIONS_MAX = 200
const INTEGER_MAX = Number.MAX_SAFE_INTEGER

/** A job as its document says it. */
export interface ParsedJob {
  readonly definition: JobDefinition
  /** How sample data becomes events; null without the section. */
  readonly sample: SampleDefinition | null
}

/**
 * Reads and validates a job document (YAML or JSON). Throws JOB_INVALID with every violation, shape and sense alike, in
 * document order with line and column.
 */
export function parseJob(text: string, descriptors: Descriptors): ParsedJob {
  const document = readYaml(text)
  if (document.mistakes.length > 0) {
    throw invalidJob(document.mistakes.map((m) => ({ field: '', message: m.message, line: m.line, column: m.column })))
  }
  return read(document.value, descriptors, (problem) => document.locate(problem))
}

/** The same for the structured form of the gRPC API: a `millrace.v1.JobDefinition` in ProtoJSON. Places are unknown (0). */
export function parseJobMessage(json: unknown, descriptors: Descriptors): ParsedJob {
  return read(json, descriptors, () => ({ line: 0, column: 0 }))
}

function read(value: unknown, descriptors: Descriptors, locate: (problem: DocumentProblem) => Place): ParsedJob {
  const problems: DocumentProblem[] = []
  if (value === null || value === undefined) problems.push({ path: [], message: 'the document is empty' })
  const parsed = value === null || value === undefined ? null : readJob(value, problems)
  if (parsed !== null) {
    // What could not be read has a stand-in, about which nothing more is said.
    const told = new Set(problems.filter((p) => p.around !== true).map((p) => formatPath(p.path)))
    const covered = (path: readonly (string | number)[]): boolean =>
      path.some((_, i) => told.has(formatPath(path.slice(0, i + 1))))
    problems.push(...validateJob(parsed.definition, descriptors).filter((p) => !covered(p.path)))
  }
  if (parsed !== null && problems.length === 0) return parsed
  // Hostile documents have hundreds of thousands of mistakes; people read the first few.
  const violations = problems
    .slice(0, VIOLATIONS_MAX)
    .map((p) => ({ field: formatPath(p.path), message: p.message, ...locate(p) }))
  violations.sort((a, b) => a.line - b.line || a.column - b.column)
  throw invalidJob(violations)
}

/** JOB_INVALID for a document with these mistakes; the message has the first one and where it is. */
export function invalidJob(violations: readonly Violation[]): MillraceError {
  const first = violations[0]!
  const place = first.line > 0 ? `line ${first.line}, column ${first.column}: ` : ''
  const field = first.field === '' ? '' : `${first.field}: `
  const count = violations.length === 1 ? 'a mistake' : `${violations.length} mistakes; the first`
  return new MillraceError('JOB_INVALID', `the job definition has ${count}: ${place}${field}${first.message}`, {
    violations,
  })
}

function readJob(value: unknown, problems: DocumentProblem[]): ParsedJob {
  const root = new MappingReader(value, [], problems)
  const apiVersion = root.text('apiVersion')
  if (apiVersion !== '' && apiVersion !== JOB_API_VERSION) root.problem('apiVersion', `must be ${JOB_API_VERSION}`)
  const kind = root.text('kind')
  if (kind !== '' && kind !== 'Job') root.problem('kind', 'must be Job')
  const metadata = root.mapping('metadata')
  const name = metadata.text('name')
  metadata.text('description', '')
  metadata.finish()
  const jobWide = { timezone: readZone(root), preset: readPreset(root) }
  const metrics = resolveRatios(root.mappings('metrics').map((metric) => readMetric(metric, jobWide)))
  const definition: JobDefinition = {
    name,
    source: readSources(root),
    event: readEvent(root.mapping('event', true)),
    watermark: readWatermark(root.mapping('watermark', true)),
    checkpoint: readCheckpoint(root.mapping('checkpoint', true)),
    ...readRestart(root),
    parallelism: root.number('parallelism', defaults.parallelism, 0, 1024),
    keyGroups: root.number('keyGroups', defaults.keyGroups, 0, 32_768) || defaults.keyGroups,
    preAggregation: root.flag('preAggregation', defaults.preAggregation),
    stateLimitBytes: root.size('stateLimit', defaults.stateLimitBytes, 1024 * 1024),
    ...readDedupe(root),
    ...readCurrencies(root, jobWide.timezone),
    metrics,
    ...readDetectors(root, metrics, jobWide.timezone),
    ...readEpisodeOutput(root),
    sinks: root.mappings('sinks').map(readSink),
    deadLetters: readSideOutput(root, 'deadLetters'),
    late: readSideOutput(root, 'late'),
  }
  const sample = root.has('sample') ? readSample(root.mapping('sample')) : null
  root.finish()
  return { definition, sample }
}

/** The zone of windows that name none. What is none is told here, not at every metric. */
function readZone(root: MappingReader): string {
  const zone = root.text('timezone', defaults.metric.timezone)
  if (isTimeZone(zone)) return zone
  root.problem('timezone', `there is no time zone "${zone}"; use an IANA name, as Europe/Berlin`)
  return defaults.metric.timezone
}

function readSources(root: MappingReader): SourceDefinition {
  const sources = root.mappings('sources')
  if (sources.length === 0)
    root.problem('sources', 'a job needs a source, as sources: [{ id: events, kafka: { topic: events } }]')
  if (sources.length > 1) root.problem('sources', `a job reads exactly one source for now, not ${sources.length}`)
  const all = sources.map(readSource)
  return all[0] ?? readSource(new MappingReader({ log: { path: '-', topic: '-' } }, [], []))
}

function readSource(reader: MappingReader): SourceDefinition {
  const id = reader.text('id', defaults.source.id)
  const kind = reader.only(['kafka', 'log', 'generator'], 'kind of source')
  const from = reader.mapping(kind ?? 'log', kind === 'generator')
  let input: SourceInput
  let start: SourceDefinition['start'] = defaults.source.start
  let bounded = false
  if (kind === 'generator') {
    input = {
      kind,
      seed: from.number('seed', defaults.generator.seed, 0, INTEGER_MAX),
      eventsPerSecond: from.number('eventsPerSecond', defaults.generator.eventsPerSecond, 0, 1e9, true),
      partitions: from.number('partitions', defaults.generator.partitions, 1, 4096),
      persons: from.number('persons', defaults.generator.persons, 1, 1e9),
      maxEvents: from.number('maxEvents', defaults.generator.maxEvents, 0, INTEGER_MAX),
      outOfOrdernessMs: from.duration('outOfOrderness', defaults.generator.outOfOrdernessMs),
      startMs: from.instant('start', defaults.generator.startMs),
    }
    bounded = input.maxEvents > 0
  } else if (kind === undefined) {
    // Which kind is meant is not known, so neither is what belongs below it: nothing more is said about this source.
    return { id, input: { kind: 'log', path: '-', topic: '-' }, start, bounded }
  } else {
    start = readStart(from)
    bounded = from.flag('bounded', defaults.source.bounded)
    input =
      kind === 'log'
        ? { kind, path: from.text('path'), topic: from.text('topic') }
        : {
            kind,
            topic: from.text('topic'),
            brokers: from.text('brokers', ''),
            isolation: from.choice('isolation', ['read_committed', 'read_uncommitted'], defaults.source.isolation),
            groupId: from.text('groupId', ''),
            skipLost: from.flag('skipLost', defaults.source.skipLost),
            checkCrcs: from.flag('checkCrcs', defaults.source.checkCrcs),
            discoveryMs: from.duration('discovery', defaults.source.discoveryMs),
          }
  }
  from.finish()
  reader.finish()
  return { id, input, start, bounded }
}

function readStart(from: MappingReader): SourceDefinition['start'] {
  const value = from.raw('start')
  if (value === undefined || value === 'earliest') return { kind: 'earliest' }
  if (value === 'latest') return { kind: 'latest' }
  if (typeof value !== 'object' || value === null) {
    from.problem('start', `must be earliest, latest, { timestamp: … } or { offsets: … }, not ${describe(value)}`)
    return defaults.source.start
  }
  const start = from.mapping('start')
  const kind = start.only(['earliest', 'latest', 'timestamp', 'offsets'], 'start position')
  let position: SourceDefinition['start'] = defaults.source.start
  if (kind === 'latest') position = { kind }
  if (kind === 'timestamp') position = { kind, timestampMs: start.instant('timestamp', 0) }
  if (kind === 'offsets') {
    const reader = start.mapping('offsets')
    const partitions = reader.mapping('partitions')
    const offsets: Record<number, number> = {}
    for (const partition of partitions.keys) {
      const offset = partitions.number(partition, 0, 0, INTEGER_MAX)
      if (/^\d{1,9}$/.test(partition)) offsets[Number(partition)] = offset
      else partitions.problem(partition, 'must be the number of a partition', { key: true })
    }
    position = { kind, offsets, otherwise: reader.choice('otherwise', ['earliest', 'latest'], 'earliest') }
    reader.finish()
  }
  start.finish()
  return position
}

function readWatermark(reader: MappingReader): JobDefinition['watermark'] {
  const watermark = {
    outOfOrdernessMs: reader.duration('outOfOrderness', defaults.watermark.outOfOrdernessMs),
    idlenessMs: reader.duration('idleness', defaults.watermark.idlenessMs),
    maxDriftMs: reader.duration('maxDrift', defaults.watermark.maxDriftMs),
  }
  reader.finish()
  return watermark
}

function readCheckpoint(reader: MappingReader): JobDefinition['checkpoint'] {
  const checkpoint = {
    everyMs: reader.duration('every', defaults.checkpoint.everyMs),
    retain: reader.number('retain', defaults.checkpoint.retain, 1, 1000),
    timeoutMs: reader.duration('timeout', defaults.checkpoint.timeoutMs, 1),
    tolerableFailures: reader.number('tolerableFailures', defaults.checkpoint.tolerableFailures, 0, 1_000_000),
  }
  reader.finish()
  return checkpoint
}
