/**
 * Descriptors as plain data: the shapes of google/protobuf/descriptor.proto that matter here, and facts about them.
 *
 * Owns: what single declarations mean. Does not own: indexing and resolving them (event/descriptor.ts). Everything here
 * may come from someone hostile: values are looked at, never trusted.
 */

const TYPE_MESSAGE = 11
const TYPE_ENUM = 14

/** What resolving needs to know of a field. */
export interface FieldInfo {
  readonly name: string
  readonly number: number
  readonly type: number
  readonly typeName: string
  readonly repeated: boolean
  readonly required: boolean
  readonly delimited: boolean
  readonly explicit: boolean
  readonly ownDefault: boolean
  /** Numbers of all members of its oneof, its own included; empty when it is in none. */
  readonly oneof: readonly number[]
  /** Name of its oneof; '' when it is in none. */
  readonly oneofName: string
  /** Text of a declared default; ''. */
  readonly defaultText: string
}

/** What resolving needs to know of a message. */
export interface MessageInfo {
  readonly name: string
  readonly isMapEntry: boolean
  /** Its file's place in the set. */
  readonly file: number
  /** Its place in the file: index among the messages, then among those nested in it, and so on. */
  readonly index: readonly number[]
  readonly fields: ReadonlyMap<string, FieldInfo>
  /** Numbers that no field may take any more, both ends included. */
  readonly reserved: readonly (readonly [number, number])[]
}

/** What is known of an enum. */
export interface EnumInfo {
  readonly name: string
  readonly values: ReadonlyMap<string, number>
  /** The first name of each number. */
  readonly names: Readonly<Record<number, string>>
  /** Numbers that no value may take any more, both ends included. */
  readonly reserved: readonly (readonly [number, number])[]
}

/** FeatureSet, as far as it matters here. */
export interface RawFeatures {
  readonly fieldPresence?: number
  readonly messageEncoding?: number
}
/** FieldDescriptorProto. */
export interface RawField {
  readonly name?: string
  readonly number?: number
  readonly label?: number
  readonly type?: number
  readonly typeName?: string
  readonly defaultValue?: string
  readonly oneofIndex?: number
  readonly proto3Optional?: boolean
  readonly options?: { readonly features?: RawFeatures }
}
/** EnumDescriptorProto. */
export interface RawEnum {
  readonly name?: string
  readonly value?: readonly { readonly name?: string; readonly number?: number }[]
  /** Ends are included. */
  readonly reservedRange?: readonly RawRange[]
}
/** A range of numbers. */
export interface RawRange {
  readonly start?: number
  readonly end?: number
}
/** DescriptorProto. */
export interface RawMessage {
  readonly name?: string
  readonly field?: readonly RawField[]
  readonly nestedType?: readonly RawMessage[]
  readonly enumType?: readonly RawEnum[]
  readonly oneofDecl?: readonly { readonly name?: string }[]
  /** Ends are not included. */
  readonly reservedRange?: readonly RawRange[]
  readonly options?: { readonly mapEntry?: boolean; readonly features?: RawFeatures }
}
/** FileDescriptorProto. */
export interface RawFile {
  readonly name?: string
  readonly dependency?: readonly string[]
  readonly package?: string
  readonly syntax?: string
  readonly edition?: number
  readonly messageType?: readonly RawMessage[]
  readonly enumType?: readonly RawEnum[]
  readonly options?: { readonly features?: RawFeatures }
}

/** What a file's syntax means for its fields. */
export interface Rules {
  readonly proto3: boolean
  readonly editions: boolean
  readonly features: RawFeatures
}

/** Whether a field is in a oneof that someone wrote (`optional` makes one of its own). */
export function isOneofMember(field: RawField): boolean {
  return Object.hasOwn(field, 'oneofIndex') && field.oneofIndex !== undefined && field.proto3Optional !== true
}

/** Whether a proto2 field declares a default other than zero. */
export function hasOwnDefault(field: RawField): boolean {
  const text = field.defaultValue
  if (!text || field.type === TYPE_ENUM) return false
  return text !== 'false' && !/^[+-]?0*\.?0*$/.test(text)
}

/** Whether a field is a google.protobuf.Timestamp. */
export function isTimestamp(field: FieldInfo): boolean {
  return field.type === TYPE_MESSAGE && field.typeName === 'google.protobuf.Timestamp'
}

/** Known by its shape, so that other packages may have their own: a oneof of string, double, int64 and bool, 1 to 4. */
export function isProperty(message: MessageInfo | undefined): boolean {
  if (message === undefined || message.fields.size !== 4) return false
  const types = [9, 1, 3, 8]
  return [...message.fields.values()].every(
    (f) => types[f.number - 1] === f.type && f.oneof.length === 4 && !f.repeated,
  )
}

/** The features that are set. */
export function defined(features: RawFeatures | undefined): RawFeatures {
  return {
    ...(features?.fieldPresence ? { fieldPresence: features.fieldPresence } : {}),
    ...(features?.messageEncoding ? { messageEncoding: features.messageEncoding } : {}),
  }
}

const numberIndexes = new WeakMap<MessageInfo, ReadonlyMap<number, FieldInfo>>()

/** The field of a number; undefined where the message has none. */
export function fieldByNumber(message: MessageInfo, number: number): FieldInfo | undefined {
  let index = numberIndexes.get(message)
  if (index === undefined) {
    index = new Map([...message.fields.values()].map((field) => [field.number, field]))
    numberIndexes.set(message, index)
  }
  return index.get(number)
}
