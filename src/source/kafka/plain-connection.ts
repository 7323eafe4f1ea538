/**
 * A connection to a broker over plain TCP, of our own: responses land in reused buffers, without a copy.
 *
 * Owns: framing, matching responses with requests, the buffers that responses are read into. Does not own: TLS and SASL
 * (connection.ts, over the library), what requests say (protocol.ts).
 *
 * Why: the library allocates every response twice (its chunks, and their concatenation) and costs each thread some 58 MB
 * and a third of a second to load. Here the socket is told where to put each byte: eight bytes of header, then the body
 * straight into a buffer that `recycle` brings back. See docs/decisions.
 *
 *   request   size i32 | apiKey i16 | version i16 | correlationId i32 | clientId string [| no tags]| body
 *   response  size i32 | correlationId i32 | body
 */
import { connect, type Socket } from 'node:net'
import { MillraceError } from '../../core/errors.ts'
import type { KafkaConnection, KafkaConnectionOptions } from './connection.ts'
import { apiKeys, type OfferedVersions, readApiVersions, requireVersions } from './protocol.ts'
import { WireReader, WireWriter } from './wire.ts'

const HEADER_BYTES = 8
/** Bodies from this size on come from the pool of reused buffers. */
const POOLED_BYTES_MIN = 64 * 1024
/** Pooled buffers have a multiple of this. */
const POOL_STEP_BYTES = 512 * 1024
const POOLED_MAX = 6
/** No broker answers with more; a larger size is not the Kafka protocol. */
const RESPONSE_BYTES_MAX = 0x4000_0000

interface Pending {
  readonly correlationId: number
  readonly receive: (body: Uint8Array) => void
  readonly fail: (error: MillraceError) => void
}

/** Opens a plain connection and checks what the broker offers. Rejects as `connectKafka` does. */
export async function connectPlain(
  host: string,
  port: number,
  options: KafkaConnectionOptions,
): Promise<KafkaConnection> {
  const connection = new PlainConnection(host, port, options)
  try {
    await connection.opened
    connection.offered = await connection.request(apiKeys.apiVersions, 0, false, () => {}, readApiVersions)
    requireVersions(connection.offered, connection.address)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

class PlainConnection implements KafkaConnection {
  readonly address: string
  readonly opened: Promise<void>
  offered: OfferedVersions = new Map()
  readonly #socket: Socket
  readonly #clientId: string
  readonly #requestTimeoutMs: number
  readonly #pending: Pending[] = []
  readonly #header = Buffer.allocUnsafeSlow(HEADER_BYTES)
  readonly #pool: ArrayBuffer[] = []
  /** Where the bytes under way go: the header, or the body of the response at the head of `#pending`. */
  #target: Uint8Array = this.#header
  #filled = 0
  #nextCorrelationId = 1
  #open = false

  constructor(host: string, port: number, options: KafkaConnectionOptions) {
    this.address = `${host}:${port}`
    this.#clientId = options.clientId
    this.#requestTimeoutMs = options.requestTimeoutMs
    const opened = Promise.withResolvers<void>()
    this.opened = opened.promise
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: () => this.#room(),
        callback: (bytes) => {
          this.#received(bytes)
          return true
        },
      },
    })
    this.#socket.setTimeout(options.connectTimeoutMs)
    this.#socket.on('connect', () => {
      this.#open = true
      this.#socket.setTimeout(this.#requestTimeoutMs)
      opened.resolve()
    })
    this.#socket.on('timeout', () => {
      // A quiet connection is no fault; one that owes an answer is.
      if (!this.#open || this.#pending.length > 0) this.#socket.destroy(new Error('timed out'))
    })
    let cause: unknown
    this.#socket.on('error', (error) => {
      cause = error
    })
    this.#socket.on('close', () => {
      this.#open = false
      const error = this.#unreachable(cause)
      opened.reject(error)
      for (const pending of this.#pending.splice(0)) pending.fail(error)
    })
    // The peer has sent its last byte: nothing more can be asked of it.
    this.#socket.on('end', () => this.#socket.destroy())
  }

  isOpen(): boolean {
    return this.#open
  }

  request<T>(
    apiKey: number,
    apiVersion: number,
    flexible: boolean,
    write: (writer: WireWriter) => void,
    parse: (reader: WireReader) => T,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (!this.#open) {
      reject(this.#unreachable(undefined))
      return promise
    }
    const correlationId = this.#nextCorrelationId
    this.#nextCorrelationId = (correlationId + 1) & 0x7fff_ffff
    const writer = new WireWriter().int32(0).int16(apiKey).int16(apiVersion).int32(correlationId).string(this.#clientId)
    if (flexible) writer.noTags()
    write(writer)
    const bytes = writer.bytes()
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(0, bytes.length - 4)
    this.#pending.push({
      correlationId,
      fail: reject,
      receive: (body) => {
        try {
          resolve(parse(new WireReader(body)))
        } catch (error) {
          reject(error)
        }
      },
    })
    this.#socket.write(bytes)
    return promise
  }

  recycle(body: Uint8Array): void {
    const buffer = body.buffer as ArrayBuffer
    if (buffer.byteLength >= POOL_STEP_BYTES && this.#pool.length < POOLED_MAX) this.#pool.push(buffer)
  }

  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (this.#socket.closed) resolve()
    else this.#socket.once('close', () => resolve())
    this.#socket.destroy()
    return promise
  }

  /** Where the socket puts the next bytes: never beyond the message under way. */
  #room(): Uint8Array {
    return this.#filled === 0 ? this.#target : this.#target.subarray(this.#filled)
  }

  #received(bytes: number): void {
    this.#filled += bytes
    if (this.#filled < this.#target.length) return
    this.#filled = 0
    if (this.#target === this.#header) this.#begin()
    else this.#finish(this.#target)
  }

  #begin(): void {
    const size = this.#header.readInt32BE(0) - 4
    const correlationId = this.#header.readInt32BE(4)
    if (size < 0 || size > RESPONSE_BYTES_MAX || correlationId !== this.#pending[0]?.correlationId) {
      this.#socket.destroy(new Error('what it sends is not the Kafka protocol'))
      return
    }
    if (size === 0) this.#finish(new Uint8Array(0))
    else this.#target = this.#take(size)
  }

  #finish(body: Uint8Array): void {
    this.#target = this.#header
    this.#pending.shift()?.receive(body)
  }

  #take(size: number): Uint8Array {
    if (size < POOLED_BYTES_MIN) return new Uint8Array(size)
    const fits = this.#pool.findIndex((buffer) => buffer.byteLength >= size)
    const [pooled] = fits < 0 ? [] : this.#pool.splice(fits, 1)
    return new Uint8Array(pooled ?? new ArrayBuffer(Math.ceil(size / POOL_STEP_BYTES) * POOL_STEP_BYTES), 0, size)
  }

  #unreachable(cause: unknown): MillraceError {
    const why = cause instanceof Error ? cause.message : 'the connection is closed'
    return new MillraceError(
      'BROKER_UNREACHABLE',
      `broker ${this.address} cannot be reached: ${why}. Check the address, the network and that it runs.`,
      { cause },
    )
  }
}
