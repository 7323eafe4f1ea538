/**
 * The `event` section of a job document: message, time, key, schema, types.
 *
 * Owns: its keys and what they default to. Does not own: whether it makes sense (job/validate-event.ts), or fetching
 * the schema: `schemaRequest` says beforehand which one is wanted.
 */
import { jobDefaults as defaults } from './defaults.ts'
import type { EventDefinition, EventTypeDefinition, SchemaDefinition } from './event-definition.ts'
import { MappingReader } from './parse-reader.ts'
import { readYaml } from './parse-yaml.ts'

/** Reads the section. */
export function readEvent(reader: MappingReader): EventDefinition {
  const schema = reader.has('schema') ? readSchema(reader.mapping('schema')) : null
  const types = reader.mappings('oneOf').map(readType)
  if (reader.has('oneOf') && types.length === 0) reader.problem('oneOf', 'must name at least one type of event')
  const weight = reader.text('weight', '')
  const others = reader.choice('others', ['filter', 'deadLetter'], 'filter')
  const event = {
    message: reader.text('message', defaults.event.message),
    time: reader.text('time', defaults.event.time),
    timeUnit: reader.choice('timeUnit', ['s', 'ms', 'us', 'ns'], defaults.event.timeUnit),
    key: reader.text('key', defaults.event.key),
    maxFutureMs: reader.duration('maxFuture', defaults.event.maxFutureMs),
    // Left out where they say nothing: a definition stays the same as before they were known.
    ...(weight === '' ? {} : { weight }),
    ...(schema === null ? {} : { schema }),
    ...(types.length === 0 ? {} : { types }),
    ...(others === 'filter' ? {} : { others }),
  }
  reader.finish()
  return event
}

function readSchema(reader: MappingReader): SchemaDefinition | null {
  const kind = reader.only(['descriptorSet', 'registry'], 'source of the schema')
  let schema: SchemaDefinition | null = null
  if (kind === 'descriptorSet') schema = { kind, path: reader.text('descriptorSet') }
  if (kind === 'registry') {
    const registry = reader.mapping('registry', true)
    const subject = registry.text('subject', '')
    const several = registry.texts('subjects')
    if (subject !== '' && several.length > 0) registry.problem('subjects', 'name one subject, or several, not both')
    schema = { kind, subjects: subject === '' ? several : [subject] }
    registry.finish()
  }
  if (kind !== undefined) reader.finish()
  return schema
}

function readType(reader: MappingReader): EventTypeDefinition {
  const hasTest = reader.has('when')
  const when = reader.mapping('when')
  const kind = hasTest ? when.only(['header', 'field'], 'test of the type') : undefined
  const field = kind === 'field' ? when.text('field') : ''
  const message = reader.text('message', kind === 'field' ? '' : undefined)
  const type = reader.text('type', message === '' ? field : message)
  let test: EventTypeDefinition['when'] = null
  if (kind === 'field') test = { kind, field }
  if (kind === 'header') test = { kind, header: when.text('header'), equals: when.text('equals', type) }
  if (kind !== undefined) when.finish()
  const definition = { type, message, when: test, time: reader.text('time', ''), key: reader.text('key', '') }
  reader.finish()
  return definition
}

/** The schema that a job document asks for, as far as it can be told before the document is checked. */
export interface SchemaRequest {
  readonly schema: SchemaDefinition
  /** Topic that the job reads; '' where there is none. */
  readonly topic: string
}

/** What schema a document wants; null for that of this program. Never throws: mistakes are told by the parser. */
export function schemaRequest(document: { readonly text: string } | { readonly value: unknown }): SchemaRequest | null {
  const read = 'text' in document ? readYaml(document.text) : { value: document.value, mistakes: [] }
  if (read.mistakes.length > 0) return null
  const root = new MappingReader(read.value, [], [], true)
  const event = root.mapping('event', true)
  if (!event.has('schema')) return null
  const schema = readSchema(event.mapping('schema'))
  if (schema === null) return null
  const source = root.mappings('sources')[0]
  const input = source?.has('log') ? source.mapping('log', true) : source?.mapping('kafka', true)
  return { schema, topic: input?.text('topic', '') ?? '' }
}
