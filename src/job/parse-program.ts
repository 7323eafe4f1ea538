/**
 * The document by which a job in TypeScript is submitted: it names a module in the server's folder of jobs.
 *
 *   apiVersion: millrace.dev/v1
 *   kind: TypeScriptJob
 *   module: abandoned-carts.ts
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import { formatPath, MappingReader } from './parse-reader.ts'
import { readYaml } from './parse-yaml.ts'

/** The `kind` of the document. */
export const PROGRAM_KIND = 'TypeScriptJob'

/** Modules by name: below the folder, without steps upwards. */
const moduleName = /^([A-Za-z0-9_][A-Za-z0-9._-]*\/)*[A-Za-z0-9_][A-Za-z0-9._-]*\.(ts|mts|js|mjs)$/

/** The module that a document names; null for a document of another kind. JOB_INVALID with all that is wrong. */
export function readProgramDocument(text: string): { readonly module: string } | null {
  const document = readYaml(text)
  const value = document.value as { readonly kind?: unknown } | null | undefined
  if (typeof value !== 'object' || value === null || value.kind !== PROGRAM_KIND) return null
  const reader = new MappingReader(value, [], [])
  const version = reader.text('apiVersion', '')
  reader.text('kind', PROGRAM_KIND)
  const module = reader.text('module', '')
  reader.finish()
  const problems = [...reader.problems]
  if (version !== 'millrace.dev/v1') problems.push({ path: ['apiVersion'], message: 'must be millrace.dev/v1' })
  if (!moduleName.test(module)) {
    const message = `${JSON.stringify(module)} is no module: name a .ts, .mts, .js or .mjs file below the server's folder of jobs`
    problems.push({ path: ['module'], message })
  }
  if (problems.length === 0) return { module }
  const violations: Violation[] = problems.map((problem) => {
    return { field: formatPath(problem.path), message: problem.message, ...document.locate(problem) }
  })
  throw new MillraceError('JOB_INVALID', `the document is no job: ${violations[0]!.message}`, { violations })
}

/** The document that submits a module. */
export function programDocument(module: string): string {
  return `apiVersion: millrace.dev/v1\nkind: ${PROGRAM_KIND}\nmodule: ${module}\n`
}

/** True for files that are modules and no job documents. */
export function isModuleFile(file: string): boolean {
  return /\.(ts|mts|js|mjs)$/.test(file)
}
