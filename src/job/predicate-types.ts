/**
 * Typed expressions: what the checker (job/predicate-check.ts) makes and the compiler (job/predicate.ts) takes.
 *
 * Owns: the tree, its types, small constructors, words for people. Does not own: which combinations are right.
 */
import type { ColumnEncoding, FieldRef } from '../event/schema.ts'

/** Types of expressions. `property` has none until it meets another type; `unknown` follows a mistake already told. */
export type ExpressionType =
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'timestamp'
  | 'list'
  | 'property'
  | 'unknown'

/** A typed tree. Timestamps are epoch ms as numbers; lists appear only on the right of `in`. */
export type Typed = { readonly type: ExpressionType; readonly at: number } & (
  | { readonly kind: 'constant'; readonly value: boolean | bigint | number | string }
  | { readonly kind: 'field'; readonly field: FieldRef; readonly encoding: ColumnEncoding }
  | { readonly kind: 'call'; readonly name: string; readonly method: boolean; readonly args: readonly Typed[] }
  | { readonly kind: 'list'; readonly items: readonly Typed[] }
)

/** Types that compare with each other as numbers. */
export const numeric: ReadonlySet<ExpressionType> = new Set(['int', 'uint', 'double'])

/** A field as an expression reads it. */
export function fieldOf(field: FieldRef, at: number): Typed {
  return { kind: 'field', field, encoding: field.type === 'string' ? 'text' : 'number', type: typeOf(field), at }
}

/** The type of a field in expressions. */
export function typeOf(field: FieldRef): ExpressionType {
  switch (field.type) {
    case 'string':
    case 'bool':
    case 'timestamp':
    case 'property':
    case 'double':
      return field.type
    case 'float':
      return 'double'
    case 'uint32':
    case 'fixed32':
    case 'uint64':
    case 'fixed64':
      return 'uint'
    default:
      return 'int'
  }
}

/** A property read as what it is compared with. */
export function like(property: Typed, type: ExpressionType): Typed {
  if (property.kind !== 'field') return property
  if (type === 'string') return { ...property, type: 'string', encoding: 'text' }
  if (type === 'bool') return asBool(property)
  if (numeric.has(type)) return { ...property, type: 'double', encoding: 'number' }
  return property
}

/** A property read as a condition: only 1 and true are true. */
export function asBool(property: Typed): Typed {
  const one: Typed = { kind: 'constant', type: 'double', value: 1, at: property.at }
  return call('==', 'bool', property.at, [like(property, 'double'), one])
}

/** `x == true` is `x`, `x != true` is `!x`, and so on; undefined for all else. */
export function simplified(name: string, condition: Typed, constant: Typed): Typed | undefined {
  if (constant.kind !== 'constant' || typeof constant.value !== 'boolean' || constant.type !== 'bool') return undefined
  if (name !== '==' && name !== '!=') return undefined
  return (name === '==') === constant.value ? condition : call('!', 'bool', condition.at, [condition])
}

/** A whole literal as a double; all else as it is. */
export function wholeAsDouble(typed: Typed): Typed {
  if (typed.kind !== 'constant' || typeof typed.value !== 'bigint') return typed
  return { ...typed, type: 'double', value: Number(typed.value) }
}

/** A call of an operator or a function. */
export function call(name: string, type: ExpressionType, at: number, args: readonly Typed[], method = false): Typed {
  return { kind: 'call', name, method, type, args, at }
}

/** Stands in for what a mistake has been told about. */
export function unknown(at: number): Typed {
  return { kind: 'constant', type: 'unknown', value: false, at }
}

/** A type with its article. */
export function article(type: ExpressionType): string {
  return type === 'int' ? 'an int' : `a ${type}`
}

/** An operand in words for people. */
export function describe(typed: Typed): string {
  return typed.kind === 'field' ? `"${typed.field.path}" (${typed.field.type})` : article(typed.type)
}

/** What people probably meant, as the end of a message; or nothing. */
export function hintFor(args: readonly Typed[]): string {
  const field = args.find((a) => a.kind === 'field' && a.field.type === 'enum')
  const text = args.find((a) => a.kind === 'constant' && typeof a.value === 'string')
  if (field?.kind === 'field' && field.field.enumNames !== undefined) {
    const name = text?.kind === 'constant' ? String(text.value) : ''
    const [number] = Object.entries(field.field.enumNames).find(([, n]) => n === name) ?? []
    return number === undefined
      ? '; an enum compares with its number'
      : `; an enum compares with its number: ${name} is ${number}`
  }
  if (args.some((a) => a.type === 'timestamp')) return '; write timestamp("2024-03-01T00:00:00Z")'
  return ''
}
