/**
 * The descriptors of jobs: those of this program, those of a file, of a submission, of a schema registry.
 *
 * Owns: choosing, and keeping what was loaded. Does not own: files (control/schema-folder.ts), the registry
 * (event/schema-registry.ts), what a job does with them. A job keeps the bytes that it was submitted with: later changes
 * of a file or a subject concern only later submissions.
 */
import { MillraceError } from '../core/errors.ts'
import { type Descriptors, loadDescriptors } from '../event/descriptor.ts'
import type { SchemaRegistry } from '../event/schema-registry.ts'
import type { SchemaRequest } from '../job/parse-event.ts'
import { readSchemaFile } from './schema-folder.ts'

/** Where descriptors are found. */
export interface JobSchemasOptions {
  readonly builtIn: Descriptors
  /** Folder of descriptor sets that jobs may name. */
  readonly folder: string
  /** Null where there is none. */
  readonly registry: Pick<SchemaRegistry, 'latest'> | null
}

/** Finds and loads the descriptors of jobs. */
export class JobSchemas {
  readonly #options: JobSchemasOptions
  readonly #loaded = new WeakMap<Uint8Array, Descriptors>()

  constructor(options: JobSchemasOptions) {
    this.#options = options
  }

  /**
   * The bytes for a submission; null for the descriptors of this program. Rejects SCHEMA_NOT_FOUND, DESCRIPTOR_INVALID,
   * CONFIG_INVALID, SCHEMA_REGISTRY_UNREACHABLE, SCHEMA_REGISTRY_ERROR.
   */
  async find(request: SchemaRequest | null, submitted: Uint8Array | undefined): Promise<Uint8Array | null> {
    const given = submitted !== undefined && submitted.length > 0 ? submitted : null
    if (request === null) return given
    const { schema, topic } = request
    if (schema.kind === 'descriptorSet') return given ?? (await readSchemaFile(this.#options.folder, schema.path))
    if (given !== null) {
      throw new MillraceError(
        'INPUT_INVALID',
        'the job names a schema registry, and a descriptor set came with it: give one',
      )
    }
    const { registry } = this.#options
    if (registry === null) {
      throw new MillraceError(
        'CONFIG_INVALID',
        'the job names a schema registry: set MILLRACE_SCHEMA_REGISTRY to its URL',
      )
    }
    const subjects = schema.subjects.length > 0 ? schema.subjects : [`${topic}-value`]
    if (topic === '' && schema.subjects.length === 0) {
      throw new MillraceError('INPUT_INVALID', 'schema.registry needs a subject: the source has no topic to name it by')
    }
    return registry.latest(subjects)
  }

  /** The descriptors in `bytes`, those of this program for null. Throws DESCRIPTOR_INVALID. */
  load(bytes: Uint8Array | null): Descriptors {
    if (bytes === null) return this.#options.builtIn
    let descriptors = this.#loaded.get(bytes)
    if (descriptors === undefined) this.#loaded.set(bytes, (descriptors = loadDescriptors(bytes)))
    return descriptors
  }
}
