/**
 * The port on which a gRPC server listens: sockets in, connections to the server out.
 *
 * Owns: the listening socket, the bound on connections, and TLS with a key pair that can be replaced while serving.
 * grpc-js would listen itself, but knows neither of the two. The one file of rpc/ that touches the network.
 */
import { createServer, type Socket } from 'node:net'
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js'
import { MillraceError } from '../core/errors.ts'

/** A key pair, PEM; `ca` set asks every client for a certificate that it signed. */
export interface ServingTls {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

/** Where and how to listen. */
export interface ListenOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Null serves plain text. */
  readonly tls: ServingTls | null
  /** Connections at a time; more are closed as they come. */
  readonly connections: number
  /** Told of connections that were closed for their number. */
  readonly dropped?: () => void
}

/** A port that is listened on. */
export interface Listener {
  readonly port: number
  /** New connections get this key pair; those that are open keep theirs. */
  replaceTls(tls: ServingTls): void
  /** Takes no more connections; resolves when those that are open have ended. Idempotent. */
  close(): Promise<void>
  /** Cuts off all connections. */
  cut(): void
}

/** Listens and gives connections to `server`. CONFIG_INVALID when the address cannot be listened on. */
export async function listen(server: Server, options: ListenOptions): Promise<Listener> {
  let injector = injectorOf(server, options.tls)
  const open = new Set<Socket>()
  const sockets = createServer({ noDelay: true }, (socket: Socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A peer that resets before HTTP/2 has taken over would end the process.
    socket.on('error', () => {})
    injector.injectConnection(socket)
  })
  sockets.maxConnections = options.connections
  sockets.on('drop', () => options.dropped?.())
  await new Promise<void>((resolve, reject) => {
    sockets.once('error', (error) => {
      const message =
        `cannot serve gRPC on ${options.host}:${options.port} (${error.message}): is another server running there? ` +
        'Set MILLRACE_GRPC_PORT to a free port, or to 0 for any'
      reject(new MillraceError('CONFIG_INVALID', message, { cause: error }))
    })
    sockets.listen(options.port, options.host, resolve)
  })
  sockets.on('error', () => {})
  const address = sockets.address()
  let closed: Promise<void> | null = null
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    replaceTls: (tls) => {
      // The former one goes on holding its connections; the server closes both when it shuts down.
      injector = injectorOf(server, tls)
    },
    close: () => {
      closed ??= new Promise((resolve) => {
        sockets.close(() => resolve())
      })
      return closed
    },
    cut: () => {
      for (const socket of open) socket.destroy()
    },
  }
}

function injectorOf(server: Server, tls: ServingTls | null): ConnectionInjector {
  return server.createConnectionInjector(credentialsOf(tls))
}

function credentialsOf(tls: ServingTls | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure()
  const pair = { cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }
  return ServerCredentials.createSsl(tls.ca === undefined ? null : Buffer.from(tls.ca), [pair], tls.ca !== undefined)
}
