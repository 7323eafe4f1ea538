/**
 * Protobuf descriptors: names of messages and fields to field numbers and types.
 *
 * Owns: resolving paths in a descriptor set. Does not own: reading the set and bounding what it may hold
 * (event/descriptor-index.ts), which fields a job reads (job/), reading events (event/projection.ts).
 */
import { didYouMean } from '../core/suggest.ts'
import { type EnumInfo, type FieldInfo, isProperty, isTimestamp, type MessageInfo } from './descriptor-facts.ts'
import { clip, DescriptorIndex, decodeFiles } from './descriptor-index.ts'
import type { FieldRef, FieldType, PathStep } from './schema.ts'

const PATH_STEPS_MAX = 16
const KEY_LENGTH_MAX = 256
/** Suggestions cost time that grows with the names: beyond these, hostile sets get none. */
const HINT_NAMES_MAX = 1000
const HINT_FIELDS_FREE = 32
const LONG_HINTS_MAX = 50

const TYPE_MESSAGE = 11
const TYPE_ENUM = 14

/** FieldDescriptorProto.Type as far as values are scalars. */
export const scalarTypes: ReadonlyMap<number, FieldType> = new Map([
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
  /** A message by its full name; entries of maps are messages here. */
  message(name: string): MessageInfo | undefined
  /** An enum by its full name. */
  enumeration(name: string): EnumInfo | undefined
  /** Files in the set; those of messages count from 0. */
  readonly files: number
}

/** Reads a serialized google.protobuf.FileDescriptorSet. Throws DESCRIPTOR_INVALID. */
export function loadDescriptors(bytes: Uint8Array): Descriptors {
  const files = decodeFiles(bytes)
  const index = new DescriptorIndex()
  for (const file of files) index.addFile(file)
  return new IndexedDescriptors(index, files.length)
}

class IndexedDescriptors implements Descriptors {
  readonly messageNames: readonly string[]
  readonly files: number
  readonly #messages: ReadonlyMap<string, MessageInfo>
  readonly #enums: ReadonlyMap<string, EnumInfo>
  #longHints = 0

  constructor(index: DescriptorIndex, files: number) {
    this.#messages = index.messages
    this.#enums = index.enums
    this.files = files
    this.messageNames = [...index.messages.values()]
      .filter((message) => !message.isMapEntry)
      .map((message) => message.name)
      .sort()
  }

  message(name: string): MessageInfo | undefined {
    return this.#messages.get(name)
  }

  enumeration(name: string): EnumInfo | undefined {
    return this.#enums.get(name)
  }

  resolve(messageName: string, path: string | readonly string[]): FieldResolution {
    const segments = typeof path === 'string' ? path.split('.') : path
    const written = segments.join('.')
    let message = this.#messages.get(messageName)
    if (message === undefined || message.isMapEntry) {
      return problem(
        `there is no message "${clip(messageName)}"${didYouMean(messageName, this.messageNames.slice(0, HINT_NAMES_MAX))}`,
      )
    }
    if (segments.length > PATH_STEPS_MAX || written.length > KEY_LENGTH_MAX + 256)
      return problem('the path is too long')
    const steps: PathStep[] = []
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]!
      const field: FieldInfo | undefined = message.fields.get(segment)
      if (field === undefined) {
        const hint = this.#hint(segment, message.fields)
        const known = hint === '' ? `; it has ${list(message.fields)}` : hint
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
      if (isTimestamp(field)) return resolved({ path, steps, type: 'timestamp' }, true)
      const inner = this.#messages.get(field.typeName)
      if (isProperty(inner)) return resolved({ path, steps, type: 'property' }, true)
      const example =
        inner === undefined ? '' : `: name a field of it, as "${path}.${[...inner.fields.keys()][0] ?? '…'}"`
      return problem(`"${path}" is a message${example}`)
    }
    const type = scalarTypes.get(field.type)
    if (type === undefined) return problem(`"${path}" has a type that is not supported`)
    if (field.type !== TYPE_ENUM) return resolved({ path, steps, type }, explicit)
    const values = this.#enums.get(field.typeName)
    if (values === undefined) return problem(`the descriptor set lacks enum "${clip(field.typeName)}" of "${path}"`)
    const enumNames = values.names
    if (!(0 in enumNames)) return problem(`"${path}" is of an enum without a zero value, which is not supported`)
    return resolved({ path, steps, type, enumNames }, explicit)
  }

  enumValue(name: string): number | undefined {
    const dot = name.lastIndexOf('.')
    return dot < 0 ? undefined : this.#enums.get(name.slice(0, dot))?.values.get(name.slice(dot + 1))
  }

  #hint(segment: string, fields: ReadonlyMap<string, FieldInfo>): string {
    if (fields.size > HINT_FIELDS_FREE && ++this.#longHints > LONG_HINTS_MAX) return ''
    return didYouMean(segment, firstNames(fields, HINT_NAMES_MAX))
  }
}

function fieldStep(field: FieldInfo): PathStep {
  if (field.oneof.length < 2) return { kind: 'field', number: field.number }
  return { kind: 'field', number: field.number, oneof: field.oneof.filter((n) => n !== field.number) }
}

function resolved(field: FieldRef, explicit: boolean): FieldResolution {
  return { ok: true, field: explicit ? { ...field, explicit: true } : field, explicitPresence: explicit }
}

function problem(text: string): FieldResolution {
  return { ok: false, problem: text }
}

/** The first names only, without a look at the others: there may be very many. */
function list(fields: ReadonlyMap<string, unknown>): string {
  const names = firstNames(fields, 20).join(', ')
  return fields.size <= 20 ? names : `${names} and ${fields.size - 20} more`
}

function firstNames(fields: ReadonlyMap<string, unknown>, count: number): string[] {
  const names: string[] = []
  for (const name of fields.keys()) {
    if (names.length === count) break
    names.push(name)
  }
  return names
}
