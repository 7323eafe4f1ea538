/**
 * The HTTP side of a server: `/metrics`, `/healthz`, `/readyz`. GET and HEAD only, loopback only, 404 for all else.
 *
 * `/healthz` answers 200 while the process lives and its main loop turns: whoever gets no answer within their timeout
 * restarts it. `/readyz` answers 200 when every job that should run does, and 503 with the reasons when not.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MillraceError } from '../core/errors.ts'
import type { MetricsEndpoint } from './metrics.ts'

/** Whether work is being done, and why not. */
export interface Readiness {
  readonly ready: boolean
  /** One line each; empty when ready. */
  readonly reasons: readonly string[]
}

/** What is served. */
export interface HttpOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly metrics: MetricsEndpoint
  readonly readiness: () => Promise<Readiness>
}

/** A server that listens. */
export interface HttpServer {
  readonly port: number
  /** Stops at once. Idempotent. */
  close(): Promise<void>
}

/** States in which a job does what it should. */
const settled = new Set(['RUNNING', 'FINISHING', 'FINISHED', 'STOPPING', 'SUSPENDED', 'CANCELLING', 'CANCELLED'])

/** Whether every job does what it should: a job that starts, restarts or has failed does not. */
export function jobReadiness(
  jobs: readonly { readonly name: string; readonly state: string; readonly reason: string }[],
): Readiness {
  const reasons = jobs
    .filter((job) => !settled.has(job.state))
    .map((job) => `job ${job.name} is ${job.state}${job.reason === '' ? '' : `: ${job.reason}`}`)
  return { ready: reasons.length === 0, reasons }
}

/** Starts serving. CONFIG_INVALID when the address cannot be listened on. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 })
  server.maxConnections = 100
  server.on('request', (request, response) => {
    answer(options, request, response).catch((thrown: unknown) => {
      if (response.headersSent) response.destroy()
      else send(response, 500, 'text/plain; charset=utf-8', `${MillraceError.from(thrown).message}\n`)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message =
        `cannot serve HTTP on ${options.host}:${options.port} (${error.message}): ` +
        'set MILLRACE_HTTP_PORT to a free port, to 0 for any, or to -1 for none'
      reject(new MillraceError('CONFIG_INVALID', message, { cause: error }))
    })
    server.listen(options.port, options.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  if (path !== '/metrics' && path !== '/healthz' && path !== '/readyz') {
    send(response, 404, 'text/plain; charset=utf-8', 'not found: there are /metrics, /healthz and /readyz\n')
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    send(response, 405, 'text/plain; charset=utf-8', 'only GET and HEAD\n')
    return
  }
  if (path === '/metrics') {
    send(response, 200, options.metrics.contentType, await options.metrics.scrape())
  } else if (path === '/healthz') {
    send(response, 200, 'text/plain; charset=utf-8', 'ok\n')
  } else {
    const { ready, reasons } = await options.readiness()
    const text = ready ? 'ready\n' : `${reasons.join('\n')}\n`
    send(response, ready ? 200 : 503, 'text/plain; charset=utf-8', text)
  }
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(text)
}
