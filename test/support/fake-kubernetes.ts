/**
 * An API server of Kubernetes over HTTP, as far as MillraceJobs and kubectl need one: discovery, list, get, create, replace,
 * merge patch, delete with finalizers, the status subresource, watches with resource versions.
 *
 * What a controller has to live with can be had at will: watches that end, versions that are forgotten (410), writes that
 * lost a race (409), requests that fail (500).
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { parse } from 'yaml'
import { finalizer, type MillraceJob, resourceType } from '../../src/kubernetes/resource.ts'
import { chart } from './helm.ts'

type Json = Record<string, unknown>

/** What is written to a watch. */
interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: MillraceJob
  readonly version: number
}

/** A request, as a fault sees it. */
export interface FakeRequest {
  readonly method: string
  readonly name: string
  /** `watch`, `status` or ''. */
  readonly what: string
}

const { group, version: apiVersion, plural } = resourceType
const collection = new RegExp(`^/apis/${group}/${apiVersion}/namespaces/([^/]+)/${plural}(?:/([^/]+))?(?:/(status))?$`)

/** The schema that the cluster would hold resources against. */
export const crd = parse(readFileSync(join(chart, 'crds/millracejobs.yaml'), 'utf8')) as {
  readonly spec: {
    readonly group: string
    readonly names: Json & { readonly kind: string }
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Json } }[]
  }
}

/** The server. */
export class FakeKubernetes {
  readonly requests: FakeRequest[] = []
  readonly #objects = new Map<string, MillraceJob>()
  readonly #watches = new Set<ServerResponse>()
  readonly #server: Server
  readonly #valid: ValidateFunction
  #history: WatchEvent[] = []
  #version = 100
  #uids = 0
  /** Answers with a status in place of the request's own; 0 lets it through. */
  fault: (request: FakeRequest) => number = () => 0

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
    const schema = crd.spec.versions[0]!.schema.openAPIV3Schema
    this.#valid = new Ajv({ strict: false, validateFormats: false }).compile(schema)
  }

  /** Starts it on a port of loopback. */
  static async start(): Promise<FakeKubernetes> {
    const fake = new FakeKubernetes()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** A kubeconfig, with `namespace` as that of its context. */
  kubeconfig(namespace: string): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'fake', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'nobody', user: { token: 'none' } }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'nobody', namespace } }],
      'current-context': 'fake',
    })
  }

  /** How many watches are open. */
  get watches(): number {
    return this.#watches.size
  }

  /** Ends every watch, as an API server does every few minutes. */
  dropWatches(): void {
    for (const response of this.#watches) response.destroy()
    this.#watches.clear()
  }

  /** Ends every watch and forgets what happened up to now: watches from before are answered by 410. */
  forget(): void {
    this.dropWatches()
    this.#history = []
    this.#version += 1000
  }

  /** As it is; undefined when there is none. */
  get(name: string, namespace = 'shop'): MillraceJob | undefined {
    return this.#objects.get(`${namespace}/${name}`)
  }

  /** Creates a resource or changes its spec, as `kubectl apply` does. */
  apply(name: string, spec: Json, namespace = 'shop'): void {
    const old = this.get(name, namespace)
    const from = old ?? this.#fresh(namespace, name)
    const problem = this.#put(namespace, name, { ...from, spec } as never, false)
    if (problem !== '') throw new Error(problem)
  }

  /** As `kubectl delete` does: with finalizers it stays, marked. */
  delete(name: string, namespace = 'shop'): void {
    const old = this.get(name, namespace)
    if (old === undefined || old.metadata.deletionTimestamp !== undefined) return
    const deletionTimestamp = '2026-01-01T00:00:00Z'
    const generation = (old.metadata.generation ?? 0) + 1
    this.#store(namespace, name, { ...old, metadata: { ...old.metadata, deletionTimestamp, generation } })
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.dropWatches()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  #fresh(namespace: string, name: string): MillraceJob {
    const uid = `${String(++this.#uids).padStart(8, '0')}-0000-0000-0000-000000000000`
    const creationTimestamp = '2026-01-01T00:00:00Z'
    const metadata = { name, namespace, uid, generation: 0, creationTimestamp }
    return { apiVersion: `${group}/${apiVersion}`, kind: 'MillraceJob', metadata, spec: { definition: {} } }
  }

  /** Stores main or status; why not, or ''. */
  #put(namespace: string, name: string, next: MillraceJob, statusOnly: boolean): string {
    const old = this.get(name, namespace) ?? next
    const spec = statusOnly ? old.spec : { onDelete: 'savepoint' as const, suspend: false, ...next.spec }
    const status = statusOnly ? next.status : old.status
    const isNew = old === next
    const changed = isNew || JSON.stringify(spec) !== JSON.stringify(old.spec)
    const {
      name: _n,
      namespace: _ns,
      uid: _u,
      resourceVersion: _r,
      generation: _g,
      deletionTimestamp: _d,
      ...rest
    } = next.metadata
    const metadata = {
      ...(statusOnly ? old.metadata : { ...rest, ...identity(old) }),
      generation: (old.metadata.generation ?? 0) + (changed ? 1 : 0),
    }
    const stored = { ...old, metadata, spec, ...(status === undefined ? {} : { status }) }
    if (!this.#valid(stored)) return JSON.stringify(this.#valid.errors)
    // Nothing changed is no event.
    if (JSON.stringify(this.get(name, namespace)) === JSON.stringify(stored)) return ''
    this.#store(namespace, name, stored)
    return ''
  }

  #store(namespace: string, name: string, object: MillraceJob): void {
    const key = `${namespace}/${name}`
    const isNew = !this.#objects.has(key)
    const version = ++this.#version
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
    const { deletionTimestamp, finalizers = [] } = stored.metadata
    const gone = deletionTimestamp !== undefined && finalizers.length === 0
    if (gone) this.#objects.delete(key)
    else this.#objects.set(key, stored)
    const event: WatchEvent = { type: gone ? 'DELETED' : isNew ? 'ADDED' : 'MODIFIED', object: stored, version }
    this.#history.push(event)
    for (const watch of this.#watches) watch.write(line(event))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    const body = await bodyOf(request)
    const match = collection.exec(url.pathname)
    if (match === null) {
      const found = discovery(url.pathname)
      if (found === undefined) fail(response, 404, 'NotFound', `no ${url.pathname}`)
      else send(response, 200, found)
      return
    }
    const [, namespace = '', name = '', subresource = ''] = match
    const watching = url.searchParams.get('watch') === 'true'
    const asked = { method: request.method ?? '', name, what: watching ? 'watch' : subresource }
    this.requests.push(asked)
    const fault = this.fault(asked)
    if (fault !== 0) return fail(response, fault, 'Fault', `a fault of ${fault}`)
    if (watching) return this.#watch(namespace, url.searchParams.get('resourceVersion') ?? '', response)
    if (name === '' && asked.method === 'GET') {
      const items = [...this.#objects].filter(([key]) => key.startsWith(`${namespace}/`)).map(([, object]) => object)
      const metadata = { resourceVersion: String(this.#version) }
      return send(response, 200, { apiVersion: `${group}/${apiVersion}`, kind: 'MillraceJobList', metadata, items })
    }
    const given = body === '' ? undefined : (JSON.parse(body) as MillraceJob)
    if (name === '' && asked.method === 'POST' && given !== undefined) {
      const own = given.metadata.name
      if (this.get(own, namespace) !== undefined) return fail(response, 409, 'AlreadyExists', `${own} exists`)
      return this.#write(
        response,
        namespace,
        own,
        {
          ...this.#fresh(namespace, own),
          ...given,
          metadata: { ...given.metadata, ...this.#fresh(namespace, own).metadata },
        },
        false,
        201,
      )
    }
    const old = this.get(name, namespace)
    if (old === undefined) return fail(response, 404, 'NotFound', `${plural} "${name}" not found`)
    if (asked.method === 'GET') return send(response, 200, old)
    if (asked.method === 'DELETE') {
      this.delete(name, namespace)
      return send(response, 200, this.get(name, namespace) ?? { kind: 'Status', apiVersion: 'v1', status: 'Success' })
    }
    const next = asked.method === 'PATCH' ? (merge(old, given) as MillraceJob) : given!
    const { resourceVersion } = next.metadata
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
      return fail(
        response,
        409,
        'Conflict',
        `${name} has been modified: please apply your changes to the latest version`,
      )
    this.#write(response, namespace, name, next, subresource === 'status', 200)
  }

  #write(
    response: ServerResponse,
    namespace: string,
    name: string,
    next: MillraceJob,
    status: boolean,
    code: number,
  ): undefined {
    const problem = this.#put(namespace, name, next, status)
    if (problem !== '') return fail(response, 422, 'Invalid', problem)
    send(response, code, this.get(name, namespace) ?? next)
  }

  #watch(namespace: string, from: string, response: ServerResponse): undefined {
    const since = Number(from)
    const oldest = this.#history[0]?.version ?? this.#version + 1
    if (since + 1 < oldest) return fail(response, 410, 'Expired', `too old resource version: ${from}`)
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })
    response.flushHeaders()
    for (const event of this.#history)
      if (event.version > since && event.object.metadata.namespace === namespace) response.write(line(event))
    this.#watches.add(response)
    response.on('close', () => this.#watches.delete(response))
  }
}

/** A resource as a controller has marked it. */
export function isHeld(job: MillraceJob | undefined): boolean {
  return job?.metadata.finalizers?.includes(finalizer) === true
}

function identity({ metadata }: MillraceJob): MillraceJob['metadata'] {
  const { name, namespace, uid, resourceVersion, deletionTimestamp } = metadata
  return Object.fromEntries(
    Object.entries({ name, namespace, uid, resourceVersion, deletionTimestamp }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as unknown as MillraceJob['metadata']
}

function line({ type, object }: WatchEvent): string {
  return `${JSON.stringify({ type, object })}\n`
}

/** RFC 7386. */
function merge(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const merged: Json = { ...((target ?? {}) as Json) }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = merge(merged[key], value)
  }
  return merged
}

function discovery(path: string): Json | undefined {
  const groupVersion = `${group}/${apiVersion}`
  const versions = [{ groupVersion, version: apiVersion }]
  const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']
  const { kind, singular, shortNames, categories } = crd.spec.names
  const resources = [
    { name: plural, singularName: singular, namespaced: true, kind, verbs, shortNames, categories },
    { name: `${plural}/status`, singularName: '', namespaced: true, kind, verbs: ['get', 'patch', 'update'] },
  ]
  const known: Readonly<Record<string, Json>> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/api/v1': { kind: 'APIResourceList', groupVersion: 'v1', resources: [] },
    '/apis': {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [{ name: group, versions, preferredVersion: versions[0] }],
    },
    [`/apis/${groupVersion}`]: { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources },
    '/version': { major: '1', minor: '37', gitVersion: 'v1.37.0' },
  }
  return known[path]
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}

function send(response: ServerResponse, status: number, value: unknown): undefined {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

function fail(response: ServerResponse, code: number, reason: string, message: string): undefined {
  send(response, code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code })
}
