/**
 * The descriptors of a job on the command line: what travels with a submission, and what a check here uses.
 *
 * A descriptor set is the file of `--descriptor-set`, or the one that the job names, beside the job's own file. One that
 * is not there is left to the folder of schemas (`MILLRACE_SCHEMA_DIR`), of the server or of this command.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { JobSchemas } from '../control/job-schemas.ts'
import { readSchemaFile } from '../control/schema-folder.ts'
import { type Descriptors, loadDescriptors } from '../event/descriptor.ts'
import { openSchemaRegistry } from '../event/schema-registry-http.ts'
import { schemaRequest } from '../job/parse-event.ts'
import { readSecret } from '../security/secret-files.ts'
import { configOf, fileError } from './context.ts'
import type { CliDeps } from './deps.ts'

/** Option of commands that take a job. */
export interface SchemaOptions {
  readonly descriptorSet?: string
}

/** Text of the option's help. */
export const descriptorSetHelp =
  'descriptor set of the messages of the job (made by "buf build -o" or "protoc -o"); default the file that it names'

/** The descriptor set that goes with the job in `file`; undefined for none. INPUT_INVALID when it cannot be read. */
export function descriptorSetOf(file: string, text: string, options: SchemaOptions): Uint8Array | undefined {
  if (options.descriptorSet !== undefined) return readSet(options.descriptorSet)
  const request = schemaRequest({ text })
  if (request?.schema.kind !== 'descriptorSet') return undefined
  const path = file === '-' ? request.schema.path : join(dirname(file), request.schema.path)
  return existsSync(path) ? readSet(path) : undefined
}

/** The same as the part of a request. */
export function schemaPart(
  file: string,
  text: string,
  options: SchemaOptions,
): { readonly descriptorSet?: Uint8Array } {
  const descriptorSet = descriptorSetOf(file, text, options)
  return descriptorSet === undefined ? {} : { descriptorSet }
}

/** The descriptors by which a job is read here. Rejects as JobSchemas does. */
export async function descriptorsOf(
  deps: CliDeps,
  file: string,
  text: string,
  options: SchemaOptions,
): Promise<Descriptors> {
  const builtIn = loadDescriptors(deps.descriptors())
  const request = schemaRequest({ text })
  const given = descriptorSetOf(file, text, options)
  if (request === null && given === undefined) return builtIn
  const { schemas } = configOf(deps)
  const { registryUrl: url, registryUser: user, registryPasswordFile } = schemas
  const setting = 'MILLRACE_SCHEMA_REGISTRY_PASSWORD_FILE'
  const password = registryPasswordFile === '' ? '' : readSecret(registryPasswordFile, setting)
  const found = new JobSchemas({
    builtIn,
    folder: schemas.folder,
    registry: openSchemaRegistry({ url, user, password }, deps),
  })
  return found.load(await found.find(request, given))
}

/** The bytes of the descriptor set of a job; null where it has none: the program's own, or a registry's. */
export async function descriptorBytes(
  deps: CliDeps,
  file: string,
  text: string,
  options: SchemaOptions,
): Promise<Uint8Array | null> {
  const request = schemaRequest({ text })
  const given = descriptorSetOf(file, text, options)
  if (given !== undefined || request?.schema.kind !== 'descriptorSet') return given ?? null
  return readSchemaFile(configOf(deps).schemas.folder, request.schema.path)
}

/** Reads the file of an option. INPUT_INVALID. */
export function readSet(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (thrown) {
    throw fileError(path, thrown)
  }
}
