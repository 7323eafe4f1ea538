/**
 * The gRPC server: the one place where one is made.
 *
 * Owns: what is served, on which address, within which limits, and how serving ends. Every call passes the guard
 * (guard.ts). Health says SERVING once `setServing(true)` was called; until then calls are answered, and say themselves
 * what is not there yet.
 */
import { Server, setLogger } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { ControlApi } from '../control/api.ts'
import type { Clock, Scheduler } from '../core/clock.ts'
import type { EpisodeApi } from '../detection/api.ts'
import { ControlServiceService } from '../gen/millrace/v1/control.ts'
import { QueryServiceService } from '../gen/millrace/v1/query.ts'
import type { QueryApi } from '../query/api.ts'
import { type Access, openAccess } from '../security/access.ts'
import { Audit, type AuditLog } from './audit.ts'
import { createControlHandlers } from './control-service.ts'
import { type CallLimits, Guard } from './guard.ts'
import { type Listener, listen, type ServingTls } from './listener.ts'
import { tolerant } from './malformed.ts'
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
  readonly episodes: EpisodeApi
  /** Serialised FileDescriptorSet of everything in proto/: what reflection answers. */
  readonly descriptors: Uint8Array
  readonly scheduler: Scheduler
  readonly clock: Clock
  /** Who may call; everybody unless given, for loopback only. */
  readonly access?: Access
  /** Plain text unless given. */
  readonly tls?: ServingTls
  /** Connections at a time; 1000 unless given. */
  readonly connections?: number
  /** `defaultCallLimits` where not given. */
  readonly limits?: Partial<CallLimits>
  /** Takes the lines of the audit log. */
  readonly auditLog?: AuditLog
  /** Takes what the gRPC library has to say, for debugging; failures are reported by errors. */
  readonly debug?: (text: string) => void
}

/** The limits unless told otherwise. */
export const defaultCallLimits: CallLimits = {
  streams: 1000,
  streamsPerConnection: 100,
  deadlineMs: 60_000,
  maxDeadlineMs: 600_000,
}

/** A server that listens. */
export interface RpcServer {
  /** `host:port`, as clients name it. */
  readonly address: string
  readonly port: number
  /** Open watches. */
  watches(): number
  /** Streams of any kind that are open. */
  streams(): number
  /** From now on `access` says who may call; streams that it would not admit end. */
  replaceAccess(access: Access): void
  /** What a caller with this `authorization` header may see of what is not gRPC. */
  mayLook(authorization: string | undefined): 'allowed' | 'unknown' | 'forbidden'
  /** New connections get this key pair. Only where TLS is served. */
  replaceTls(tls: ServingTls): void
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
  const guard = new Guard({
    access: options.access ?? openAccess,
    limits: { ...defaultCallLimits, ...options.limits },
    audit: new Audit(options.auditLog ?? (() => {}), options.clock),
    clock: options.clock,
    scheduler: options.scheduler,
  })
  const server = new Server({
    interceptors: [guard.interceptor],
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': options.maxMessageBytes * 4,
    'grpc.max_concurrent_streams': 256,
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
  })
  const health = new HealthImplementation(statuses('NOT_SERVING'))
  const { handlers, watches } = createQueryHandlers(options.query, options.episodes)
  server.addService(
    tolerant(ControlServiceService),
    createControlHandlers(options.control, options.clock, options.scheduler),
  )
  server.addService(tolerant(QueryServiceService), handlers)
  health.addToServer(server)
  addReflection(server, options.descriptors)
  const { host, tls = null, connections = 1000 } = options
  const dropped = () => options.debug?.(`a connection was closed: ${connections} are open`)
  const listener = await listen(server, { host, port: options.port, tls, connections, dropped })
  const { port } = listener
  let closed: Promise<void> | null = null
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    watches,
    streams: () => guard.streams,
    replaceAccess: (access) => guard.replaceAccess(access),
    mayLook: (authorization) => guard.mayLook(authorization),
    replaceTls: (replacement) => listener.replaceTls(replacement),
    setServing: (serving) => {
      for (const name of serviceNames) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING')
    },
    close: (graceMs = 1000) => {
      closed ??= shutdown(server, listener, options.scheduler, graceMs)
      return closed
    },
  }
}

function statuses(status: 'SERVING' | 'NOT_SERVING'): Record<string, 'SERVING' | 'NOT_SERVING'> {
  return Object.fromEntries(serviceNames.map((name) => [name, status]))
}

/** grpc-js takes a server whose sockets it did not accept itself for ended too early, so the listener is waited for. */
async function shutdown(server: Server, listener: Listener, scheduler: Scheduler, graceMs: number): Promise<void> {
  const ended = listener.close()
  server.tryShutdown(() => {})
  const cancel = scheduler.after(graceMs, () => {
    server.forceShutdown()
    listener.cut()
  })
  await ended
  cancel()
}
