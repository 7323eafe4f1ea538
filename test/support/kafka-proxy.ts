/**
 * A TCP proxy in front of a Kafka broker that makes faults and plays an older broker.
 *
 * Clients stay on the proxy: broker addresses in Metadata and FindCoordinator responses are rewritten to listeners of
 * its own, one for each broker behind it. Faults act on all connections: `kill`, `refuse`, `stall` (half-open: bytes go
 * in, none come out, the socket stays up), `delayMs`. With `ceiling: 'redpanda'` ApiVersions is answered with the
 * lowest maxima that Redpanda's releases show, and a request above them ends its connection and is listed in `rejected`.
 * `faults` hit single requests (kafka-proxy-faults.ts).
 *
 * Not covered: addresses that Produce 10 and Fetch 16 or later may carry in tagged fields.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { WireReader, WireWriter } from '../../src/source/kafka/wire.ts'
import { errorAnswer, type KafkaFault, takeFault } from './kafka-proxy-faults.ts'
import { redpandaMaxima } from './redpanda-versions.ts'

const API_METADATA = 3
const API_FIND_COORDINATOR = 10
const API_VERSIONS = 18

/** How a proxy is started. */
export interface KafkaProxyOptions {
  /** Play a broker that offers no more than this one. */
  readonly ceiling?: 'redpanda'
}

/** Starts a proxy in front of the bootstrap server `upstream` (`host:port`). */
export async function startKafkaProxy(upstream: string, options: KafkaProxyOptions = {}): Promise<KafkaProxy> {
  const proxy = new KafkaProxy(options)
  await proxy.start(upstream)
  return proxy
}

/** A running proxy. */
export class KafkaProxy {
  /** Bootstrap server, `127.0.0.1:port`. */
  brokers = ''
  /** Requests that were newer than the ceiling, as `api 1 version 12`. */
  readonly rejected: string[] = []
  /** Requests passed on so far, by API number. */
  readonly requests = new Map<number, number>()
  /** What hits the next request of an API; taken from here when it has. */
  readonly faults: KafkaFault[] = []
  /** New connections are closed at once. */
  refuse = false
  /** Every response comes this much later, ms. */
  delayMs = 0
  /** Highest versions by API number, if there is a ceiling; APIs that are not named are not offered. */
  maxima: ReadonlyMap<number, number> | undefined
  readonly #listeners = new Map<string, Promise<Server>>()
  readonly #links = new Set<Link>()
  #stalled = false

  constructor(options: KafkaProxyOptions) {
    this.maxima = options.ceiling === 'redpanda' ? redpandaMaxima : undefined
  }

  /** Listens for the broker at `upstream`. */
  async start(upstream: string): Promise<void> {
    this.brokers = `127.0.0.1:${await this.portFor(upstream)}`
  }

  /** Connections there are. */
  get connections(): number {
    return this.#links.size
  }

  /** Ends every connection now; new ones are served. */
  kill(): void {
    for (const link of [...this.#links]) link.end()
  }

  /** Makes every connection, the new ones too, half-open; with false new ones are served and the stalled end. */
  stall(on: boolean): void {
    this.#stalled = on
    for (const link of [...this.#links]) {
      if (on) link.stalled = true
      else if (link.stalled) link.end()
    }
  }

  /** Ends the proxy and all its connections. */
  async close(): Promise<void> {
    this.kill()
    for (const listener of this.#listeners.values()) (await listener).close()
  }

  /** The highest version allowed of an API: Infinity without a ceiling, -1 when the API is not offered. */
  maxOf(apiKey: number): number {
    return this.maxima === undefined ? Number.POSITIVE_INFINITY : (this.maxima.get(apiKey) ?? -1)
  }

  /** The port that stands for the broker at `upstream`. */
  async portFor(upstream: string): Promise<number> {
    let listener = this.#listeners.get(upstream)
    if (listener === undefined) {
      listener = this.#listen(upstream)
      this.#listeners.set(upstream, listener)
    }
    return ((await listener).address() as AddressInfo).port
  }

  #listen(upstream: string): Promise<Server> {
    const colon = upstream.lastIndexOf(':')
    const host = upstream.slice(0, colon)
    const port = Number(upstream.slice(colon + 1))
    const server = createServer((client) => {
      if (this.refuse) {
        client.destroy()
        return
      }
      const link = new Link(this, client, connect(port, host), () => this.#links.delete(link))
      link.stalled = this.#stalled
      this.#links.add(link)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', () => resolve(server))
    })
  }
}

/** A request that the broker has to answer. */
interface Asked {
  readonly apiKey: number
  readonly version: number
  readonly frame: Buffer
  readonly fault: KafkaFault | undefined
}

/** One client connection and its way to the broker. */
class Link {
  stalled = false
  readonly #proxy: KafkaProxy
  readonly #client: Socket
  readonly #broker: Socket
  readonly #asked = new Map<number, Asked>()
  readonly #onEnd: () => void
  #responses: Promise<void> = Promise.resolve()

  constructor(proxy: KafkaProxy, client: Socket, broker: Socket, onEnd: () => void) {
    this.#proxy = proxy
    this.#client = client
    this.#broker = broker
    this.#onEnd = onEnd
    client.setNoDelay(true)
    broker.setNoDelay(true)
    for (const socket of [client, broker]) {
      socket.on('error', () => this.end())
      socket.on('close', () => this.end())
    }
    client.on(
      'data',
      frames((frame) => this.#request(frame)),
    )
    broker.on(
      'data',
      frames((frame) => this.#response(frame)),
    )
  }

  end(): void {
    this.#client.destroy()
    this.#broker.destroy()
    this.#onEnd()
  }

  #request(frame: Buffer): void {
    if (this.stalled) return
    const apiKey = frame.readInt16BE(4)
    const version = frame.readInt16BE(6)
    if (version > this.#proxy.maxOf(apiKey)) {
      this.#proxy.rejected.push(`api ${apiKey} version ${version}`)
      this.end()
      return
    }
    this.#proxy.requests.set(apiKey, (this.#proxy.requests.get(apiKey) ?? 0) + 1)
    const fault = takeFault(this.#proxy.faults, apiKey)
    if (fault?.happens === 'cut-before') this.end()
    else if (fault?.happens === 'answer') this.#client.write(errorAnswer(frame, fault.errorCode!))
    else if (fault?.happens === 'call') void fault.run!().then(() => this.#pass(apiKey, version, frame, fault))
    else this.#pass(apiKey, version, frame, fault)
  }

  #pass(apiKey: number, version: number, frame: Buffer, fault: KafkaFault | undefined): void {
    this.#asked.set(frame.readInt32BE(8), { apiKey, version, frame, fault })
    this.#broker.write(frame)
    // The broker reads what has arrived before it sees the end of the connection.
    if (fault?.happens === 'cut-sent') this.#broker.end(() => this.end())
  }

  #response(frame: Buffer): void {
    if (this.stalled) return
    // One after the other: rewriting may have to wait for a listener.
    this.#responses = this.#responses.then(async () => {
      const correlationId = frame.readInt32BE(4)
      const asked = this.#asked.get(correlationId)
      this.#asked.delete(correlationId)
      if (asked?.fault?.happens === 'cut-after') {
        this.end()
        return
      }
      const answer = asked?.fault?.happens === 'answer-after' ? errorAnswer(asked.frame, asked.fault.errorCode!) : frame
      const rewritten = asked === undefined ? frame : await this.#rewrite(answer, asked.apiKey, asked.version)
      if (this.#proxy.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#proxy.delayMs))
      if (!this.stalled) this.#client.write(rewritten)
    })
  }

  async #rewrite(frame: Buffer, apiKey: number, version: number): Promise<Buffer> {
    const reader = new WireReader(frame.subarray(8))
    const writer = new WireWriter(frame.length + 64)
    if (apiKey === API_METADATA) await this.#metadata(reader, writer, version)
    else if (apiKey === API_FIND_COORDINATOR) await this.#coordinator(reader, writer, version)
    else if (apiKey === API_VERSIONS) this.#apiVersions(reader, writer, version)
    else return frame
    const body = writer.bytes()
    const head = Buffer.alloc(8)
    head.writeInt32BE(4 + body.length, 0)
    frame.copy(head, 4, 4, 8)
    return Buffer.concat([head, body])
  }

  async #metadata(reader: WireReader, writer: WireWriter, version: number): Promise<void> {
    const flexible = version >= 9
    if (flexible) copyTags(reader, writer)
    if (version >= 3) writer.int32(reader.int32())
    const count = flexible ? reader.compactArrayLength() : reader.arrayLength()
    if (flexible) writer.unsignedVarint(count + 1)
    else writer.int32(count)
    for (let i = 0; i < count; i++) {
      writer.int32(reader.int32())
      await this.#address(reader, writer, flexible)
      if (version >= 1) copyString(reader, writer, flexible)
      if (flexible) copyTags(reader, writer)
    }
    copyRest(reader, writer)
  }

  async #coordinator(reader: WireReader, writer: WireWriter, version: number): Promise<void> {
    const flexible = version >= 3
    if (flexible) copyTags(reader, writer)
    if (version >= 1) writer.int32(reader.int32())
    if (version >= 4) {
      const count = reader.compactArrayLength()
      writer.unsignedVarint(count + 1)
      for (let i = 0; i < count; i++) {
        copyString(reader, writer, true)
        writer.int32(reader.int32())
        await this.#address(reader, writer, true)
        writer.int16(reader.int16())
        copyString(reader, writer, true)
        copyTags(reader, writer)
      }
    } else {
      writer.int16(reader.int16())
      if (version >= 1) copyString(reader, writer, flexible)
      writer.int32(reader.int32())
      await this.#address(reader, writer, flexible)
    }
    copyRest(reader, writer)
  }

  /** The first byte of every version is in place: error code, then the APIs. Features (tagged) are left out. */
  #apiVersions(reader: WireReader, writer: WireWriter, version: number): void {
    const errorCode = reader.int16()
    // A version the broker does not have is answered in version 0.
    const flexible = version >= 3 && errorCode === 0
    writer.int16(errorCode)
    const count = flexible ? reader.compactArrayLength() : reader.arrayLength()
    const kept: [number, number, number][] = []
    for (let i = 0; i < count; i++) {
      const apiKey = reader.int16()
      const min = reader.int16()
      const max = Math.min(reader.int16(), this.#proxy.maxOf(apiKey))
      if (flexible) reader.skipTags()
      if (max >= min) kept.push([apiKey, min, max])
    }
    if (flexible) writer.unsignedVarint(kept.length + 1)
    else writer.int32(kept.length)
    for (const [apiKey, min, max] of kept) {
      writer.int16(apiKey).int16(min).int16(max)
      if (flexible) writer.noTags()
    }
    if (flexible) writer.int32(reader.int32()).noTags()
    else copyRest(reader, writer)
  }

  async #address(reader: WireReader, writer: WireWriter, flexible: boolean): Promise<void> {
    const host = flexible ? reader.compactString() : reader.string()
    const port = reader.int32()
    const known = host !== '' && port > 0
    const mapped = known ? await this.#proxy.portFor(`${host}:${port}`) : port
    const name = known ? '127.0.0.1' : host
    if (flexible) writer.compactString(name)
    else writer.string(name)
    writer.int32(mapped)
  }
}

function copyString(reader: WireReader, writer: WireWriter, flexible: boolean): void {
  if (flexible) writer.compactString(reader.compactNullableString())
  else writer.string(reader.nullableString())
}

function copyTags(reader: WireReader, writer: WireWriter): void {
  const start = reader.position
  reader.skipTags()
  writer.raw(reader.bytes.subarray(start, reader.position))
}

function copyRest(reader: WireReader, writer: WireWriter): void {
  writer.raw(reader.bytes.subarray(reader.position))
}

/** Cuts a stream into whole frames, their four bytes of length included. */
function frames(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0)
  return (chunk) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= 4) {
      const size = 4 + held.readInt32BE(0)
      if (held.length < size) return
      onFrame(held.subarray(0, size))
      held = held.subarray(size)
    }
  }
}
