/** docs/reference/job-definition.md: every key of a job definition, made of the model. */
import type { KeyModel, MappingModel, Shape } from './model.ts'
import type { Leaf } from './probe.ts'

/** How a table is written. */
export type Table = (header: readonly string[], rows: readonly (readonly string[])[]) => string

/** The page; `generated` is the line that says so. */
export function jobDefinitionPage(model: ReadonlyMap<string, MappingModel>, generated: string, table: Table): string {
  const mappings = [...model.values()].filter(({ keys, alternatives }) => keys.length > 0 || alternatives.length > 0)
  return `# Job definition
${generated}

A job is a YAML or JSON document. [jobs/engagement.yaml](../../jobs/engagement.yaml) is one with comments. The same document
in Protobuf is \`JobDefinition\` in [job.proto](../../proto/millrace/v1/job.proto). An unknown key is an error; everything
that is wrong is told at once, with line and column (\`millrace validate\`).

Durations are texts such as \`500ms\`, \`5s\`, \`1m\`, \`1h30m\`, \`1d\` and \`1w\`; sizes such as \`64Mi\` and \`1Gi\`; times are RFC 3339.

For completion and checks while you type, give an editor that knows YAML schemas [job.schema.json](job.schema.json), for
example by a first line \`# yaml-language-server: $schema=PATH/job.schema.json\`. The schema knows keys, types and ranges;
what needs the event's own descriptor (fields, expressions) the server checks.

${mappings.map((mapping) => section(model, mapping, table)).join('\n')}`
}

function section(model: ReadonlyMap<string, MappingModel>, mapping: MappingModel, table: Table): string {
  const rows = mapping.keys.map((key) => [
    `\`${key.name}\``,
    valueText(model, key.shape),
    fallbackText(key),
    meaning(model, mapping, key),
  ])
  const lines = [`## ${title(mapping)}\n`]
  if (mapping.description !== '' && mapping.place !== '') lines.push(`${mapping.description}\n`)
  if (mapping.alternatives.length > 0) {
    const names = mapping.alternatives.map(({ key }) => `\`${key}\``)
    lines.push(`Exactly one ${mapping.what}: ${orList(names)}.\n`)
  }
  lines.push(`${table(['Key', 'Value', 'Default', 'Meaning'], rows)}\n`)
  return lines.join('\n')
}

function title({ place }: MappingModel): string {
  return place === '' ? 'The document' : `\`${place}\``
}

/** Link target of a section, as GitHub makes it of its title. */
function anchor(mapping: MappingModel): string {
  return title(mapping)
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

function meaning(
  model: ReadonlyMap<string, MappingModel>,
  { required, alternatives }: MappingModel,
  { name, description, shape }: KeyModel,
): string {
  const below = shape.kind === 'list' ? shape.of : shape
  const parts = [description === '' && below.kind === 'mapping' ? model.get(below.mapping)!.description : description]
  if (required.includes(name)) parts.push('Required.')
  const among = alternatives.filter((one) => one.required.includes(name)).map(({ key }) => `\`${key}\``)
  if (among.length > 0) parts.push(`Required with ${orList(among)}.`)
  const own = alternatives.some(({ key }) => key === name)
  const beside = alternatives.filter((one) => one.also.includes(name)).map(({ key }) => `\`${key}\``)
  if (!own && beside.length < alternatives.length && among.length === 0) parts.push(`Only with ${orList(beside)}.`)
  return parts.filter((part) => part !== '').join(' ')
}

function fallbackText({ shape }: KeyModel): string {
  return shape.kind === 'leaf' && shape.fallback !== null ? `\`${shape.fallback}\`` : ''
}

function valueText(model: ReadonlyMap<string, MappingModel>, shape: Shape): string {
  switch (shape.kind) {
    case 'leaf':
      return leafText(shape.leaf)
    case 'scalar':
      return 'text, number, `true` or `false`'
    case 'list':
      return `list of ${valueText(model, shape.of)}`
    case 'map':
      return `mapping of ${shape.keys} to ${valueText(model, shape.of)}`
    case 'mapping': {
      const mapping = model.get(shape.mapping)!
      if (mapping.keys.length === 0) return '`{}`'
      const short = shape.mapping === 'StartPosition' ? '`earliest`, `latest` or ' : ''
      const text = shape.mapping === 'SampleColumn' ? 'name of a column or ' : ''
      return `${short}${text}[${title(mapping).replaceAll('`', '')}](#${anchor(mapping)})`.replaceAll('[]', '\\[\\]')
    }
  }
}

function leafText(leaf: Leaf): string {
  switch (leaf.kind) {
    case 'flag':
      return '`true` or `false`'
    case 'choice':
      return orList(leaf.choices.map((choice) => `\`${choice}\``))
    case 'number': {
      const kind = leaf.whole ? 'whole number' : 'number'
      if (leaf.max >= Number.MAX_SAFE_INTEGER) return `${kind} from ${leaf.min}`
      return `${kind} from ${leaf.min} to ${leaf.max}`
    }
    case 'duration':
      return leaf.least === '1' ? 'duration above 0' : leaf.least === '-' ? 'duration, may be negative' : 'duration'
    case 'size':
      return 'size'
    case 'instant':
      return 'time'
    case 'text':
    case 'unknown':
      return 'text'
  }
}

function orList(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}
