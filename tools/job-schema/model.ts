/**
 * The keys of job definitions as one model: what the messages of job.proto name, and what the parser says to each.
 *
 * Owns: the walk over both. Throws where they disagree: a key that only one of them knows.
 */

import { jobDefaults } from '../../src/job/defaults.ts'
import {
  alternativesOf,
  defaultOf,
  knownKeys,
  type Leaf,
  leafOf,
  type Path,
  requiredKeys,
  takesNull,
  withValue,
} from './probe.ts'
import { type ProtoField, type ProtoMessage, readJobProto } from './proto-docs.ts'

/** What the value of a key is. */
export type Shape =
  | { readonly kind: 'leaf'; readonly leaf: Leaf; readonly fallback: string | null }
  | { readonly kind: 'mapping'; readonly mapping: string; readonly nullable: boolean }
  | { readonly kind: 'list'; readonly of: Shape; readonly nullable: boolean }
  /** A mapping with keys of its author's. */
  | { readonly kind: 'map'; readonly of: Shape; readonly keys: 'names' | 'numbers'; readonly nullable: boolean }
  /** A text, a number, or true or false. */
  | { readonly kind: 'scalar' }

/** One key. */
export interface KeyModel {
  readonly name: string
  readonly description: string
  readonly shape: Shape
}

/** One kind of mapping. */
export interface MappingModel {
  readonly name: string
  /** Where documents have it first, as `sources[].kafka`; '' for the document. */
  readonly place: string
  readonly description: string
  readonly keys: readonly KeyModel[]
  /** Exactly one of these must be there; none when empty. `also` are the keys known beside it, `required` among them. */
  readonly alternatives: readonly {
    readonly key: string
    readonly also: readonly string[]
    readonly required: readonly string[]
  }[]
  /** What the alternatives are, as `kind of source`. */
  readonly what: string
  /** Keys that must be there in any case. */
  readonly required: readonly string[]
}

/** The smallest document that is a job. */
export const minimalJob = {
  apiVersion: 'millrace.dev/v1',
  kind: 'Job',
  metadata: { name: 'probe' },
  sources: [{ id: 'events', log: { path: 'log', topic: 'events' } }],
  metrics: [{ id: 'probe', count: {}, window: { tumbling: '1m' } }],
  sinks: [{ id: 'out', log: { path: 'log', topic: 'out' } }],
} as const

/** Values that make a mapping valid, by the message that it is, so that defaults can be told. */
const samples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  KafkaSource: { topic: 'events', brokers: 'localhost:9092' },
  LogSource: { path: 'log', topic: 'events' },
  KafkaOutput: { topic: 'out', brokers: 'localhost:9092' },
  LogOutput: { path: 'log', topic: 'out' },
  PostgresOutput: { table: 'results' },
  HttpOutput: { url: 'https://example.com/results' },
  JobMetadata: { name: 'probe' },
  JobSample: { file: 'data.csv', columns: {} },
  JobMetric: minimalJob.metrics[0],
  JobTrigger: { count: 10 },
  JobDetector: { id: 'probe', metric: 'probe', ewma: {} },
  FunnelMetric: { steps: [{ where: 'true' }, { where: 'true' }] },
  PathsMetric: { of: 'name' },
  RatioMetric: { of: 'probe', to: 'other' },
  FunnelStep: { where: 'true' },
  FunnelExclusion: { where: 'true' },
  SampleName: { name: 'probe' },
  JobCurrencies: { base: 'EUR' },
  LifetimeValueMetric: { of: 'revenue_minor', currency: 'EUR' },
  CurrencyRate: { currency: 'USD', rate: 1 },
}

/** Keys that are required where the probe looks, and not everywhere. */
const sometimesRequired: Readonly<Record<string, readonly string[]>> = {
  JobEventType: ['message'],
  LifetimeValueMetric: ['in'],
}

/** Defaults that no other value can be tried for. */
const fallbacks: Readonly<Record<string, string>> = {
  'JobEvent.message': jobDefaults.event.message,
  'StickinessMetric.interval': 'day',
}

/** Keys under which a map of messages is looked into. */
const mapKeys: Readonly<Record<string, string>> = {
  columns: 'person',
  names: 'home',
  partitions: '0',
  properties: 'plan',
}

/** Reads all mappings, by the name of their message; the first is the document itself. */
export function readModel(): ReadonlyMap<string, MappingModel> {
  const messages = readJobProto()
  const mappings = new Map<string, MappingModel>()
  new Walk(messages, mappings).mapping('JobDefinition', [], minimalJob)
  return mappings
}

class Walk {
  readonly #messages: ReadonlyMap<string, ProtoMessage>
  readonly #mappings: Map<string, MappingModel>

  constructor(messages: ReadonlyMap<string, ProtoMessage>, mappings: Map<string, MappingModel>) {
    this.#messages = messages
    this.#mappings = mappings
  }

  /** Reads the mapping at `path` of `document`, where it is valid, and all below it. */
  mapping(name: string, path: Path, document: unknown): void {
    if (this.#mappings.has(name)) return
    const message = this.#messages.get(name)!
    // Its place among the others is that of its first mention.
    const place = placeOf(path)
    this.#mappings.set(name, {
      name,
      place,
      description: message.description,
      keys: [],
      alternatives: [],
      what: '',
      required: [],
    })
    const found = alternativesOf(document, path)
    const own = samples[name] ?? (path.length === 0 ? minimalJob : {})
    const cases = (found?.keys ?? [null]).map((key) => {
      const bare = key === null ? {} : { [key]: sampleOf(message, key) }
      const required = requiredKeys(document, path, bare).filter((one) => !sometimesRequired[name]?.includes(one))
      const needed = Object.fromEntries(required.map((one) => [one, sampleOf(message, one)]))
      const value = { ...needed, ...this.#without(own, found?.keys ?? []), ...bare }
      return { key, value, required, known: knownKeys(document, path, value) }
    })
    const known = new Set(cases.flatMap((one) => one.known))
    const named = new Set(message.fields.map((field) => field.name))
    const only = (a: ReadonlySet<string>, b: ReadonlySet<string>) => [...a].filter((key) => !b.has(key))
    const disagree = [...only(known, named), ...only(named, known)]
    if (disagree.length > 0) {
      throw new Error(
        `${name} at ${path.join('.')}: job.proto and the parser disagree about ${disagree.join(', ')} ` +
          `(the parser knows ${[...known].join(', ')})`,
      )
    }
    const keys = message.fields.map((field): KeyModel => {
      const { value } =
        cases.find((one) => one.key === field.name) ?? cases.find((one) => one.known.includes(field.name))!
      const there = withValue(document, path, value)
      return {
        name: field.name,
        description: field.description,
        shape: this.#shape(name, field, [...path, field.name], there),
      }
    })
    const required = cases[0]!.required.filter((key) => cases.every((one) => one.required.includes(key)))
    const alternatives = (found?.keys ?? []).map((key, index) => {
      const also = cases[index]!.known.filter((other) => !found!.keys.includes(other))
      return { key, also, required: cases[index]!.required.filter((other) => !required.includes(other)) }
    })
    const { description } = message
    this.#mappings.set(name, { name, place, description, keys, alternatives, what: found?.what ?? '', required })
  }

  #without(value: Readonly<Record<string, unknown>>, keys: readonly string[]): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)))
  }

  #shape(mapping: string, field: ProtoField, path: Path, document: unknown): Shape {
    if (field.isMap) {
      const inner = { ...field, isMap: false }
      const key = mapKeys[field.name] ?? 'probe'
      const nullable = takesNull(document, path)
      if (field.type.endsWith('Value')) return { kind: 'map', keys: 'names', nullable, of: { kind: 'scalar' } }
      const below = withValue(document, [...path, key], {})
      const keys = /^\d+$/.test(key) ? 'numbers' : 'names'
      return { kind: 'map', keys, nullable, of: this.#shape(mapping, inner, [...path, key], below) }
    }
    if (field.repeated) {
      const of = this.#shape(
        mapping,
        { ...field, repeated: false },
        [...path, 0],
        withValue(document, [...path, 0], this.#sample(field)),
      )
      return { kind: 'list', of, nullable: takesNull(document, path) }
    }
    if (!field.isMessage) {
      const leaf = leafOf(document, path)
      // Items of lists are checked by readers of their own.
      if (leaf.kind === 'unknown' && field.type === 'string')
        return { kind: 'leaf', leaf: { kind: 'text' }, fallback: null }
      const fallback = fallbacks[`${mapping}.${field.name}`] ?? defaultOf(document, path, leaf)
      return { kind: 'leaf', leaf, fallback }
    }
    this.mapping(field.type, path, withValue(document, path, this.#sample(field)))
    return { kind: 'mapping', mapping: field.type, nullable: takesNull(document, path) }
  }

  /** A value of a field that is likely to be valid. */
  #sample(field: ProtoField): unknown {
    if (!field.isMessage) return 'probe'
    return samples[field.type] ?? {}
  }
}

/** A value of one of several keys that exclude each other, likely to be valid. */
function sampleOf(message: ProtoMessage, key: string): unknown {
  const field = message.fields.find((candidate) => candidate.name === key)
  if (field === undefined) return {}
  return field.isMessage ? (samples[field.type] ?? {}) : '1h'
}

/** A path as people write it: `metrics[].window`, `sample.columns.*`. */
function placeOf(path: Path): string {
  let place = ''
  for (const [index, step] of path.entries()) {
    if (typeof step === 'number') place += '[]'
    else if (mapKeys[String(path[index - 1])] === step) place += '.*'
    else place += place === '' ? step : `.${step}`
  }
  return place
}
