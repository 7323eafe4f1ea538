/** Rules on imports: their direction, purity, the homes of libraries, cycles. Each a pure function from tree to findings. */
import {
  blank,
  type Finding,
  type Import,
  importsOf,
  matchesAny,
  packageOf,
  resolveImport,
  type Tree,
} from './source.ts'
import { computingLibraries, folders, libraries, pure, shared } from './tables.ts'

interface Edge extends Import {
  readonly path: string
  /** Path of the imported file, undefined for a package. */
  readonly target: string | undefined
}

function edgesOf(tree: Tree): Edge[] {
  return [...tree].flatMap(([path, text]) =>
    importsOf(text, blank(text)).map((i) => ({ ...i, path, target: resolveImport(path, i.specifier) })),
  )
}

/** Folder of a file of src/, or for a file directly in src/ its name without the suffix; undefined outside src/. */
function folderOf(path: string): string | undefined {
  const [top, first, ...rest] = path.split('/')
  if (top !== 'src' || first === undefined) return undefined
  return rest.length > 0 ? first : first.replace(/\.ts$/, '')
}

/** Imports go one way, as the table says; src/ sees nothing outside, jobs/ see src/api.ts only. */
export function checkDirections(tree: Tree): Finding[] {
  const findings: Finding[] = []
  for (const { path, line, target } of edgesOf(tree)) {
    if (target === undefined) continue
    const report = (message: string): number => findings.push({ path, line, message })
    if (path.startsWith('jobs/')) {
      if (!target.startsWith('jobs/') && target !== 'src/api.ts')
        report(`jobs/ may import src/api.ts only, not ${target}`)
      continue
    }
    const from = folderOf(path)
    if (from === undefined) continue
    const to = folderOf(target)
    const allowed = folders[from]
    if (allowed === undefined) report(`src/${from} has no line in the table of folders`)
    else if (to === undefined) report(`src/ may not import ${target}`)
    else if (to !== from && !allowed.includes(to)) report(`${from} may not import ${to} (${target})`)
    else if (to !== from && shared[to]?.to.includes(from) && !matchesAny(target, shared[to].files)) {
      report(`${from} may import of ${to} only ${shared[to].files.join(', ')}, not ${target}`)
    }
  }
  return findings
}

/** Pure code imports no Node module but assert, and no library but those that only compute. */
export function checkPurity(tree: Tree): Finding[] {
  return edgesOf(tree).flatMap(({ path, line, specifier }) => {
    const name = packageOf(specifier)
    if (name === undefined || !matchesAny(path, pure)) return []
    if (name === 'node:assert' || computingLibraries.includes(name)) return []
    return [{ path, line, message: `pure code may not import ${name}` }]
  })
}

/** Each third-party library is imported by its named files alone. */
export function checkLibraries(tree: Tree): Finding[] {
  return edgesOf(tree).flatMap(({ path, line, specifier }) => {
    const name = packageOf(specifier)
    if (name === undefined || name.startsWith('node:') || !path.startsWith('src/')) return []
    const homes = libraries[name]
    if (homes === undefined) return [{ path, line, message: `${name} has no line in the table of libraries` }]
    return matchesAny(path, homes) ? [] : [{ path, line, message: `${name} is imported by ${homes.join(', ')} only` }]
  })
}

/** No file of src/ imports itself in a circle; a cycle of types alone counts too: a types file cuts it. */
export function checkCycles(tree: Tree): Finding[] {
  const edges = new Map<string, Edge[]>()
  for (const edge of edgesOf(tree)) {
    if (!edge.path.startsWith('src/') || edge.target === undefined || !tree.has(edge.target)) continue
    edges.set(edge.path, [...(edges.get(edge.path) ?? []), edge])
  }
  const findings: Finding[] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (path: string): void => {
    trail.push(path)
    for (const { target, line } of edges.get(path) ?? []) {
      const start = trail.indexOf(target!)
      if (start !== -1) findings.push({ path, line, message: `cycle: ${[...trail.slice(start), target].join(' -> ')}` })
      else if (!done.has(target!)) visit(target!)
    }
    trail.pop()
    done.add(path)
  }
  for (const path of edges.keys()) if (!done.has(path)) visit(path)
  return findings
}
