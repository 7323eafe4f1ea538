/** Which record of the source a failure of an author's code is of. */
import { MillraceError } from '../core/errors.ts'
import type { CurrentRecord } from '../program/operator.ts'
import { partitionInSource } from '../source/several-sources.ts'

/** The same failure, with the record that it is of: it says which one, and a job may pass over it. */
export function ofRecord(failure: MillraceError, { partition, offset }: CurrentRecord, topic = ''): MillraceError {
  if (failure.code !== 'JOB_CODE_FAILED' || failure.record !== undefined || offset < 0) return failure
  const { code, message, domain, retry, cause } = failure
  const where = `offset ${offset} of partition ${partitionInSource(partition)}`
  const text = `${message}, on the record at ${where}${topic === '' ? '' : ` of topic ${topic}`}`
  return new MillraceError(code, text, { domain, retry, cause, record: { partition, offset } })
}
