/** What an author's code has thrown, as the failure of its job. */
import { MillraceError } from '../core/errors.ts'
import type { CurrentRecord } from '../program/operator.ts'
import { partitionInSource } from '../source/several-sources.ts'

/** JOB_CODE_FAILED, naming the operator and the place in the author's code; a MillraceError keeps its words. */
export function codeFailure(operator: string, thrown: unknown): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
  const place = thrown instanceof Error ? placeOf(thrown) : ''
  return new MillraceError('JOB_CODE_FAILED', `the code of operator ${operator} threw ${text}${place}`, {
    cause: thrown,
  })
}

/** The same failure, with the record that it is of: it says which one, and a job may pass over it. */
export function ofRecord(failure: MillraceError, { partition, offset }: CurrentRecord): MillraceError {
  if (failure.code !== 'JOB_CODE_FAILED' || failure.record !== undefined || offset < 0) return failure
  const { code, message, domain, retry, cause } = failure
  const text = `${message}, on the record at offset ${offset} of partition ${partitionInSource(partition)}`
  return new MillraceError(code, text, { domain, retry, cause, record: { partition, offset } })
}

function placeOf(error: Error): string {
  const line = error.stack?.split('\n').find((candidate) => candidate.trimStart().startsWith('at '))
  const file = line === undefined ? null : /([^/\\(]+:\d+:\d+)\)?$/.exec(line)
  return file === null ? '' : ` (${file[1]})`
}
