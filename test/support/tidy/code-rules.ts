/** Rules on the code itself: adapters, length, documentation, skipped tests. Each a pure function from tree to findings. */
import { blank, type Finding, importsOf, lineAt, matchesAny, packageOf, type Tree } from './source.ts'
import { capabilities, maxLines } from './tables.ts'

function isSource(path: string): boolean {
  return path.startsWith('src/') && !path.startsWith('src/gen/')
}

/** Time, chance, threads, network, files and environment are touched by their named adapters alone. */
export function checkAdapters(tree: Tree): Finding[] {
  const findings: Finding[] = []
  for (const [path, text] of tree) {
    if (!isSource(path)) continue
    const blanked = blank(text)
    const imports = importsOf(text, blanked)
    const code = blanked.replaceAll(/\bglobalThis\./g, (prefix) => ' '.repeat(prefix.length))
    for (const capability of capabilities) {
      if (matchesAny(path, capability.files)) continue
      const message = `only ${capability.files.join(', ')} may touch ${capability.name}`
      if (capability.code) {
        for (const match of code.matchAll(new RegExp(capability.code, 'g'))) {
          findings.push({ path, line: lineAt(text, match.index), message: `${match[0]}: ${message}` })
        }
      }
      for (const { specifier, typeOnly, line } of imports) {
        if (typeOnly || !capability.modules?.includes(packageOf(specifier) ?? '')) continue
        findings.push({ path, line, message: `${specifier}: ${message}` })
      }
    }
  }
  return findings
}

/** A file has one idea: at most `maxLines` lines, unless one of its first 30 says `// tidy: long because …`. */
export function checkLength(tree: Tree): Finding[] {
  const findings: Finding[] = []
  for (const [path, text] of tree) {
    if (path.startsWith('src/gen/')) continue
    const lines = text.trimEnd().split('\n')
    if (lines.length <= maxLines) continue
    if (lines.slice(0, 30).some((line) => /^\s*\/\/ tidy: long because \S/.test(line))) continue
    const message = `${lines.length} lines: split it, or say "// tidy: long because …" in the first 30 lines`
    findings.push({ path, line: maxLines + 1, message })
  }
  return findings
}

const declaration =
  /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(function\*?|class|const|let|var|interface|type)\s+([\w$]+|\{|\[)/gm

/** Everything that src/ exports says what it is in a doc comment right above it; of overloads, the first. */
export function checkDocs(tree: Tree): Finding[] {
  const findings: Finding[] = []
  for (const [path, text] of tree) {
    if (!isSource(path)) continue
    const seen = new Set<string>()
    for (const match of blank(text).matchAll(declaration)) {
      const [, kind = '', name = ''] = match
      if (kind === 'type' && name === '{') continue // export type { … }: declared, and documented, elsewhere
      if (seen.has(name)) continue
      seen.add(name)
      if (endsInDocComment(text.slice(0, match.index))) continue
      findings.push({ path, line: lineAt(text, match.index), message: `export ${kind} ${name} has no doc comment` })
    }
  }
  return findings
}

/** Whether a doc comment ends on the line right above: after a blank line it speaks of the file, not of what follows. */
function endsInDocComment(above: string): boolean {
  return /\*\/[ \t]*\n$/.test(above) && above.startsWith('/**', above.lastIndexOf('/*'))
}

const skip = /\.(only|skip|todo|fails|skipIf|runIf)\b/g

/** No test is left focused; one that is skipped, always or on a condition, says why in `// skip: …` beside or above it. */
export function checkSkips(tree: Tree): Finding[] {
  const findings: Finding[] = []
  for (const [path, text] of tree) {
    if (!path.endsWith('.test.ts') && !path.startsWith('test/')) continue
    const code = blank(text)
    if (!importsOf(text, code).some((i) => i.specifier === 'vitest')) continue
    const lines = text.split('\n')
    for (const match of code.matchAll(skip)) {
      const line = lineAt(text, match.index)
      const reason = [lines[line - 1], lines[line - 2]].some((l) => /\/\/ skip: \S/.test(l ?? ''))
      if (match[1] === 'only') findings.push({ path, line, message: '.only hides every other test' })
      else if (!reason) findings.push({ path, line, message: `.${match[1]} without a reason in "// skip: …"` })
    }
  }
  return findings
}
