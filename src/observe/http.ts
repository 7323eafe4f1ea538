/**
 * The HTTP side of a server: `/metrics`, `/healthz`, `/readyz`. GET and HEAD only, 404 for all else.
 *
 * Probes have no token, so `/healthz` and `/readyz` answer everybody. Where callers must be known (`mayLook`), the rest
 * does not: `/metrics` is 401 or 403, and `/readyz` keeps its reasons, which name jobs, to itself.
 *
 * `/healthz` answers 200 while the process lives and its main loop turns: whoever gets no answer within their timeout
 * restarts it. `/readyz` answers 200 when every job that should run does and has caught up (observe/readiness.ts), and 503 with the
 * reasons when not.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { MillraceError } from '../core/errors.ts'
import type { MetricsEndpoint } from './metrics.ts'
import type { Readiness } from './readiness.ts'

/** What is served. */
export interface HttpOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  readonly metrics: MetricsEndpoint
  readonly readiness: () => Promise<Readiness>
  /** What a caller with this `authorization` header may: everything unless given. */
  readonly mayLook?: (authorization: string | undefined) => Permission
  /** Key pair, PEM; plain text unless given. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** Whether a caller may look at numbers, or is `unknown`, or `forbidden` to. */
export type Permission = 'allowed' | 'unknown' | 'forbidden'

/** A server that listens. */
export interface HttpServer {
  readonly port: number
  /** New connections get this key pair. Only where TLS is served. */
  replaceTls(tls: { readonly cert: string; readonly key: string }): void
  /** Stops at once. Idempotent. */
  close(): Promise<void>
}

/** Starts serving. CONFIG_INVALID when the address cannot be listened on. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const timeouts = { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 }
  const secure = options.tls === undefined ? null : createTlsServer({ ...timeouts, ...pairOf(options.tls) })
  const server = secure ?? createServer(timeouts)
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
    replaceTls: (tls) => secure?.setSecureContext(pairOf(tls)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function pairOf({ cert, key }: { readonly cert: string; readonly key: string }): { cert: string; key: string } {
  return { cert, key }
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
  const permission = options.mayLook?.(request.headers.authorization) ?? 'allowed'
  if (path === '/metrics' && permission !== 'allowed') {
    response.setHeader('www-authenticate', 'Bearer')
    const reason = permission === 'unknown' ? 'send authorization: Bearer TOKEN' : 'this token may not look'
    send(response, permission === 'unknown' ? 401 : 403, 'text/plain; charset=utf-8', `${reason}\n`)
  } else if (path === '/metrics') {
    send(response, 200, options.metrics.contentType, await options.metrics.scrape())
  } else if (path === '/healthz') {
    send(response, 200, 'text/plain; charset=utf-8', 'ok\n')
  } else {
    const { ready, reasons } = await options.readiness()
    const text = ready ? 'ready\n' : permission === 'allowed' ? `${reasons.join('\n')}\n` : 'not ready\n'
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
