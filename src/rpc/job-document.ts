/**
 * The structured form of a submitted job as the document that it stands for.
 *
 * A JobDefinition's ProtoJSON is the YAML document. Defaults that proto3 cannot tell from absence are left out, so that
 * the parser fills them in.
 */
import type { JobDocument } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import { JobDefinition } from '../gen/millrace/v1/job.ts'

/** What a request holds: `oneof job { string yaml; JobDefinition definition }`. */
export type SubmittedJob =
  | { readonly $case: 'yaml'; readonly value: string }
  | { readonly $case: 'definition'; readonly value: JobDefinition }

/** What ValidateJob and SubmitJob are asked with. */
export interface JobRequest {
  readonly job?: SubmittedJob | undefined
  /** Empty for none. */
  readonly descriptorSet: Uint8Array
}

/** The job of a request. JOB_INVALID when there is none. */
export function toJobDocument({ job, descriptorSet }: JobRequest): JobDocument {
  if (job === undefined) {
    throw new MillraceError('JOB_INVALID', 'the request holds no job: set `yaml` to its text, or `definition`')
  }
  const schema = descriptorSet.length === 0 ? {} : { descriptorSet }
  if (job.$case === 'yaml') return { kind: 'text', text: job.value, ...schema }
  return { kind: 'document', document: JobDefinition.toJSON(job.value), ...schema }
}

/**
 * The job for a request. A document travels as its JSON text, not as a message: what the message does not know would be
 * lost on the way, and nobody would say that it is wrong.
 */
export function fromJobDocument(job: JobDocument): { job: { $case: 'yaml'; value: string }; descriptorSet: Buffer } {
  const value = job.kind === 'text' ? job.text : JSON.stringify(job.document, null, 2)
  return { job: { $case: 'yaml', value }, descriptorSet: Buffer.from(job.descriptorSet ?? []) }
}
