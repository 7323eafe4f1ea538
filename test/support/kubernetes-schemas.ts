/**
 * What an API server accepts, from the sources of Kubernetes and of the Prometheus operator: an oracle somebody else wrote.
 *
 * Stricter than an API server, which drops what it does not know: here an unknown field is a mistake.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { parse } from 'yaml'
import { goSources, kubernetesSources, prometheusOperatorSources } from './go-tools.ts'
import type { Manifest } from './manifests.ts'

type Schema = Record<string, unknown>

interface Kind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** A definition of a custom resource, as far as it is read. */
export interface CustomResource {
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string }
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[]
  }
}

/** Judges manifests: what is wrong with one, a line each. */
export type ManifestJudge = (manifest: Manifest) => readonly string[]

/** Fetches the schemas, the first time over the network; with those of custom resources that are given. */
export async function manifestJudge(customResources: readonly CustomResource[]): Promise<ManifestJudge> {
  const kubernetes = await goSources(kubernetesSources)
  const swagger = JSON.parse(readFileSync(join(kubernetes, 'api/openapi-spec/swagger.json'), 'utf8')) as {
    definitions: Record<string, Schema>
  }
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema({ $id: 'kubernetes', definitions: closed(swagger.definitions) as Schema })
  const schemas = new Map<string, ValidateFunction>()
  for (const [name, definition] of Object.entries(swagger.definitions)) {
    for (const kind of (definition['x-kubernetes-group-version-kind'] as readonly Kind[] | undefined) ?? []) {
      // Options of requests have many kinds, and are no manifests.
      const id = `${kind.group === '' ? '' : `${kind.group}/`}${kind.version} ${kind.kind}`
      if (!schemas.has(id))
        schemas.set(
          id,
          lazily(() => ajv.compile({ $ref: `kubernetes#/definitions/${name}` })),
        )
    }
  }
  const operator = join(await goSources(prometheusOperatorSources), 'example/prometheus-operator-crd')
  const definitions = ['servicemonitors', 'prometheusrules'].map(
    (name) => parse(readFileSync(join(operator, `monitoring.coreos.com_${name}.yaml`), 'utf8')) as CustomResource,
  )
  for (const { spec } of [...definitions, ...customResources]) {
    for (const { name, schema } of spec.versions) {
      const own = closed(schema.openAPIV3Schema) as Schema
      schemas.set(
        `${spec.group}/${name} ${spec.names.kind}`,
        lazily(() => ajv.compile(own)),
      )
    }
  }
  return (manifest) => {
    const id = `${manifest.apiVersion} ${manifest.kind}`
    const validate = schemas.get(id)
    if (validate === undefined) return [`there is no ${id}`]
    return validate(manifest) ? [] : (validate.errors ?? []).map((error) => `${id}: ${describe(error)}`)
  }
}

function describe({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath} ${message} ${JSON.stringify(params)}`
}

function lazily(make: () => ValidateFunction): ValidateFunction {
  let made: ValidateFunction | undefined
  const validate = (value: unknown) => {
    made ??= make()
    const valid = made(value)
    ;(validate as { errors?: unknown }).errors = made.errors
    return valid
  }
  return validate as ValidateFunction
}

/** The same schemas, taking no property that they do not name, and either form of what may be a number or a text. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (schema === null || typeof schema !== 'object') return schema
  const own = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)])) as Schema
  const described = schema as Schema
  const isText = described.type === 'string'
  if (described['x-kubernetes-int-or-string'] === true || (isText && described.format === 'int-or-string'))
    return { ...own, type: ['string', 'integer'] }
  // A quantity.
  if (isText && typeof described.description === 'string' && described.description.startsWith('Quantity is'))
    return { ...own, type: ['string', 'number'] }
  const open = described['x-kubernetes-preserve-unknown-fields'] === true
  if (isProperties(described.properties) && described.additionalProperties === undefined && !open)
    return { ...own, additionalProperties: false }
  return own
}

/** The word `properties` is also the name of a property. */
function isProperties(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'object')
}
