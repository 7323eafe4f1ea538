/**
 * The `sample` section of a job document.
 *
 * Owns: its keys. Does not own: what a row becomes (job/sample.ts).
 */
import { nearestName } from '../core/suggest.ts'
import { jobDefaults as defaults } from './defaults.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import {
  isSampleField,
  type SampleColumn,
  type SampleDefinition,
  type SampleName,
  sampleContextFields,
  sampleKinds,
  sampleTextFields,
  sampleTimeFields,
} from './sample.ts'
import { isTimeZone } from './timezone.ts'

const fieldNames = [
  ...sampleTextFields,
  ...sampleTimeFields,
  'revenue_minor',
  ...sampleContextFields.map((f) => `context.${f}`),
]

/** Reads the section; mistakes go to the reader's problems. */
export function readSample(reader: MappingReader): SampleDefinition {
  const timezone = reader.text('timezone', defaults.sample.timezone)
  if (!isTimeZone(timezone)) reader.problem('timezone', `there is no time zone "${timezone}"`)
  const sample: SampleDefinition = {
    file: reader.text('file'),
    format: reader.choice('format', ['csv', 'text', 'json'], defaults.sample.format),
    timezone,
    columns: readColumns(reader.mapping('columns')),
    names: readNames(reader.mapping('names', true)),
  }
  reader.finish()
  return sample
}

function readColumns(reader: MappingReader): Readonly<Record<string, SampleColumn>> {
  const columns: Record<string, SampleColumn> = {}
  for (const field of reader.keys) {
    if (!isSampleField(field)) {
      const nearest = nearestName(field, fieldNames)
      const hint = nearest === undefined ? '; properties.… takes any name' : `; did you mean "${nearest}"?`
      reader.problem(field, `a sample event has no field "${field}"${hint}`, { key: true })
    }
    const value = reader.raw(field)
    if (typeof value === 'string' && value !== '') {
      columns[field] = { column: value }
      continue
    }
    if (typeof value !== 'object' || value === null) {
      reader.problem(field, `must be a column's name or { row: true }, not ${describe(value)}`)
      continue
    }
    const from = reader.mapping(field)
    const kind = from.only(['column', 'row'], 'origin')
    if (kind === 'column') columns[field] = { column: from.text('column') }
    if (kind === 'row') {
      if (from.flag('row', false)) columns[field] = { row: true }
      else from.problem('row', 'must be true')
    }
    from.finish()
  }
  return columns
}

function readNames(reader: MappingReader): Readonly<Record<string, SampleName>> {
  const names: Record<string, SampleName> = {}
  for (const raw of reader.keys) {
    const to = reader.mapping(raw)
    const properties: Record<string, string | number | boolean> = {}
    const given = to.mapping('properties', true)
    for (const key of given.keys) {
      const value = given.raw(key)
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') properties[key] = value
      else given.problem(key, `must be a text, a number or true or false, not ${describe(value)}`)
    }
    names[raw] = {
      name: to.text('name'),
      kind: to.choice('kind', sampleKinds, 'track'),
      screen: to.text('screen', ''),
      properties,
    }
    to.finish()
  }
  return names
}
