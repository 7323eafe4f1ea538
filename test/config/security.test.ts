import { describe, expect, it } from 'vitest'
import { type Config, parseConfig } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'

type Env = Readonly<Record<string, string>>

function violationsOf(env: Env): Readonly<Record<string, string>> {
  try {
    parseConfig(env)
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    expect(error.code).toBe('CONFIG_INVALID')
    return Object.fromEntries(error.violations.map(({ field, message }) => [field, message]))
  }
  return {}
}

const tls: Env = { MILLRACE_TLS_CERT: 'cert.pem', MILLRACE_TLS_KEY: 'key.pem' }
const access: Env = { MILLRACE_ACCESS_FILE: 'access' }
const sasl: Env = { MILLRACE_KAFKA_SASL: 'PLAIN', MILLRACE_KAFKA_USER: 'u', MILLRACE_KAFKA_PASSWORD_FILE: 'p' }

describe('an address that is not loopback', () => {
  const addresses = ['0.0.0.0', '::', '10.0.0.5', 'millrace.example.com', '128.0.0.1', '127.0.0.1.example.com']
  const settings = ['MILLRACE_GRPC_HOST', 'MILLRACE_HTTP_HOST'] as const

  it.each(settings.flatMap((name) => addresses.map((address) => [name, address] as const)))(
    '%s=%s is refused without authentication, and without TLS',
    (name, address) => {
      const env = { [name]: address }
      expect(violationsOf({ ...env, ...tls })[name]).toMatch(/MILLRACE_ACCESS_FILE/)
      expect(violationsOf({ ...env, ...access })[name]).toMatch(/MILLRACE_TLS_CERT.*MILLRACE_ALLOW_PLAINTEXT/)
      expect(violationsOf({ ...env, MILLRACE_ALLOW_PLAINTEXT: 'yes' })[name]).toMatch(/MILLRACE_ACCESS_FILE/)
      expect(violationsOf({ ...env, ...access, ...tls })).toEqual({})
      expect(violationsOf({ ...env, ...access, MILLRACE_ALLOW_PLAINTEXT: 'yes' })).toEqual({})
    },
  )

  it('does not matter where HTTP is not served', () => {
    expect(violationsOf({ MILLRACE_HTTP_HOST: '0.0.0.0', MILLRACE_HTTP_PORT: '-1' })).toEqual({})
  })

  it.each(['127.0.0.1', '127.9.8.7', '::1', 'localhost'])('%s is loopback', (address) => {
    expect(violationsOf({ MILLRACE_GRPC_HOST: address, MILLRACE_HTTP_HOST: address })).toEqual({})
  })
})

describe('settings that do not go together', () => {
  it.each<readonly [Env, string, RegExp]>([
    [{ MILLRACE_TLS_CERT: 'c' }, 'MILLRACE_TLS_CERT', /MILLRACE_TLS_KEY/],
    [{ MILLRACE_CLIENT_KEY: 'k' }, 'MILLRACE_CLIENT_KEY', /MILLRACE_CLIENT_CERT/],
    [{ MILLRACE_TLS_CLIENT_CA: 'ca' }, 'MILLRACE_TLS_CLIENT_CA', /needs TLS/],
    [{ MILLRACE_KAFKA_CA: 'ca' }, 'MILLRACE_KAFKA_TLS', /is off/],
    [{ MILLRACE_KAFKA_USER: 'u' }, 'MILLRACE_KAFKA_SASL', /is not set/],
    [{ MILLRACE_KAFKA_SASL: 'SCRAM-SHA-256' }, 'MILLRACE_KAFKA_PASSWORD_FILE', /is not set/],
    [{ MILLRACE_KAFKA_TLS: 'on' }, 'MILLRACE_BROKERS', /is not set/],
    [{ ...sasl, MILLRACE_BROKERS: 'b:9092' }, 'MILLRACE_KAFKA_SASL', /in the clear/],
    [{ MILLRACE_REDIS_CA: 'ca', MILLRACE_REDIS: 'redis://r:6379' }, 'MILLRACE_REDIS_CA', /rediss:/],
    [
      { MILLRACE_REDIS_PASSWORD_FILE: 'p', MILLRACE_REDIS: 'rediss://u:v@r:6379' },
      'MILLRACE_REDIS',
      /leave it out of the URL/,
    ],
    [
      { MILLRACE_TOKEN_FILE: 't', MILLRACE_CLIENT_TLS: 'off', MILLRACE_SERVER: 'm:7420' },
      'MILLRACE_CLIENT_TLS',
      /in the clear/,
    ],
  ])('%j', (env, field, message) => {
    expect(violationsOf(env)[field]).toMatch(message)
  })

  it('lets the password of Redis go in the clear to loopback, or when told to, and no further', () => {
    const password = { MILLRACE_REDIS_PASSWORD_FILE: 'p' }
    for (const url of ['redis://127.0.0.1:6379', 'redis://[::1]:6379', 'redis://localhost', 'rediss://r:6379']) {
      expect(violationsOf({ ...password, MILLRACE_REDIS: url })).toEqual({})
    }
    const away = { ...password, MILLRACE_REDIS: 'redis://r:6379' }
    expect(violationsOf({ ...away, MILLRACE_ALLOW_PLAINTEXT: 'yes' })).toEqual({})
    expect(violationsOf(away).MILLRACE_REDIS).toMatch(/in the clear: write it as rediss/)
    expect(violationsOf({ MILLRACE_REDIS: 'redis://u:v@r:6379' }).MILLRACE_REDIS).toMatch(/in the clear/)
  })

  it('lets PLAIN go in the clear to loopback, over TLS, or when told to', () => {
    expect(violationsOf({ ...sasl, MILLRACE_BROKERS: '127.0.0.1:9092,localhost:9093' })).toEqual({})
    expect(violationsOf({ ...sasl, MILLRACE_BROKERS: 'b:9092', MILLRACE_KAFKA_TLS: 'on' })).toEqual({})
    expect(violationsOf({ ...sasl, MILLRACE_BROKERS: 'b:9092', MILLRACE_ALLOW_PLAINTEXT: 'yes' })).toEqual({})
  })

  it('reads all of it', () => {
    const { security }: Config = parseConfig({
      ...tls,
      ...access,
      ...sasl,
      MILLRACE_BROKERS: 'b:9092',
      MILLRACE_KAFKA_TLS: 'on',
      MILLRACE_TOKEN_FILE: 'token',
    })
    expect(security).toMatchObject({
      serve: { certFile: 'cert.pem', keyFile: 'key.pem', caFile: '' },
      accessFile: 'access',
      kafka: { tls: true, sasl: 'PLAIN', user: 'u', passwordFile: 'p' },
      client: { tokenFile: 'token', tls: 'auto' },
    })
  })
})

describe('secrets in the environment', () => {
  it.each([
    'MILLRACE_TOKEN',
    'MILLRACE_KAFKA_PASSWORD',
    'MILLRACE_REDIS_PASSWORD',
    'MILLRACE_SCHEMA_REGISTRY_PASSWORD',
  ])('%s is refused', (name) => {
    const message = violationsOf({ [name]: 'hunter2' })[name]
    expect(message).toContain(`${name}_FILE`)
    expect(message).not.toContain('hunter2')
  })

  it.each([
    'http://user:hunter2@host',
    'redis://user:hunter2/x@host',
    'redis://user:1/hunter2@host:6379',
    'redis://user:1#hunter2@host:6379',
    'redis://user:hunter2 @host',
    'redis://',
  ])('are not repeated when a URL is wrong: %s', (url) => {
    const violations = violationsOf({ MILLRACE_REDIS: url })
    expect(violations).toHaveProperty('MILLRACE_REDIS')
    expect(JSON.stringify(violations)).not.toContain('hunter2')
  })

  it.each(['redis://r:6379', 'redis://r/3', 'rediss://user:p%40ss@r:6379/0', 'redis://[::1]:6379'])(
    '%s is right',
    (url) => {
      expect(violationsOf({ MILLRACE_REDIS: url })).toEqual({})
    },
  )
})

describe('limits', () => {
  it('are read with their units', () => {
    const { grpc, maxDefinitionBytes } = parseConfig({
      MILLRACE_GRPC_DEADLINE: '1500ms',
      MILLRACE_GRPC_MAX_DEADLINE: '2h',
      MILLRACE_MAX_DEFINITION: '64Ki',
      MILLRACE_GRPC_STREAMS_PER_CONNECTION: '3',
    })
    expect(grpc).toMatchObject({ deadlineMs: 1500, maxDeadlineMs: 7_200_000, streamsPerConnection: 3 })
    expect(maxDefinitionBytes).toBe(65_536)
    expect(violationsOf({ MILLRACE_GRPC_DEADLINE: '5 minutes' })).toHaveProperty('MILLRACE_GRPC_DEADLINE')
  })
})
