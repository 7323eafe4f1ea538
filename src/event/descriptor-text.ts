/**
 * .proto texts, as a schema registry holds them, to the FileDescriptorSet that a compiler would make of them.
 *
 * Owns: reading texts and resolving type names over them. Does not own: fetching (event/schema-registry.ts), checks and
 * bounds of what is declared (event/descriptor-index.ts).
 *
 * A text may be hostile: protobufjs parses it, and what it has parsed is taken as plain data (`toJSON`); its reflection
 * objects are never resolved, so no code is made of names. Well-known types are there without being imported by path.
 */
import protobuf from 'protobufjs'
import { MillraceError } from '../core/errors.ts'
import type { RawEnum, RawFeatures, RawField, RawFile, RawMessage } from './descriptor-facts.ts'
import { clip, encodeFiles } from './descriptor-index.ts'

/** Most characters of one text. */
export const SCHEMA_TEXT_MAX = 512 * 1024

/** The parser's time grows with the square of a message's fields: statements are counted before it begins. */
const STATEMENTS_MAX = 1500
const ALL_STATEMENTS_MAX = 4500

/** One .proto text under the name by which others import it. */
export interface SchemaText {
  readonly name: string
  readonly text: string
}

interface JsonObject {
  readonly edition?: string
  readonly options?: Readonly<Record<string, unknown>>
  readonly nested?: Readonly<Record<string, JsonObject>>
  readonly fields?: Readonly<Record<string, JsonField>>
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>
  readonly values?: Readonly<Record<string, number>>
  readonly reserved?: readonly (readonly [number, number] | string)[]
  readonly group?: boolean
}

interface JsonField {
  readonly type: string
  readonly id: number
  readonly rule?: string
  readonly keyType?: string
  readonly options?: Readonly<Record<string, unknown>>
}

const TYPE_GROUP = 10
const TYPE_MESSAGE = 11
const TYPE_ENUM = 14
const NESTING_MAX = 32
const WELL_KNOWN_DEPTH_MAX = 8
const EDITION_2023 = 1000
const scalarTypes: ReadonlyMap<string, number> = new Map([
  ['double', 1],
  ['float', 2],
  ['int64', 3],
  ['uint64', 4],
  ['int32', 5],
  ['fixed64', 6],
  ['fixed32', 7],
  ['bool', 8],
  ['string', 9],
  ['bytes', 12],
  ['uint32', 13],
  ['sfixed32', 15],
  ['sfixed64', 16],
  ['sint32', 17],
  ['sint64', 18],
])
const presences: Readonly<Record<string, number>> = { EXPLICIT: 1, IMPLICIT: 2, LEGACY_REQUIRED: 3 }
const encodings: Readonly<Record<string, number>> = { LENGTH_PREFIXED: 1, DELIMITED: 2 }

/**
 * The serialized FileDescriptorSet of texts that import each other; the last one comes last. Throws DESCRIPTOR_INVALID
 * for a text that does not parse and for a type that none declares.
 */
export function compileTexts(texts: readonly SchemaText[]): Uint8Array {
  const total = texts.reduce((sum, { text }) => sum + statements(text), 0)
  if (total > ALL_STATEMENTS_MAX)
    throw invalid(
      texts.at(-1)?.name ?? '',
      `with its imports it has ${total} statements; at most ${ALL_STATEMENTS_MAX} are allowed`,
    )
  const given = new Set(texts.map(({ name }) => name))
  const parsed = texts.map(parseText)
  const known = new Map<string, ParsedFile>()
  for (const file of parsed) for (const name of file.imports) addWellKnown(name, given, known, 0)
  const files = [...known.values(), ...parsed]
  const types = new Map<string, number>()
  for (const file of files) declare(file.root, '', types, 0)
  const names = new Set(files.map(({ name }) => name))
  return encodeFiles(files.map((file) => new FileBuilder(file, types).build(names)))
}

interface ParsedFile {
  readonly name: string
  readonly package: string
  readonly imports: readonly string[]
  readonly root: JsonObject
}

function parseText({ name, text }: SchemaText): ParsedFile {
  if (text.length > SCHEMA_TEXT_MAX)
    throw invalid(name, `it has ${text.length} characters; at most ${SCHEMA_TEXT_MAX} are allowed`)
  if (statements(text) > STATEMENTS_MAX)
    throw invalid(name, `it has ${statements(text)} statements; at most ${STATEMENTS_MAX} are allowed`)
  // Never a name in practice, and no object of the parser must meet it as a key.
  if (text.includes('__proto__')) throw invalid(name, 'it holds the name "__proto__"')
  try {
    const { root, package: scope, imports, weakImports } = protobuf.parse(text, new protobuf.Root(), { keepCase: true })
    return {
      name,
      package: scope ?? '',
      imports: [...(imports ?? []), ...(weakImports ?? [])],
      root: root.toJSON() as JsonObject,
    }
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw invalid(name, clip(thrown instanceof Error ? thrown.message : String(thrown)))
  }
}

function statements(text: string): number {
  let count = 0
  for (let at = text.indexOf(';'); at >= 0; at = text.indexOf(';', at + 1)) count++
  return count
}

function addWellKnown(name: string, given: ReadonlySet<string>, known: Map<string, ParsedFile>, depth: number): void {
  if (given.has(name) || known.has(name) || depth > WELL_KNOWN_DEPTH_MAX) return
  if (!name.startsWith('google/protobuf/')) return
  const root = protobuf.common.get(name) as JsonObject | null
  if (root === null) return
  known.set(name, { name, package: 'google.protobuf', imports: [], root })
}

/** Notes the full name of every message and enum under `at`. */
function declare(at: JsonObject, scope: string, types: Map<string, number>, depth: number): void {
  if (depth > NESTING_MAX * 2) throw invalid(scope, 'its names nest too deep')
  for (const [own, object] of Object.entries(at.nested ?? {})) {
    const name = scope === '' ? own : `${scope}.${own}`
    if (object.values !== undefined) types.set(name, TYPE_ENUM)
    else if (object.fields !== undefined) types.set(name, object.group === true ? TYPE_GROUP : TYPE_MESSAGE)
    declare(object, name, types, depth + 1)
  }
}

class FileBuilder {
  readonly #file: ParsedFile
  readonly #types: ReadonlyMap<string, number>

  constructor(file: ParsedFile, types: ReadonlyMap<string, number>) {
    this.#file = file
    this.#types = types
  }

  /** `names` are those of all files: an import of another one brought no type, or its field would not resolve. */
  build(names: ReadonlySet<string>): RawFile {
    const { name, package: scope, root, imports } = this.#file
    let at: JsonObject | undefined = root
    for (const part of scope === '' ? [] : scope.split('.')) at = at?.nested?.[part]
    const messages = Object.entries(at?.nested ?? {}).filter(([, object]) => object.fields !== undefined)
    const enums = Object.entries(at?.nested ?? {}).filter(([, object]) => object.values !== undefined)
    const edition = [...messages, ...enums].map(([, object]) => object.edition)[0]
    return {
      name,
      package: scope,
      dependency: imports.filter((other) => names.has(other)),
      ...syntaxOf(edition),
      messageType: messages.map(([own, object]) => this.#message(own, object, scope)),
      enumType: enums.map(([own, object]) => enumOf(own, object)),
    }
  }

  #message(own: string, object: JsonObject, scope: string): RawMessage {
    const name = scope === '' ? own : `${scope}.${own}`
    const oneofs = Object.entries(object.oneofs ?? {})
    const oneofOf = new Map(oneofs.flatMap(([, { oneof }], i) => oneof.map((field) => [field, i] as const)))
    const entries: RawMessage[] = []
    const field = Object.entries(object.fields ?? {}).map(([fieldName, json]): RawField => {
      if (json.keyType !== undefined) return this.#map(fieldName, json, json.keyType, name, entries)
      const label = json.rule === 'repeated' ? 3 : json.rule === 'required' ? 2 : 1
      const index = oneofOf.get(fieldName)
      const proto3Optional = json.options?.proto3_optional === true
      return {
        name: fieldName,
        number: json.id,
        label,
        ...this.#type(json.type, name, fieldName),
        ...(index === undefined ? {} : { oneofIndex: index }),
        ...(proto3Optional ? { proto3Optional } : {}),
        ...defaultOf(json.options?.default),
        ...featuresOf(json.options),
      }
    })
    const nested = Object.entries(object.nested ?? {})
    return {
      name: own,
      field,
      oneofDecl: oneofs.map(([oneof]) => ({ name: oneof })),
      // Entries of maps last: indexes of messages count what the text declares.
      nestedType: [
        ...nested.filter(([, n]) => n.fields !== undefined).map(([n, inner]) => this.#message(n, inner, name)),
        ...entries,
      ],
      enumType: nested.filter(([, n]) => n.values !== undefined).map(([n, inner]) => enumOf(n, inner)),
      reservedRange: reservedOf(object).map(([start, end]) => ({ start, end: end + 1 })),
      ...featuresOf(object.options),
    }
  }

  #map(own: string, json: JsonField, keyType: string, message: string, entries: RawMessage[]): RawField {
    const entry = `${own.replace(/(?:^|_)([A-Za-z0-9])/g, (_, letter: string) => letter.toUpperCase())}Entry`
    entries.push({
      name: entry,
      field: [
        { name: 'key', number: 1, label: 1, ...this.#type(keyType, message, own) },
        { name: 'value', number: 2, label: 1, ...this.#type(json.type, message, own) },
      ],
      options: { mapEntry: true },
    })
    return { name: own, number: json.id, label: 3, type: TYPE_MESSAGE, typeName: `.${message}.${entry}` }
  }

  /** By the scoping rules of Protobuf: the innermost scope that has the name. */
  #type(written: string, message: string, field: string): { readonly type: number; readonly typeName?: string } {
    const scalar = scalarTypes.get(written)
    if (scalar !== undefined) return { type: scalar }
    if (written.startsWith('.')) {
      const type = this.#types.get(written.slice(1))
      if (type !== undefined) return { type, typeName: written }
    }
    for (let scope = message; ; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
      const name = scope === '' ? written : `${scope}.${written}`
      const type = this.#types.get(name)
      if (type !== undefined) return { type, typeName: `.${name}` }
      if (scope === '') break
    }
    throw invalid(
      this.#file.name,
      `field ${clip(`${message}.${field}`)} has type "${clip(written)}", which neither it nor its imports declare`,
    )
  }
}

function enumOf(name: string, object: JsonObject): RawEnum {
  return {
    name,
    value: Object.entries(object.values ?? {}).map(([value, number]) => ({ name: value, number })),
    reservedRange: reservedOf(object).map(([start, end]) => ({ start, end })),
  }
}

function reservedOf(object: JsonObject): (readonly [number, number])[] {
  return (object.reserved ?? []).filter((range) => typeof range !== 'string')
}

function syntaxOf(edition: string | undefined): { readonly syntax?: string; readonly edition?: number } {
  if (edition === undefined || edition === 'proto3') return { syntax: 'proto3' }
  if (edition === 'proto2') return {}
  return { syntax: 'editions', edition: EDITION_2023 }
}

function defaultOf(value: unknown): { readonly defaultValue?: string } {
  return value === undefined ? {} : { defaultValue: String(value) }
}

function featuresOf(options: Readonly<Record<string, unknown>> | undefined): {
  readonly options?: { readonly features: RawFeatures }
} {
  const features = options?.features
  if (typeof features !== 'object' || features === null) return {}
  const { field_presence: presence, message_encoding: encoding } = features as Record<string, unknown>
  const fieldPresence = Object.hasOwn(presences, String(presence)) ? presences[String(presence)] : undefined
  const messageEncoding = Object.hasOwn(encodings, String(encoding)) ? encodings[String(encoding)] : undefined
  return {
    options: {
      features: {
        ...(fieldPresence === undefined ? {} : { fieldPresence }),
        ...(messageEncoding === undefined ? {} : { messageEncoding }),
      },
    },
  }
}

function invalid(name: string, what: string): MillraceError {
  return new MillraceError('DESCRIPTOR_INVALID', `schema "${clip(name)}" cannot be used: ${what}`)
}
