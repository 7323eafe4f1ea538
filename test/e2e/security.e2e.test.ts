/**
 * A whole server in a process of its own with every secret that there is, each a text that can be found again: who comes
 * in, who does not, and that nothing that leaves the process holds one of them.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import { createClient, type MillraceClient } from '../../src/rpc/client.ts'
import { digestOf } from '../../src/security/digest.ts'
import { brokerPassword, type SecureBroker, startSecureBroker } from '../support/broker-secure.ts'
import { type KeyPair, TestAuthority } from '../support/certificates.ts'
import { CliHarness } from '../support/cli.ts'
import { submitJob, untilJob, untilRead } from '../support/engine.ts'
import { makeDataDir, projectRoot, removeDataDir, ServerProcess, waitUntil } from '../support/infra-process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'

const redisPassword = 'planted-redis-password'
const operatorToken = 'planted-operator-token'
const viewerToken = 'planted-viewer-token'

let authority: TestAuthority
let servers: SecureBroker
let redis: RedisServer
let child: ServerProcess
let env: Record<string, string>
let folder: string
let grpc: string
let httpPort: number
let serving: KeyPair
let operator: MillraceClient
/** All that the server, its clients and the command line have said. */
const said: string[] = []

const entry = (name: string, role: string, token: string) =>
  `${name} ${role} sha256:${Buffer.from(digestOf(token)).toString('hex')}\n`

beforeAll(async () => {
  authority = new TestAuthority()
  folder = makeDataDir('security')
  serving = authority.issue('server')
  servers = await startSecureBroker(authority)
  redis = await startRedis({ own: true })
  const admin = new Redis(redis.url)
  await admin.call('ACL', 'SETUSER', 'default', 'resetpass', `>${redisPassword}`)
  admin.disconnect()
  env = {
    MILLRACE_GRPC_HOST: '0.0.0.0',
    MILLRACE_GRPC_PORT: '0',
    MILLRACE_HTTP_HOST: '0.0.0.0',
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_DATA_DIR: folder,
    MILLRACE_THREADS: '1',
    MILLRACE_LOG_LEVEL: 'debug',
    MILLRACE_LOG_FORMAT: 'json',
    MILLRACE_TLS_CERT: serving.certFile,
    MILLRACE_TLS_KEY: serving.keyFile,
    MILLRACE_ACCESS_FILE: authority.file(
      'access',
      entry('otto', 'operator', operatorToken) + entry('vera', 'viewer', viewerToken),
    ),
    MILLRACE_REDIS: redis.url,
    MILLRACE_REDIS_PASSWORD_FILE: authority.file('redis-password', redisPassword),
    ...servers.env('SCRAM-SHA-256'),
  }
  const logFile = join(folder, 'server.log')
  child = ServerProcess.start('millrace', process.execPath, [join(projectRoot, 'src/main.ts'), 'serve'], logFile, env)
  let announced: RegExpExecArray | null = null
  await waitUntil(
    async () => {
      announced = /serving gRPC on \S+:(\d+), HTTP on port (\d+)/.exec(readFileSync(logFile, 'utf8'))
      return announced !== null
    },
    { deadlineMs: 30_000, alive: () => child.running, failure: () => `it did not start:\n${child.logTail()}` },
  )
  grpc = `127.0.0.1:${announced![1]}`
  httpPort = Number(announced![2])
  operator = createClient({ address: grpc, clock: systemClock, token: operatorToken, tls: { ca: authority.ca } })
})

afterAll(async () => {
  operator?.close()
  await child?.terminate(5000)
  await servers?.broker.stop()
  await redis?.stop()
  removeDataDir(folder)
  authority.remove()
})

/** Runs a command against the server. */
async function cli(tokenText: string, ...args: string[]) {
  const harness = new CliHarness()
  Object.assign(harness.env, {
    MILLRACE_SERVER: grpc,
    MILLRACE_CLIENT_CA: authority.caFile,
    MILLRACE_TOKEN_FILE: authority.file('token', tokenText),
    ...servers.env('SCRAM-SHA-256'),
  })
  const result = await harness.run(...args)
  said.push(result.stdout, result.stderr)
  return result
}

function get(path: string, token?: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const options = { host: '127.0.0.1', port: httpPort, path, ca: authority.ca, headers, agent: false }
    const call = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
      })
      response.on('end', () => {
        said.push(text)
        resolve({ status: response.statusCode ?? 0, text })
      })
    })
    call.on('error', reject)
    call.end()
  })
}

const job = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: guarded }
sources: [{ id: events, kafka: { topic: guarded } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
checkpoint: { every: 200ms }
metrics: [{ id: views, count: {}, window: { tumbling: 1h } }]
`

describe('a server on a public address', () => {
  it('is refused at start without authentication, with what to set', () => {
    const bare = { PATH: process.env.PATH ?? '', MILLRACE_GRPC_HOST: '0.0.0.0' }
    const refused = spawnSync(process.execPath, [join(projectRoot, 'src/main.ts'), 'serve'], {
      env: bare,
      encoding: 'utf8',
    })
    expect(refused.status).toBe(3)
    expect(refused.stderr).toMatch(/MILLRACE_GRPC_HOST.*MILLRACE_ACCESS_FILE/)
    expect(refused.stderr).toMatch(/MILLRACE_GRPC_HOST.*MILLRACE_TLS_CERT/)
    expect(refused.stderr).toContain('CONFIG_INVALID')
  })

  it('does its work for those it knows, over TLS, on brokers and a Redis that want logins', async () => {
    const produced = await cli(
      operatorToken,
      ...[
        'produce',
        '--job',
        'jobs/engagement.yaml',
        '--topic',
        'guarded',
        '--brokers',
        servers.secure,
        '--limit',
        '300',
      ],
    )
    expect(produced, produced.stderr).toMatchObject({ code: 0 })
    await submitJob(operator, job)
    await untilRead(operator, 'guarded', 300)
    await untilJob(operator, 'guarded', async () => {
      const details = await operator.control.describe('guarded')
      said.push(JSON.stringify(details))
      return (details.checkpoints?.completed ?? 0) > 0
    })
    expect(await cli(viewerToken, 'describe', 'guarded')).toMatchObject({ code: 0 })
    expect(await cli(viewerToken, 'describe', 'guarded', '--output', 'json')).toMatchObject({ code: 0 })
    expect(await cli(viewerToken, 'query', 'guarded/views')).toMatchObject({ code: 0 })
    expect(await cli(viewerToken, 'cancel', 'guarded')).toMatchObject({ code: 6 })
    expect(await cli('planted-wrong-token', 'list')).toMatchObject({ code: 6 })
    expect(await get('/metrics', viewerToken)).toMatchObject({ status: 200 })
    expect(await get('/metrics')).toMatchObject({ status: 401 })
    expect(await get('/readyz')).toMatchObject({ status: 200 })
  })

  it('says of the failures of its brokers and its store nothing that is secret', async () => {
    await servers.broker.kill()
    await redis.kill()
    await untilJob(operator, 'guarded', async () => {
      const { checkpoints, partitions } = await operator.control.describe('guarded')
      return (checkpoints?.failed ?? 0) > 0 && partitions.every(({ reachable }) => !reachable)
    })
    said.push(JSON.stringify(await operator.control.describe('guarded')), JSON.stringify(await operator.control.list()))
    await operator.control.triggerCheckpoint('guarded').catch((error: Error) => said.push(error.message))
    await get('/readyz', viewerToken)
    await cli(viewerToken, 'describe', 'guarded')
  })

  it('lets no secret out: not in its log, its answers, its files, or its environment', () => {
    const log = readFileSync(join(folder, 'server.log'), 'utf8')
    const audited = log.split('\n').filter((line) => line.includes('"audit":true'))
    expect(audited.join('\n')).toMatch(/"caller":"otto".*"outcome":"OK"/)
    expect(audited.join('\n')).toMatch(/"caller":"vera".*"outcome":"PERMISSION_DENIED"/)
    said.push(log, JSON.stringify(env))
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const path = join(folder, name)
      if (statSync(path).isFile()) said.push(readFileSync(path, 'latin1'))
    }
    const everything = said.join('\n')
    expect(everything.length).toBeGreaterThan(10_000)
    const keyLine = serving.key.split('\n')[1]!
    for (const secret of [brokerPassword, redisPassword, operatorToken, viewerToken, 'planted-wrong-token', keyLine]) {
      const at = everything.indexOf(secret)
      expect(at === -1 ? '' : everything.slice(Math.max(0, at - 200), at + 50)).toBe('')
    }
    expect(everything).not.toMatch(/planted-/)
  })
})
