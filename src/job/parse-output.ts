/** The parts of a job document that say where results, dead letters and late events go. */
import { jobDefaults as defaults } from './defaults.ts'
import type {
  JobDefinition,
  RecordOutput,
  SideOutputDefinition,
  SinkDefinition,
  SinkOutput,
  TopicOutput,
} from './definition.ts'
import { defaultDelivery, deliveries, deliveryPart, deliveryProblem } from './delivery.ts'
import type { MappingReader } from './parse-reader.ts'

const recordKinds = ['kafka', 'log', 'redis', 'postgres', 'http'] as const

/** One entry of `sinks`. */
export function readSink(reader: MappingReader): SinkDefinition {
  const id = reader.text('id')
  const format = reader.choice('format', ['protobuf', 'json'], defaults.sink.format)
  const corrections = reader.choice('corrections', ['upsert', 'retract'], defaults.sink.corrections)
  const kind = reader.only([...recordKinds, 'discard'], 'kind of sink')
  if (kind === undefined) return { id, output: { kind: 'discard' } }
  const output = readOutput(reader, kind, '')
  const delivery = kind === 'discard' ? {} : readDelivery(reader, kind)
  reader.finish()
  return {
    id,
    output,
    ...delivery,
    // What is the default is not said: definitions that were stored before there was a choice are the same.
    ...(format === defaults.sink.format ? {} : { format }),
    ...(corrections === defaults.sink.corrections ? {} : { corrections }),
  }
}

/** `deadLetters` or `late`; null where it is absent. */
export function readSideOutput(root: MappingReader, key: 'deadLetters' | 'late'): SideOutputDefinition | null {
  if (!root.has(key) || root.raw(key) === null) return null
  const reader = root.mapping(key)
  const kind = reader.only(recordKinds, 'kind of output')
  if (kind === undefined) return null
  const output = readOutput(reader, kind, key)
  const delivery = readDelivery(reader, kind)
  reader.finish()
  return { output: output as RecordOutput, ...delivery }
}

/** `episodes`; nothing where it is absent. */
export function readEpisodeOutput(root: MappingReader): Pick<JobDefinition, 'episodes'> {
  if (!root.has('episodes') || root.raw('episodes') === null) return {}
  const reader = root.mapping('episodes')
  const kind = reader.only(['kafka', 'log'], 'kind of output')
  if (kind === undefined) return {}
  const episodes = readOutput(reader, kind, '') as TopicOutput
  reader.finish()
  return { episodes }
}

function readDelivery(reader: MappingReader, kind: RecordOutput['kind']): Pick<SinkDefinition, 'delivery'> {
  const delivery = reader.choice('delivery', deliveries, defaultDelivery(kind))
  const problem = deliveryProblem(kind, delivery)
  if (problem !== '') reader.problem('delivery', problem)
  return deliveryPart(kind, delivery)
}

/** `stream`: the default of Redis, where records are no rows. */
function readOutput(reader: MappingReader, kind: SinkOutput['kind'], stream: string): SinkOutput {
  const to = reader.mapping(kind, kind === 'discard' || kind === 'redis')
  const output = outputOf(to, kind, stream)
  to.finish()
  return output
}

function outputOf(to: MappingReader, kind: SinkOutput['kind'], stream: string): SinkOutput {
  switch (kind) {
    case 'kafka':
      return { kind, topic: to.text('topic'), brokers: to.text('brokers', '') }
    case 'log':
      return { kind, path: to.text('path'), topic: to.text('topic') }
    case 'redis':
      return {
        kind,
        prefix: to.text('prefix', defaults.redis.prefix),
        stream: to.text('stream', stream),
        ttlMs: to.duration('ttl', defaults.redis.ttlMs),
      }
    case 'postgres':
      return { kind, table: to.text('table') }
    case 'http':
      return {
        kind,
        url: to.text('url'),
        encoding: to.choice('encoding', ['json', 'ndjson'], defaults.http.encoding),
        timeoutMs: to.duration('timeout', defaults.http.timeoutMs, 1),
        retryMs: to.duration('retry', defaults.http.retryMs),
      }
    case 'discard':
      return { kind }
  }
}
