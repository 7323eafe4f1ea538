/** Bytes that no client of ours would send: to the port, to HTTP/2, and as messages of every method. */
import { connect } from 'node:net'
import { credentials } from '@grpc/grpc-js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobDefinition } from '../../src/gen/millrace/v1/job.ts'
import { MetricSelection } from '../../src/gen/millrace/v1/query.ts'
import { methodAccess } from '../../src/rpc/method-access.ts'
import { authorization, callRaw, guardedServer, rawClient, someAccess, tokens } from './support/guarded.ts'

const full = process.env.MILLRACE_FULL === '1'
const numRuns = full ? 100_000 : 1_500
const metadata = () => authorization(`Bearer ${tokens.operator}`)
const paths = Object.keys(methodAccess).filter((path) => path.startsWith('/millrace.'))

/** A gRPC status that says what is wrong with the call; INTERNAL and UNKNOWN would be our fault. */
const coded = new Set(['OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'FAILED_PRECONDITION', 'ALREADY_EXISTS', 'CANCELLED'])

/** Pieces of Protobuf: tags, lengths, texts, and what breaks them. */
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(
    Uint8Array.of(0x0a, 0x05, 1, 2, 3, 4, 5),
    Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f),
    Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80),
    Uint8Array.of(0x0b, 0x0b, 0x0b, 0x0c),
    Uint8Array.of(0x07),
    JobDefinition.encode(JobDefinition.fromPartial({ apiVersion: 'x', metadata: { name: 'a' } })).finish(),
    MetricSelection.encode(MetricSelection.fromPartial({ job: 'a', metric: 'b', limit: 0xffffffff })).finish(),
  ),
)
const message = fc.array(piece, { maxLength: 6 }).map((parts) => Buffer.concat(parts))

describe('messages that are none', () => {
  it('are answered with a coded status, soon, and do no harm', { timeout: full ? 900_000 : 60_000 }, async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address)
    let slowestMs = 0
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), message, async (path, bytes) => {
        const startMs = performance.now()
        // Watches stay open when they are let in: the deadline ends them.
        const watching = path.includes('/Watch')
        const options = { deadline: Date.now() + (watching ? 30 : 10_000) }
        const { status } = await callRaw(client, path, metadata(), bytes, options)
        if (!watching) slowestMs = Math.max(slowestMs, performance.now() - startMs)
        expect(watching && status === 'DEADLINE_EXCEEDED' ? 'OK' : status, status).toSatisfy((it: string) =>
          coded.has(it),
        )
      }),
      { numRuns },
    )
    expect(slowestMs).toBeLessThan(10_000)
    expect((await callRaw(client, '/millrace.v1.ControlService/ListJobs', metadata())).status).toBe('OK')
  })

  it('say what is wrong with them', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address, credentials.createInsecure())
    for (const path of paths) {
      const ended = await callRaw(client, path, metadata(), Uint8Array.of(0x0a, 0x7f, 1))
      expect(ended, path).toMatchObject({
        status: 'INVALID_ARGUMENT',
        details: expect.stringMatching(/^the request is not a message of its type: /),
      })
    }
  })
})

describe('connections that are none', () => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  /** An HTTP/2 frame with any type, flags, stream and length that it may or may not keep. */
  const frame = fc
    .tuple(
      fc.nat(0xffffff),
      fc.nat(12),
      fc.nat(255),
      fc.integer({ min: 0, max: 0x7fffffff }),
      fc.uint8Array({ maxLength: 60 }),
      fc.boolean(),
    )
    .map(([length, type, flags, stream, payload, honest]) => {
      const head = Buffer.alloc(9)
      head.writeUIntBE(honest ? payload.length : length, 0, 3)
      head.writeUInt8(type, 3)
      head.writeUInt8(flags, 4)
      head.writeUInt32BE(stream, 5)
      return Buffer.concat([head, payload])
    })
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((any) => Buffer.from(any)),
    fc.array(frame, { maxLength: 8 }).map((frames) => Buffer.concat([preface, ...frames])),
  )

  it('end, and leave the server as it was', { timeout: full ? 900_000 : 60_000 }, async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const send = (data: Buffer): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.end(data))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
        // A peer that waits for more is not waited for.
        setTimeout(() => socket.destroy(), 20)
      })
    await fc.assert(fc.asyncProperty(bytes, send), { numRuns: full ? 20_000 : 300 })
    const client = rawClient(server.address)
    expect((await callRaw(client, '/millrace.v1.ControlService/ListJobs', metadata())).status).toBe('OK')
    expect(server.streams()).toBe(0)
  })
})
