/** What a job is made from, and whether two of them are the same. Pure. */
import type { JobDefinition } from '../job/definition.ts'
import { type StoredJob, storedSchema } from './stored-job.ts'

/** A definition, and the descriptor set that it is read by (null: that of the program). */
export interface JobSource {
  readonly definition: JobDefinition
  readonly schema: Uint8Array | null
}

/** Whether two jobs say the same; the order of keys counts for nothing, nor does a registry's latest version. */
export function sameJob(a: JobSource, b: JobSource): boolean {
  if (canonical(a.definition) !== canonical(b.definition)) return false
  return a.definition.event.schema?.kind === 'registry' || schemaText(a.schema) === schemaText(b.schema)
}

/** What a stored job was made from. */
export function sourceOf(stored: StoredJob): JobSource {
  return { definition: stored.definition, schema: storedSchema(stored) }
}

/** The part of a stored job that holds its descriptor set. */
export function schemaPart(schema: Uint8Array | null): { readonly schema?: string } {
  return schema === null ? {} : { schema: schemaText(schema) }
}

function schemaText(schema: Uint8Array | null): string {
  return schema === null ? '' : Buffer.from(schema).toString('base64')
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
