/**
 * One connection to a broker: what it is, and the adapter for @platformatic/kafka's `Connection`, which does TLS and SASL
 * (plain connections: plain-connection.ts).
 *
 * Owns: opening, the version check, one request with its response, closing. Does not own: what requests say
 * (protocol.ts), which broker to ask (kafka-cluster.ts), retrying (kafka-reader.ts).
 *
 * The library is loaded with the first connection: it takes about 60 MB and 0.3 s a thread, which jobs over the embedded
 * log need not pay. A request that times out ends its connection (a late response would be taken for the next one's), so a half-open
 * connection fails within `requestTimeoutMs`. Responses are parsed from one contiguous copy of their bytes.
 */
import { isIP } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { Connection, SASLOptions, Writer } from '@platformatic/kafka'
import { MillraceError } from '../../core/errors.ts'
import { connectPlain } from './plain-connection.ts'
import { apiKeys, type OfferedVersions, readApiVersions, requireVersions } from './protocol.ts'
import { WireReader, WireWriter } from './wire.ts'

/** How to authenticate at a broker; `sasl` is handed to the library as it is. */
export type KafkaSasl = SASLOptions

/** Options of every connection of a client. */
export interface KafkaConnectionOptions {
  readonly clientId: string
  /** Longest wait for TCP, TLS and SASL together, ms. */
  readonly connectTimeoutMs: number
  /** Longest wait for a response, ms: well above the fetch wait. */
  readonly requestTimeoutMs: number
  readonly tls?: TlsOptions
  readonly sasl?: KafkaSasl
}

/** An open connection. Requests on it are answered in order. */
export interface KafkaConnection {
  /** `host:port`. */
  readonly address: string
  readonly offered: OfferedVersions
  /** False once the connection has ended, for whatever reason. */
  isOpen(): boolean
  /**
   * Sends one request and parses its response. `flexible` tells whether the request's version has tagged fields in its
   * header; the parser then finds those of the response header in front. Rejects with BROKER_UNREACHABLE (connection
   * lost, timeout) or with what `parse` throws.
   */
  request<T>(
    apiKey: number,
    apiVersion: number,
    flexible: boolean,
    write: (writer: WireWriter) => void,
    parse: (reader: WireReader) => T,
  ): Promise<T>
  /** Gives the bytes of a response back for reuse; nobody may look at them afterwards. Optional for both sides. */
  recycle?(body: Uint8Array): void
  /** Ends the connection at once; requests under way are rejected. Idempotent. */
  close(): Promise<void>
}

/** Opens a connection and checks what the broker offers: BROKER_UNREACHABLE, BROKER_UNSUPPORTED, BROKER_ERROR (SASL). */
export type KafkaConnect = (host: string, port: number, options: KafkaConnectionOptions) => Promise<KafkaConnection>

/** Opens a connection: our own over plain TCP, the library's where TLS or SASL is asked for. */
export const connectKafka: KafkaConnect = (host, port, options) =>
  options.tls === undefined && options.sasl === undefined
    ? connectPlain(host, port, options)
    : connectSecure(host, port, options)

const connectSecure: KafkaConnect = async (host, port, options) => {
  const address = `${host}:${port}`
  const library = await import('@platformatic/kafka')
  const connection = new library.Connection(options.clientId, {
    connectTimeout: options.connectTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    ...(options.tls === undefined ? {} : { tls: options.tls, tlsServerName: isIP(host) === 0 }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
  })
  // Without a listener, an error event would end the process; what matters reaches us by the pending request.
  connection.on('error', () => {})
  try {
    await connection.connect(host, port)
    const open = new PlatformaticConnection(connection, address, library.Writer.create)
    open.offered = await open.request(apiKeys.apiVersions, 0, false, () => {}, readApiVersions)
    requireVersions(open.offered, address)
    return open
  } catch (error) {
    await end(connection)
    throw asUnreachable(error, address)
  }
}

class PlatformaticConnection implements KafkaConnection {
  readonly address: string
  offered: OfferedVersions = new Map()
  readonly #connection: Connection
  readonly #newPayload: () => Writer

  constructor(connection: Connection, address: string, newPayload: () => Writer) {
    this.#connection = connection
    this.address = address
    this.#newPayload = newPayload
  }

  isOpen(): boolean {
    const status = this.#connection.status
    return status === 'connected' || status === 'reauthenticating'
  }

  request<T>(
    apiKey: number,
    apiVersion: number,
    flexible: boolean,
    write: (writer: WireWriter) => void,
    parse: (reader: WireReader) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#connection.send<T>(
        apiKey,
        apiVersion,
        () => {
          const writer = new WireWriter()
          write(writer)
          const body = writer.bytes()
          return this.#newPayload().append(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
        },
        (_correlationId, _apiKey, _apiVersion, reader) => parse(new WireReader(reader.buffer.slice(reader.position))),
        flexible,
        false,
        (error, response) => {
          if (error) reject(asUnreachable(error, this.address))
          else resolve(response as T)
        },
      )
    })
  }

  close(): Promise<void> {
    return end(this.#connection)
  }
}

async function end(connection: Connection): Promise<void> {
  const closed = connection.close()
  // The library waits for writes to drain, which a peer that is gone never lets happen.
  connection.socket?.destroy()
  await closed
}

function asUnreachable(error: unknown, address: string): MillraceError {
  if (error instanceof MillraceError) return error
  if ((error as { code?: unknown }).code === 'PLT_KFK_AUTHENTICATION') {
    return new MillraceError(
      'BROKER_ERROR',
      `broker ${address} refused the login; check mechanism, user and password`,
      {
        retry: 'never',
        cause: error,
      },
    )
  }
  return new MillraceError(
    'BROKER_UNREACHABLE',
    `broker ${address} cannot be reached: ${rootMessage(error)}. Check the address, the network and that it runs.`,
    { cause: error },
  )
}

/** The innermost message: the library wraps `connect ECONNREFUSED …` into "Connection … failed". */
function rootMessage(error: unknown): string {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  return at instanceof Error ? at.message : String(at)
}
