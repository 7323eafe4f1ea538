import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { loadSinkServers } from '../../src/security/load.ts'

function mistakes(env: Record<string, string>): string[] {
  try {
    parseConfig(env)
    return []
  } catch (thrown) {
    return MillraceError.from(thrown).violations.map(({ field, message }) => `${field}: ${message}`)
  }
}

describe('the servers of sinks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-sinks-'))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  it('are read, with their secrets from files', () => {
    const tokens = mkdtempSync(join(tmpdir(), 'millrace-tokens-'))
    writeFileSync(join(tokens, 'a.example:8443'), 'abc\n')
    writeFileSync(join(tokens, '.hidden'), '')
    const { sinks } = parseConfig({
      MILLRACE_SINK_REDIS: 'redis://localhost:6379/3',
      MILLRACE_SINK_REDIS_USER: 'writer',
      MILLRACE_SINK_REDIS_PASSWORD_FILE: file('redis', 'secret1\n'),
      MILLRACE_SINK_POSTGRES: 'postgres://localhost:5432/stats',
      MILLRACE_SINK_POSTGRES_PASSWORD_FILE: file('postgres', 'secret2'),
      MILLRACE_SINK_HTTP_HOSTS: 'a.example:8443,b.example,[::1]:9',
      MILLRACE_SINK_HTTP_TOKENS: tokens,
    })
    expect(loadSinkServers(sinks, false)).toEqual({
      redis: { url: 'redis://localhost:6379/3', username: 'writer', password: 'secret1' },
      postgres: { url: 'postgres://localhost:5432/stats', username: 'millrace', password: 'secret2' },
      httpTokens: { 'a.example:8443': 'abc' },
      allowPlaintext: false,
    })
    expect(loadSinkServers(parseConfig({}).sinks, true)).toEqual({ httpTokens: {}, allowPlaintext: true })
    const missing = parseConfig({ MILLRACE_SINK_HTTP_TOKENS: join(folder, 'none') })
    expect(() => loadSinkServers(missing.sinks, false)).toThrow(/MILLRACE_SINK_HTTP_TOKENS: .*none is not usable/)
  })

  it('are reached by TLS beyond loopback, unless it is said otherwise', () => {
    const tls = (env: Record<string, string>) => parseConfig(env).sinks.postgres.tls
    expect(tls({ MILLRACE_SINK_POSTGRES: 'postgres://127.0.0.1/x' })).toBe(false)
    expect(tls({ MILLRACE_SINK_POSTGRES: 'postgresql://[::1]:5433/x' })).toBe(false)
    expect(tls({ MILLRACE_SINK_POSTGRES: 'postgres://db/x' })).toBe(true)
    expect(tls({ MILLRACE_SINK_POSTGRES: 'postgres://127.0.0.1/x', MILLRACE_SINK_POSTGRES_CA: 'ca' })).toBe(true)
    expect(tls({ MILLRACE_SINK_POSTGRES: 'postgres://127.0.0.1/x', MILLRACE_SINK_POSTGRES_TLS: 'on' })).toBe(true)
    const off = { MILLRACE_SINK_POSTGRES: 'postgres://db/x', MILLRACE_SINK_POSTGRES_TLS: 'off' }
    expect(mistakes(off)).toEqual([
      expect.stringContaining('MILLRACE_SINK_POSTGRES_TLS: off would send results in the clear'),
    ])
    expect(mistakes({ ...off, MILLRACE_ALLOW_PLAINTEXT: 'yes' })).toEqual([])
    const redis = { MILLRACE_SINK_REDIS: 'redis://cache:6379', MILLRACE_SINK_REDIS_PASSWORD_FILE: 'x' }
    expect(mistakes(redis)).toEqual([expect.stringContaining('would send the password in the clear')])
    expect(mistakes({ ...redis, MILLRACE_SINK_REDIS: 'rediss://cache:6379' })).toEqual([])
  })

  it.each([
    [{ MILLRACE_SINK_REDIS: 'redis://user:secret@cache' }, 'MILLRACE_SINK_REDIS: its value is not'],
    [{ MILLRACE_SINK_POSTGRES: 'postgres://user:secret@db/x' }, 'MILLRACE_SINK_POSTGRES: its value is not'],
    [{ MILLRACE_SINK_POSTGRES: 'postgres://db/x?password=secret' }, 'MILLRACE_SINK_POSTGRES: its value is not'],
    [{ MILLRACE_SINK_REDIS_CERT: 'c' }, 'MILLRACE_SINK_REDIS_CERT: and MILLRACE_SINK_REDIS_KEY belong together'],
    [{ MILLRACE_SINK_HTTP_HOSTS: 'https://a' }, 'MILLRACE_SINK_HTTP_HOSTS: "https://a" is not a list of hosts'],
    [{ MILLRACE_SINK_HTTP_HOSTS: '*' }, 'MILLRACE_SINK_HTTP_HOSTS: "*" is not a list of hosts'],
    [
      { MILLRACE_SINK_POSTGRES_PASSWORD: 'secret' },
      'MILLRACE_SINK_POSTGRES_PASSWORD: is not read: a secret does not belong',
    ],
    [{ MILLRACE_SINK_HTTP_TOKEN: 'secret' }, 'MILLRACE_SINK_HTTP_TOKEN: is not read: a secret does not belong'],
  ])('with a mistake are refused, without the value of a secret: %o', (env, message) => {
    const found = mistakes(env as Record<string, string>)
    expect(found[0]).toContain(message)
    expect(found.join()).not.toContain('secret@')
    expect(found.join()).not.toContain('=secret')
  })
})
