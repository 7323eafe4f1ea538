/**
 * How the slots of a projection become values of columns: a code for each type of field and encoding.
 *
 * Owns: which code a column has. Does not own: what is done by it (event/projection.ts).
 */
import type { ProjectionColumn } from './projection-plan.ts'
import type { FieldRef } from './schema.ts'

/** A number of up to 32 bits, a float, a double or a bool. */
export const FROM_NUMBER = 0
/** A signed integer in two halves. */
export const FROM_INT64 = 1
/** An unsigned one. */
export const FROM_UINT64 = 2
/** A timestamp, in epoch ms. */
export const FROM_TIME = 3
/** A property, by its kind. */
export const FROM_PROPERTY = 4
/** Text as it is. From here on: what fills a text column. */
export const TEXT_STRING = 5
/** Bytes as they are. */
export const TEXT_BYTES = 6
/** A number in decimal. */
export const TEXT_NUMBER = 7
/** A signed integer of two halves, in decimal. */
export const TEXT_INT64 = 8
/** An unsigned one. */
export const TEXT_UINT64 = 9
/** `true` or `false`. */
export const TEXT_BOOL = 10
/** The name of an enum value. */
export const TEXT_ENUM = 11
/** A timestamp: its epoch ms in decimal. */
export const TEXT_TIME = 12
/** A property, by its kind. */
export const TEXT_PROPERTY = 13
/** The same text in every row. */
export const TEXT_CONSTANT = 14

/** What fills a column. */
export function columnSource({ field, encoding, constant }: ProjectionColumn): number {
  if (constant !== undefined) return TEXT_CONSTANT
  if (field === null) return encoding === 'number' ? FROM_NUMBER : TEXT_STRING
  return encoding === 'number' ? numberSource(field) : textSource(field)
}

/** What makes a number of a field. */
export function numberSource(field: FieldRef): number {
  switch (field.type) {
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return FROM_INT64
    case 'uint64':
    case 'fixed64':
      return FROM_UINT64
    case 'timestamp':
      return FROM_TIME
    case 'property':
      return FROM_PROPERTY
    default:
      return FROM_NUMBER
  }
}

/** What makes a text of a field. */
export function textSource(field: FieldRef): number {
  switch (field.type) {
    case 'string':
      return TEXT_STRING
    case 'bytes':
      return TEXT_BYTES
    case 'bool':
      return TEXT_BOOL
    case 'enum':
      return TEXT_ENUM
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return TEXT_INT64
    case 'uint64':
    case 'fixed64':
      return TEXT_UINT64
    case 'timestamp':
      return TEXT_TIME
    case 'property':
      return TEXT_PROPERTY
    default:
      return TEXT_NUMBER
  }
}
