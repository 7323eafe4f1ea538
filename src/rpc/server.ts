/**
 * The gRPC server: the one place where one is made.
 *
 * Owns: what is served, on which address, within which limits, and how serving ends. Loopback only: there is no
 * authentication yet, and config refuses any other address. Health says SERVING once `setServing(true)` was called;
 * until then calls are answered, and say themselves what is not there yet.
 */
import { Server, ServerCredentials, setLogger } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { ControlApi } from '../control/api.ts'
import type { Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { ControlServiceService } from '../gen/millrace/v1/control.ts'
import { QueryServiceService } from '../gen/millrace/v1/query.ts'
import type { QueryApi } from '../query/api.ts'
import { createControlHandlers } from './control-service.ts'
import { createQueryHandlers } from './query-service.ts'
import { addReflection } from './reflection.ts'

/** What a server is made of. */
export interface RpcServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Largest request that is read; answers may be four times that. */
  readonly maxMessageBytes: number
  readonly control: ControlApi
  readonly query: QueryApi
  /** Serialised FileDescriptorSet of everything in proto/: what reflection answers. */
  readonly descriptors: Uint8Array
  readonly scheduler: Scheduler
  /** Takes what the gRPC library has to say, for debugging; failures are reported by errors. */
  readonly debug?: (text: string) => void
}

/** A server that listens. */
export interface RpcServer {
  /** `host:port`, as clients name it. */
  readonly address: string
  readonly port: number
  /** Open watches. */
  watches(): number
  /** What health checks are told. */
  setServing(serving: boolean): void
  /** Takes no more calls, lets those that run end for `graceMs`, then cuts them off. Idempotent. */
  close(graceMs?: number): Promise<void>
}

const serviceNames = ['', 'millrace.v1.ControlService', 'millrace.v1.QueryService']

/** Starts serving. CONFIG_INVALID when the address cannot be listened on. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const debug = (...parts: unknown[]) => options.debug?.(parts.join(' '))
  setLogger({ error: debug, info: debug, debug })
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': options.maxMessageBytes * 4,
    'grpc.max_concurrent_streams': 256,
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
  })
  const health = new HealthImplementation(statuses('NOT_SERVING'))
  const { handlers, watches } = createQueryHandlers(options.query)
  server.addService(ControlServiceService, createControlHandlers(options.control))
  server.addService(QueryServiceService, handlers)
  health.addToServer(server)
  addReflection(server, options.descriptors)
  const port = await bind(server, options.host, options.port)
  let closed: Promise<void> | null = null
  return {
    address: `${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    port,
    watches,
    setServing: (serving) => {
      for (const name of serviceNames) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING')
    },
    close: (graceMs = 1000) => {
      closed ??= shutdown(server, options.scheduler, graceMs)
      return closed
    },
  }
}

function statuses(status: 'SERVING' | 'NOT_SERVING'): Record<string, 'SERVING' | 'NOT_SERVING'> {
  return Object.fromEntries(serviceNames.map((name) => [name, status]))
}

function bind(server: Server, host: string, port: number): Promise<number> {
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return new Promise((resolve, reject) => {
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) {
        resolve(bound)
        return
      }
      const message =
        `cannot serve gRPC on ${target} (${error.message}): is another server running there? ` +
        'Set MILLRACE_GRPC_PORT to a free port, or to 0 for any'
      reject(new MillraceError('CONFIG_INVALID', message, { cause: error }))
    })
  })
}

function shutdown(server: Server, scheduler: Scheduler, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = scheduler.after(graceMs, () => server.forceShutdown())
    server.tryShutdown(() => {
      cancel()
      resolve()
    })
  })
}
