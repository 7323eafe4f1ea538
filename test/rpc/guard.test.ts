import { connect } from 'node:net'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { Audit } from '../../src/rpc/audit.ts'
import { createClient } from '../../src/rpc/client.ts'
import { Guard } from '../../src/rpc/guard.ts'
import { parseAccess } from '../../src/security/access.ts'
import {
  authorization,
  callRaw,
  type GuardedServer,
  guardedServer,
  rawClient,
  someAccess,
  streamRaw,
  tokenEntry,
  tokens,
} from './support/guarded.ts'

const listJobs = '/millrace.v1.ControlService/ListJobs'
const cancelJob = '/millrace.v1.ControlService/CancelJob'
const healthWatch = '/grpc.health.v1.Health/Watch'
const bearer = (token: string) => authorization(`Bearer ${token}`)

/** A request whose first field is a text: `name` of most. */
const named = (name: string) => Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)])

describe('the caller', () => {
  it.each([
    ['no header', []],
    ['another scheme', ['Basic dmVyYTp4']],
    ['no token', ['Bearer']],
    ['an empty token', ['Bearer  ']],
    ['two words', [`Bearer ${tokens.operator} x`]],
    ['a part of a token', [`Bearer ${tokens.operator.slice(0, -1)}`]],
    ['a token with more behind', [`Bearer ${tokens.operator}x`]],
    ['a very long token', [`Bearer ${'x'.repeat(2000)}`]],
  ])('is unknown with %s', async (_, headers) => {
    const { server, control } = await guardedServer({ access: someAccess() })
    const called = vi.spyOn(control, 'list')
    const ended = await callRaw(rawClient(server.address), listJobs, authorization(...headers))
    expect(ended.status).toBe('UNAUTHENTICATED')
    expect(ended.details).not.toContain(tokens.operator)
    expect(called).not.toHaveBeenCalled()
  })

  it('is known by a token, whatever the case of the scheme', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const client = rawClient(server.address)
    expect((await callRaw(client, listJobs, bearer(tokens.viewer))).status).toBe('OK')
    expect((await callRaw(client, listJobs, authorization(`bearer ${tokens.viewer}`))).status).toBe('OK')
  })

  it('is told its role and the one that is needed', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const ended = await callRaw(rawClient(server.address), cancelJob, bearer(tokens.viewer), named('engagement'))
    expect(ended.details).toBe('CancelJob is for the role operator, and vera has the role viewer')
  })

  it('with our client gets coded errors, and with a token answers', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    const open = async (token?: string) => {
      const options = { address: server.address, clock: systemClock, ...(token === undefined ? {} : { token }) }
      const client = createClient(options)
      try {
        return await client.control.cancel('engagement').then(
          (job) => job.state,
          (thrown: unknown) => MillraceError.from(thrown).code,
        )
      } finally {
        client.close()
      }
    }
    expect(await open()).toBe('UNAUTHENTICATED')
    expect(await open('wrong')).toBe('UNAUTHENTICATED')
    expect(await open(tokens.viewer)).toBe('PERMISSION_DENIED')
    expect(await open(tokens.operator)).toBe('JOB_NOT_FOUND')
  })

  it('is not betrayed to handlers: they never see the header', async () => {
    const limits = { streams: 1, streamsPerConnection: 1, deadlineMs: 5000, maxDeadlineMs: 5000 }
    const ports = { clock: systemClock, scheduler: systemScheduler }
    const guard = new Guard({ access: someAccess(), limits, audit: new Audit(() => {}, systemClock), ...ports })
    const server = new Server({ interceptors: [guard.interceptor] })
    onTestFinished(() => server.forceShutdown())
    const seen: unknown[] = []
    const same = (bytes: Buffer) => bytes
    server.register<Buffer, Buffer>(
      listJobs,
      (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
        seen.push(call.metadata.getMap())
        callback(null, Buffer.alloc(0))
      },
      same,
      same,
      'unary',
    )
    const port = await new Promise<number>((resolve) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound))
    })
    const metadata = bearer(tokens.viewer)
    metadata.set('x-other', 'seen')
    expect((await callRaw(rawClient(`127.0.0.1:${port}`), listJobs, metadata)).status).toBe('OK')
    expect(seen).toMatchObject([{ 'x-other': 'seen' }])
    expect(JSON.stringify(seen)).not.toMatch(/authorization|token/)
  })

  it('is anybody without an access file', async () => {
    const { server } = await guardedServer()
    expect((await callRaw(rawClient(server.address), listJobs)).status).toBe('OK')
  })
})

describe('access that changes', () => {
  it('ends the streams of those who may no longer, and of no others', async () => {
    const { server } = await guardedServer({ access: someAccess() })
    server.setServing(true)
    const client = rawClient(server.address)
    const vera = streamRaw(client, healthWatch, bearer(tokens.viewer))
    const otto = streamRaw(client, healthWatch, bearer(tokens.operator))
    await Promise.all([vera.answered, otto.answered])
    expect(server.streams()).toBe(2)

    server.replaceAccess(parseAccess(tokenEntry('otto', 'operator', tokens.operator), 'access'))
    expect((await vera.ended).status).toBe('UNAUTHENTICATED')
    await vi.waitFor(() => expect(server.streams()).toBe(1))
    expect((await callRaw(client, listJobs, bearer(tokens.viewer))).status).toBe('UNAUTHENTICATED')
    expect((await callRaw(client, listJobs, bearer(tokens.operator))).status).toBe('OK')
    otto.cancel()
    await vi.waitFor(() => expect(server.streams()).toBe(0))
  })
})

describe('limits', () => {
  async function watching({ server }: GuardedServer, count: number, client = rawClient(server.address)) {
    const streams = Array.from({ length: count }, () => streamRaw(client, healthWatch, bearer(tokens.viewer)))
    await Promise.all(streams.map((stream) => stream.answered))
    return { client, streams }
  }

  it('bound the streams of a connection', async () => {
    const guarded = await guardedServer({ access: someAccess(), limits: { streamsPerConnection: 3 } })
    const { client, streams } = await watching(guarded, 3)
    const more = await streamRaw(client, healthWatch, bearer(tokens.viewer)).ended
    expect(more).toMatchObject({ status: 'RESOURCE_EXHAUSTED', details: expect.stringContaining('3 streams') })
    await watching(guarded, 1)
    expect((await callRaw(client, listJobs, bearer(tokens.viewer))).status).toBe('OK')
    streams[0]?.cancel()
    await vi.waitFor(() => expect(guarded.server.streams()).toBe(3))
    await watching(guarded, 1, client)
  })

  it('bound the streams of all', async () => {
    const guarded = await guardedServer({ access: someAccess(), limits: { streams: 4 } })
    await watching(guarded, 3)
    await watching(guarded, 1)
    const more = await streamRaw(rawClient(guarded.server.address), healthWatch, bearer(tokens.viewer)).ended
    expect(more).toMatchObject({ status: 'RESOURCE_EXHAUSTED', details: expect.stringContaining('4 streams') })
  })

  it('bound the size of a message, before and after it is unpacked', async () => {
    const { server } = await guardedServer({ maxMessageBytes: 100_000 })
    const client = rawClient(server.address)
    const submit = '/millrace.v1.ControlService/SubmitJob'
    expect(await callRaw(client, submit, authorization(), Buffer.alloc(100_001, 0x20))).toMatchObject({
      status: 'RESOURCE_EXHAUSTED',
    })
    const ours = createClient({ address: server.address, clock: systemClock })
    await expect(ours.control.submit({ kind: 'text', text: 'x'.repeat(200_000) })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    })
    ours.close()
  })

  it('give a call that has no deadline the default, and no call more than the maximum', async () => {
    const { server, control } = await guardedServer({ limits: { deadlineMs: 40, maxDeadlineMs: 80 } })
    control.list = () => new Promise(() => {})
    const client = rawClient(server.address)
    for (const options of [{}, { deadline: Date.now() + 3_600_000 }]) {
      const ended = await callRaw(client, listJobs, authorization(), new Uint8Array(), options)
      expect(ended.status).toBe('DEADLINE_EXCEEDED')
      expect(ended.details).toContain('MILLRACE_GRPC_MAX_DEADLINE')
    }
  })

  it('do not end watches', async () => {
    const guarded = await guardedServer({ access: someAccess(), limits: { deadlineMs: 1, maxDeadlineMs: 1 } })
    const { streams, client } = await watching(guarded, 1)
    expect((await callRaw(client, '/grpc.health.v1.Health/Check', authorization())).status).toMatch(/OK|DEADLINE/)
    expect(guarded.server.streams()).toBe(1)
    streams[0]?.cancel()
  })

  it('bound connections: those beyond are closed, and there is room again when one ends', async () => {
    const { server } = await guardedServer({ connections: 2 })
    const open = () => connect(server.port, '127.0.0.1').on('error', () => {})
    const ended = (socket: ReturnType<typeof open>) =>
      new Promise<void>((resolve) => {
        socket.on('close', () => resolve())
        socket.resume()
      })
    const first = open()
    const second = open()
    await Promise.all([first, second].map((socket) => new Promise((resolve) => socket.once('data', resolve))))
    await ended(open())
    first.destroy()
    await vi.waitFor(async () => {
      const client = rawClient(server.address)
      expect((await callRaw(client, listJobs)).status).toBe('OK')
    })
    second.destroy()
  })
})

describe('the audit log', () => {
  const fieldsOf = ({ audit }: GuardedServer) => audit.map(({ fields }) => fields)

  it('has a line for each control call: who, what, which job, and what came of it', async () => {
    const guarded = await guardedServer({ access: someAccess() })
    const { address } = guarded.server
    const client = createClient({ address, clock: systemClock, token: tokens.operator })
    await client.control.submit({ kind: 'text', text: 'name: engagement' })
    await client.control.submit({ kind: 'text', text: 'mistake' }).catch(() => {})
    await client.control.cancel('engagement')
    await client.control.cancel('nope').catch(() => {})
    await client.control.list()
    client.close()
    await vi.waitFor(() => expect(guarded.audit).toHaveLength(4))
    const who = { audit: true, caller: 'otto', role: 'operator', knownBy: 'token' }
    const control = 'millrace.v1.ControlService'
    expect(fieldsOf(guarded)).toMatchObject([
      { ...who, method: `${control}/SubmitJob`, job: 'engagement', outcome: 'OK' },
      { ...who, method: `${control}/SubmitJob`, outcome: 'JOB_INVALID' },
      { ...who, method: `${control}/CancelJob`, job: 'engagement', outcome: 'OK' },
      { ...who, method: `${control}/CancelJob`, job: 'nope', outcome: 'JOB_NOT_FOUND' },
    ])
    expect(guarded.audit[0]).toMatchObject({ level: 'info', message: 'control call' })
    expect(guarded.audit[0]?.fields).toMatchObject({ peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) })
  })

  it('names the transaction that was ended, and the one that was to be', async () => {
    const guarded = await guardedServer({ access: someAccess() })
    const { control, ...client } = createClient({
      ...{ address: guarded.server.address, clock: systemClock, token: tokens.operator },
    })
    await control.endTransaction({ transactionalId: 'millrace/engagement/out' }, true)
    await control.endTransaction({ topic: 'results', partition: 3, producerId: 12, brokers: '' }, false)
    await control.endTransaction({ transactionalId: '' }, false).catch(() => {})
    client.close()
    await vi.waitFor(() => expect(guarded.audit).toHaveLength(3))
    const method = 'millrace.v1.ControlService/EndTransaction'
    const ended = { ended: 'aborted', producerId: 4000, producerEpoch: 7, partitions: ['results-0', 'results-1'] }
    expect(fieldsOf(guarded)).toMatchObject([
      { method, job: 'engagement', force: true, transactionalId: 'millrace/engagement/out', ...ended, outcome: 'OK' },
      { method, job: 'engagement', force: false, transactionalId: '', ...ended, outcome: 'OK' },
      { method, transactionalId: '', force: false, outcome: 'INPUT_INVALID' },
    ])
  })

  it('has a line for each call that was refused, of any method, and says by whom', async () => {
    const guarded = await guardedServer({ access: someAccess() })
    const client = rawClient(guarded.server.address)
    await callRaw(client, listJobs)
    await callRaw(client, cancelJob, bearer(tokens.viewer), named('engagement'))
    await callRaw(client, listJobs, bearer(tokens.ingest))
    await vi.waitFor(() => expect(guarded.audit).toHaveLength(3))
    expect(guarded.audit.every(({ level, message }) => level === 'warn' && message === 'call refused')).toBe(true)
    expect(fieldsOf(guarded)).toMatchObject([
      { method: listJobs.slice(1), caller: '', outcome: 'UNAUTHENTICATED' },
      { method: cancelJob.slice(1), caller: 'vera', role: 'viewer', outcome: 'PERMISSION_DENIED' },
      { method: listJobs.slice(1), caller: 'inga', role: 'ingest', outcome: 'PERMISSION_DENIED' },
    ])
  })

  it('does not fill the disk for a stranger, and never holds a token', async () => {
    const guarded = await guardedServer({ access: someAccess() })
    const client = rawClient(guarded.server.address)
    const calls = Array.from({ length: 150 }, () => callRaw(client, listJobs, bearer('planted-token')))
    await Promise.all(calls)
    await vi.waitFor(() => expect(guarded.audit).toHaveLength(100))
    expect(JSON.stringify(guarded.audit)).not.toContain('planted')
  })
})
