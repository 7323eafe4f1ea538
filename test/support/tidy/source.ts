/**
 * What the tidy rules see of a source file: its code without comments and the insides of strings, and its imports.
 *
 * A scanner, not a parser: it knows where comments, strings, templates and regular expressions begin and end, which is
 * all that the rules need. Blanked text keeps its length and its line breaks, so that a position in one is the same
 * position in the other.
 */

/** Path from the root of the checkout, with forward slashes, to the text of the file. */
export type Tree = ReadonlyMap<string, string>

/** Something that breaks a rule. Lines count from 1. */
export interface Finding {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** One import, re-export or dynamic import. */
export interface Import {
  readonly specifier: string
  /** True for `import type` and `export type … from`, which leave nothing at run time. */
  readonly typeOnly: boolean
  readonly line: number
}

/** The line of a position, from 1. */
export function lineAt(text: string, index: number): number {
  let line = 1
  for (let i = text.indexOf('\n'); i !== -1 && i < index; i = text.indexOf('\n', i + 1)) line++
  return line
}

const wordsBeforeRegex = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/

/** The text with comments and the contents of strings, templates and regular expressions as spaces. */
export function blank(text: string): string {
  const out: string[] = []
  const templates: number[] = [] // depth of braces at which each open `${` ends
  let depth = 0
  let significant = '' // last code character that was not a space
  let i = 0
  const keep = (count: number): void => {
    for (const end = Math.min(i + count, text.length); i < end; i++) {
      const char = text[i]!
      out.push(char)
      if (char !== ' ' && char !== '\n' && char !== '\t') significant = char
    }
  }
  const hide = (end: number): void => {
    for (; i < end && i < text.length; i++) out.push(text[i] === '\n' ? '\n' : ' ')
  }
  const hideTemplate = (): void => {
    let at = i
    while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) at += text[at] === '\\' ? 2 : 1
    hide(at)
    if (text[at] === '`') keep(1)
    else if (at < text.length) {
      keep(2)
      templates.push(depth++)
    }
  }
  if (text.startsWith('#!')) hide(endOfLine(text, 0))
  while (i < text.length) {
    const char = text[i]!
    if (text.startsWith('//', i)) hide(endOfLine(text, i))
    else if (text.startsWith('/*', i)) hide(after(text, '*/', i + 2))
    else if (char === "'" || char === '"') {
      const end = endOfQuoted(text, i)
      keep(1)
      hide(end)
      keep(1)
    } else if (char === '`') {
      keep(1)
      hideTemplate()
    } else if (char === '/' && startsRegex(significant, out)) {
      const end = endOfRegex(text, i)
      keep(1)
      hide(end)
      keep(1)
    } else if (char === '}' && templates.at(-1) === depth - 1) {
      keep(1)
      depth = templates.pop()!
      hideTemplate()
    } else {
      if (char === '{') depth++
      else if (char === '}') depth--
      keep(1)
    }
  }
  return out.join('')
}

function startsRegex(significant: string, out: readonly string[]): boolean {
  if (significant === '' || '(,=:[!&|?{};+-*%<>~^'.includes(significant)) return true
  return wordsBeforeRegex.test(out.slice(-12).join('').trimEnd())
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end === -1 ? text.length : end
}

function after(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from)
  return end === -1 ? text.length : end + mark.length
}

function endOfQuoted(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== text[start] && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
  return at
}

function endOfRegex(text: string, start: number): number {
  let at = start + 1
  let inClass = false
  while (at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/')) {
    if (text[at] === '[') inClass = true
    else if (text[at] === ']') inClass = false
    at += text[at] === '\\' ? 2 : 1
  }
  return at
}

const statement =
  /^[ \t]*(import|export)\s+(type\s+(?!from\b))?(?:(?:[\w$]+\s*,\s*)?(?:\{[^}]*\}|\*(?:\s+as\s+[\w$]+)?)|[\w$]+)\s*from\s*['"]/gm
const sideEffect = /^[ \t]*import\s*['"]/gm
const dynamic = /\bimport\s*\(\s*['"]/g
const resolved = /\bimport\.meta\.resolve\s*\(\s*['"]/g

/** Every import of a file, in order. Worker entry points named by `new URL(…)` are not imports. */
export function importsOf(text: string, code: string = blank(text)): Import[] {
  const found: (Import & { index: number })[] = []
  for (const pattern of [statement, sideEffect, dynamic, resolved]) {
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].length
      const specifier = text.slice(start, endOfQuoted(text, start - 1))
      found.push({ specifier, typeOnly: match[2] !== undefined, line: lineAt(text, match.index), index: start })
    }
  }
  return found.sort((a, b) => a.index - b.index).map(({ specifier, typeOnly, line }) => ({ specifier, typeOnly, line }))
}

/** The path that a relative specifier names, from the root of the checkout; undefined for a bare one. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** The package of a bare specifier: `@a/b/c` is `@a/b`, `node:fs/promises` is itself; undefined for a relative one. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.')) return undefined
  if (specifier.startsWith('node:')) return specifier
  const [first, second] = specifier.split('/')
  return first!.startsWith('@') ? `${first}/${second}` : first!
}

/** Whether `path` matches a pattern: `**` any folders, `*` anything within one name. */
export function matches(path: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  const source = escaped.replaceAll('**', '\0').replaceAll('*', '[^/]*').replaceAll('\0', '.*')
  return new RegExp(`^${source}$`).test(path)
}

/** Whether `path` matches any of `patterns`. */
export function matchesAny(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(path, pattern))
}
