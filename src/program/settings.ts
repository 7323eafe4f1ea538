/**
 * What a job in TypeScript says beside its graph: the same words and defaults as a YAML definition.
 *
 * Owns: the author's shape, its checks, its completion. All mistakes at once, as JOB_INVALID with violations.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import { DEFAULT_KEY_GROUPS, KEY_GROUPS_MAX } from '../core/key-groups.ts'
import { jobDefaults as defaults } from '../job/defaults.ts'
import type {
  Delivery,
  SideOutputDefinition,
  SingleInput,
  SinkOutput,
  SourceDefinition,
  StartPosition,
} from '../job/definition.ts'
import { defaultDelivery, deliveryPart, deliveryProblem } from '../job/delivery.ts'
import { parseDuration, parseSize } from '../job/duration.ts'
import { formatPath, MappingReader } from '../job/parse-reader.ts'
import { readRestart } from '../job/parse-restart.ts'
import type { ProgramSettings } from './graph.ts'
import type { Duration } from './windows.ts'

/** A topic of a Redpanda or Kafka cluster, or of the embedded log, to read. */
export type InputSpec =
  | {
      readonly kafka: {
        readonly topic: string
        /** `host:port,host:port`; the server's own unless given. */
        readonly brokers?: string
        readonly isolation?: 'read_committed' | 'read_uncommitted'
        /** Group under which positions are published for lag tools. */
        readonly groupId?: string
        readonly skipLost?: boolean
      }
    }
  | { readonly log: { readonly path: string; readonly topic: string } }
  | { readonly generator: Partial<Omit<Extract<SingleInput, { kind: 'generator' }>, 'kind'>> }

/** Where records are written to. */
export type OutputSpec =
  | { readonly kafka: { readonly topic: string; readonly brokers?: string } }
  | { readonly log: { readonly path: string; readonly topic: string } }
  /** A stream of the server's Redis (MILLRACE_SINK_REDIS): entries of key, timestamp and value. */
  | { readonly redis: { readonly stream: string; readonly prefix?: string } }
  /** Batches by POST; values are JSON. `timeout` bounds a request, `retry` how long one is repeated. */
  | {
      readonly http: {
        readonly url: string
        readonly encoding?: 'json' | 'ndjson'
        readonly timeout?: Duration
        readonly retry?: Duration
      }
    }

/** Where results go: a topic; or nowhere, counted and with a checksum, to measure a job. */
export type SinkTarget = OutputSpec | { readonly discard: Readonly<Record<never, never>> }

/** When a failed job starts again: Flink's strategies. What is left out has the defaults of YAML definitions. */
export type RestartSpec =
  | {
      readonly exponentialDelay: {
        readonly initial?: Duration
        readonly multiplier?: number
        readonly max?: Duration
        /** Share of the delay by which it may be longer or shorter. */
        readonly jitter?: number
        readonly resetAfter?: Duration
        /** Restarts between two resets; 0 for any number. */
        readonly attempts?: number
      }
    }
  | { readonly fixedDelay: { readonly attempts?: number; readonly delay?: Duration } }
  | {
      readonly failureRate: { readonly failures?: number; readonly interval?: Duration; readonly delay?: Duration }
    }
  | { readonly none: Readonly<Record<never, never>> }

/** Where and how the source reads. */
export interface SourceSpec {
  /** Names the source in checkpoints; `events` unless given. */
  readonly id?: string
  readonly input: InputSpec
  /** Where reading starts when no checkpoint says otherwise; `earliest` unless given. */
  readonly start?: 'earliest' | 'latest' | { readonly timestampMs: number }
  /** Stop at the end that the topic has when the job first starts. */
  readonly bounded?: boolean
  /** An event later than the wall clock plus this is a dead letter; `5m` unless given. */
  readonly maxFuture?: Duration
}

/** What a job says of itself. */
export interface JobSettings {
  /** Lower-case DNS label, unique on a server. */
  readonly name: string
  readonly description?: string
  readonly watermark?: {
    readonly outOfOrderness?: Duration
    readonly idleness?: Duration
    readonly maxDrift?: Duration
  }
  readonly checkpoint?: {
    readonly every?: Duration
    readonly retain?: number
    readonly timeout?: Duration
    readonly tolerableFailures?: number
  }
  /** When the job starts again after a failure; by exponential delay unless given. */
  readonly restart?: RestartSpec
  /**
   * A record on which the code has failed this often is passed over and becomes a dead letter, so `deadLetters` must be
   * given; unless given, the job fails on it until somebody helps.
   */
  readonly poison?: { readonly afterFailures: number }
  /** Subtasks of each operator, each in a thread of its own; one a core of the server unless given. */
  readonly parallelism?: number
  /** Fixed for the life of the state; 128 unless given. */
  readonly keyGroups?: number
  /** Stored bytes at which the job fails; `1Gi` unless given. */
  readonly stateLimit?: string | number
  /** Where events go that cannot be used; they are always counted. `delivery` as of a sink. */
  readonly deadLetters?: OutputSpec & { readonly delivery?: Delivery }
}

/** Sources of a job at most. */
const SOURCES_MAX = 16

/** Checks settings and fills in what they leave out; `sources` is not empty. JOB_INVALID. */
export function completeSettings(settings: JobSettings, sources: readonly SourceSpec[]): ProgramSettings {
  const violations: Violation[] = []
  const report = (field: string, message: string): void => {
    violations.push({ field, message, line: 0, column: 0 })
  }
  const duration = (given: Duration | undefined, otherwise: number, field: string): number => {
    if (given === undefined) return otherwise
    const ms = typeof given === 'number' ? given : parseDuration(given)
    if (!(Number.isSafeInteger(ms) && ms >= 0)) report(field, `${JSON.stringify(given)} is no time, as '30s' or 30000`)
    return ms
  }
  const whole = (given: number | undefined, otherwise: number, least: number, most: number, field: string): number => {
    const number = given ?? otherwise
    if (!Number.isInteger(number) || number < least || number > most)
      report(field, `${JSON.stringify(given)} is no whole number from ${least} to ${most}`)
    return number
  }
  const { watermark = {}, checkpoint = {} } = settings
  if (typeof settings.name !== 'string' || !/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(settings.name)) {
    report('name', `${JSON.stringify(settings.name)} is no DNS label: lower-case letters, digits and "-", at most 63`)
  }
  for (const { id = defaults.source.id, maxFuture } of sources) {
    if (!isId(id)) report('source.id', idMessage(id))
    duration(maxFuture, defaults.event.maxFutureMs, `maxFuture of source ${id}`)
  }
  const bounded = sources[0]!.bounded ?? defaults.source.bounded
  if (sources.some((source) => (source.bounded ?? defaults.source.bounded) !== bounded))
    report('sources', 'all of them are bounded, or none is')
  if (sources.length > SOURCES_MAX) report('sources', `there are ${sources.length}; a job has at most ${SOURCES_MAX}`)
  const limit = settings.stateLimit ?? defaults.stateLimitBytes
  const stateLimitBytes = typeof limit === 'number' ? limit : parseSize(limit)
  if (!(stateLimitBytes > 0)) report('stateLimit', `${JSON.stringify(limit)} is no size, as '512Mi'`)
  const complete: ProgramSettings = {
    name: settings.name,
    description: settings.description ?? '',
    source: sourceDefinition(sources, bounded),
    maxFutureMs: maxFutureOf(sources[0]!),
    watermark: {
      outOfOrdernessMs: duration(
        watermark.outOfOrderness,
        defaults.watermark.outOfOrdernessMs,
        'watermark.outOfOrderness',
      ),
      idlenessMs: duration(watermark.idleness, defaults.watermark.idlenessMs, 'watermark.idleness'),
      maxDriftMs: duration(watermark.maxDrift, defaults.watermark.maxDriftMs, 'watermark.maxDrift'),
    },
    checkpoint: {
      everyMs: duration(checkpoint.every, defaults.checkpoint.everyMs, 'checkpoint.every'),
      retain: whole(checkpoint.retain, defaults.checkpoint.retain, 1, 100, 'checkpoint.retain'),
      timeoutMs: duration(checkpoint.timeout, defaults.checkpoint.timeoutMs, 'checkpoint.timeout'),
      tolerableFailures: whole(
        checkpoint.tolerableFailures,
        defaults.checkpoint.tolerableFailures,
        0,
        1_000_000,
        'checkpoint.tolerableFailures',
      ),
    },
    ...restartOf(settings, report),
    ...poisonOf(settings, whole, report),
    parallelism: whole(settings.parallelism, defaults.parallelism, 0, 256, 'parallelism'),
    keyGroups: whole(settings.keyGroups, DEFAULT_KEY_GROUPS, 1, KEY_GROUPS_MAX, 'keyGroups'),
    stateLimitBytes,
    deadLetters: deadLettersOf(settings, report),
  }
  if (violations.length > 0) throw jobInvalid(settings.name, violations)
  return complete
}

type Report = (field: string, message: string) => void

function restartOf({ restart }: JobSettings, report: Report): Pick<ProgramSettings, 'restart'> {
  if (restart === undefined) return {}
  // Authors may give durations as numbers of milliseconds, documents may not.
  const durations = new Set(['initial', 'max', 'resetAfter', 'interval', 'delay'])
  const asText = (key: string, value: unknown): unknown =>
    durations.has(key) && typeof value === 'number' ? `${value}ms` : value
  const plain: unknown = JSON.parse(JSON.stringify(restart, asText))
  const reader = new MappingReader({ restart: plain }, [], [])
  const read = readRestart(reader)
  for (const { path, message } of reader.problems) report(formatPath(path), message)
  return read
}

function deadLettersOf({ deadLetters }: JobSettings, report: Report): SideOutputDefinition | null {
  if (deadLetters === undefined) return null
  const output = outputOf(deadLetters)
  const { delivery = defaultDelivery(output.kind) } = deadLetters
  const problem = deliveryProblem(output.kind, delivery)
  if (problem !== '') report('deadLetters.delivery', problem)
  return { output, ...deliveryPart(output.kind, delivery) }
}

function poisonOf(
  { poison, deadLetters }: JobSettings,
  whole: (given: number | undefined, otherwise: number, least: number, most: number, field: string) => number,
  report: Report,
): Pick<ProgramSettings, 'poison'> {
  if (poison === undefined) return {}
  if (deadLetters === undefined) report('poison', 'needs deadLetters: what is passed over must be kept somewhere')
  return { poison: { afterFailures: whole(poison.afterFailures, 0, 1, 1000, 'poison.afterFailures') } }
}

/** One source as it is; several as one, under the id of the first: a job may get a second source and go on. */
function sourceDefinition(sources: readonly SourceSpec[], bounded: boolean): SourceDefinition {
  const parts = sources.map(({ id = defaults.source.id, input, start }) => {
    return { id, input: inputOf(input), start: startOf(start) }
  })
  const [first] = parts
  if (parts.length === 1) return { ...first!, bounded }
  return { id: first!.id, input: { kind: 'several', parts }, start: { kind: 'earliest' }, bounded }
}

/** How far in the future an event may be, ms; NaN for what is no time. */
export function maxFutureOf({ maxFuture }: SourceSpec): number {
  if (maxFuture === undefined) return defaults.event.maxFutureMs
  return typeof maxFuture === 'number' ? maxFuture : parseDuration(maxFuture)
}

/** True for what may name an operator, a source or a sink. */
export function isId(id: string): boolean {
  return typeof id === 'string' && /^[a-z][a-z0-9_-]{0,62}$/.test(id)
}

/** What is wrong with an id. */
export function idMessage(id: string): string {
  return `${JSON.stringify(id)} must be lower-case letters, digits, "-" and "_", at most 63, and begin with a letter`
}

/** JOB_INVALID with violations. */
export function jobInvalid(name: string, violations: readonly Violation[]): MillraceError {
  const [first] = violations
  const text = `job ${name} is not valid: ${first?.field ?? ''}: ${first?.message ?? ''}`
  return new MillraceError('JOB_INVALID', text, { violations })
}

/** What a sink writes to. */
export function targetOf(spec: SinkTarget): SinkOutput {
  return 'discard' in spec ? { kind: 'discard' } : outputOf(spec)
}

/** The output that a specification names. */
export function outputOf(spec: OutputSpec): Exclude<SinkOutput, { kind: 'discard' }> {
  if ('log' in spec) return { kind: 'log', path: spec.log.path, topic: spec.log.topic }
  if ('redis' in spec) {
    const { stream, prefix = defaults.redis.prefix } = spec.redis
    return { kind: 'redis', prefix, stream, ttlMs: 0 }
  }
  if ('http' in spec) {
    const { url, encoding = defaults.http.encoding, timeout, retry } = spec.http
    const msOf = (given: Duration | undefined, otherwise: number): number =>
      given === undefined ? otherwise : typeof given === 'number' ? given : parseDuration(given)
    return {
      ...{ kind: 'http', url, encoding },
      ...{ timeoutMs: msOf(timeout, defaults.http.timeoutMs), retryMs: msOf(retry, defaults.http.retryMs) },
    }
  }
  return { kind: 'kafka', topic: spec.kafka.topic, brokers: spec.kafka.brokers ?? '' }
}

function inputOf(spec: InputSpec): SingleInput {
  if ('log' in spec) return { kind: 'log', path: spec.log.path, topic: spec.log.topic }
  if ('generator' in spec) return { kind: 'generator', ...defaults.generator, ...spec.generator }
  const { topic, brokers = '', isolation = defaults.source.isolation, groupId = '', skipLost = false } = spec.kafka
  const { checkCrcs, discoveryMs } = defaults.source
  return { kind: 'kafka', topic, brokers, isolation, groupId, skipLost, checkCrcs, discoveryMs }
}

function startOf(start: SourceSpec['start']): StartPosition {
  if (start === undefined || start === 'earliest') return { kind: 'earliest' }
  if (start === 'latest') return { kind: 'latest' }
  return { kind: 'timestamp', timestampMs: start.timestampMs }
}
