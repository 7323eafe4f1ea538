/** `millrace controller`, put together: an API server, a Millrace server, and what stands between them. Composition only. */
import type { Clock, Scheduler } from '../core/clock.ts'
import type { HttpOptions, HttpServer } from '../observe/http.ts'
import { startHttpServer } from '../observe/http.ts'
import type { Logger } from '../observe/log.ts'
import { openApiServer } from './api-server.ts'
import { startController } from './controller.ts'
import type { JobServer } from './job-actions.ts'

/** What it is made of. */
export interface RunOptions {
  readonly server: JobServer
  /** '' for that of the pod or of the current context. */
  readonly namespace: string
  /** `port` -1 serves no HTTP. */
  readonly http: Pick<HttpOptions, 'host' | 'port'>
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly logger: Logger
  /** Told once it has begun. */
  readonly started: (namespace: string, httpPort: number) => void
}

/** Runs until `until` resolves; resolves once nothing is under way. CONFIG_INVALID. */
export async function runController(options: RunOptions, until: Promise<unknown>): Promise<void> {
  const { logger, scheduler, clock, server, namespace, http: address } = options
  const log = logger.log.bind(logger)
  const resources = openApiServer({ namespace, scheduler, log })
  const http = await serveHealth(address, () => resources.following)
  const stop = startController({ resources, server, clock, scheduler, log })
  options.started(resources.namespace, http?.port ?? -1)
  try {
    await until
  } finally {
    await stop()
    await http?.close()
  }
}

/** `/healthz`, and `/readyz`: it hears of changes. It has no metrics of its own. */
async function serveHealth(address: RunOptions['http'], following: () => boolean): Promise<HttpServer | null> {
  if (address.port < 0) return null
  return startHttpServer({
    ...address,
    metrics: { contentType: 'text/plain', scrape: async () => '' },
    mayLook: () => 'forbidden',
    readiness: async () => ({ ready: following(), reasons: following() ? [] : ['the API server does not answer'] }),
  })
}
