/** Bytes that no client of ours would send: to the port, to HTTP/2, and as messages of every method. */
import { connect } from 'node:net'
import { credentials } from '@grpc/grpc-js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobDefinition } from '../../src/gen/millrace/v1/job.ts'
import { MetricSelection } from '../../src/gen/millrace/v1/query.ts'
import { methodAccess } from '../../src/rpc/method-access.ts'
import { fuzz, fuzzRuns, fuzzTimeoutMs, took } from '../fuzz/hostile.ts'
import { authorization, callRaw, guardedServer, rawClient, someAccess, tokens } from './support/guarded.ts'

const metadata = () => authorization(`Bearer ${tokens.operator}`)
const paths = Object.keys(methodAccess).filter((path) => path.startsWith('/millrace.'))

/** Calls and connections that are open together. */
const CALLS = 20
/** A hang is what takes longer than this. */
const HANG_MS = 1000

/** A gRPC status that says what is wrong with the call; INTERNAL and UNKNOWN would be our fault. */
const coded = new Set([
  'OK',
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'FAILED_PRECONDITION',
  'ALREADY_EXISTS',
  'CANCELLED',
  // Asks for more than one answer may hold.
  'RESOURCE_EXHAUSTED',
])

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
  it('are answered with a coded status, soon, and do no harm', { timeout: fuzzTimeoutMs }, async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address)
    const answer = async (path: string, bytes: Buffer): Promise<{ status: string; ms: number }> => {
      const startMs = performance.now()
      // Watches stay open when they are let in: the deadline ends them.
      const watching = path.includes('/Watch')
      const options = { deadline: Date.now() + (watching ? 30 : 10_000) }
      const { status } = await callRaw(client, path, metadata(), bytes, options)
      const ended = watching && status === 'DEADLINE_EXCEEDED'
      return ended ? { status: 'OK', ms: 0 } : { status, ms: performance.now() - startMs }
    }
    const call = fc.tuple(fc.constantFrom(...paths), message)
    await fuzz(
      `gRPC messages, ${CALLS} at a time`,
      fuzzRuns / CALLS,
      fc.asyncProperty(fc.array(call, { minLength: CALLS, maxLength: CALLS, size: 'max' }), async (calls) => {
        const answers = await Promise.all(calls.map(([path, bytes]) => answer(path, bytes)))
        for (const [i, { status, ms }] of answers.entries()) {
          expect(status).toSatisfy((it: string) => coded.has(it))
          // What was slow among others, or on a busy machine, must be quick by itself.
          const aloneMs = ms < HANG_MS ? ms : (await answer(...calls[i]!)).ms
          took(aloneMs)
          expect(aloneMs).toBeLessThan(HANG_MS)
        }
      }),
    )
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

  it('end, and leave the server as it was', { timeout: fuzzTimeoutMs }, async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address)
    const send = (data: Buffer): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.end(data))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
        // A peer that waits for more is not waited for.
        setTimeout(() => socket.destroy(), 20)
      })
    const list = async (): Promise<number> => {
      const startMs = performance.now()
      expect((await callRaw(client, '/millrace.v1.ControlService/ListJobs', metadata())).status).toBe('OK')
      return performance.now() - startMs
    }
    await fuzz(
      `gRPC connections, ${CALLS} at a time`,
      fuzzRuns / CALLS,
      fc.asyncProperty(fc.array(bytes, { minLength: CALLS, maxLength: CALLS, size: 'max' }), async (connections) => {
        const sent = Promise.all(connections.map(send))
        // Whatever these make the server do, another client is served meanwhile.
        let ms = await list()
        await sent
        if (ms >= HANG_MS) {
          const alone = Promise.all(connections.map(send))
          ms = await list()
          await alone
        }
        took(ms)
        expect(ms).toBeLessThan(HANG_MS)
      }),
    )
    expect(server.streams()).toBe(0)
  })
})
