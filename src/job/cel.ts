/**
 * CEL text to a small tree of our own: the adapter to the CEL parser.
 *
 * Owns: limits on what people submit, folding `a.b["c"]` into one name, errors with their place in the text. Does not
 * own: what names and operators mean (job/predicate.ts), evaluation (operator/).
 *
 * The grammar is CEL's own (@bufbuild/cel). What a `where` has no use for is refused here by name: macros other than
 * has(), maps, messages, null, bytes.
 */
import { parse } from '@bufbuild/cel'

/** Longest expression in characters. */
export const EXPRESSION_LENGTH_MAX = 4096
/** Deepest nesting of an expression. */
export const EXPRESSION_DEPTH_MAX = 64
/** Most items of a list in an expression. */
export const LIST_ITEMS_MAX = 1000

/** A literal: int and uint as bigint, double as number. */
export type CelLiteral =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'int' | 'uint'; readonly value: bigint }
  | { readonly type: 'double'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }

/** A node of an expression. `at` is its place in the text, counted from 0 in UTF-16 units. */
export type CelNode =
  | { readonly kind: 'literal'; readonly literal: CelLiteral; readonly at: number }
  /** A name in segments: `context.country`, `properties["plan"]`. */
  | { readonly kind: 'name'; readonly path: readonly string[]; readonly at: number }
  | { readonly kind: 'has'; readonly path: readonly string[]; readonly at: number }
  /** `name` is the operator (`==`, `&&`, `in`, `?:`, `-x`, …) or the function; a method's target is the first argument. */
  | {
      readonly kind: 'call'
      readonly name: string
      readonly method: boolean
      readonly args: readonly CelNode[]
      readonly at: number
    }
  | { readonly kind: 'list'; readonly items: readonly CelNode[]; readonly at: number }

/** One mistake in an expression, with its place in the text. */
export interface CelProblem {
  readonly message: string
  readonly at: number
}

/** Operators by the parser's names for them. */
const operators: Readonly<Record<string, string>> = {
  '_==_': '==',
  '_!=_': '!=',
  '_<_': '<',
  '_<=_': '<=',
  '_>_': '>',
  '_>=_': '>=',
  '_&&_': '&&',
  '_||_': '||',
  '!_': '!',
  '_?_:_': '?:',
  '_+_': '+',
  '_-_': '-',
  '_*_': '*',
  '_/_': '/',
  '_%_': '%',
  '-_': '-x',
  '@in': 'in',
}

/** The tree of `text`, or the one mistake that keeps it from being read. */
export function parseCel(text: string): { readonly node: CelNode } | { readonly problem: CelProblem } {
  if (text.length > EXPRESSION_LENGTH_MAX) {
    return { problem: { message: `the expression is longer than ${EXPRESSION_LENGTH_MAX} characters`, at: 0 } }
  }
  if (text.trim() === '') return { problem: { message: 'the expression is empty', at: 0 } }
  const deep = bracketsTooDeep(text)
  if (deep >= 0) return { problem: { message: `brackets nest deeper than ${EXPRESSION_DEPTH_MAX}`, at: deep } }
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(text)
  } catch (error) {
    return { problem: syntaxProblem(text, error) }
  }
  try {
    return { node: convert(parsed.expr, parsed.sourceInfo?.positions ?? {}, 0) }
  } catch (error) {
    if (error instanceof Refusal) return { problem: { message: error.message, at: error.at } }
    throw error
  }
}

/** A CEL string literal of `text`. */
export function printString(text: string): string {
  let out = '"'
  for (const character of text) {
    const code = character.charCodeAt(0)
    if (character === '"' || character === '\\') out += `\\${character}`
    else if (code < 0x20 || code === 0x7f) out += `\\u${code.toString(16).padStart(4, '0')}`
    else out += character
  }
  return `${out}"`
}

class Refusal extends Error {
  readonly at: number
  constructor(message: string, at: number) {
    super(message)
    this.at = at
  }
}

type Expr = ReturnType<typeof parse>['expr']
type Positions = { readonly [id: string]: number }

function convert(expr: Expr | undefined, positions: Positions, depth: number): CelNode {
  const at = positions[String(expr?.id)] ?? 0
  if (depth > EXPRESSION_DEPTH_MAX) throw new Refusal(`the expression nests deeper than ${EXPRESSION_DEPTH_MAX}`, at)
  const kind = expr?.exprKind
  switch (kind?.case) {
    case 'constExpr':
      return { kind: 'literal', literal: literalOf(kind.value.constantKind, at), at }
    case 'identExpr':
      return { kind: 'name', path: [kind.value.name.replace(/^\./, '')], at }
    case 'selectExpr': {
      const operand = convert(kind.value.operand, positions, depth + 1)
      if (operand.kind !== 'name') throw new Refusal(`".${kind.value.field}" needs a field in front of it`, at)
      const path = [...operand.path, kind.value.field]
      return kind.value.testOnly ? { kind: 'has', path, at } : { kind: 'name', path, at: operand.at }
    }
    case 'callExpr': {
      const call = kind.value
      if (call.function === '_[_]') return convertIndex(call.args, positions, depth, at)
      // A one-name has() is not the macro, which wants a selection; people mean the same.
      if (call.function === 'has' && call.target === undefined && call.args.length === 1) {
        const operand = convert(call.args[0], positions, depth + 1)
        if (operand.kind === 'name') return { kind: 'has', path: operand.path, at }
      }
      const name = operators[call.function] ?? call.function
      // `a || b || c …` leans to the left: walk it in a loop, so that long lists of alternatives are not "deep".
      if (name === '&&' || name === '||') return convertChain(expr!, call.function, name, positions, depth, at)
      const target = call.target === undefined ? [] : [convert(call.target, positions, depth + 1)]
      const args = call.args.map((a) => convert(a, positions, depth + 1))
      return { kind: 'call', name, method: target.length > 0, args: [...target, ...args], at }
    }
    case 'listExpr':
      if (kind.value.elements.length > LIST_ITEMS_MAX) {
        throw new Refusal(`the list has more than ${LIST_ITEMS_MAX} items`, at)
      }
      return { kind: 'list', items: kind.value.elements.map((e) => convert(e, positions, depth + 1)), at }
    case 'comprehensionExpr':
      throw new Refusal('macros over lists (exists, all, map, filter) are not supported; use "in"', at)
    default:
      throw new Refusal('maps and messages are not supported here', at)
  }
}

function convertChain(root: Expr, fn: string, name: string, positions: Positions, depth: number, at: number): CelNode {
  const parts: CelNode[] = []
  const pending: (Expr | undefined)[] = [root]
  while (pending.length > 0) {
    const expr = pending.pop()
    const kind = expr?.exprKind
    if (kind?.case === 'callExpr' && kind.value.function === fn) pending.push(...[...kind.value.args].reverse())
    else parts.push(convert(expr, positions, depth + 1))
  }
  return { kind: 'call', name, method: false, args: parts, at }
}

function convertIndex(args: readonly Expr[], positions: Positions, depth: number, at: number): CelNode {
  const operand = convert(args[0], positions, depth + 1)
  const index = convert(args[1], positions, depth + 1)
  if (operand.kind !== 'name' || index.kind !== 'literal' || index.literal.type !== 'string') {
    throw new Refusal('[…] selects an entry of a map field by a text, as properties["plan"]', at)
  }
  return { kind: 'name', path: [...operand.path, index.literal.value], at: operand.at }
}

function literalOf(constant: { case: string | undefined; value?: unknown }, at: number): CelLiteral {
  switch (constant.case) {
    case 'boolValue':
      return { type: 'bool', value: constant.value as boolean }
    case 'int64Value':
      return { type: 'int', value: constant.value as bigint }
    case 'uint64Value':
      return { type: 'uint', value: constant.value as bigint }
    case 'doubleValue':
      if (!Number.isFinite(constant.value)) throw new Refusal('the number is too large for a double', at)
      return { type: 'double', value: constant.value as number }
    case 'stringValue':
      return { type: 'string', value: constant.value as string }
    case 'nullValue':
      throw new Refusal('a field is never null: use has() or compare with its default', at)
    default:
      throw new Refusal('bytes are not supported', at)
  }
}

/** The place of the first bracket that is nested too deep, or -1. The parser is recursive: this bounds its stack. */
function bracketsTooDeep(text: string): number {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if ('([{'.includes(c) && ++depth > EXPRESSION_DEPTH_MAX) return i
    if (')]}'.includes(c)) depth--
  }
  return -1
}

/** The parser's own message lists dozens of token kinds; people need the place and the usual slips. */
function syntaxProblem(text: string, error: unknown): CelProblem {
  const start = (error as { location?: { start?: { offset?: number } } }).location?.start?.offset
  if (typeof start !== 'number') return { message: error instanceof Error ? error.message : String(error), at: 0 }
  const rest = text.slice(start)
  const found = rest === '' ? 'the end' : `"${rest.slice(0, 20).split(/\s/)[0] || rest[0]}"`
  if (/^=(?!=)/.test(rest)) return { message: 'expected an expression that goes on; to compare, write "=="', at: start }
  if (/^(and|or|not|AND|OR|NOT)\b/.test(rest)) {
    return { message: `cannot read on from ${found}; CEL writes &&, || and !`, at: start }
  }
  if (/^<>/.test(rest)) return { message: 'cannot read "<>"; CEL writes "!="', at: start }
  const open = rest.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, '').search(/['"]/)
  if (open >= 0) return { message: `cannot read on from ${found}: is a quote missing?`, at: start }
  return { message: `cannot read the expression from ${found} on: is a value or an operator missing?`, at: start }
}
