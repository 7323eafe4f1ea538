/**
 * From the name of a module to the definition of the job in it.
 *
 * Owns: where modules are looked for, and that nothing outside that folder is. Does not own: asking a module what it is
 * (coordinator/module-inspector.ts).
 */
import { join, resolve, sep } from 'node:path'
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
    return programDefinition(module, await this.#inspect(this.fileOf(module)))
  }
}
