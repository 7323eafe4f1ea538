import { chmodSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { systemScheduler } from '../../src/core/system.ts'
import { loadAccess, loadBrokerAccess, loadClientAccess, loadRedisAccess, loadTls } from '../../src/security/load.ts'
import { readSecret, watchFiles } from '../../src/security/secret-files.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'

const secret = 'hunter2-hunter2'
let authority: TestAuthority
let pair: KeyPair
let other: KeyPair

beforeAll(() => {
  authority = new TestAuthority()
  pair = authority.issue('server')
  other = authority.issue('other')
})

afterAll(() => authority.remove())

function mistake(read: () => unknown): string {
  try {
    read()
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).not.toContain(secret)
    expect(error.message).not.toContain('PRIVATE KEY')
    return error.message
  }
  throw new Error('nothing was refused')
}

describe('a secret in a file', () => {
  it('is the line, without its end', () => {
    expect(readSecret(authority.file('password', `${secret}\n`), 'S')).toBe(secret)
    expect(readSecret(authority.file('password', ` ${secret} \r\n`), 'S')).toBe(` ${secret} `)
  })

  it('that cannot be read is named by setting and path', () => {
    expect(mistake(() => readSecret('/no/such/file', 'MILLRACE_X'))).toBe(
      'MILLRACE_X: /no/such/file is not usable: there is no such file',
    )
    expect(mistake(() => readSecret(authority.folder, 'MILLRACE_X'))).toContain('it is a folder')
    expect(mistake(() => readSecret(authority.file('empty', '\n'), 'MILLRACE_X'))).toContain('it is empty')
    expect(mistake(() => readSecret(authority.file('two', `${secret}\n${secret}\n`), 'MILLRACE_X'))).toContain(
      'one line',
    )
    expect(mistake(() => readSecret(authority.file('big', 'x'.repeat(2 ** 20 + 1)), 'MILLRACE_X'))).toContain('1 MiB')
  })
})

describe('key pairs', () => {
  const paths = (certFile: string, keyFile: string, caFile = '') => ({ caFile, certFile, keyFile })

  it('are checked when they are read', () => {
    const read = (certFile: string, keyFile: string, ca = '') => loadTls(paths(certFile, keyFile, ca), 'P_')
    expect(read(pair.certFile, pair.keyFile, authority.caFile)).toEqual({
      ca: authority.ca,
      cert: pair.cert,
      key: pair.key,
    })
    expect(read('', '')).toEqual({})
    expect(mistake(() => read(pair.certFile, other.keyFile))).toMatch(/^P_CERT: .* the key does not belong/)
    expect(mistake(() => read(pair.keyFile, pair.keyFile))).toContain('the certificate is not one in PEM')
    expect(mistake(() => read(pair.certFile, pair.certFile))).toContain('not an unencrypted private key')
    expect(mistake(() => read('', '', pair.keyFile))).toMatch(/^P_CA: .* no certificate/)
  })

  it('and passwords come together for brokers and Redis', () => {
    const passwordFile = authority.file('password', secret)
    const kafka = { ...paths('', '', authority.caFile), user: 'u', passwordFile }
    expect(loadBrokerAccess({ ...kafka, tls: true, sasl: 'PLAIN' })).toEqual({
      tls: { ca: authority.ca },
      sasl: { mechanism: 'PLAIN', username: 'u', password: secret },
    })
    expect(loadBrokerAccess({ ...kafka, tls: false, sasl: '' })).toEqual({})
    const redis = { ...paths('', ''), user: '', passwordFile }
    expect(loadRedisAccess(redis, 'redis://r:6379')).toEqual({ password: secret })
    expect(loadRedisAccess({ ...redis, user: 'u' }, 'rediss://r:6379')).toEqual({
      username: 'u',
      password: secret,
      tls: {},
    })
  })
})

describe('what the command line shows', () => {
  const none = { caFile: '', certFile: '', keyFile: '', serverName: '', tokenFile: '', tls: 'auto' } as const

  it('is TLS off loopback, and where a certificate is set', () => {
    expect(loadClientAccess(none, true, false)).toEqual({})
    expect(loadClientAccess(none, false, false)).toEqual({ tls: {} })
    expect(loadClientAccess({ ...none, caFile: authority.caFile }, true, false)).toEqual({ tls: { ca: authority.ca } })
    expect(loadClientAccess({ ...none, serverName: 'm', tls: 'on' }, true, false)).toEqual({ tls: { serverName: 'm' } })
    expect(loadClientAccess({ ...none, tls: 'off' }, false, false)).toEqual({})
  })

  it('is no token in the clear, but to loopback or when told to', () => {
    const settings = { ...none, tls: 'off', tokenFile: authority.file('token', secret) } as const
    expect(mistake(() => loadClientAccess(settings, false, false))).toContain('in the clear')
    expect(loadClientAccess(settings, true, false)).toEqual({ token: secret })
    expect(loadClientAccess(settings, false, true)).toEqual({ token: secret })
  })
})

describe('watching files', () => {
  it('tells of each change: written, replaced, gone, back', async () => {
    const path = authority.file('watched', 'a')
    let changes = 0
    const stop = watchFiles([path, join(authority.folder, 'ca.pem')], systemScheduler, 5, () => changes++)
    const change = async (make: () => void) => {
      const before = changes
      // The first look may not have been yet: what is made before it is no change.
      await vi.waitFor(() => {
        make()
        expect(changes).toBeGreaterThan(before)
      })
    }
    let text = 0
    await change(() => writeFileSync(path, `${++text}`))
    await change(() => {
      writeFileSync(`${path}.new`, `${++text}`)
      renameSync(`${path}.new`, path)
    })
    await change(() => {
      try {
        unlinkSync(path)
      } catch {
        // Gone already.
      }
    })
    await change(() => writeFileSync(path, `${++text}`))
    stop()
    chmodSync(path, 0o600)
  })

  it('reads an access file', () => {
    expect(mistake(() => loadAccess(authority.file('access', secret)))).toContain('line 1')
    expect(loadAccess('').identify({ digest: null, certificateNames: [] })?.name).toBe('local')
  })
})
