/**
 * MillraceJobs at a Kubernetes API server.
 *
 * Owns: all that is known of the client library, and when a watch begins anew. Loaded by `millrace controller` alone: the
 * library takes half a second and 60 MB to load. Does not own: what is done about a resource (controller.ts).
 *
 * The library's informer lists, watches, and watches again where it was when the server ends a watch (it does so every few
 * minutes); on 410 it lists again. All else it reports once and stops: then it is started again here, after a pause.
 */
import {
  CustomObjectsApi,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  makeInformer,
} from '@kubernetes/client-node'
import type { CoordinatorLog } from '../coordinator/log.ts'
import type { Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { ResourceStore } from './controller.ts'
import { type MillraceJob, resourceType } from './resource.ts'

/** How the API server is found and spoken to. */
export interface ApiServerOptions {
  /** Namespace whose resources are meant; '' for that of the service account or the current context. */
  readonly namespace: string
  readonly scheduler: Scheduler
  readonly log: CoordinatorLog
  /** Pause before a watch that has failed begins anew. */
  readonly retryMs?: number
}

/** Resources of a namespace, and whether changes of them are being heard of. */
export interface ApiServer extends ResourceStore {
  readonly namespace: string
  readonly following: boolean
}

/** Opens it, as kubectl does: by KUBECONFIG, by the user's own file, or from within a pod. CONFIG_INVALID. */
export function openApiServer(options: ApiServerOptions): ApiServer {
  const config = new KubeConfig()
  try {
    config.loadFromDefault()
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', `no Kubernetes to speak to: ${(cause as Error).message}`, { cause })
  }
  const own = config.getContextObject(config.getCurrentContext())?.namespace
  const namespace = options.namespace === '' ? (own ?? 'default') : options.namespace
  return new ClusterResources(config, namespace, options)
}

class ClusterResources implements ApiServer {
  readonly namespace: string
  readonly #config: KubeConfig
  readonly #api: CustomObjectsApi
  readonly #options: ApiServerOptions
  #following = false

  constructor(config: KubeConfig, namespace: string, options: ApiServerOptions) {
    this.#config = config
    this.#api = config.makeApiClient(CustomObjectsApi)
    this.namespace = namespace
    this.#options = options
  }

  get following(): boolean {
    return this.#following
  }

  async read(name: string): Promise<MillraceJob | undefined> {
    try {
      return (await this.#api.getNamespacedCustomObject({ ...this.#place, name })) as MillraceJob
    } catch (thrown) {
      if (statusOf(thrown) === 404) return undefined
      throw failure(thrown, `read MillraceJob ${name}`)
    }
  }

  async replace(job: MillraceJob): Promise<void> {
    const { name } = job.metadata
    await this.#api
      .replaceNamespacedCustomObject({ ...this.#place, name, body: job })
      .catch((thrown: unknown) => this.#written(thrown, `write MillraceJob ${name}`))
  }

  async replaceStatus(job: MillraceJob): Promise<void> {
    const { name } = job.metadata
    await this.#api
      .replaceNamespacedCustomObjectStatus({ ...this.#place, name, body: job })
      .catch((thrown: unknown) => this.#written(thrown, `write the status of MillraceJob ${name}`))
  }

  follow(changed: (name: string) => void): () => void {
    const { scheduler, log, retryMs = 2000 } = this.#options
    const { group, version, plural } = resourceType
    const path = `/apis/${group}/${version}/namespaces/${this.namespace}/${plural}`
    const list = async (): Promise<KubernetesListObject<KubernetesObject>> => {
      const listed = await this.#api.listNamespacedCustomObject(this.#place)
      this.#following = true
      return listed as KubernetesListObject<KubernetesObject>
    }
    const informer = makeInformer(this.#config, path, list)
    /** What of each was last told. A status that the controller itself has written is no news. */
    const told = new Map<string, string>()
    const heard = (object: unknown): void => {
      const { metadata } = object as MillraceJob
      const { name, uid, generation, deletionTimestamp, finalizers } = metadata
      const news = JSON.stringify([uid, generation, deletionTimestamp, finalizers])
      if (told.get(name) === news) return
      told.set(name, news)
      changed(name)
    }
    informer.on('add', heard)
    informer.on('update', heard)
    informer.on('delete', (object) => {
      const name = object.metadata?.name ?? ''
      told.delete(name)
      changed(name)
    })
    let open = true
    let again: () => void = () => {}
    const start = (): void => void informer.start().catch((thrown: unknown) => failed(thrown))
    const failed = (thrown: unknown): void => {
      this.#following = false
      if (!open) return
      log('warn', failure(thrown, 'follow MillraceJobs').message, { namespace: this.namespace })
      again()
      again = scheduler.after(retryMs, start)
    }
    informer.on('error', failed)
    start()
    return () => {
      open = false
      again()
      void informer.stop()
    }
  }

  get #place() {
    return { ...resourceType, namespace: this.namespace }
  }

  /** A resource that has gone in the meantime needs no more writing. */
  #written(thrown: unknown, what: string): void {
    if (statusOf(thrown) !== 404) throw failure(thrown, what)
  }
}

/** The HTTP status of what the library throws; 0 where there was no answer. */
function statusOf(thrown: unknown): number {
  const { code, statusCode } = (thrown ?? {}) as { readonly code?: unknown; readonly statusCode?: unknown }
  if (typeof code === 'number') return code
  return typeof statusCode === 'number' ? statusCode : 0
}

function failure(thrown: unknown, what: string): MillraceError {
  const status = statusOf(thrown)
  const body = (thrown as { readonly body?: unknown } | null)?.body
  const said = textOf(body) ?? (thrown instanceof Error ? thrown.message : String(thrown))
  const message = `cannot ${what}: ${status === 0 ? said : `the API server answers ${status}: ${said}`}`
  if (status === 401 || status === 403) return new MillraceError('PERMISSION_DENIED', message, { cause: thrown })
  if (status === 404)
    return new MillraceError('UNAVAILABLE', `${message} (is the CustomResourceDefinition there?)`, { cause: thrown })
  if (status === 0 || status === 409 || status === 410 || status === 429 || status >= 500)
    return new MillraceError('UNAVAILABLE', message, { cause: thrown })
  return new MillraceError('INTERNAL', message, { cause: thrown })
}

/** The message of the Status that an API server answers with. */
function textOf(body: unknown): string | undefined {
  let value = body
  if (typeof value === 'string') {
    try {
      value = JSON.parse(value)
    } catch {
      return undefined
    }
  }
  const { message } = (value ?? {}) as { readonly message?: unknown }
  return typeof message === 'string' && message !== '' ? message : undefined
}
