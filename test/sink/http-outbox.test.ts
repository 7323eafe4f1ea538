import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemScheduler } from '../../src/core/system.ts'
import { HttpOutbox, type HttpOutboxOptions } from '../../src/sink/http-outbox.ts'
import { httpPost } from '../../src/sink/http-post.ts'
import { outboxContract } from './outbox-contract.ts'
import { blocksOf, type Crash, ownerOf, type TestRecord } from './outbox-records.ts'

/** A request as the receiver got it. */
interface Received {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Status, body and headers of an answer; null ends the connection without one. */
type Answer = readonly [status: number, body?: string, headers?: Readonly<Record<string, string>>] | null

let server: Server
let origin: string
let received: Received[] = []
/** Answers to the next requests; 204 when there are none left. */
let answers: Answer[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() })
      const answer = answers.length === 0 ? ([204] as const) : answers.shift()!
      if (answer === null) request.socket.destroy()
      else response.writeHead(answer[0], answer[2] ?? {}).end(answer[1])
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  received = []
  answers = []
})

/** Waits as long as it is told to, in no time. */
const pauses: number[] = []
const hasty: HttpOutboxOptions['scheduler'] = {
  ...systemScheduler,
  after(delayMs, task) {
    pauses.push(delayMs)
    return systemScheduler.soon(task)
  },
}

function outboxOf(options: Partial<HttpOutboxOptions> = {}, crash?: Crash): HttpOutbox {
  const url = options.url ?? `${origin}/results`
  const post = httpPost(url, 5000, systemScheduler)
  return new HttpOutbox({
    ...{ owner: ownerOf('a'), url, encoding: 'json', token: null, scheduler: hasty, retryMs: 60_000 },
    ...{ post: crash === undefined ? post : (body, headers) => crash.step(() => post(body, headers)) },
    // What a crash has ended does not try again.
    ...(crash === undefined ? {} : { retryMs: 0 }),
    ...options,
  })
}

/** Records as JSON: what sinks by HTTP are given. */
const json = (n: number): TestRecord => ({ key: null, value: Buffer.from(`{"n":${n}}`), timestampMs: n })

/** What a receiver has that goes by the keys. */
function kept(): string[] {
  const byKey = new Map<string, unknown[]>()
  for (const { headers, body } of received) {
    const key = headers['idempotency-key'] as string
    const documents = JSON.parse(body) as unknown[]
    // The same key never comes with another batch.
    if (byKey.has(key)) expect(documents).toEqual(byKey.get(key))
    byKey.set(key, documents)
  }
  return [...byKey.values()].flat().map((document) => JSON.stringify(document))
}

outboxContract({
  name: 'HTTP',
  wholeEpochs: false,
  anyKeys: false,
  repeats: true,
  async target() {
    received = []
    const asJson = ({ value }: TestRecord) => JSON.stringify({ bytes: Buffer.from(value).toString('hex') })
    return {
      sink: (owner, crash) => {
        const sink = outboxOf({ owner }, crash)
        return {
          guarantee: sink.guarantee,
          open: () => sink.open(),
          apply: (epoch, blocks) => sink.apply(epoch, recoded(blocks, asJson)),
          close: () => sink.close(),
        }
      },
      read: async () => kept(),
      expected: (records) => records.map(asJson),
    }
  },
})

/** The blocks with other values. */
async function* recoded(blocks: AsyncIterable<Uint8Array>, encode: (record: TestRecord) => string) {
  const { OutboxBlockCursor } = await import('../../src/sink/outbox-block.ts')
  const cursor = new OutboxBlockCursor()
  for await (const block of blocks) {
    cursor.reset(block)
    const records: TestRecord[] = []
    while (cursor.next()) {
      const { key, value, timestampMs } = cursor
      records.push({ key, value: Buffer.from(encode({ key, value, timestampMs })), timestampMs })
    }
    yield* blocksOf(records, records.length)
  }
}

describe('HttpOutbox', () => {
  const apply = async (sink: HttpOutbox, records: readonly TestRecord[], epoch = 1) => {
    await sink.open()
    await sink.apply(epoch, blocksOf(records))
  }

  it('posts batches of JSON under a key that names job, submission, sink, epoch and part', async () => {
    await apply(outboxOf({ token: 'abc' }), [json(1), json(2)], 7)
    expect(received).toHaveLength(1)
    expect(received[0]).toMatchObject({ url: '/results', body: '[{"n":1},{"n":2}]' })
    expect(received[0]!.headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': 'job/job-1/out/7/0',
      authorization: 'Bearer abc',
    })
  })

  it('posts a document a line where that is wanted, and no authorization without a token', async () => {
    await apply(outboxOf({ encoding: 'ndjson' }), [json(1), json(2)])
    expect(received[0]).toMatchObject({ body: '{"n":1}\n{"n":2}\n' })
    expect(received[0]!.headers['content-type']).toBe('application/x-ndjson')
    expect(received[0]!.headers.authorization).toBeUndefined()
  })

  it('has no batch beyond a thousand records or a megabyte', async () => {
    const large = { key: null, value: Buffer.from(JSON.stringify('x'.repeat(400_000))), timestampMs: 1 }
    await apply(outboxOf(), [large, large, large, ...Array.from({ length: 1500 }, (_, i) => json(i))])
    expect(received.map(({ body }) => (JSON.parse(body) as unknown[]).length)).toEqual([2, 1000, 501])
    expect(received.map(({ headers }) => headers['idempotency-key'])).toEqual(
      [0, 1, 2].map((part) => `job/job-1/out/1/${part}`),
    )
  })

  it('tries again what may pass: 408, 409, 425, 429, 5xx, a broken connection; with growing pauses', async () => {
    answers = [[503], [429, '', { 'retry-after': '9' }], null, [408], [409], [425], [500], [504]]
    pauses.length = 0
    await apply(outboxOf(), [json(1)])
    expect(received).toHaveLength(9)
    expect(new Set(received.map(({ headers, body }) => `${headers['idempotency-key'] as string} ${body}`)).size).toBe(1)
    expect(pauses).toEqual([200, 9000, 800, 1600, 3200, 6400, 10_000, 10_000])
  })

  it('fails, to be tried from the checkpoint again, when it takes too long', async () => {
    answers = Array.from({ length: 100 }, () => [503, 'busy'] as const)
    const failed = apply(outboxOf({ retryMs: 1000 }), [json(1)])
    await expect(failed).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: `sink out cannot post to ${origin}/results: it answers 503: busy (3 times)`,
    })
  })

  it.each([400, 401, 403, 404, 413, 422])('fails for good with %i, and says what was answered', async (status) => {
    answers = [[status, `no: ${'x'.repeat(1000)}`]]
    const error: unknown = await apply(outboxOf({ url: `${origin}/in?secret=1`, token: 'abc' }), [json(1)]).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'never' })
    const { message } = error as Error
    expect(message).toBe(`sink out cannot post to ${origin}/in: it answers ${status}: no: ${'x'.repeat(196)}`)
    expect(received).toHaveLength(1)
  })

  it('follows no redirect', async () => {
    answers = [[307, '', { location: `${origin}/elsewhere` }]]
    await expect(apply(outboxOf(), [json(1)])).rejects.toThrow(/it answers 307, a redirect, which is not followed/)
    expect(received.map(({ url }) => url)).toEqual(['/results'])
  })

  it('says that nobody is there, or that nobody answers', async () => {
    const gone = outboxOf({
      url: 'http://127.0.0.1:1/',
      post: httpPost('http://127.0.0.1:1/', 1000, systemScheduler),
      retryMs: 0,
    })
    await expect(apply(gone, [json(1)])).rejects.toThrow(/bad port|ECONNREFUSED|fetch failed/)
    const silent = createServer(() => {})
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done))
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`
    const mute = outboxOf({ url, post: httpPost(url, 20, systemScheduler), retryMs: 0 })
    await expect(apply(mute, [json(1)])).rejects.toThrow(/no answer within 20 ms/)
    silent.closeAllConnections()
    silent.close()
  })

  it('stops trying when it is closed', async () => {
    answers = Array.from({ length: 100 }, () => [503] as const)
    const sink = outboxOf()
    const failed = apply(sink, [json(1)])
    await Promise.all([expect(failed).rejects.toThrow(/has been closed/), sink.close()])
  })
})
