/** A guarded server over fakes, and clients that know nothing of Millrace: any method, any token, any certificate. */
import { readFileSync } from 'node:fs'
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { onTestFinished } from 'vitest'
import { systemClock, systemScheduler } from '../../../src/core/system.ts'
import { type RpcServer, type RpcServerOptions, startRpcServer } from '../../../src/rpc/server.ts'
import { type Access, parseAccess } from '../../../src/security/access.ts'
import { digestOf } from '../../../src/security/digest.ts'
import { FakeControl } from '../../support/fakes/control.ts'
import { FakeEpisodes } from '../../support/fakes/episodes.ts'
import { FakeQuery } from '../../support/fakes/query.ts'

const descriptors = readFileSync(new URL('../../../src/gen/descriptors.binpb', import.meta.url))

/** A line of an access file for a token. */
export function tokenEntry(name: string, role: string, token: string): string {
  return `${name} ${role} sha256:${Buffer.from(digestOf(token)).toString('hex')}\n`
}

/** Tokens by role, and the access that knows them: `viewer-token` of `vera` and so on. */
export const tokens = { viewer: 'viewer-token', operator: 'operator-token', ingest: 'ingest-token' } as const

/** An access that knows `tokens`. */
export function someAccess(): Access {
  return parseAccess(
    tokenEntry('vera', 'viewer', tokens.viewer) +
      tokenEntry('otto', 'operator', tokens.operator) +
      tokenEntry('inga', 'ingest', tokens.ingest),
    'access',
  )
}

/** A line of the log. */
export interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A server that ends with the test. */
export interface GuardedServer {
  readonly server: RpcServer
  readonly control: FakeControl
  readonly query: FakeQuery
  readonly audit: readonly Line[]
}

/** Starts one. */
export async function guardedServer(options: Partial<RpcServerOptions> = {}): Promise<GuardedServer> {
  const control = new FakeControl()
  const query = new FakeQuery()
  const audit: Line[] = []
  const server = await startRpcServer({
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    control,
    query,
    episodes: new FakeEpisodes(),
    descriptors,
    scheduler: systemScheduler,
    clock: systemClock,
    auditLog: (level, message, fields) => audit.push({ level, message, fields }),
    ...options,
  })
  onTestFinished(() => server.close(0))
  return { server, control, query, audit }
}

/** How a call ended. */
export interface Ending {
  /** Name of the gRPC status. */
  readonly status: string
  readonly details: string
  readonly metadata: Metadata
}

/** A client of raw bytes that ends with the test. */
export function rawClient(address: string, channel: ChannelCredentials = credentials.createInsecure()): Client {
  const client = new Client(address, channel, { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1 })
  onTestFinished(() => client.close())
  return client
}

/** Metadata with an `authorization` header; none for null. */
export function authorization(...values: readonly string[]): Metadata {
  const metadata = new Metadata()
  for (const value of values) metadata.add('authorization', value)
  return metadata
}

const same = (bytes: Buffer): Buffer => bytes

/** Calls a method with `request` and tells how it ended. */
export function callRaw(
  client: Client,
  path: string,
  metadata: Metadata = new Metadata(),
  request: Uint8Array = new Uint8Array(),
  options: CallOptions = { deadline: Date.now() + 10_000 },
): Promise<Ending> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, Buffer.from(request), metadata, options, (error: ServiceError | null) => {
      resolve(endingOf(error))
    })
  })
}

/** Opens a server stream: how it ended, and whether it has begun to answer. */
export function streamRaw(
  client: Client,
  path: string,
  metadata: Metadata = new Metadata(),
  request: Uint8Array = new Uint8Array(),
): { readonly ended: Promise<Ending>; readonly answered: Promise<void>; cancel(): void } {
  const call = client.makeServerStreamRequest(path, same, same, Buffer.from(request), metadata)
  const ended = new Promise<Ending>((resolve) => {
    call.on('error', (error: ServiceError) => resolve(endingOf(error)))
    call.on('end', () => resolve(endingOf(null)))
  })
  const answered = new Promise<void>((resolve) => {
    call.on('data', () => resolve())
  })
  return { ended, answered, cancel: () => call.cancel() }
}

function endingOf(error: ServiceError | null): Ending {
  if (error === null) return { status: 'OK', details: '', metadata: new Metadata() }
  return { status: status[error.code] ?? '', details: error.details, metadata: error.metadata }
}
