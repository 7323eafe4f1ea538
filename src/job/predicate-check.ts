/**
 * Type-checks an expression against the fields of an event.
 *
 * Owns: what names, operators and functions mean and which types they take; typed trees. Does not own: reading the text
 * (job/cel.ts), turning a typed tree into a Predicate (job/predicate.ts).
 *
 * The rules are CEL's, with two additions that make events pleasant to ask about: a missing map entry reads as the
 * default of its kind instead of failing, and a typed property takes the type that it is compared with (a text or a
 * number; one whose value is a text reads as 0 where a number is asked for, and has no fraction of its own otherwise).
 */
import { parseInstant } from '../core/instant.ts'
import type { FieldResolution } from '../event/descriptor.ts'
import type { CelNode, CelProblem } from './cel.ts'
import { measurePattern, PATTERN_SIZE_MAX } from './pattern.ts'
import {
  article,
  asBool,
  call,
  describe,
  fieldOf,
  hintFor,
  like,
  numeric,
  simplified,
  type Typed,
  unknown,
  wholeAsDouble,
} from './predicate-types.ts'
import { isTimeZone } from './timezone.ts'

/** Resolves names for the checker. */
export interface NameScope {
  resolve(path: readonly string[]): FieldResolution
  enumValue(name: string): number | undefined
}

const relations: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>='])
const textFunctions: ReadonlySet<string> = new Set(['startsWith', 'endsWith', 'contains', 'matches'])
const calendarFunctions: ReadonlySet<string> = new Set([
  'getFullYear',
  'getMonth',
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getDayOfYear',
  'getHours',
  'getMinutes',
  'getSeconds',
])
const functionNames = [...textFunctions, 'size', 'has', 'timestamp', 'int', 'double', 'string', ...calendarFunctions]

/** The typed tree of a condition, or every mistake in it. */
export function checkCondition(
  node: CelNode,
  scope: NameScope,
): { readonly typed: Typed } | { readonly problems: readonly CelProblem[] } {
  const checker = new Checker(scope)
  const typed = checker.condition(node)
  return checker.problems.length > 0 ? { problems: checker.problems } : { typed }
}

class Checker {
  readonly problems: CelProblem[] = []
  readonly #scope: NameScope
  #patternSize = 0

  constructor(scope: NameScope) {
    this.#scope = scope
  }

  condition(node: CelNode): Typed {
    const typed = this.#check(node)
    if (typed.type === 'bool' || typed.type === 'unknown') return typed
    if (typed.type === 'property') return asBool(typed)
    return this.#wrong(typed.at, `this is ${article(typed.type)}, not a condition; compare it with something`)
  }

  #check(node: CelNode): Typed {
    switch (node.kind) {
      case 'literal':
        if (node.literal.type === 'string' && !node.literal.value.isWellFormed()) {
          return this.#wrong(node.at, 'the text holds half of a surrogate pair')
        }
        return { kind: 'constant', type: node.literal.type, value: node.literal.value, at: node.at }
      case 'name':
        return this.#name(node.path, node.at)
      case 'has':
        return this.#has(node.path, node.at)
      case 'list':
        return this.#wrong(node.at, 'a list may only stand on the right of "in"')
      case 'call':
        return this.#call(node)
    }
  }

  #name(path: readonly string[], at: number): Typed {
    const resolution = this.#scope.resolve(path)
    if (resolution.ok) {
      if (resolution.field.type === 'bytes')
        return this.#wrong(at, `"${resolution.field.path}" is bytes, which a condition cannot test`)
      return fieldOf(resolution.field, at)
    }
    const constant = path.length > 1 ? this.#scope.enumValue(path.join('.')) : undefined
    if (constant !== undefined) return { kind: 'constant', type: 'int', value: BigInt(constant), at }
    return this.#wrong(at, resolution.problem)
  }

  #has(path: readonly string[], at: number): Typed {
    const resolution = this.#scope.resolve(path)
    if (!resolution.ok) return this.#wrong(at, resolution.problem)
    const { field, explicitPresence } = resolution
    // The text of an absent field is empty, that of a number sent as 0 is not: so a text column tells them apart.
    if (field.type === 'string' || field.type === 'bytes' || explicitPresence) {
      const text: Typed = { kind: 'field', type: 'string', field, encoding: 'text', at }
      return call('!=', 'bool', at, [text, { kind: 'constant', type: 'string', value: '', at }])
    }
    if (field.type === 'bool') return fieldOf(field, at)
    const value = field.type === 'float' || field.type === 'double' ? 0 : 0n
    return call('!=', 'bool', at, [
      fieldOf(field, at),
      { kind: 'constant', type: value === 0 ? 'double' : 'int', value, at },
    ])
  }

  #call(node: Extract<CelNode, { kind: 'call' }>): Typed {
    const { name, at } = node
    if (relations.has(name)) return this.#relation(name, node.args[0]!, node.args[1]!, at)
    switch (name) {
      case '&&':
      case '||':
        return call(
          name,
          'bool',
          at,
          node.args.map((a) => this.condition(a)),
        )
      case '!':
        return call(name, 'bool', at, [this.condition(node.args[0]!)])
      case '?:':
        return this.#choice(node.args, at)
      case 'in':
        return this.#in(node.args[0]!, node.args[1]!, at)
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(name, this.#check(node.args[0]!), this.#check(node.args[1]!), at)
      case '-x': {
        const operand = this.#number(this.#check(node.args[0]!))
        if (operand.type === 'uint') return this.#wrong(at, 'an unsigned number has no negative; write int(…)')
        return numeric.has(operand.type) ? call('-x', operand.type, at, [operand]) : this.#mismatch('-', [operand], at)
      }
    }
    return this.#function(node)
  }

  #function(node: Extract<CelNode, { kind: 'call' }>): Typed {
    const { name, method, at } = node
    const arity = node.args.length
    if (textFunctions.has(name) && method && arity === 2) {
      const [target, argument] = node.args.map((a) => this.#text(this.#check(a))) as [Typed, Typed]
      if (target.type === 'unknown' || argument.type === 'unknown') return unknown(at)
      if (target.type !== 'string' || argument.type !== 'string')
        return this.#mismatch(`${name}()`, [target, argument], at)
      if (name === 'matches') {
        if (argument.kind !== 'constant') return this.#wrong(argument.at, 'the pattern of matches() must be a literal')
        const measured = measurePattern(argument.value as string)
        if ('problem' in measured) return this.#wrong(argument.at, measured.problem)
        this.#patternSize += measured.size
        if (this.#patternSize > PATTERN_SIZE_MAX) {
          return this.#wrong(
            argument.at,
            `patterns of ${this.#patternSize} steps, of at most ${PATTERN_SIZE_MAX} in one condition: a repetition {n} has n times the steps of what it repeats`,
          )
        }
      }
      return call(name, 'bool', at, [target, argument], true)
    }
    if (calendarFunctions.has(name) && method && arity <= 2) return this.#calendar(node)
    if (arity === 1) {
      const operand = this.#check(node.args[0]!)
      if (operand.type === 'unknown') return unknown(at)
      switch (name) {
        case 'size': {
          const text = this.#text(operand)
          return text.type === 'string' ? call('size', 'int', at, [text]) : this.#mismatch('size()', [operand], at)
        }
        case 'timestamp':
          return this.#timestamp(operand, at)
        case 'int':
        case 'double': {
          const number = this.#number(operand)
          if (numeric.has(number.type) || number.type === 'string') return call(name, name, at, [number])
          return this.#mismatch(`${name}()`, [operand], at)
        }
        case 'string': {
          if (operand.type === 'property') return this.#text(operand)
          if (operand.type === 'timestamp') break
          return call('string', 'string', at, [operand])
        }
      }
    }
    if (functionNames.includes(name)) return this.#wrong(at, `${name}() is not called like this`)
    return this.#wrong(at, `there is no function ${name}(); there are ${functionNames.join(', ')}`)
  }

  #timestamp(operand: Typed, at: number): Typed {
    if (operand.type === 'timestamp') return operand
    if (operand.kind !== 'constant' || typeof operand.value !== 'string') {
      return this.#wrong(at, 'timestamp() takes a literal, as timestamp("2024-03-01T00:00:00Z")')
    }
    const zoned = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3}0*)?(Z|[+-]\d{2}:\d{2})$/.test(operand.value)
    const ms = zoned ? parseInstant(operand.value) : Number.NaN
    if (Number.isNaN(ms)) {
      return this.#wrong(at, 'timestamp() takes RFC 3339 with a zone and whole milliseconds, as "2024-03-01T00:00:00Z"')
    }
    return { kind: 'constant', type: 'timestamp', value: ms, at }
  }

  #calendar(node: Extract<CelNode, { kind: 'call' }>): Typed {
    const [target, zone] = node.args.map((a) => this.#check(a)) as [Typed, Typed | undefined]
    if (target.type === 'unknown' || zone?.type === 'unknown') return unknown(node.at)
    if (target.type !== 'timestamp') return this.#mismatch(`${node.name}()`, [target], node.at)
    if (zone !== undefined) {
      if (zone.kind !== 'constant' || typeof zone.value !== 'string')
        return this.#wrong(zone.at, 'the time zone must be a literal')
      if (!isTimeZone(zone.value)) return this.#wrong(zone.at, `there is no time zone "${zone.value}"`)
    }
    return call(node.name, 'int', node.at, zone === undefined ? [target] : [target, zone], true)
  }

  #relation(name: string, leftNode: CelNode, rightNode: CelNode, at: number): Typed {
    const pair = this.#unify(this.#check(leftNode), this.#check(rightNode), at)
    if (pair === undefined) return unknown(at)
    const [left, right] = pair
    const fits = left.type === right.type || (numeric.has(left.type) && numeric.has(right.type))
    if (!fits) return this.#mismatch(name, [left, right], at)
    return simplified(name, left, right) ?? simplified(name, right, left) ?? call(name, 'bool', at, [left, right])
  }

  /** Gives properties the type of what they meet; undefined when a mistake has been told. */
  #unify(left: Typed, right: Typed, at: number): readonly [Typed, Typed] | undefined {
    if (left.type === 'unknown' || right.type === 'unknown') return undefined
    if (left.type === 'property' && right.type === 'property') {
      this.#wrong(at, 'both sides are properties of unknown type; say which with string(…) or double(…)')
      return undefined
    }
    if (left.type === 'property') return [like(left, right.type), right]
    if (right.type === 'property') return [left, like(right, left.type)]
    return [left, right]
  }

  #choice(args: readonly CelNode[], at: number): Typed {
    const condition = this.condition(args[0]!)
    const pair = this.#unify(this.#check(args[1]!), this.#check(args[2]!), at)
    if (pair === undefined) return unknown(at)
    if (pair[0].type !== pair[1].type) return this.#mismatch('? :', pair, at)
    return call('?:', pair[0].type, at, [condition, ...pair])
  }

  #in(itemNode: CelNode, listNode: CelNode, at: number): Typed {
    if (listNode.kind === 'name' && itemNode.kind === 'literal' && itemNode.literal.type === 'string') {
      return this.#has([...listNode.path, itemNode.literal.value], at)
    }
    const item = this.#check(itemNode)
    if (listNode.kind !== 'list') return this.#wrong(listNode.at, 'the right of "in" must be a list, as ["web", "ios"]')
    const items = listNode.items.map((i) => this.#check(i))
    if (item.type === 'unknown' || items.some((i) => i.type === 'unknown')) return unknown(at)
    if (items.some((i) => i.kind !== 'constant')) return this.#wrong(listNode.at, 'the list may hold literals only')
    const types = new Set(items.map((i) => (numeric.has(i.type) ? 'number' : i.type)))
    if (types.size > 1) return this.#wrong(listNode.at, 'the items of the list differ in type')
    if (items.length === 0) return { kind: 'constant', type: 'bool', value: false, at }
    const [left] = this.#unify(item, items[0]!, at) ?? [item]
    const fits = left.type === items[0]!.type || (numeric.has(left.type) && types.has('number'))
    if (!fits) return this.#mismatch('in', [left, items[0]!], at)
    return call('in', 'bool', at, [left, { kind: 'list', type: 'list', items, at: listNode.at }])
  }

  #arithmetic(name: string, leftGiven: Typed, rightGiven: Typed, at: number): Typed {
    let left = leftGiven
    let right = rightGiven
    if (left.type === 'unknown' || right.type === 'unknown') return unknown(at)
    if (name === '+' && (left.type === 'string' || right.type === 'string')) {
      left = this.#text(left)
      right = this.#text(right)
      return right.type === left.type ? call('+', 'string', at, [left, right]) : this.#mismatch('+', [left, right], at)
    }
    left = this.#number(left)
    right = this.#number(right)
    // Properties are doubles; a whole literal beside a double is meant as one.
    if (left.type === 'double') right = wholeAsDouble(right)
    if (right.type === 'double') left = wholeAsDouble(left)
    if (!numeric.has(left.type) || left.type !== right.type) return this.#mismatch(name, [left, right], at)
    if (name === '%' && left.type === 'double') return this.#wrong(at, '% takes whole numbers; write int(…)')
    return call(name, left.type, at, [left, right])
  }

  #text(typed: Typed): Typed {
    return typed.type === 'property' ? like(typed, 'string') : typed
  }

  #number(typed: Typed): Typed {
    return typed.type === 'property' ? like(typed, 'double') : typed
  }

  #mismatch(name: string, args: readonly Typed[], at: number): Typed {
    if (args.some((a) => a.type === 'unknown')) return unknown(at)
    const types = args.map(describe).join(' and ')
    return this.#wrong(at, `${name} does not take ${types}${hintFor(args)}`)
  }

  #wrong(at: number, message: string): Typed {
    this.problems.push({ message, at })
    return unknown(at)
  }
}
