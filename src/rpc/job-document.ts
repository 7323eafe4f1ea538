/**
 * The structured form of a submitted job as the document that it stands for.
 *
 * A JobDefinition's ProtoJSON is the YAML document, but for the two places where YAML writes a bare text for the common
 * case: `start: earliest`, and a sample column's name. Defaults that proto3 cannot tell from absence are left out, so
 * that the parser fills them in.
 */
import type { JobDocument } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import { JobDefinition, type StartPosition } from '../gen/millrace/v1/job.ts'

/** What a request holds: `oneof job { string yaml; JobDefinition definition }`. */
type SubmittedJob =
  | { readonly $case: 'yaml'; readonly value: string }
  | { readonly $case: 'definition'; readonly value: JobDefinition }
  | undefined

/** The job of a request. JOB_INVALID when there is none. */
export function toJobDocument(job: SubmittedJob): JobDocument {
  if (job === undefined) {
    throw new MillraceError('JOB_INVALID', 'the request holds no job: set `yaml` to its text, or `definition`')
  }
  if (job.$case === 'yaml') return { kind: 'text', text: job.value }
  return { kind: 'document', document: documentOf(job.value) }
}

type Json = Record<string, unknown>

function documentOf(definition: JobDefinition): unknown {
  const document = JobDefinition.toJSON(definition) as Json
  const sources = document.sources as readonly Json[] | undefined
  for (const [index, source] of definition.sources.entries()) {
    const target = sources?.[index]
    if (source.input?.$case === 'kafka' || source.input?.$case === 'log') {
      const input = target?.[source.input.$case] as Json | undefined
      if (input !== undefined && source.input.value.start !== undefined) {
        input.start = startOf(source.input.value.start)
      }
    }
  }
  const sample = document.sample as Json | undefined
  if (sample !== undefined && definition.sample !== undefined) {
    const columns = Object.entries(definition.sample.columns)
    if (columns.length > 0) {
      sample.columns = Object.fromEntries(
        columns.map(([field, column]) => [
          field,
          column.from?.$case === 'column' ? column.from.value : { row: column.from?.value ?? false },
        ]),
      )
    }
  }
  return document
}

function startOf(start: StartPosition): unknown {
  switch (start.position?.$case) {
    case 'timestamp':
      return { timestamp: start.position.value }
    case 'offsets': {
      const { partitions, otherwise } = start.position.value
      return { offsets: partitions, ...(otherwise === '' ? {} : { otherwise }) }
    }
    case 'latest':
      return 'latest'
    default:
      return 'earliest'
  }
}
