/**
 * Loads the module of a job from disk: the adapter to the runtime's module loader.
 *
 * Loading runs the module's code, so it is done in threads that are the job's own, or thrown away after it.
 */
import { pathToFileURL } from 'node:url'
import { type ErrorData, MillraceError } from '../core/errors.ts'
import { programOf } from '../program/define.ts'
import type { JobProgram } from '../program/graph.ts'

/** The job that `file` exports by default. JOB_INVALID when it cannot be loaded, or is none. */
export async function loadProgram(file: string): Promise<JobProgram> {
  let module: { readonly default?: unknown }
  try {
    module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  } catch (thrown) {
    throw loadFailure(file, thrown)
  }
  return programOf(module.default, file)
}

function loadFailure(file: string, thrown: unknown): MillraceError {
  // A job has its own copy of the package when it is installed elsewhere: its errors are of another class.
  const data = thrown as Partial<ErrorData> & { readonly name?: unknown }
  if (thrown instanceof MillraceError) return thrown
  if (thrown instanceof Error && data.name === 'MillraceError') return MillraceError.fromData(data as ErrorData)
  const code = (thrown as { readonly code?: unknown }).code
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  const missing = code === 'ERR_MODULE_NOT_FOUND' && text.includes(`'${file}'`)
  const why = missing ? 'there is no such file' : text.split('\n')[0]
  return new MillraceError('JOB_INVALID', `cannot load the job module ${file}: ${why}`, { cause: thrown })
}
