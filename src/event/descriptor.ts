/**
 * Protobuf descriptors: names of messages and fields to field numbers and types.
 *
 * Owns: reading a FileDescriptorSet and resolving paths in it. Does not own: which fields a job reads (job/), reading
 * events (event/projection.ts). The only file that imports protobufjs.
 *
 * A descriptor set comes from whoever submits a job, so it is hostile input: it is decoded to plain data by protobufjs's
 * own fixed schema and never turned into its reflection objects (which generate code from names); names, numbers, sizes
 * and depths are checked here; messages are kept in maps, never as properties of objects.
 */
import protobuf from 'protobufjs/ext/descriptor.js'
import { MillraceError } from '../core/errors.ts'
import { didYouMean } from '../core/suggest.ts'
import {
  defined,
  type FieldInfo,
  hasOwnDefault,
  isOneofMember,
  isProperty,
  isTimestamp,
  type MessageInfo,
  type RawEnum,
  type RawFile,
  type RawMessage,
  type Rules,
} from './descriptor-facts.ts'
import type { FieldRef, FieldType, PathStep } from './schema.ts'

/** Largest descriptor set in bytes. */
export const DESCRIPTOR_BYTES_MAX = 4 * 1024 * 1024

const TYPES_MAX = 20_000
const NESTING_MAX = 32
const PATH_STEPS_MAX = 16
const KEY_LENGTH_MAX = 256
const NUMBER_MAX = 0x1fff_ffff
const identifier = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/
const qualifiedName = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/

const TYPE_GROUP = 10
const TYPE_MESSAGE = 11
const TYPE_ENUM = 14
const LABEL_REPEATED = 3
const EDITION_2023 = 1000
const PRESENCE_IMPLICIT = 2
const ENCODING_DELIMITED = 2

/** FieldDescriptorProto.Type as far as values are scalars. */
const scalarTypes: ReadonlyMap<number, FieldType> = new Map([
  [1, 'double'],
  [2, 'float'],
  [3, 'int64'],
  [4, 'uint64'],
  [5, 'int32'],
  [6, 'fixed64'],
  [7, 'fixed32'],
  [8, 'bool'],
  [9, 'string'],
  [12, 'bytes'],
  [13, 'uint32'],
  [14, 'enum'],
  [15, 'sfixed32'],
  [16, 'sfixed64'],
  [17, 'sint32'],
  [18, 'sint64'],
])

/** A resolved field, or what is wrong with the path, as a sentence for people. */
export type FieldResolution =
  | {
      readonly ok: true
      readonly field: FieldRef
      /** True when an explicitly sent default differs from an absent field: `optional`, proto2, oneof members, map entries. */
      readonly explicitPresence: boolean
    }
  | { readonly ok: false; readonly problem: string }

/** The messages of a descriptor set. */
export interface Descriptors {
  /** Full names of all messages, sorted. */
  readonly messageNames: readonly string[]
  /**
   * The field of message `message` at `path` (`platform`, `context.country`, `properties.plan`), given as text or in
   * segments. In a map whose values have no fields of their own, all that is left of the path is the key, dots included.
   */
  resolve(message: string, path: string | readonly string[]): FieldResolution
  /** The number of an enum value by its full name in CEL's way: `millrace.v1.EventKind.EVENT_KIND_PAGE`. */
  enumValue(name: string): number | undefined
}

/** Reads a serialized google.protobuf.FileDescriptorSet. Throws DESCRIPTOR_INVALID. */
export function loadDescriptors(bytes: Uint8Array): Descriptors {
  if (bytes.length > DESCRIPTOR_BYTES_MAX) {
    throw invalid(`it has ${bytes.length} bytes; at most ${DESCRIPTOR_BYTES_MAX} are allowed`)
  }
  let files: readonly RawFile[]
  try {
    files = (protobuf.FileDescriptorSet.decode(bytes) as unknown as { file: readonly RawFile[] }).file
  } catch (error) {
    throw new MillraceError(
      'DESCRIPTOR_INVALID',
      'the bytes are not a FileDescriptorSet; make one with "buf build -o"',
      {
        cause: error,
      },
    )
  }
  const index = new DescriptorIndex()
  for (const file of files) index.addFile(file)
  return index
}

class DescriptorIndex implements Descriptors {
  readonly #messages = new Map<string, MessageInfo>()
  readonly #enums = new Map<string, ReadonlyMap<string, number>>()
  #types = 0

  get messageNames(): readonly string[] {
    return [...this.#messages.values()]
      .filter((m) => !m.isMapEntry)
      .map((m) => m.name)
      .sort()
  }

  addFile(file: RawFile): void {
    const scope = file.package ?? ''
    if (scope !== '' && !qualifiedName.test(scope)) throw invalid(`"${clip(scope)}" is no package name`)
    const rules: Rules = {
      proto3: file.syntax === 'proto3',
      editions: file.syntax === 'editions' || (file.edition ?? 0) >= EDITION_2023,
      features: file.options?.features ?? {},
    }
    for (const raw of file.enumType ?? []) this.#addEnum(raw, scope)
    for (const raw of file.messageType ?? []) this.#addMessage(raw, scope, rules, 0)
  }

  #addEnum(raw: RawEnum, scope: string): void {
    const name = this.#declare(raw.name, scope)
    const values = new Map<string, number>()
    for (const value of raw.value ?? []) values.set(checkName(value.name, name), value.number ?? 0)
    this.#enums.set(name, values)
  }

  #addMessage(raw: RawMessage, scope: string, outer: Rules, depth: number): void {
    if (depth > NESTING_MAX) throw invalid(`messages nest deeper than ${NESTING_MAX}`)
    const name = this.#declare(raw.name, scope)
    const rules = { ...outer, features: { ...outer.features, ...defined(raw.options?.features) } }
    const oneofs = new Map<number, number[]>()
    for (const field of raw.field ?? []) {
      if (!isOneofMember(field)) continue
      const members = oneofs.get(field.oneofIndex!) ?? []
      members.push(field.number ?? 0)
      oneofs.set(field.oneofIndex!, members)
    }
    const fields = new Map<string, FieldInfo>()
    for (const field of raw.field ?? []) {
      const own = checkName(field.name, name)
      const number = field.number ?? 0
      if (!Number.isInteger(number) || number < 1 || number > NUMBER_MAX)
        throw invalid(`field ${name}.${own} has number ${number}`)
      const features = { ...rules.features, ...defined(field.options?.features) }
      const inOneof = isOneofMember(field)
      fields.set(own, {
        name: own,
        number,
        type: field.type ?? 0,
        typeName: (field.typeName ?? '').replace(/^\./, ''),
        repeated: field.label === LABEL_REPEATED,
        delimited: field.type === TYPE_GROUP || (rules.editions && features.messageEncoding === ENCODING_DELIMITED),
        explicit:
          inOneof ||
          field.proto3Optional === true ||
          (rules.editions ? features.fieldPresence !== PRESENCE_IMPLICIT : !rules.proto3),
        ownDefault: hasOwnDefault(field),
        oneof: inOneof ? oneofs.get(field.oneofIndex!)! : [],
      })
    }
    this.#messages.set(name, { name, isMapEntry: raw.options?.mapEntry === true, fields })
    for (const nested of raw.enumType ?? []) this.#addEnum(nested, name)
    for (const nested of raw.nestedType ?? []) this.#addMessage(nested, name, rules, depth + 1)
  }

  #declare(own: string | undefined, scope: string): string {
    if (++this.#types > TYPES_MAX) throw invalid(`it declares more than ${TYPES_MAX} types`)
    const checked = checkName(own, scope)
    const name = scope === '' ? checked : `${scope}.${checked}`
    if (this.#messages.has(name) || this.#enums.has(name)) throw invalid(`${name} is declared twice`)
    return name
  }

  resolve(messageName: string, path: string | readonly string[]): FieldResolution {
    const segments = typeof path === 'string' ? path.split('.') : path
    const written = segments.join('.')
    let message = this.#messages.get(messageName)
    if (message === undefined || message.isMapEntry) {
      return problem(`there is no message "${clip(messageName)}"${didYouMean(messageName, this.messageNames)}`)
    }
    if (segments.length > PATH_STEPS_MAX || written.length > KEY_LENGTH_MAX + 256)
      return problem('the path is too long')
    const steps: PathStep[] = []
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]!
      const field: FieldInfo | undefined = message.fields.get(segment)
      if (field === undefined) {
        const hint = didYouMean(segment, message.fields.keys())
        const known = hint === '' ? `; it has ${list([...message.fields.keys()])}` : hint
        return problem(`${message.name} has no field "${clip(segment)}"${known}`)
      }
      if (field.delimited) return problem(`"${written}" is encoded as a group, which is not supported`)
      const inner = this.#messages.get(field.typeName)
      const rest = segments.slice(i + 1)
      if (field.repeated && !(field.type === TYPE_MESSAGE && inner?.isMapEntry)) {
        return problem(
          `"${segments.slice(0, i + 1).join('.')}" is repeated: one event has many values of it, so a job cannot name it`,
        )
      }
      if (inner?.isMapEntry && field.repeated) {
        const key = inner.fields.get('key')
        const value = inner.fields.get('value')
        if (key?.type !== 9 || value === undefined) return problem(`"${segment}" is a map whose keys are not strings`)
        if (rest.length === 0) return problem(`"${written}" is a map: name an entry, as "${written}.some_key"`)
        const valueMessage = value.type === TYPE_MESSAGE ? this.#messages.get(value.typeName) : undefined
        const leaf = value.type !== TYPE_MESSAGE || isTimestamp(value) || isProperty(valueMessage)
        const entryKey = leaf ? rest.join('.') : rest[0]!
        if (entryKey.length > KEY_LENGTH_MAX) return problem('the map key is too long')
        steps.push({ kind: 'entry', number: field.number, key: entryKey })
        if (leaf) return this.#leaf(value, written, steps, true)
        if (rest.length === 1)
          return problem(
            `"${written}" is a message: name a field of it, as "${written}.${[...valueMessage!.fields.keys()][0]}"`,
          )
        message = valueMessage!
        i++
        continue
      }
      steps.push(fieldStep(field))
      if (rest.length === 0) return this.#leaf(field, written, steps, field.explicit)
      if (isTimestamp(field))
        return problem(`"${segments.slice(0, i + 1).join('.')}" is a time and has no fields of its own`)
      if (field.type !== TYPE_MESSAGE || inner === undefined)
        return problem(`"${segments.slice(0, i + 1).join('.')}" has no fields of its own`)
      message = inner
    }
    return problem('the path is empty')
  }

  #leaf(field: FieldInfo, path: string, steps: readonly PathStep[], explicit: boolean): FieldResolution {
    if (field.ownDefault) return problem(`"${path}" declares a default other than zero, which is not supported`)
    if (field.type === TYPE_MESSAGE) {
      if (isTimestamp(field)) return { ok: true, field: { path, steps, type: 'timestamp' }, explicitPresence: true }
      const inner = this.#messages.get(field.typeName)
      if (isProperty(inner)) return { ok: true, field: { path, steps, type: 'property' }, explicitPresence: true }
      const example =
        inner === undefined ? '' : `: name a field of it, as "${path}.${[...inner.fields.keys()][0] ?? '…'}"`
      return problem(`"${path}" is a message${example}`)
    }
    const type = scalarTypes.get(field.type)
    if (type === undefined) return problem(`"${path}" has a type that is not supported`)
    if (field.type !== TYPE_ENUM) return { ok: true, field: { path, steps, type }, explicitPresence: explicit }
    const values = this.#enums.get(field.typeName)
    if (values === undefined) return problem(`the descriptor set lacks enum "${clip(field.typeName)}" of "${path}"`)
    const enumNames: Record<number, string> = {}
    for (const [name, number] of values) enumNames[number] ??= name
    if (!(0 in enumNames)) return problem(`"${path}" is of an enum without a zero value, which is not supported`)
    return { ok: true, field: { path, steps, type, enumNames }, explicitPresence: explicit }
  }

  enumValue(name: string): number | undefined {
    const dot = name.lastIndexOf('.')
    return dot < 0 ? undefined : this.#enums.get(name.slice(0, dot))?.get(name.slice(dot + 1))
  }
}

function fieldStep(field: FieldInfo): PathStep {
  if (field.oneof.length < 2) return { kind: 'field', number: field.number }
  return { kind: 'field', number: field.number, oneof: field.oneof.filter((n) => n !== field.number) }
}

function checkName(name: string | undefined, scope: string): string {
  if (name === undefined || !identifier.test(name))
    throw invalid(`"${clip(name ?? '')}" in ${scope || 'a file'} is no identifier`)
  return name
}

function problem(text: string): FieldResolution {
  return { ok: false, problem: text }
}

function invalid(what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `the descriptor set cannot be used: ${what}`)
}

function clip(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

function list(names: readonly string[]): string {
  return names.length <= 20 ? names.join(', ') : `${names.slice(0, 20).join(', ')} and ${names.length - 20} more`
}
