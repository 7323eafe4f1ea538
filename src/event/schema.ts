/**
 * Columns: what is read out of an event, and how it is laid out in batches.
 *
 * Owns: the description of columns, as plain data that crosses threads. Does not own: the bytes (event/scan.ts,
 * exchange/batch.ts), or which columns a job needs (job/plan.ts).
 *
 * Every event has a time and a key. All else is a column of one of two encodings:
 *   number  a double a row. Integers beyond 2^53 do not decode (dead letter `integer_out_of_range`), so that what is
 *           stored is always exact. Booleans are 0 and 1, enums their number, times epoch ms. Absent is the default, 0; in a
 *           nullable column NaN, but for a field without presence of a message that is there: that is 0.
 *   text    an id a row into a dictionary of the batch, whose entries are UTF-8 bytes. Strings as they are, integers in
 *           decimal, booleans `true`/`false`, enums by name (their number in decimal where unknown), bytes as they are.
 *           Absent is the empty text.
 */

/** How the values of a column are held. */
export type ColumnEncoding = 'number' | 'text'

/** Protobuf scalar types as far as they differ in reading. `property` is the typed value of a map entry. */
export type FieldType =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'enum'
  | 'int32'
  | 'sint32'
  | 'uint32'
  | 'fixed32'
  | 'sfixed32'
  | 'int64'
  | 'sint64'
  | 'uint64'
  | 'fixed64'
  | 'sfixed64'
  | 'float'
  | 'double'
  | 'timestamp'
  | 'property'

/** One step from a message to a field inside it. */
export type PathStep =
  | {
      readonly kind: 'field'
      readonly number: number
      /** Numbers of the other members of its oneof, if it is in one: the last member on the wire unsets the others. */
      readonly oneof?: readonly number[]
    }
  /** The entry of a map<string, …> field with this key. */
  | { readonly kind: 'entry'; readonly number: number; readonly key: string }

/** A field that an expression, a dimension or an aggregate may name, resolved against a descriptor. */
export interface FieldRef {
  /** The path as written: `platform`, `context.country`, `properties.plan`. */
  readonly path: string
  /** From the event down to the field; the last step is the field itself. */
  readonly steps: readonly PathStep[]
  readonly type: FieldType
  /** Enum names by number, for type `enum`. */
  readonly enumNames?: Readonly<Record<number, string>>
  /** Set where a default that was sent differs from an absent field: `optional`, proto2, oneofs, map entries, messages. */
  readonly explicit?: true
}

/** One column of a job's events. */
export interface Column {
  readonly field: FieldRef
  readonly encoding: ColumnEncoding
  /** Of a number column: absent is NaN, no value, and not 0. */
  readonly nullable?: true
}

/** What a job reads out of each event: the projection compiles this. Plain data. */
export interface EventSchema {
  /** Full name of the message, for messages to people. */
  readonly message: string
  /** `timestamp`, or an integer type counted in `timeUnitMs`. */
  readonly time: FieldRef
  /** Milliseconds in one unit of an integer time: 1000, 1, 0.001 or 0.000001. */
  readonly timeUnitMs: number
  /** A string or bytes field, or an integer one (keyed by its decimal text). */
  readonly key: FieldRef
  readonly columns: readonly Column[]
  /** How records are told apart and unwrapped; absent where every value is one bare message of `message`. */
  readonly format?: EventFormat
}

/** How the records of a topic are framed, and which types of event they may be. Plain data. */
export interface EventFormat {
  /** `registry`: each value begins with a magic byte, the id of its schema and the index of its message. */
  readonly framing: 'none' | 'registry'
  /** The types, at least one, as the job's own schema lays them out. A record is of the first that fits. */
  readonly types: readonly EventTypeLayout[]
  /** What a record becomes that is of none of the types. */
  readonly others: 'filter' | 'deadLetter'
}

/** What tells that a record is of a type. */
export type TypeTest =
  /** Any record that gets here: the only type, or told apart by the index of its message. */
  | { readonly kind: 'always' }
  /** The last record header of this name is this text. */
  | { readonly kind: 'header'; readonly name: string; readonly equals: string }
  /** Of the fields of the message that are in `group`, `number` is the last on the wire: a oneof of an envelope. */
  | { readonly kind: 'field'; readonly number: number; readonly group: readonly number[] }

/** Where the bytes of one type of event hold what the job reads. */
export interface EventTypeLayout {
  /** Full name of the message. */
  readonly message: string
  readonly when: TypeTest
  readonly time: FieldRef
  readonly timeUnitMs: number
  readonly key: FieldRef
  /** By column of the schema: its field; null where the type has none, which reads as absent; or a text of its own. */
  readonly columns: readonly (FieldRef | null | { readonly constant: string })[]
}

/** Types by the index of their message in one registered schema, or why values with its id cannot be used. */
export type WriterSchema =
  | { readonly ok: true; readonly messages: readonly WriterMessage[] }
  | { readonly ok: false; readonly reason: 'schema_unknown' | 'schema_incompatible'; readonly detail: string }

/** A message of a registered schema that the job takes. */
export interface WriterMessage {
  /** Its place: index among the file's messages, then among those nested in it, and so on. */
  readonly index: readonly number[]
  readonly types: readonly EventTypeLayout[]
}

const integerTypes: ReadonlySet<FieldType> = new Set([
  'int32',
  'sint32',
  'uint32',
  'fixed32',
  'sfixed32',
  'int64',
  'sint64',
  'uint64',
  'fixed64',
  'sfixed64',
])

/** Whether values of the type are whole numbers. */
export function isInteger(type: FieldType): boolean {
  return integerTypes.has(type)
}

/** Why an event could not be used; the reason of a dead letter. */
export const deadLetterReasons = [
  'undecodable',
  'wrong_type',
  'invalid_utf8',
  'integer_out_of_range',
  'field_too_long',
  'missing_key',
  'missing_time',
  'time_out_of_range',
  'time_in_future',
  'null_value',
  'not_framed',
  'schema_unknown',
  'schema_incompatible',
  'unknown_type',
  'poison',
  'weight_invalid',
] as const

/** Why an event could not be used. */
export type DeadLetterReason = (typeof deadLetterReasons)[number]
