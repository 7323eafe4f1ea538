/**
 * Reading what another version of a schema wrote: the layouts of a job's own schema, fitted to a writer's.
 *
 * Owns: which differences can be read and how. Does not own: the bytes (event/event-decoder.ts), which changes of the
 * job's own schema are allowed (event/evolution.ts), fetching schemas. Pure; runs once a schema id.
 *
 * Fields are matched by number, as Protobuf does; names may differ. A number that the writer does not have is absent in
 * all its events. Where both are integers of the same encoding, or fixed ones of the same width, the writer's type is
 * read: what it wrote is then exact, wider or signed otherwise. Enums keep the job's names and learn the writer's others.
 */
import { type Descriptors, scalarTypes } from './descriptor.ts'
import { type FieldInfo, fieldByNumber, isProperty, isTimestamp, type MessageInfo } from './descriptor-facts.ts'
import { clip } from './descriptor-index.ts'
import type { EventTypeLayout, FieldRef, FieldType, PathStep, WriterMessage, WriterSchema } from './schema.ts'

const TYPE_MESSAGE = 11
const MAP_KEY_STRING = 9

const plainIntegers: ReadonlySet<FieldType> = new Set(['int32', 'int64', 'uint32', 'uint64'])
/** Types whose values have the same bytes, so that the writer's tells what they are. */
const families: readonly ReadonlySet<FieldType>[] = [
  plainIntegers,
  new Set(['sint32', 'sint64']),
  new Set(['fixed32', 'sfixed32']),
  new Set(['fixed64', 'sfixed64']),
]
/** Types whose values have the same bytes, of which the job's tells what they mean to it. */
const readAsOwn: readonly ReadonlySet<FieldType>[] = [
  new Set([...plainIntegers, 'bool', 'enum']),
  new Set(['string', 'bytes']),
]

/**
 * The types that schema `writer` writes among `types`, laid out as it does. Only messages of its last file count: that
 * is the registered one. Not ok when a field that the job reads cannot be read, with the reason.
 */
export function layOutWriter(types: readonly EventTypeLayout[], writer: Descriptors): WriterSchema {
  const messages = new Map<string, { readonly index: readonly number[]; readonly types: EventTypeLayout[] }>()
  for (const type of types) {
    const message = writer.message(type.message)
    if (message === undefined || message.file !== writer.files - 1) continue
    const fitted = fitType(type, message, writer)
    if (typeof fitted === 'string') return { ok: false, reason: 'schema_incompatible', detail: fitted }
    const known = messages.get(message.name)
    if (known === undefined) messages.set(message.name, { index: message.index, types: [fitted] })
    else known.types.push(fitted)
  }
  return { ok: true, messages: [...messages.values()] satisfies WriterMessage[] }
}

function fitType(type: EventTypeLayout, message: MessageInfo, writer: Descriptors): EventTypeLayout | string {
  const problems: string[] = []
  const fitRef = (ref: FieldRef): FieldRef => {
    const fitted = fitField(ref, message, writer)
    if (typeof fitted !== 'string') return fitted
    problems.push(fitted)
    return ref
  }
  const columns = type.columns.map((column) => (column === null || 'constant' in column ? column : fitRef(column)))
  const layout = { ...type, time: fitRef(type.time), key: fitRef(type.key), columns }
  return problems[0] ?? layout
}

function fitField(ref: FieldRef, root: MessageInfo, writer: Descriptors): FieldRef | string {
  const steps: PathStep[] = []
  let message: MessageInfo | undefined = root
  for (const [i, step] of ref.steps.entries()) {
    if (message === undefined) return `${ref.path} is inside a message that the schema does not declare`
    let field: FieldInfo | undefined = fieldByNumber(message, step.number)
    if (field === undefined) return ref
    const name = `${message.name}.${field.name}`
    const entry: MessageInfo | undefined = field.repeated ? writer.message(field.typeName) : undefined
    const isMap = entry?.isMapEntry === true
    if (field.delimited) return `${ref.path} is a group in ${clip(name)}`
    if (step.kind === 'entry') {
      if (!isMap || entry.fields.get('key')?.type !== MAP_KEY_STRING)
        return `${ref.path} is no map of texts in ${clip(name)}`
      field = entry.fields.get('value')
      steps.push(step)
    } else {
      if (field.repeated) return `${ref.path} is repeated in ${clip(name)}`
      const others = field.oneof.filter((n) => n !== field!.number)
      steps.push(others.length === 0 ? step : { ...step, oneof: [...new Set([...(step.oneof ?? []), ...others])] })
    }
    if (field === undefined) return `${ref.path} has no value in ${clip(name)}`
    const next: MessageInfo | undefined = writer.message(field.typeName)
    if (i === ref.steps.length - 1) return fitLeaf({ ...ref, steps }, field, next, name, writer)
    if (field.type !== TYPE_MESSAGE) return `${ref.path} goes through ${clip(name)}, which is no message`
    message = next
  }
  return ref
}

function fitLeaf(
  ref: FieldRef,
  field: FieldInfo,
  message: MessageInfo | undefined,
  name: string,
  writer: Descriptors,
): FieldRef | string {
  const type = leafType(field, message)
  if (type === 'enum' && ref.type === 'enum') {
    return { ...ref, enumNames: { ...writer.enumeration(field.typeName)?.names, ...ref.enumNames } }
  }
  if (type === ref.type) return ref
  if (type !== undefined) {
    const both = (family: ReadonlySet<FieldType>): boolean => family.has(type) && family.has(ref.type)
    if (families.some(both)) return { ...ref, type }
    if (readAsOwn.some(both)) return ref
  }
  return `${ref.path} is ${ref.type} in the job's schema and ${type ?? 'a message'} in ${clip(name)}`
}

function leafType(field: FieldInfo, message: MessageInfo | undefined): FieldType | undefined {
  if (field.type !== TYPE_MESSAGE) return scalarTypes.get(field.type)
  if (isTimestamp(field)) return 'timestamp'
  return isProperty(message) ? 'property' : undefined
}
