/** TLS and ACL on a real Redis: the whole store, from the settings of the process. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chunkKey, chunkKeyPrefix } from '../../src/checkpoint/chunk-key.ts'
import { openCheckpointStore, openChunkStore } from '../../src/checkpoint/open-store.ts'
import type { StoreConfig } from '../../src/checkpoint/store.ts'
import { parseConfig } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { loadRedisAccess } from '../../src/security/load.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'
import { engineForTest, submitJob, untilJob } from '../support/engine.ts'
import { freePort } from '../support/infra-process.ts'
import { systemPorts } from '../support/kafka-modes.ts'
import { durableSettings, type RedisServer } from '../support/redis.ts'
import { findRedisServer, startRedisServer } from '../support/redis-server.ts'

const user = 'millrace'
const password = 'planted-redis-password'
/** As docs/operations.md tells people to set them. */
const rights = ['+@read', '+@write', '+@scripting', '+@connection', '+config|get', '+role', '+info']

let authority: TestAuthority
let foreign: TestAuthority
let client: KeyPair
let server: RedisServer
let tlsPort: number
let mutualPort: number
let mutual: RedisServer

async function startSecure(port: number, clientCertificates: 'yes' | 'no'): Promise<RedisServer> {
  const { path, missing } = findRedisServer()
  if (missing !== '') throw new Error(missing)
  const { certFile, keyFile } = authority.issue(`redis-${port}`)
  const started = await startRedisServer(path, undefined, {
    ...durableSettings,
    'tls-port': String(port),
    'tls-cert-file': certFile,
    'tls-key-file': keyFile,
    'tls-ca-cert-file': authority.caFile,
    'tls-auth-clients': clientCertificates,
  })
  const admin = new Redis(started.url)
  await admin.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~secure:*', '~{secure:*', ...rights)
  await admin.call('ACL', 'SETUSER', 'default', 'off')
  admin.disconnect()
  return started
}

beforeAll(async () => {
  authority = new TestAuthority('redis')
  foreign = new TestAuthority('foreign')
  client = authority.issue('client')
  tlsPort = await freePort()
  mutualPort = await freePort()
  server = await startSecure(tlsPort, 'no')
  mutual = await startSecure(mutualPort, 'yes')
})

afterAll(async () => {
  await server.stop()
  await mutual.stop()
  authority.remove()
  foreign.remove()
})

/** Settings for the server at `port`. */
const envOf = (port: number, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  MILLRACE_REDIS: `rediss://127.0.0.1:${port}`,
  MILLRACE_REDIS_PREFIX: 'secure',
  MILLRACE_REDIS_CA: authority.caFile,
  MILLRACE_REDIS_USER: user,
  MILLRACE_REDIS_PASSWORD_FILE: authority.file('redis-password', password),
  ...more,
})

function storeConfig(env: Readonly<Record<string, string>>): StoreConfig {
  const { redisUrl: url, redisPrefix: prefix, security } = parseConfig(env)
  return { kind: 'redis', url, prefix, ...loadRedisAccess(security.redis, url) }
}

async function refusal(env: Readonly<Record<string, string>>): Promise<MillraceError> {
  const error = await openCheckpointStore(storeConfig(env), systemPorts).then(
    () => undefined,
    (thrown: unknown) => MillraceError.from(thrown),
  )
  if (error === undefined) throw new Error('the store was opened')
  expect(error.message + JSON.stringify(error)).not.toMatch(/planted/)
  return error
}

describe('a Redis with TLS and ACL', () => {
  it('is a whole store, and a store of chunks, for its user', async () => {
    for (const [port, more] of [
      [tlsPort, {}],
      [mutualPort, { MILLRACE_REDIS_CERT: client.certFile, MILLRACE_REDIS_KEY: client.keyFile }],
    ] as const) {
      const config = storeConfig(envOf(port, more))
      const store = await openCheckpointStore(config, systemPorts)
      expect(await store.describe()).toMatchObject({ guarantee: 'exactly-once', location: `127.0.0.1:${port}` })
      await store.swapJob('a-job', undefined, Buffer.from('a definition'))
      expect(await store.listJobs()).toEqual(['a-job'])
      await store.close()
      const chunks = openChunkStore(config)
      const key = chunkKey(chunkKeyPrefix('a-job', 1, 1, 'n'), 'window', 0, 1)
      await chunks.putChunk(key, Buffer.from('bytes'))
      expect(Buffer.from((await chunks.readChunk(key))!).toString()).toBe('bytes')
      expect(await chunks.listChunks('a-job')).toEqual([key])
      await chunks.close()
    }
  })

  it('refuses a wrong password, a right that is missing, and a client without a certificate', async () => {
    const wrong = authority.file('wrong', 'planted-wrong-password')
    expect(await refusal(envOf(tlsPort, { MILLRACE_REDIS_PASSWORD_FILE: wrong }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/user and password/),
    })
    expect((await refusal(envOf(tlsPort, { MILLRACE_REDIS_USER: '' }))).code).toBe('CONFIG_INVALID')
    expect((await refusal(envOf(mutualPort))).code).toBe('STORE_UNREACHABLE')
  })

  it('is not spoken to when another authority vouches for it', async () => {
    const error = await refusal(envOf(tlsPort, { MILLRACE_REDIS_CA: foreign.caFile }))
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringMatching(/TLS.*MILLRACE_REDIS_CA/) })
  })

  it('keeps the checkpoints of a job; no output holds the password', async () => {
    const engine = await engineForTest({ env: envOf(tlsPort) })
    const text = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: secure }
sources: [{ id: events, generator: { eventsPerSecond: 1000 } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
checkpoint: { every: 100ms }
metrics: [{ id: views, count: {}, window: { tumbling: 1m } }]
`
    await submitJob(engine.client, text)
    await untilJob(engine.client, 'secure', async () => {
      const { checkpoints } = await engine.client.control.describe('secure')
      return (checkpoints?.completed ?? 0) >= 2
    })
    const described = await engine.client.control.describe('secure')
    expect(JSON.stringify([engine.lines, described, engine.engine.store])).not.toMatch(/planted/)
    await engine.client.control.cancel('secure')
  })
})
