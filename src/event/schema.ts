/**
 * Columns: what is read out of an event, and how it is laid out in batches.
 *
 * Owns: the description of columns, as plain data that crosses threads. Does not own: the bytes (event/scan.ts,
 * exchange/batch.ts), or which columns a job needs (job/plan.ts).
 *
 * Every event has a time and a key. All else is a column of one of two encodings:
 *   number  a double a row. Integers beyond 2^53 do not decode (dead letter `integer_out_of_range`), so that what is
 *           stored is always exact. Booleans are 0 and 1, enums their number, times epoch ms. Absent is the default, 0.
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
}

/** One column of a job's events. */
export interface Column {
  readonly field: FieldRef
  readonly encoding: ColumnEncoding
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
] as const

/** Why an event could not be used. */
export type DeadLetterReason = (typeof deadLetterReasons)[number]
