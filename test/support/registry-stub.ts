/**
 * A small schema registry over real HTTP, speaking the part of Confluent's documented API that is read here:
 * GET /schemas/ids/{id} and GET /subjects/{subject}/versions/{version | latest}, with its error codes.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StubReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

interface Registered {
  readonly id: number
  readonly subject: string
  readonly version: number
  readonly schema: string
  readonly schemaType: string
  readonly references: readonly StubReference[]
}

/** A running registry. */
export class RegistryStub {
  /** Paths that were asked for, in order. */
  readonly asked: string[] = []
  /** `user:password` that is demanded; '' for none. */
  login = ''
  /** What answers instead, to misbehave; false falls through to the real answer. */
  misbehave: (path: string, response: ServerResponse) => boolean = () => false
  readonly #schemas: Registered[] = []
  #server: Server | undefined
  #port = 0

  /** Starts it; a second start takes the same port again. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const path = request.url ?? ''
      this.asked.push(path)
      if (this.misbehave(path, response)) return
      const wanted = `Basic ${Buffer.from(this.login).toString('base64')}`
      if (this.login !== '' && request.headers.authorization !== wanted) {
        send(response, 401, { error_code: 401, message: 'Unauthorized' })
      } else this.#answer(path, response)
    })
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    server?.closeAllConnections()
    await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)))
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Registers the next version of a subject; gives its id. Equal schemas share an id, as in the real one. */
  register(
    subject: string,
    schema: string,
    references: readonly StubReference[] = [],
    schemaType = 'PROTOBUF',
  ): number {
    const version = this.#schemas.filter((s) => s.subject === subject).length + 1
    const same = this.#schemas.find((s) => s.schema === schema && s.schemaType === schemaType)
    const id = same?.id ?? Math.max(0, ...this.#schemas.map((s) => s.id)) + 1
    this.#schemas.push({ id, subject, version, schema, schemaType, references })
    return id
  }

  #answer(path: string, response: ServerResponse): void {
    const byId = /^\/schemas\/ids\/(\d+)$/.exec(path)
    if (byId !== null) {
      const found = this.#schemas.find(({ id }) => id === Number(byId[1]))
      if (Number(byId[1]) > 0x7fff_ffff) send(response, 404, { error_code: 404, message: 'HTTP 404 Not Found' })
      else if (found === undefined) {
        send(response, 404, { error_code: 40403, message: `Schema ${byId[1]} not found` })
      } else send(response, 200, bodyOf(found))
      return
    }
    const bySubject = /^\/subjects\/([^/]+)\/versions\/(latest|\d+)$/.exec(path)
    if (bySubject === null) {
      send(response, 404, { error_code: 404, message: 'HTTP 404 Not Found' })
      return
    }
    const subject = decodeURIComponent(bySubject[1]!)
    const versions = this.#schemas.filter((s) => s.subject === subject)
    const version = bySubject[2] === 'latest' ? versions.length : Number(bySubject[2])
    const found = versions.find((s) => s.version === version)
    if (versions.length === 0) send(response, 404, { error_code: 40401, message: `Subject '${subject}' not found.` })
    else if (found === undefined) send(response, 404, { error_code: 40402, message: `Version ${version} not found.` })
    else send(response, 200, { subject, version, id: found.id, ...bodyOf(found) })
  }
}

/** Avro is the type that is left out; so are references that there are none of. */
function bodyOf({ schema, schemaType, references }: Registered): object {
  return {
    ...(schemaType === 'AVRO' ? {} : { schemaType }),
    schema,
    ...(references.length === 0 ? {} : { references }),
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
  response.end(JSON.stringify(body))
}

/** A value as Confluent's serializers frame it. */
export function framed(id: number, index: readonly number[], message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  const zigzag = (value: number): number[] => {
    const bytes: number[] = []
    let rest = value * 2
    for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
    return [...bytes, rest]
  }
  const path = index.length === 1 && index[0] === 0 ? [0] : [index.length, ...index].flatMap(zigzag)
  return Buffer.concat([head, Buffer.from(path), message])
}
