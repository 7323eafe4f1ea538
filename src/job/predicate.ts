/**
 * `where` expressions to predicates over columns.
 *
 * Owns: the public way from text to `Predicate`; what columns can express, and printing the rest as CEL over column
 * variables for the slow lane. Does not own: grammar (job/cel.ts), types (job/predicate-check.ts), evaluation
 * (operator/filter.ts, operator/cel-row.ts).
 *
 * Invariant: the predicate takes exactly the rows for which CEL over the event's columns says true. A `cel` part stands
 * only where an error may read as false: at the top, or below nothing but && and ||.
 */
import { formatInstant } from '../core/instant.ts'
import type { ColumnEncoding, FieldRef } from '../event/schema.ts'
import { type CelProblem, parseCel, printString } from './cel.ts'
import type { Predicate } from './plan.ts'
import { checkCondition, type NameScope } from './predicate-check.ts'
import type { Typed } from './predicate-types.ts'

/** Gives a column for a field in an encoding: the same one for the same question. */
export type ColumnAllocator = (field: FieldRef, encoding: ColumnEncoding) => number

/** A checked expression: it can be compiled as often as needed. */
export interface CheckedExpression {
  readonly typed: Typed
}

type Relation = '==' | '!=' | '<' | '<=' | '>' | '>='
const flipped: Readonly<Record<string, Relation>> = {
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
}

/** Parses and type-checks `text`; all mistakes with their places in the text (UTF-16 units from 0). */
export function checkExpression(
  text: string,
  scope: NameScope,
): { readonly expression: CheckedExpression } | { readonly problems: readonly CelProblem[] } {
  const parsed = parseCel(text)
  if ('problem' in parsed) return { problems: [parsed.problem] }
  const checked = checkCondition(parsed.node, scope)
  return 'typed' in checked ? { expression: { typed: checked.typed } } : checked
}

/** Compiles a checked expression, asking `column` for what it reads. */
export function compileExpression(expression: CheckedExpression, column: ColumnAllocator): Predicate {
  return toPredicate(expression.typed, column)
}

function toPredicate(typed: Typed, column: ColumnAllocator): Predicate {
  if (typed.kind === 'call' && (typed.name === '&&' || typed.name === '||')) {
    return { op: typed.name === '&&' ? 'and' : 'or', of: typed.args.map((a) => toPredicate(a, column)) }
  }
  return fitsColumns(typed) ? lower(typed, column) : celOf(typed, column)
}

/** Whether `lower` can express a condition; it asks for no column, so that none is read in vain. */
function fitsColumns(typed: Typed): boolean {
  if (typed.kind === 'constant') return true
  if (typed.kind === 'field') return typed.type === 'bool'
  if (typed.kind !== 'call') return false
  switch (typed.name) {
    case '&&':
    case '||':
    case '!':
      return typed.args.every(fitsColumns)
    case '?:':
      // Its condition is written twice, so a choice inside a choice's condition would grow without bound.
      return typed.type === 'bool' && !hasChoice(typed.args[0]!) && typed.args.every(fitsColumns)
    case 'in':
      return typed.args[0]!.kind === 'field' && (typed.args[1] as Extract<Typed, { kind: 'list' }>).items.every(isExact)
    case 'startsWith':
    case 'endsWith':
    case 'contains':
    case 'matches':
      return typed.args[0]!.kind === 'field' && typed.args[1]!.kind === 'constant'
    default: {
      if (!(typed.name in flipped)) return false
      const [left, right] = typed.args as [Typed, Typed]
      return (left.kind === 'field' && isExact(right)) || (right.kind === 'field' && isExact(left))
    }
  }
}

function hasChoice(typed: Typed): boolean {
  return typed.kind === 'call' && (typed.name === '?:' || typed.args.some(hasChoice))
}

/** A constant that a double or a text holds exactly. */
function isExact(typed: Typed): boolean {
  if (typed.kind !== 'constant') return false
  return typeof typed.value !== 'bigint' || Number.isSafeInteger(Number(typed.value))
}

function lower(typed: Typed, column: ColumnAllocator): Predicate {
  if (typed.kind === 'constant') return typed.value === true ? { op: 'true' } : { op: 'not', of: { op: 'true' } }
  if (typed.kind === 'field') {
    return { op: 'compare', column: column(typed.field, 'number'), relation: '==', value: 1 }
  }
  const args = (typed as Extract<Typed, { kind: 'call' }>).args
  const name = (typed as Extract<Typed, { kind: 'call' }>).name
  switch (name) {
    case '&&':
    case '||':
      return { op: name === '&&' ? 'and' : 'or', of: args.map((a) => lower(a, column)) }
    case '!':
      return { op: 'not', of: lower(args[0]!, column) }
    case '?:': {
      const [condition, yes, no] = args.map((a) => lower(a, column)) as [Predicate, Predicate, Predicate]
      return {
        op: 'or',
        of: [
          { op: 'and', of: [condition, yes] },
          { op: 'and', of: [{ op: 'not', of: condition }, no] },
        ],
      }
    }
    case 'in': {
      const field = args[0] as Extract<Typed, { kind: 'field' }>
      const items = (args[1] as Extract<Typed, { kind: 'list' }>).items
      const at = column(field.field, field.encoding)
      if (field.encoding === 'number') return { op: 'oneOf', column: at, values: items.map(numberOf) }
      return { op: 'text', column: at, relation: 'in', values: items.map(textOf) }
    }
    case 'startsWith':
    case 'endsWith':
    case 'contains':
    case 'matches': {
      const field = args[0] as Extract<Typed, { kind: 'field' }>
      return { op: 'text', column: column(field.field, 'text'), relation: name, values: [textOf(args[1]!)] }
    }
    default: {
      const swap = args[0]!.kind !== 'field'
      const field = (swap ? args[1] : args[0]) as Extract<Typed, { kind: 'field' }>
      const constant = (swap ? args[0] : args[1])!
      const relation = swap ? flipped[name]! : (name as Relation)
      const at = column(field.field, field.encoding)
      if (field.encoding === 'number') return { op: 'compare', column: at, relation, value: numberOf(constant) }
      return { op: 'text', column: at, relation, values: [textOf(constant)] }
    }
  }
}

function numberOf(typed: Typed): number {
  return Number((typed as Extract<Typed, { kind: 'constant' }>).value)
}

function textOf(typed: Typed): string {
  return String((typed as Extract<Typed, { kind: 'constant' }>).value)
}

function celOf(typed: Typed, column: ColumnAllocator): Predicate {
  const columns: number[] = []
  const variable = (field: FieldRef, encoding: ColumnEncoding): string => {
    const index = column(field, encoding)
    if (!columns.includes(index)) columns.push(index)
    return `c${columns.indexOf(index)}`
  }
  return { op: 'cel', source: print(typed, variable), columns }
}

/** CEL with every operator in brackets, over variables for columns. */
function print(typed: Typed, variable: (field: FieldRef, encoding: ColumnEncoding) => string): string {
  if (typed.kind === 'constant') return printConstant(typed)
  if (typed.kind === 'field') return variable(typed.field, typed.encoding)
  if (typed.kind === 'list') return `[${typed.items.map((i) => print(i, variable)).join(', ')}]`
  const args = typed.args.map((a) => print(a, variable))
  if (typed.name === '?:') return `(${args[0]} ? ${args[1]} : ${args[2]})`
  if (typed.name === '!') return `(!${args[0]})`
  if (typed.name === '-x') return `(-(${args[0]}))`
  if (typed.method) return `${args[0]}.${typed.name}(${args.slice(1).join(', ')})`
  if (/^\w+$/.test(typed.name) && typed.name !== 'in') return `${typed.name}(${args.join(', ')})`
  return `(${args.join(` ${typed.name} `)})`
}

function printConstant(typed: Extract<Typed, { kind: 'constant' }>): string {
  const value = typed.value
  switch (typed.type) {
    case 'timestamp':
      return `timestamp(${printString(formatInstant(value as number))})`
    case 'uint':
      return `${value}u`
    case 'int':
      return `(${value})`
    case 'double': {
      const text = String(value)
      return `(${/[.e]/.test(text) ? text : `${text}.0`})`
    }
    case 'string':
      return printString(value as string)
    default:
      return String(value)
  }
}
