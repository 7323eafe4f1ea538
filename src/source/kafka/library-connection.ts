/**
 * A connection over @platformatic/kafka's `Connection`: framing, TLS, SASL, timeouts. The one file that imports it.
 *
 * Owns: opening, the version check, one request with its response, closing. A request that times out ends its connection
 * (a late response would be taken for the next one's), so a half-open connection fails within `requestTimeoutMs`.
 * Responses are parsed from one contiguous copy of their bytes.
 */
import { isIP } from 'node:net'
import { Connection, Writer } from '@platformatic/kafka'
import { MillraceError } from '../../core/errors.ts'
import type { KafkaConnect, KafkaConnection } from './connection.ts'
import { apiKeys, type OfferedVersions, readApiVersions, requireVersions } from './protocol.ts'
import { WireReader, WireWriter } from './wire.ts'

/** Opens a connection with TLS, SASL or both. Rejects as `connectKafka` does. */
export const connectSecure: KafkaConnect = async (host, port, options) => {
  const address = `${host}:${port}`
  const connection = new Connection(options.clientId, {
    connectTimeout: options.connectTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    ...(options.tls === undefined ? {} : { tls: options.tls, tlsServerName: isIP(host) === 0 }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
  })
  // Without a listener, an error event would end the process; what matters reaches us by the pending request.
  connection.on('error', () => {})
  try {
    await connection.connect(host, port)
    const open = new PlatformaticConnection(connection, address, Writer.create)
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
  if (isRefusedLogin(error)) {
    return new MillraceError(
      'BROKER_ERROR',
      `broker ${address} refused the login; check MILLRACE_KAFKA_SASL, MILLRACE_KAFKA_USER and the password`,
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

/** Whether a broker said no to mechanism, user or password. One that goes away in between is no refusal. */
function isRefusedLogin(error: unknown): boolean {
  let at = error as { readonly code?: unknown; readonly cause?: unknown } | undefined
  let login = false
  for (; at !== null && typeof at === 'object'; at = at.cause as typeof at) {
    login ||= at.code === 'PLT_KFK_AUTHENTICATION'
    if (at.code === 'PLT_KFK_NETWORK' && login) return false
  }
  return login
}

/** The innermost message: the library wraps `connect ECONNREFUSED …` into "Connection … failed". */
function rootMessage(error: unknown): string {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  return at instanceof Error ? at.message : String(at)
}
