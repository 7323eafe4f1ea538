/**
 * YAML or JSON text to plain values that know their lines: the adapter to the yaml library.
 *
 * Owns: limits against hostile documents (size, aliases, duplicate keys, tags), and finding the line and column of a
 * path. Does not own: what the document says (job/parse.ts).
 */
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import type { DocumentProblem } from './parse-reader.ts'

/** Largest document in UTF-16 units: a hundred metrics take a quarter of it, and none of its size takes a second to read. */
export const DOCUMENT_LENGTH_MAX = 128 * 1024
const ALIASES_MAX = 100
const MISTAKES_MAX = 20

/** A place in a text, from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** A document that was read, or the mistakes that keep it from being read at all. */
export interface YamlDocument {
  /** The value; undefined when `mistakes` is not empty. */
  readonly value: unknown
  readonly mistakes: readonly (Place & { readonly message: string })[]
  /** Where a problem is: its value, its key, or what of its path exists. */
  locate(problem: DocumentProblem): Place
}

/** Reads one YAML document; JSON is YAML. Never throws. */
export function readYaml(text: string): YamlDocument {
  const start = { line: 1, column: 1 }
  const broken = (message: string, place: Place = start): YamlDocument => ({
    value: undefined,
    mistakes: [{ ...place, message }],
    locate: () => start,
  })
  if (text.length > DOCUMENT_LENGTH_MAX) return broken(`the document is larger than ${DOCUMENT_LENGTH_MAX / 1024} KiB`)
  const lines = new LineCounter()
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  let document: Document
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: 'error' })
  } catch (error) {
    return broken(`the document cannot be read: ${error instanceof RangeError ? 'it nests too deeply' : String(error)}`)
  }
  const errors = [...document.errors, ...document.warnings]
  if (errors.length > 0) {
    const mistakes = errors.slice(0, MISTAKES_MAX).map((e) => ({
      message: /call stack/.test(e.message) ? 'the document nests too deeply' : e.message,
      ...placeOf(e.pos[0]),
    }))
    return { value: undefined, mistakes, locate: () => start }
  }
  const twice = duplicateKeys(document)
  if (twice.length > 0) {
    const mistakes = twice.map(({ key, offset }) => ({
      message: `the key ${JSON.stringify(key)} stands here twice`,
      ...placeOf(offset),
    }))
    return { value: undefined, mistakes, locate: () => start }
  }
  try {
    const value = document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown
    return { value, mistakes: [], locate: (problem) => placeOf(offsetOf(document, text, problem)) }
  } catch (error) {
    return broken(
      error instanceof RangeError ? 'the document nests too deeply' : `the document uses too many aliases (*name)`,
    )
  }
}

/** Keys that a mapping has twice. Our own, because the library's check is quadratic, and documents are hostile. */
function duplicateKeys(document: Document): { key: string; offset: number }[] {
  const found: { key: string; offset: number }[] = []
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        if (seen.has(name)) found.push({ key: name, offset: key.range?.[0] ?? 0 })
        seen.add(name)
        if (found.length >= MISTAKES_MAX) return visit.BREAK
      }
      return undefined
    },
  })
  return found
}

function offsetOf(document: Document, text: string, problem: DocumentProblem): number {
  let node: unknown = document.contents
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
  for (let i = 0; i < problem.path.length; i++) {
    const step = problem.path[i]!
    if (isSeq(node)) {
      node = node.items[Number(step)]
    } else if (isMap(node)) {
      const pair = node.items.find((p) => String(isScalar(p.key) ? p.key.value : p.key) === String(step))
      if (pair === undefined) break
      if ((problem.key === true && i === problem.path.length - 1) || !isNode(pair.value) || isEmpty(pair.value)) {
        return isNode(pair.key) ? (pair.key.range?.[0] ?? offset) : offset
      }
      node = pair.value
    } else {
      break
    }
    if (isNode(node)) offset = node.range?.[0] ?? offset
  }
  if (problem.offset !== undefined && isScalar(node) && typeof node.value === 'string') {
    return offsetInScalar(text, node, node.value, problem.offset)
  }
  return offset
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.source === ''
}

/**
 * The place of character `at` of a scalar's value in the text that was written: quotes, escapes, folding and indentation
 * stand between the two, so the text is walked until as many characters have matched.
 */
function offsetInScalar(
  text: string,
  node: { range?: readonly number[] | null; type?: string },
  value: string,
  at: number,
): number {
  let offset = node.range?.[0] ?? 0
  const end = node.range?.[1] ?? text.length
  if (node.type?.startsWith('BLOCK')) offset = Math.max(offset, text.indexOf('\n', offset) + 1)
  else if (node.type?.startsWith('QUOTE')) offset++
  for (let i = 0; i <= at && offset < end; i++) {
    const wanted = value[i]
    if (wanted === undefined) break
    if (/\s/.test(wanted)) {
      if (i < at && /\s/.test(text[offset]!)) offset++
      continue
    }
    while (offset < end && text[offset] !== wanted && /[\s\\]/.test(text[offset]!)) offset++
    if (i < at) {
      // In single quotes, a quote is written twice.
      offset += node.type === 'QUOTE_SINGLE' && wanted === "'" && text[offset + 1] === "'" ? 2 : 1
    }
  }
  return Math.min(offset, end)
}
