import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type HttpOptions, startHttpServer } from '../../src/observe/http.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'

let authority: TestAuthority
let pair: KeyPair

beforeAll(() => {
  authority = new TestAuthority()
  pair = authority.issue('server')
})

afterAll(() => authority.remove())

const permissions = new Map<string | undefined, 'allowed' | 'forbidden'>([
  ['Bearer viewer', 'allowed'],
  ['Bearer ingest', 'forbidden'],
])

async function serve(options: Partial<HttpOptions> = {}) {
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    metrics: { contentType: 'text/plain', scrape: async () => 'numbers\n' },
    readiness: async () => ({ ready: false, reasons: ['job secret-project is FAILED'] }),
    mayLook: (authorization) => permissions.get(authorization) ?? 'unknown',
    ...options,
  })
  onTestFinished(() => server.close())
  return server
}

describe('HTTP where callers must be known', () => {
  it('gives numbers to those who may look, and health to everybody', async () => {
    const { port } = await serve()
    const get = async (path: string, authorization?: string) => {
      const headers = authorization === undefined ? {} : { authorization }
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
      return [response.status, await response.text(), response.headers.get('www-authenticate')] as const
    }
    expect(await get('/metrics', 'Bearer viewer')).toEqual([200, 'numbers\n', null])
    expect(await get('/metrics')).toMatchObject([401, expect.any(String), 'Bearer'])
    expect(await get('/metrics', 'Bearer wrong')).toMatchObject([401, expect.any(String), 'Bearer'])
    expect((await get('/metrics', 'Bearer ingest'))[0]).toBe(403)
    expect((await get('/healthz'))[0]).toBe(200)
    expect(await get('/readyz')).toEqual([503, 'not ready\n', null])
    expect(await get('/readyz', 'Bearer viewer')).toEqual([503, 'job secret-project is FAILED\n', null])
  })

  it('is served over TLS with a key pair that can be replaced', async () => {
    const server = await serve({ tls: pair })
    const get = (ca: string) =>
      new Promise((resolve) => {
        const options = { host: '127.0.0.1', port: server.port, path: '/healthz', ca, agent: false }
        const call = request(options, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        call.on('error', (error) => resolve((error as { code?: string }).code))
        call.end()
      })
    expect(await get(authority.ca)).toBe(200)
    const second = new TestAuthority('second')
    onTestFinished(() => second.remove())
    server.replaceTls(second.issue('server'))
    expect(await get(second.ca)).toBe(200)
    expect(await get(authority.ca)).not.toBe(200)
  })
})
