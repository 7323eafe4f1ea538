/** What an author's code has thrown, as the failure of its job. */
import { MillraceError } from '../core/errors.ts'

/** JOB_CODE_FAILED, naming the operator and the place in the author's code; a MillraceError stays what it is. */
export function codeFailure(operator: string, thrown: unknown): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  const place = thrown instanceof Error ? placeOf(thrown) : ''
  return new MillraceError('JOB_CODE_FAILED', `the code of operator ${operator} threw ${text}${place}`, {
    cause: thrown,
  })
}

function placeOf(error: Error): string {
  const line = error.stack?.split('\n').find((candidate) => candidate.trimStart().startsWith('at '))
  const file = line === undefined ? null : /([^/\\(]+:\d+:\d+)\)?$/.exec(line)
  return file === null ? '' : ` (${file[1]})`
}
