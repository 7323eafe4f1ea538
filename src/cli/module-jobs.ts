/**
 * Jobs in TypeScript on the command line: a module where other jobs have a document.
 *
 * Owns: telling the two apart, and the document that stands for a module. A server loads modules from its own folder, by
 * name; `run` makes the folder of the module its server's.
 */
import { existsSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { ValidationResult } from '../control/api.ts'
import { graphOf } from '../control/job-graph.ts'
import { MillraceError } from '../core/errors.ts'
import { isModuleFile, programDocument } from '../job/parse-program.ts'
import { planProgram } from '../job/program-plan.ts'
import { readDocument } from './context.ts'
import type { CliDeps } from './deps.ts'

/** The document to submit: the text of a job file, or what names a module. A server looks for `jobs/a.ts` as `a.ts` too. */
export async function submittedText(deps: CliDeps, file: string): Promise<string> {
  if (!isModuleFile(file)) return readDocument(deps, file)
  return programDocument(file.replace(/^\.\//, ''))
}

/** A module to run here: its folder and its document. INPUT_INVALID when there is no such file. */
export function localModule(file: string): { readonly folder: string; readonly text: string } {
  const path = resolve(file)
  if (!existsSync(path)) throw new MillraceError('INPUT_INVALID', `cannot read ${file}: there is no such file`)
  return { folder: dirname(path), text: programDocument(basename(path)) }
}

/** Checks a module here, by loading it. */
export async function validateModule(deps: CliDeps, file: string): Promise<ValidationResult> {
  try {
    localModule(file)
    if (deps.inspectModule === undefined) throw new MillraceError('UNAVAILABLE', 'modules cannot be loaded here')
    const definition = await deps.inspectModule(resolve(file))
    const graph = graphOf(planProgram(definition, { threads: 1, fileOf: (module) => module }))
    return { valid: true, violations: [], name: definition.name, graph }
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'JOB_INVALID') throw error
    const own = { field: '', message: error.message, line: 0, column: 0 }
    return { valid: false, violations: error.violations.length > 0 ? error.violations : [own], name: '', graph: null }
  }
}
