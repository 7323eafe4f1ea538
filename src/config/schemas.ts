/**
 * Settings of where the schemas of jobs are found.
 *
 * The registry is the operator's choice and never a job's: a job that could name a URL could make the server ask any.
 */
import type { Violation } from '../core/errors.ts'
import { isLoopback, matching, type Setting, text, type ValuesOf } from './setting.ts'

/** Where descriptor sets and registered schemas are found. */
export interface SchemasConfig {
  /** Folder of the descriptor sets that jobs may name. */
  readonly folder: string
  /** URL of the schema registry; '' for none. */
  readonly registryUrl: string
  readonly registryUser: string
  /** File that holds the password; '' for none. */
  readonly registryPasswordFile: string
}

/** The settings, in the order of the reference. */
export const schemaSettings = {
  schemaDir: {
    name: 'MILLRACE_SCHEMA_DIR',
    fallback: 'schemas',
    unit: 'folder',
    help: 'Folder of the descriptor sets that jobs may name by `event.schema.descriptorSet`. Nothing outside is read.',
    parse: text,
  },
  schemaRegistry: {
    name: 'MILLRACE_SCHEMA_REGISTRY',
    fallback: '',
    unit: 'http:// or https:// URL',
    help: 'Schema registry (Confluent’s API, which Redpanda speaks too) of jobs with `event.schema.registry`.',
    parse: matching(/^https?:\/\/[^\s@?#]+$/, 'an http:// or https:// URL without user, query and fragment'),
  },
  schemaRegistryUser: {
    name: 'MILLRACE_SCHEMA_REGISTRY_USER',
    fallback: '',
    unit: 'name',
    help: 'User at the schema registry (HTTP Basic).',
    parse: text,
  },
  schemaRegistryPasswordFile: {
    name: 'MILLRACE_SCHEMA_REGISTRY_PASSWORD_FILE',
    fallback: '',
    unit: 'file',
    help: 'File that holds the password of that user.',
    parse: text,
  },
} as const satisfies Record<string, Setting<unknown>>

/** The settings as one value. */
export function toSchemasConfig(values: ValuesOf<typeof schemaSettings>): SchemasConfig {
  return {
    folder: values.schemaDir,
    registryUrl: values.schemaRegistry,
    registryUser: values.schemaRegistryUser,
    registryPasswordFile: values.schemaRegistryPasswordFile,
  }
}

/** What is wrong with the settings together. */
export function checkSchemas(
  values: ValuesOf<typeof schemaSettings> & { readonly allowPlaintext: 'yes' | 'no' },
): Violation[] {
  const { schemaRegistry: url, schemaRegistryUser: user } = values
  const plain = url.startsWith('http:') && !isLoopback(new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'))
  if (user !== '' && plain && values.allowPlaintext === 'no') {
    const message = 'a password would cross the network in the clear: use https://, or MILLRACE_ALLOW_PLAINTEXT=yes'
    return [{ field: 'MILLRACE_SCHEMA_REGISTRY', message, line: 0, column: 0 }]
  }
  const half = (values.schemaRegistryUser === '') !== (values.schemaRegistryPasswordFile === '')
  if (!half) return []
  const field =
    values.schemaRegistryUser === '' ? 'MILLRACE_SCHEMA_REGISTRY_USER' : 'MILLRACE_SCHEMA_REGISTRY_PASSWORD_FILE'
  return [{ field, message: 'is needed too: a user and the file of a password belong together', line: 0, column: 0 }]
}
