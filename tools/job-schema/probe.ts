/**
 * Asks the parser of job definitions what it accepts, by giving it documents with one mistake and reading what it says.
 *
 * Owns: the questions, and reading the answers. So the schema and the reference say what the parser does, not what
 * somebody remembered to write down: a key that is added to the parser shows up by itself.
 */
import { readFileSync } from 'node:fs'
import { MillraceError, type Violation } from '../../src/core/errors.ts'
import { formatInstant } from '../../src/core/instant.ts'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { formatDuration } from '../../src/job/duration.ts'
import { type ParsedJob, parseJobMessage } from '../../src/job/parse.ts'
import { formatPath } from '../../src/job/parse-reader.ts'

/** Keys and indexes from the root of a document. */
export type Path = readonly (string | number)[]

/** What may stand in one place. */
export type Leaf =
  | { readonly kind: 'text' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'number'; readonly whole: boolean; readonly min: number; readonly max: number }
  /** `least` as a text: `-` any, `0` not negative, `1` longer than zero. */
  | { readonly kind: 'duration'; readonly least: '-' | '0' | '1' }
  | { readonly kind: 'size'; readonly minBytes: number }
  | { readonly kind: 'instant' }
  /** The parser says something that is not understood here. */
  | { readonly kind: 'unknown'; readonly says: string }

/** A key that no parser knows, and that looks like none that it does. */
const STRANGER = 'qqqqqqqqqqqq'

let loaded: Descriptors | null = null

function descriptors(): Descriptors {
  loaded ??= loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))
  return loaded
}

/** What is wrong with a document; empty when it is a job. */
export function mistakesOf(document: unknown): readonly Violation[] {
  try {
    parseJobMessage(document, descriptors())
    return []
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'JOB_INVALID') throw error
    return error.violations
  }
}

/** The job that a document is; null when it is none. */
function jobOf(document: unknown): ParsedJob | null {
  try {
    return parseJobMessage(document, descriptors())
  } catch {
    return null
  }
}

/** A copy of a document with `value` at `path`; what is missing on the way is made, `undefined` takes away. */
export function withValue(document: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (typeof step === 'number') {
    const list = Array.isArray(document) ? [...(document as unknown[])] : []
    const next = withValue(list[step], rest, value)
    if (next === undefined) list.splice(step, 1)
    else list[step] = next
    return list
  }
  const mapping: Record<string, unknown> =
    typeof document === 'object' && document !== null && !Array.isArray(document) ? { ...document } : {}
  const next = withValue(mapping[step], rest, value)
  if (next === undefined) delete mapping[step]
  else mapping[step] = next
  return mapping
}

/** What the parser says about the value at `path`, if anything. */
function saidOf(document: unknown, path: Path): readonly string[] {
  const field = formatPath(path)
  return mistakesOf(document)
    .filter((violation) => violation.field === field)
    .map(({ message }) => message)
}

/** The keys of which a mapping must have exactly one; null when there are none such. */
export function alternativesOf(
  document: unknown,
  path: Path,
): { readonly what: string; readonly keys: string[] } | null {
  for (const said of saidOf(withValue(document, path, {}), path)) {
    const match = /^needs an? ([^:]+): (.+)$/.exec(said)
    if (match !== null) return { what: match[1]!, keys: match[2]!.split(/, | or /) }
  }
  return null
}

/** The keys that the parser knows in the mapping `value` at `path`. */
export function knownKeys(document: unknown, path: Path, value: Readonly<Record<string, unknown>>): string[] {
  const probed = withValue(document, path, { ...value, [STRANGER]: 1 })
  for (const said of saidOf(probed, [...path, STRANGER])) {
    const match = /^unknown key; known here: (.*)$/.exec(said)
    if (match !== null) return match[1] === '' ? [] : match[1]!.split(', ')
  }
  return []
}

/** The keys without which the mapping `value` at `path` is refused. */
export function requiredKeys(document: unknown, path: Path, value: Readonly<Record<string, unknown>>): string[] {
  const prefix = path.length === 0 ? '' : `${formatPath(path)}.`
  return mistakesOf(withValue(document, path, value))
    .filter(({ field, message }) => field.startsWith(prefix) && /^(is missing|a job needs a)/.test(message))
    .map(({ field }) => /^\w+/.exec(field.slice(prefix.length))?.[0] ?? '')
    .filter((key, index, all) => key !== '' && !(key in value) && all.indexOf(key) === index)
}

/** True when a mapping or a list may be written as nothing (`count:`). */
export function takesNull(document: unknown, path: Path): boolean {
  return !saidOf(withValue(document, path, null), path).some((said) =>
    /^(must be a (mapping|list)|a job needs)/.test(said),
  )
}

/** What may stand at `path`. */
export function leafOf(document: unknown, path: Path): Leaf {
  const said = saidOf(withValue(document, path, []), path)[0] ?? ''
  const says = (value: unknown) => saidOf(withValue(document, path, value), path)[0] ?? ''
  if (said.startsWith('must be a text')) {
    const only = /^must be (\S+)$/.exec(says(STRANGER))
    return only === null ? { kind: 'text' } : { kind: 'choice', choices: [only[1]!] }
  }
  if (said.startsWith('must be true or false')) return { kind: 'flag' }
  if (said.startsWith('must be a duration')) {
    if (/longer than zero/.test(says('0s'))) return { kind: 'duration', least: '1' }
    return { kind: 'duration', least: says('-1s') === 'must not be negative' ? '0' : '-' }
  }
  if (said.startsWith('must be a size')) {
    return { kind: 'size', minBytes: Number(/at least (\d+) bytes/.exec(says(0))?.[1] ?? 0) }
  }
  if (said.startsWith('must be a time')) return { kind: 'instant' }
  const number = /^must be a (whole )?number, not/.exec(said)
  if (number !== null) {
    const range = /from (\S+) to (\S+), not/.exec(says(-Number.MAX_VALUE))
    return {
      kind: 'number',
      whole: number[1] !== undefined,
      min: Number(range?.[1] ?? Number.MIN_SAFE_INTEGER),
      max: Number(range?.[2] ?? Number.MAX_SAFE_INTEGER),
    }
  }
  const choice = /^must be (\w+(?:, \w+)* or \w+), not a list$/.exec(said)
  if (choice !== null) return { kind: 'choice', choices: choice[1]!.split(/, | or /) }
  return { kind: 'unknown', says: said }
}

/** What an absent key means, as documents would write it; null when it means nothing, or cannot be told. */
export function defaultOf(document: unknown, path: Path, leaf: Leaf): string | null {
  const without = jobOf(withValue(document, path, undefined))
  if (without === null) return null
  for (const value of othersOf(leaf)) {
    const given = jobOf(withValue(document, path, value))
    if (given === null) continue
    const changed = firstDifference(without, given)
    if (changed !== undefined) return textOf(changed, leaf)
  }
  return null
}

/** Values that may stand in a place, to see what changes. */
function othersOf(leaf: Leaf): readonly unknown[] {
  switch (leaf.kind) {
    case 'flag':
      return [true, false]
    case 'choice':
      return leaf.choices
    case 'number':
      return [leaf.min + 1, leaf.min + 2, leaf.max]
    case 'duration':
      return ['7s', '3m', '2h', '400d']
    case 'size':
      return ['77Mi', '7Gi']
    case 'instant':
      return ['2020-02-02T00:00:00Z']
    case 'text':
      return ['Europe/Berlin', 'received_at', 'session', 'json', 'probe']
    default:
      return []
  }
}

/** The first leaf of `a` that `b` has otherwise. */
function firstDifference(a: unknown, b: unknown): unknown {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b) ? undefined : a
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const left = (a as Record<string, unknown>)[key]
    const right = (b as Record<string, unknown>)[key]
    if (left === undefined || right === undefined) continue
    const changed = firstDifference(left, right)
    if (changed !== undefined) return changed
  }
  return undefined
}

function textOf(value: unknown, leaf: Leaf): string | null {
  if (value === '' || value === null || typeof value === 'object') return null
  if (typeof value !== 'number') return String(value)
  if (leaf.kind === 'duration') return formatDuration(value)
  if (leaf.kind === 'instant') return formatInstant(value)
  if (leaf.kind === 'size') return value % 1024 ** 3 === 0 ? `${value / 1024 ** 3}Gi` : `${value / 1024 ** 2}Mi`
  return String(value)
}
