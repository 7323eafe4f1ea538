/** A whole engine with security set: who reaches it, and how the commands of its own process do. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { systemClock } from '../../src/core/system.ts'
import { type ClientOptions, createClient } from '../../src/rpc/client.ts'
import { digestOf } from '../../src/security/digest.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'
import { engineForTest } from '../support/engine.ts'

let authority: TestAuthority
let server: KeyPair

beforeAll(() => {
  authority = new TestAuthority()
  server = authority.issue('server')
})

afterAll(() => authority.remove())

async function codeOf(options: Omit<ClientOptions, 'clock'>): Promise<string> {
  const client = createClient({ timeoutMs: 5000, clock: systemClock, ...options })
  try {
    await client.control.list()
    return 'OK'
  } catch (thrown) {
    return MillraceError.from(thrown).code
  } finally {
    client.close()
  }
}

describe('an engine with TLS, client certificates and an access file', () => {
  it('is reached by its own process on a door that nobody else has the key of', async () => {
    const token = 'a-token'
    const line = `vera viewer sha256:${Buffer.from(digestOf(token)).toString('hex')}\n`
    const env = {
      MILLRACE_TLS_CERT: server.certFile,
      MILLRACE_TLS_KEY: server.keyFile,
      MILLRACE_TLS_CLIENT_CA: authority.caFile,
      MILLRACE_ACCESS_FILE: authority.file('access', line),
    }
    const { engine, client } = await engineForTest({ env, threads: 1 })
    expect(await client.control.list()).toEqual([])
    const local = await engine.openLocal()
    expect(local.address).not.toBe(engine.address)
    expect(await codeOf({ address: local.address })).toBe('UNAUTHENTICATED')
    expect(await codeOf({ address: local.address, token })).toBe('UNAUTHENTICATED')
    expect(await codeOf(local)).toBe('OK')

    const { cert, key } = server
    const tls = { ca: authority.ca, cert, key }
    expect(await codeOf({ address: engine.address, token })).toBe('UNAVAILABLE')
    expect(await codeOf({ address: engine.address, tls: { ca: authority.ca }, token })).toBe('UNAVAILABLE')
    expect(await codeOf({ address: engine.address, tls })).toBe('UNAUTHENTICATED')
    expect(await codeOf({ address: engine.address, tls, token })).toBe('OK')
    const stolen = local.token === undefined ? {} : { token: local.token }
    expect(await codeOf({ address: engine.address, tls, ...stolen })).toBe('UNAUTHENTICATED')
  })

  it('does not start with a file that is not what it must be, and names it', async () => {
    const missing = { MILLRACE_ACCESS_FILE: '/no/such/access' }
    await expect(engineForTest({ env: missing })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('MILLRACE_ACCESS_FILE: /no/such/access'),
    })
    const crossed = { MILLRACE_TLS_CERT: server.certFile, MILLRACE_TLS_KEY: authority.caFile }
    await expect(engineForTest({ env: crossed })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('takes no definition above its limit', async () => {
    const { client } = await engineForTest({ env: { MILLRACE_MAX_DEFINITION: '2Ki' }, threads: 1 })
    const text = `# ${'é'.repeat(1100)}`
    for (const call of [client.control.submit, client.control.validate]) {
      await expect(call({ kind: 'text', text })).rejects.toMatchObject({
        code: 'LIMIT_EXCEEDED',
        message: expect.stringContaining('MILLRACE_MAX_DEFINITION'),
      })
    }
    await expect(client.control.validate({ kind: 'text', text: 'kind: Job' })).resolves.toMatchObject({ valid: false })
    expect(parseConfig({}).maxDefinitionBytes).toBe(2 ** 20)
  })
})
