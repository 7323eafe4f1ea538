/**
 * The declarations of a descriptor set, checked and indexed by name.
 *
 * Owns: the checks of what is declared. Does not own: decoding (event/descriptor-decode.ts), resolving paths
 * (event/descriptor.ts).
 *
 * A descriptor set comes from whoever submits a job, so it is hostile input: it is never turned into reflection objects
 * (which generate code from names); names, numbers, sizes and depths are checked here; declarations are kept in maps,
 * never as properties of objects.
 */
import protobuf from 'protobufjs/ext/descriptor.js'
import { MillraceError } from '../core/errors.ts'
import { decodeFileSet } from './descriptor-decode.ts'
import {
  defined,
  type EnumInfo,
  type FieldInfo,
  hasOwnDefault,
  isOneofMember,
  type MessageInfo,
  type RawEnum,
  type RawField,
  type RawFile,
  type RawMessage,
  type RawRange,
  type Rules,
} from './descriptor-facts.ts'

/** Largest descriptor set in bytes. */
export const DESCRIPTOR_BYTES_MAX = 4 * 1024 * 1024

const TYPES_MAX = 20_000
const FIELDS_MAX = 100_000
const VALUES_MAX = 100_000
const RANGES_MAX = 100_000
const ONEOF_MAX = 1000
const NESTING_MAX = 32
const NUMBER_MAX = 0x1fff_ffff
const identifier = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/
const qualifiedName = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/
const QUALIFIED_NAME_MAX = 1024

const TYPE_GROUP = 10
const LABEL_REQUIRED = 2
const LABEL_REPEATED = 3
const EDITION_2023 = 1000
const PRESENCE_IMPLICIT = 2
const PRESENCE_REQUIRED = 3
const ENCODING_DELIMITED = 2

/** Decodes a serialized FileDescriptorSet to plain data. Throws DESCRIPTOR_INVALID. */
export function decodeFiles(bytes: Uint8Array): readonly RawFile[] {
  if (bytes.length > DESCRIPTOR_BYTES_MAX) {
    throw invalid(`it has ${bytes.length} bytes; at most ${DESCRIPTOR_BYTES_MAX} are allowed`)
  }
  try {
    return decodeFileSet(bytes)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    const hint = 'the bytes are not a FileDescriptorSet; make one with "buf build -o"'
    throw new MillraceError('DESCRIPTOR_INVALID', hint, { cause: error })
  }
}

/** Encodes files as a serialized FileDescriptorSet. */
export function encodeFiles(files: readonly RawFile[]): Uint8Array {
  return protobuf.FileDescriptorSet.encode({ file: files } as never).finish()
}

/** Messages and enums by full name, without a leading dot. */
export class DescriptorIndex {
  readonly messages = new Map<string, MessageInfo>()
  readonly enums = new Map<string, EnumInfo>()
  #files = 0
  #types = 0
  #fields = 0
  #values = 0
  #ranges = 0

  /** Adds the next file of the set. Throws DESCRIPTOR_INVALID. */
  addFile(file: RawFile): void {
    const scope = file.package ?? ''
    if (scope.length > QUALIFIED_NAME_MAX || (scope !== '' && !qualifiedName.test(scope)))
      throw invalid(`"${clip(scope)}" is no package name`)
    const rules: Rules = {
      proto3: file.syntax === 'proto3',
      editions: file.syntax === 'editions' || (file.edition ?? 0) >= EDITION_2023,
      features: file.options?.features ?? {},
    }
    const place = this.#files++
    for (const raw of file.enumType ?? []) this.#addEnum(raw, scope)
    for (const [i, raw] of (file.messageType ?? []).entries()) this.#addMessage(raw, scope, rules, place, [i])
  }

  #addEnum(raw: RawEnum, scope: string): void {
    const name = this.#declare(raw.name, scope)
    const values = new Map<string, number>()
    const names: Record<number, string> = {}
    for (const value of raw.value ?? []) {
      if (++this.#values > VALUES_MAX) throw invalid(`its enums have more than ${VALUES_MAX} values`)
      const own = checkName(value.name, name)
      const number = value.number ?? 0
      values.set(own, number)
      names[number] ??= own
    }
    this.enums.set(name, { name, values, names, reserved: this.#reserved(raw.reservedRange, 0) })
  }

  #addMessage(raw: RawMessage, scope: string, outer: Rules, file: number, index: readonly number[]): void {
    if (index.length > NESTING_MAX + 1) throw invalid(`messages nest deeper than ${NESTING_MAX}`)
    const name = this.#declare(raw.name, scope)
    const rules = { ...outer, features: { ...outer.features, ...defined(raw.options?.features) } }
    const oneofs = new Map<number, number[]>()
    for (const field of raw.field ?? []) {
      if (!isOneofMember(field)) continue
      const members = oneofs.get(field.oneofIndex!) ?? []
      if (members.push(field.number ?? 0) > ONEOF_MAX)
        throw invalid(`a oneof of ${name} has more than ${ONEOF_MAX} members`)
      oneofs.set(field.oneofIndex!, members)
    }
    const fields = new Map<string, FieldInfo>()
    for (const field of raw.field ?? []) {
      if (++this.#fields > FIELDS_MAX) throw invalid(`its messages have more than ${FIELDS_MAX} fields`)
      const info = fieldInfo(field, name, rules, oneofs, raw.oneofDecl ?? [])
      if (fields.has(info.name)) throw invalid(`${name} has two fields "${info.name}"`)
      fields.set(info.name, info)
    }
    const isMapEntry = raw.options?.mapEntry === true
    const reserved = this.#reserved(raw.reservedRange, 1)
    this.messages.set(name, { name, isMapEntry, file, index, fields, reserved })
    for (const nested of raw.enumType ?? []) this.#addEnum(nested, name)
    for (const [i, nested] of (raw.nestedType ?? []).entries())
      this.#addMessage(nested, name, rules, file, [...index, i])
  }

  /** Ranges with both ends included; `open` is 1 where the set leaves the end out. */
  #reserved(ranges: readonly RawRange[] | undefined, open: number): (readonly [number, number])[] {
    this.#ranges += ranges?.length ?? 0
    if (this.#ranges > RANGES_MAX) throw invalid(`it reserves more than ${RANGES_MAX} ranges`)
    return (ranges ?? []).map((range) => [range.start ?? 0, (range.end ?? 0) - open])
  }

  #declare(own: string | undefined, scope: string): string {
    if (++this.#types > TYPES_MAX) throw invalid(`it declares more than ${TYPES_MAX} types`)
    const checked = checkName(own, scope)
    const name = scope === '' ? checked : `${scope}.${checked}`
    if (name.length > QUALIFIED_NAME_MAX) throw invalid(`the name of "${clip(name)}" is too long`)
    if (this.messages.has(name) || this.enums.has(name)) throw invalid(`${name} is declared twice`)
    return name
  }
}

function fieldInfo(
  field: RawField,
  message: string,
  rules: Rules,
  oneofs: ReadonlyMap<number, readonly number[]>,
  oneofDecl: readonly { readonly name?: string }[],
): FieldInfo {
  const own = checkName(field.name, message)
  const number = field.number ?? 0
  if (!Number.isInteger(number) || number < 1 || number > NUMBER_MAX)
    throw invalid(`field ${message}.${own} has number ${number}`)
  const features = { ...rules.features, ...defined(field.options?.features) }
  const inOneof = isOneofMember(field)
  return {
    name: own,
    number,
    type: field.type ?? 0,
    typeName: (field.typeName ?? '').replace(/^\./, ''),
    repeated: field.label === LABEL_REPEATED,
    required: field.label === LABEL_REQUIRED || (rules.editions && features.fieldPresence === PRESENCE_REQUIRED),
    delimited: field.type === TYPE_GROUP || (rules.editions && features.messageEncoding === ENCODING_DELIMITED),
    explicit:
      inOneof ||
      field.proto3Optional === true ||
      (rules.editions ? features.fieldPresence !== PRESENCE_IMPLICIT : !rules.proto3),
    ownDefault: hasOwnDefault(field),
    defaultText: field.defaultValue ?? '',
    oneof: inOneof ? oneofs.get(field.oneofIndex!)! : [],
    oneofName: inOneof ? (oneofDecl[field.oneofIndex!]?.name ?? '') : '',
  }
}

function checkName(name: string | undefined, scope: string): string {
  if (name === undefined || !identifier.test(name))
    throw invalid(`"${clip(name ?? '')}" in ${scope || 'a file'} is no identifier`)
  return name
}

function invalid(what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `the descriptor set cannot be used: ${what}`)
}

/** A name for people, cut where it is absurd. */
export function clip(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
