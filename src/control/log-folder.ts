/**
 * Where the embedded logs of submitted jobs may be: in one folder, when the server has one.
 *
 * Owns: that a definition names no path that leads out of it, whatever links there are. Modules in TypeScript are not
 * asked: they are the server's own code, and could write anywhere without a log.
 */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { MillraceError, type Violation } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'

/** Throws JOB_INVALID with every path of `definition` that is not in `folder`. */
export function checkLogFolder(definition: JobDefinition, folder: string): void {
  const root = realPath(folder)
  const inside = (path: string): boolean => {
    const real = realPath(path)
    return real === root || real.startsWith(root === sep ? sep : `${root}${sep}`)
  }
  const violations = pathsOf(definition)
    .filter(({ path }) => path.includes('\0') || !inside(path))
    .map(({ field, path }): Violation => {
      const message = `${JSON.stringify(path)} is not in the server's folder of logs (MILLRACE_LOG_DIR): ${folder}`
      return { field, message, line: 0, column: 0 }
    })
  const [first] = violations
  if (first === undefined) return
  throw new MillraceError('JOB_INVALID', `job ${definition.name} is not valid: ${first.field}: ${first.message}`, {
    violations,
  })
}

function pathsOf({ source, sinks, deadLetters, late, episodes }: JobDefinition): { field: string; path: string }[] {
  const outputs = [
    ...sinks.map(({ output }, index) => ({ field: `sinks[${index}].log.path`, target: output })),
    ...(deadLetters === null ? [] : [{ field: 'deadLetters.log.path', target: deadLetters.output }]),
    ...(late === null ? [] : [{ field: 'late.log.path', target: late.output }]),
    ...(episodes === undefined ? [] : [{ field: 'episodes.log.path', target: episodes }]),
  ]
  return [{ field: 'sources[0].log.path', target: source.input }, ...outputs].flatMap(({ field, target }) =>
    target.kind === 'log' ? [{ field, path: target.path }] : [],
  )
}

/** The path without links; of one that is not there yet, as it will be. */
function realPath(path: string): string {
  const full = resolve(path)
  if (existsSync(full)) return realpathSync(full)
  const parent = dirname(full)
  return parent === full ? full : join(realPath(parent), basename(full))
}
