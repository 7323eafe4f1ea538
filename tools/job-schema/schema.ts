/** The JSON Schema of job definitions (draft 2020-12), for editors: made of the model. What editors cannot tell, the server does. */
import type { KeyModel, MappingModel, Shape } from './model.ts'
import type { Leaf } from './probe.ts'

type Json = Readonly<Record<string, unknown>>

const durationPattern = '(\\d+(\\.\\d+)?(ms|s|m|h|d|w))+'

/** Mappings that may be written as a text. */
const shortForms: Readonly<Record<string, Json>> = {
  StartPosition: { enum: ['earliest', 'latest'] },
  SampleColumn: { type: 'string', minLength: 1, description: 'Name of a column.' },
}

/** The schema; its first mapping is the document. */
export function jobSchema(model: ReadonlyMap<string, MappingModel>): Json {
  const [document, ...rest] = [...model.values()]
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://millrace.dev/v1/job.schema.json',
    title: 'Millrace job',
    ...mappingSchema(document!),
    $defs: Object.fromEntries(rest.map((mapping) => [mapping.name, mappingSchema(mapping)])),
  }
}

function mappingSchema(mapping: MappingModel): Json {
  const { description, keys, required, alternatives } = mapping
  return {
    ...described(description),
    type: 'object',
    properties: Object.fromEntries(keys.map((key) => [key.name, keySchema(key)])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
    ...(alternatives.length === 0 ? {} : { oneOf: branches(mapping) }),
  }
}

/** One branch for each of the keys that exclude each other, without what does not belong beside it. */
function branches({ keys, required, alternatives }: MappingModel): Json[] {
  return alternatives.map((one) => {
    const allowed = new Set([one.key, ...one.also])
    const others = keys.filter(({ name }) => !allowed.has(name)).map(({ name }) => [name, false] as const)
    return {
      required: [one.key, ...one.required.filter((key) => !required.includes(key))],
      ...(others.length === 0 ? {} : { properties: Object.fromEntries(others) }),
    }
  })
}

function keySchema({ description, shape }: KeyModel): Json {
  return { ...described(description), ...shapeSchema(shape) }
}

function described(description: string): Json {
  return description === '' ? {} : { description }
}

function shapeSchema(shape: Shape): Json {
  switch (shape.kind) {
    case 'leaf':
      return { ...leafSchema(shape.leaf), ...fallbackOf(shape.leaf, shape.fallback) }
    case 'scalar':
      return { type: ['string', 'number', 'boolean'] }
    case 'list':
      return { type: shape.nullable ? ['array', 'null'] : 'array', items: shapeSchema(shape.of) }
    case 'map':
      return {
        type: shape.nullable ? ['object', 'null'] : 'object',
        ...(shape.keys === 'numbers' ? { propertyNames: { pattern: '^\\d{1,9}$' } } : {}),
        additionalProperties: shapeSchema(shape.of),
      }
    case 'mapping': {
      const reference = { $ref: `#/$defs/${shape.mapping}` }
      const short = shortForms[shape.mapping]
      const forms = [...(short === undefined ? [] : [short]), reference, ...(shape.nullable ? [{ type: 'null' }] : [])]
      return forms.length === 1 ? reference : { anyOf: forms }
    }
  }
}

function leafSchema(leaf: Leaf): Json {
  switch (leaf.kind) {
    case 'text':
      return { type: 'string' }
    case 'flag':
      return { type: 'boolean' }
    case 'choice':
      return leaf.choices.length === 1 ? { const: leaf.choices[0] } : { enum: leaf.choices }
    case 'number':
      // ProtoJSON writes 64-bit integers as texts, and the parser takes them.
      return {
        type: leaf.whole ? ['integer', 'string'] : ['number', 'string'],
        minimum: leaf.min,
        maximum: leaf.max,
        pattern: '^-?\\d+$',
      }
    case 'duration': {
      const sign = leaf.least === '-' ? '-?' : ''
      if (leaf.least === '1') return { type: 'string', pattern: `^${durationPattern}$` }
      return { anyOf: [{ type: 'string', pattern: `^(0|${sign}${durationPattern})$` }, { const: 0 }] }
    }
    case 'size':
      return {
        anyOf: [
          { type: 'string', pattern: '^\\d{1,15}(\\.\\d{1,6})?\\s*([KMGT]i?)?B?$' },
          { type: 'integer', minimum: leaf.minBytes },
        ],
      }
    case 'instant':
      return { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d' }
    case 'unknown':
      return {}
  }
}

function fallbackOf(leaf: Leaf, fallback: string | null): Json {
  if (fallback === null) return {}
  if (leaf.kind === 'number') return { default: Number(fallback) }
  return { default: leaf.kind === 'flag' ? fallback === 'true' : fallback }
}
