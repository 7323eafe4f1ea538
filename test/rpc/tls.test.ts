import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { credentials } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { type ClientOptions, createClient } from '../../src/rpc/client.ts'
import { followFiles, loadServingTls } from '../../src/rpc/reload.ts'
import type { RpcServerOptions } from '../../src/rpc/server.ts'
import { parseAccess } from '../../src/security/access.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'
import { CliHarness } from '../support/cli.ts'
import { authorization, callRaw, guardedServer, rawClient, someAccess, tokenEntry, tokens } from './support/guarded.ts'

const listJobs = '/millrace.v1.ControlService/ListJobs'
let ours: TestAuthority
let foreign: TestAuthority
let server: KeyPair
let grafana: KeyPair
let unknown: KeyPair
let stranger: KeyPair

beforeAll(() => {
  ours = new TestAuthority('ours')
  foreign = new TestAuthority('foreign')
  server = ours.issue('server')
  grafana = ours.issue('grafana', 'DNS:grafana.example.com,URI:spiffe://example.com/grafana')
  unknown = ours.issue('unknown')
  stranger = foreign.issue('grafana', 'DNS:grafana.example.com')
})

afterAll(() => {
  ours.remove()
  foreign.remove()
})

const withTls = (): Partial<RpcServerOptions> => ({ tls: { cert: server.cert, key: server.key } })
const withMutualTls = (): Partial<RpcServerOptions> => ({ tls: { cert: server.cert, key: server.key, ca: ours.ca } })

/** What a list call by our client comes to: `OK` or the code and message of its error. */
async function list(options: Omit<ClientOptions, 'clock'>): Promise<string> {
  const client = createClient({ clock: systemClock, timeoutMs: 5000, ...options })
  try {
    await client.control.list()
    return 'OK'
  } catch (thrown) {
    const { code, message } = MillraceError.from(thrown)
    return `${code}: ${message}`
  } finally {
    client.close()
  }
}

describe('TLS', () => {
  it('is spoken with clients that trust the authority, in grpc-js and in ours', async () => {
    const { server: rpc } = await guardedServer({ ...withTls(), access: someAccess() })
    const raw = rawClient(`localhost:${rpc.port}`, credentials.createSsl(Buffer.from(ours.ca)))
    expect((await callRaw(raw, listJobs, authorization(`Bearer ${tokens.viewer}`))).status).toBe('OK')
    expect((await callRaw(raw, listJobs)).status).toBe('UNAUTHENTICATED')
    expect(await list({ address: rpc.address, tls: { ca: ours.ca }, token: tokens.viewer })).toBe('OK')
  })

  it('fails, and says so, with another authority, another name, or plain text', async () => {
    const { server: rpc } = await guardedServer(withTls())
    const { address } = rpc
    expect(await list({ address, tls: { ca: foreign.ca } })).toMatch(/^UNAVAILABLE: TLS with .*MILLRACE_CLIENT_CA/)
    expect(await list({ address, tls: {} })).toMatch(/^UNAVAILABLE: TLS with /)
    expect(await list({ address, tls: { ca: ours.ca, serverName: 'millrace.example.com' } })).toMatch(
      /^UNAVAILABLE: TLS/,
    )
    expect(await list({ address, tls: { ca: ours.ca, serverName: 'localhost' } })).toBe('OK')
    expect(await list({ address })).toMatch(/^UNAVAILABLE: no Millrace server.*MILLRACE_CLIENT_TLS=on/)
  })

  it('fails with a certificate that is for other addresses', async () => {
    const { server: rpc } = await guardedServer({ tls: { cert: grafana.cert, key: grafana.key } })
    const { address } = rpc
    expect(await list({ address, tls: { ca: ours.ca } })).toMatch(/^UNAVAILABLE: TLS with .*127\.0\.0\.1/)
    expect(await list({ address, tls: { ca: ours.ca, serverName: 'grafana.example.com' } })).toBe('OK')
  })

  it('is never older than 1.2', async () => {
    const { server: rpc } = await guardedServer(withTls())
    const speak = (maxVersion: 'TLSv1.1' | 'TLSv1.2') =>
      new Promise((resolve) => {
        const options = { ca: ours.ca, minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' } as const
        const socket = connect({ port: rpc.port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...options }, () => {
          resolve(socket.getProtocol())
          socket.destroy()
        })
        socket.on('error', () => resolve('refused'))
      })
    expect(await speak('TLSv1.1')).toBe('refused')
    expect(await speak('TLSv1.2')).toBe('TLSv1.2')
  })

  it('gives new connections a new certificate', async () => {
    const { server: rpc } = await guardedServer(withTls())
    const { address } = rpc
    const second = foreign.issue('server')
    expect(await list({ address, tls: { ca: ours.ca } })).toBe('OK')
    const old = rawClient(`localhost:${rpc.port}`, credentials.createSsl(Buffer.from(ours.ca)))
    expect((await callRaw(old, listJobs)).status).toBe('OK')
    rpc.replaceTls(second)
    expect((await callRaw(old, listJobs)).status).toBe('OK')
    expect(await list({ address, tls: { ca: foreign.ca } })).toBe('OK')
    expect(await list({ address, tls: { ca: ours.ca } })).toMatch(/^UNAVAILABLE: TLS/)
    await rpc.close(0)
    await vi.waitFor(async () => expect((await callRaw(old, listJobs)).status).toBe('UNAVAILABLE'))
  })
})

describe('mutual TLS', () => {
  it('turns away whoever has no certificate of the authority', async () => {
    const { server: rpc, control } = await guardedServer({ ...withMutualTls(), access: someAccess() })
    const called = vi.spyOn(control, 'list')
    const { address } = rpc
    const token = tokens.operator
    expect(await list({ address, token, tls: { ca: ours.ca } })).toMatch(/^UNAVAILABLE: /)
    const { cert, key } = stranger
    expect(await list({ address, token, tls: { ca: ours.ca, cert, key } })).toMatch(/^UNAVAILABLE: /)
    expect(called).not.toHaveBeenCalled()
  })

  it('knows callers by a name in their certificate, or by a token beside it', async () => {
    const names = ['grafana', 'grafana.example.com', 'spiffe://example.com/grafana']
    for (const name of names) {
      const access = parseAccess(`g viewer certificate:${name}\n${tokenEntry('otto', 'operator', 'o')}`, 'access')
      const { server: rpc, audit } = await guardedServer({ ...withMutualTls(), access })
      const { address } = rpc
      const tls = { ca: ours.ca, cert: grafana.cert, key: grafana.key }
      expect(await list({ address, tls }), name).toBe('OK')
      expect(await list({ address, tls, token: 'wrong' })).toMatch(/^UNAUTHENTICATED: the token/)
      const client = createClient({ address, clock: systemClock, tls })
      await expect(client.control.cancel('engagement')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
      client.close()
      await vi.waitFor(() => expect(audit.at(-1)?.fields).toMatchObject({ caller: 'g', knownBy: 'certificate' }))
      const other = { ca: ours.ca, cert: unknown.cert, key: unknown.key }
      expect(await list({ address, tls: other })).toMatch(/^UNAUTHENTICATED: the certificate of "unknown" has no entry/)
      expect(await list({ address, tls: other, token: 'o' })).toBe('OK')
    }
  })
})

describe('files that change under a server', () => {
  it('change who may call and the certificate; one with a mistake changes nothing', async () => {
    const accessFile = ours.file('access', tokenEntry('vera', 'viewer', 'first'))
    const paths = {
      certFile: join(ours.folder, 'serving.pem'),
      keyFile: join(ours.folder, 'serving-key.pem'),
      caFile: '',
    }
    writeFileSync(paths.certFile, server.cert)
    writeFileSync(paths.keyFile, server.key)
    const access = parseAccess(readFileSync(accessFile, 'utf8'), accessFile)
    const { server: rpc } = await guardedServer({ tls: loadServingTls(paths)!, access })
    const lines: string[] = []
    const log = (level: string, message: string) => lines.push(`${level} ${message}`)
    const unfollow = followFiles({ server: rpc, accessFile, tls: paths, scheduler: systemScheduler, log, everyMs: 20 })
    const { address } = rpc
    const trying = (token: string, ca: string) => list({ address, token, tls: { ca } })
    // Until the files have been looked at once, a change would not be seen as one.
    await vi.waitFor(async () => {
      writeFileSync(accessFile, tokenEntry('vera', 'viewer', 'second'))
      expect(await trying('second', ours.ca)).toBe('OK')
    })
    expect(await trying('first', ours.ca)).toMatch(/^UNAUTHENTICATED/)

    writeFileSync(accessFile, 'vera viewer')
    await vi.waitFor(() => expect(lines.join('\n')).toMatch(/error the access file has changed but cannot be used/))
    expect(await trying('second', ours.ca)).toBe('OK')

    const renewed = foreign.issue('server')
    writeFileSync(paths.keyFile, renewed.key)
    await vi.waitFor(() => expect(lines.join('\n')).toMatch(/error the certificate has changed but cannot be used/))
    expect(await trying('second', ours.ca)).toBe('OK')
    writeFileSync(paths.certFile, renewed.cert)
    await vi.waitFor(async () => expect(await trying('second', foreign.ca)).toBe('OK'))
    unfollow()
  })
})

describe('the command line', () => {
  let harness: CliHarness

  beforeEach(async () => {
    harness = new CliHarness()
    harness.serverOptions = { ...withMutualTls(), access: someAccess() }
    await harness.serveDefault()
    Object.assign(harness.env, {
      MILLRACE_CLIENT_CA: ours.caFile,
      MILLRACE_CLIENT_CERT: unknown.certFile,
      MILLRACE_CLIENT_KEY: unknown.keyFile,
    })
  })

  afterEach(() => harness.close())

  it('shows its certificate and the token of its file', async () => {
    harness.env.MILLRACE_TOKEN_FILE = ours.file('token', `${tokens.operator}\n`)
    expect(await harness.run('list')).toMatchObject({ code: 0, stderr: 'no jobs\n' })
  })

  it('exits with 6 when it is not known, or may not', async () => {
    const nobody = await harness.run('list')
    expect(nobody).toMatchObject({ code: 6, stderr: expect.stringContaining('UNAUTHENTICATED') })
    harness.env.MILLRACE_TOKEN_FILE = ours.file('token', tokens.viewer)
    expect(await harness.run('list')).toMatchObject({ code: 0 })
    const viewer = await harness.run('cancel', 'engagement')
    expect(viewer).toMatchObject({ code: 6, stderr: expect.stringContaining('PERMISSION_DENIED') })
    expect(viewer.stderr + nobody.stderr).not.toContain(tokens.viewer)
  })

  it('says which file or setting is wrong', async () => {
    harness.env.MILLRACE_TOKEN_FILE = '/no/such/token'
    const missing = await harness.run('list')
    expect(missing).toMatchObject({ code: 3, stderr: expect.stringContaining('MILLRACE_TOKEN_FILE: /no/such/token') })
    harness.env.MILLRACE_TOKEN_FILE = ''
    harness.env.MILLRACE_CLIENT_CA = foreign.caFile
    const untrusted = await harness.run('list')
    expect(untrusted).toMatchObject({ code: 4, stderr: expect.stringContaining('MILLRACE_CLIENT_CA') })
  })
})
