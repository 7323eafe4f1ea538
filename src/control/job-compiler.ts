/**
 * From a submitted document to a definition with its schema and plan, or everything that is wrong with it.
 *
 * Owns: the order (find the schema, read, check, plan). Does not own: any of these steps.
 */
import { MillraceError, type Violation } from '../core/errors.ts'
import type { Descriptors } from '../event/descriptor.ts'
import type { JobDefinition } from '../job/definition.ts'
import { parseJob, parseJobMessage } from '../job/parse.ts'
import { schemaRequest } from '../job/parse-event.ts'
import { readProgramDocument } from '../job/parse-program.ts'
import type { JobPlan } from '../job/plan.ts'
import type { JobDocument } from './api.ts'
import type { JobSchemas } from './job-schemas.ts'
import type { JobModules } from './program-compiler.ts'

/** A document, read and checked. */
export interface CompiledDocument {
  /** Empty where it could not be read. */
  readonly name: string
  /** In document order; empty when the document is a job. */
  readonly violations: readonly Violation[]
  /** Null when there are violations. */
  readonly definition: JobDefinition | null
  /** Null when there are violations. */
  readonly plan: JobPlan | null
  /** The descriptor set that the job keeps; absent or null for that of this program. */
  readonly schema?: Uint8Array | null
}

/**
 * Compiles documents. `plan` throws JOB_INVALID for a definition that does not fit this server; it is handed the
 * descriptor set as bytes too, for jobs that decode by themselves.
 */
export function jobCompiler(
  schemas: JobSchemas,
  plan: (definition: JobDefinition, descriptors: Descriptors, schema: Uint8Array | null) => JobPlan,
  modules: JobModules | null = null,
): (document: JobDocument) => Promise<CompiledDocument> {
  return async (document) => {
    try {
      const program = document.kind === 'text' && modules !== null ? readProgramDocument(document.text) : null
      if (program !== null && modules !== null) {
        const definition = await modules.definitionOf(program.module)
        const { subjects = [] } = definition.program ?? {}
        const wanted = subjects.length === 0 ? null : { schema: { kind: 'registry', subjects } as const, topic: '' }
        const schema = wanted === null ? null : await schemas.find(wanted, undefined)
        const planned = plan(definition, schemas.load(schema), schema)
        return { name: definition.name, violations: [], definition, plan: planned, schema }
      }
    } catch (thrown) {
      return failed(thrown, 'module')
    }
    let schema: Uint8Array | null
    let descriptors: Descriptors
    try {
      const read = document.kind === 'text' ? { text: document.text } : { value: document.document }
      schema = await schemas.find(schemaRequest(read), document.descriptorSet)
      descriptors = schemas.load(schema)
    } catch (thrown) {
      return failed(thrown, 'event.schema')
    }
    try {
      const { definition } =
        document.kind === 'text'
          ? parseJob(document.text, descriptors)
          : parseJobMessage(document.document, descriptors)
      return { name: definition.name, violations: [], definition, plan: plan(definition, descriptors, schema), schema }
    } catch (thrown) {
      return failed(thrown, '')
    }
  }
}

/** Mistakes of the document are an answer; all else is thrown. */
function failed(thrown: unknown, field: string): CompiledDocument {
  const error = MillraceError.from(thrown)
  if (error.domain !== 'user') throw error
  const own = { field, message: error.message, line: 0, column: 0 }
  const violations = error.violations.length > 0 ? error.violations : [own]
  return { name: '', violations, definition: null, plan: null }
}
