/**
 * From the name of a module to the definition of the job in it.
 *
 * Owns: where modules are looked for, and that nothing outside that folder is. Does not own: asking a module what it is
 * (coordinator/module-inspector.ts).
 */
import { existsSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { ProgramDescription } from '../program/graph.ts'
import { programDefinition } from '../program/job-definition.ts'

/** The modules of one server. */
export class JobModules {
  readonly #folder: string
  readonly #inspect: (file: string) => Promise<ProgramDescription>

  constructor(folder: string, inspect: (file: string) => Promise<ProgramDescription>) {
    this.#folder = resolve(folder)
    this.#inspect = inspect
  }

  /** The path of a module. JOB_INVALID for a name that leads out of the folder. */
  fileOf(module: string): string {
    const file = resolve(join(this.#folder, module))
    if (file.startsWith(`${this.#folder}${sep}`)) return file
    throw new MillraceError('JOB_INVALID', `module ${JSON.stringify(module)} is not below the folder of jobs`)
  }

  /** The definition of the job in a module. JOB_INVALID. */
  async definitionOf(module: string): Promise<JobDefinition> {
    const name = this.#nameOf(module)
    return programDefinition(name, await this.#inspect(this.fileOf(name)))
  }

  /** People name files from where they are: `jobs/a.ts` is `a.ts` in the folder `jobs`, unless there is such a folder in it. */
  #nameOf(module: string): string {
    const prefix = `${basename(this.#folder)}/`
    if (!module.startsWith(prefix) || existsSync(this.fileOf(module))) return module
    const rest = module.slice(prefix.length)
    return existsSync(this.fileOf(rest)) ? rest : module
  }
}
