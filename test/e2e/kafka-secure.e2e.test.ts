/** TLS and SASL on a real broker: every client of ours, from the settings of the process, and never from a job. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { loadBrokerAccess } from '../../src/security/load.ts'
import { KafkaOutbox } from '../../src/sink/kafka-outbox.ts'
import { openKafkaAdmin, openKafkaProducer } from '../../src/source/kafka/admin.ts'
import type { KafkaSecurity } from '../../src/source/kafka/connection.ts'
import { KafkaEnumerator } from '../../src/source/kafka/kafka-enumerator.ts'
import { KafkaReader } from '../../src/source/kafka/kafka-reader.ts'
import { brokerPassword, mechanisms, type SecureBroker, startSecureBroker } from '../support/broker-secure.ts'
import { TestAuthority } from '../support/certificates.ts'
import { CliHarness } from '../support/cli.ts'
import { engineForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { makeDataDir, removeDataDir } from '../support/infra-process.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { systemPorts } from '../support/kafka-modes.ts'
import { blocksOf, epochRecords, streamOf } from '../support/outbox.ts'

let authority: TestAuthority
let foreign: TestAuthority
let servers: SecureBroker
let topics = 0

beforeAll(async () => {
  authority = new TestAuthority('brokers')
  foreign = new TestAuthority('foreign')
  servers = await startSecureBroker(authority)
})

afterAll(async () => {
  await servers.broker.stop()
  authority.remove()
  foreign.remove()
})

const accessOf = (env: Readonly<Record<string, string>>): KafkaSecurity =>
  loadBrokerAccess(parseConfig(env).security.kafka)

async function newTopic(partitions: number, name = `secure-${topics++}`): Promise<string> {
  const admin = await openKafkaAdmin({ brokers: [servers.plain] })
  await admin.createTopic(name, { partitions, config: { 'retention.ms': '-1' } })
  await admin.close()
  return name
}

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => MillraceError.from(thrown),
  )
  if (error === undefined) throw new Error('nothing failed')
  expect(JSON.stringify([error, error.message, error.stack])).not.toContain(brokerPassword)
  return error
}

describe.each(mechanisms)('SASL %s over TLS', (mechanism) => {
  it('is how topics are made, written, found and read', async () => {
    const brokers = [servers.secure]
    const access = accessOf(servers.env(mechanism))
    const admin = await openKafkaAdmin({ brokers, ...access })
    const topic = `secure-${topics++}`
    expect(await admin.createTopic(topic, { partitions: 1 })).toBe(true)
    await admin.close()
    const producer = await openKafkaProducer({ brokers, ...access })
    const value = Buffer.from('a value')
    await producer.send(topic, [{ key: null, value, timestampMs: Date.now() }])
    await producer.close()

    const enumerator = new KafkaEnumerator({ brokers, topic, ...access }, systemPorts)
    const [found] = await enumerator.partitions()
    expect(found).toMatchObject({ partition: 0, earliest: 0, end: 1 })
    await enumerator.commit('a-group', { 0: 1 })
    await enumerator.close()
    const reader = new KafkaReader({ brokers, topic, ...access }, systemPorts)
    reader.assign({ partition: 0, topicId: found!.topicId, offset: 0, stopOffset: 1 })
    await expect.poll(() => reader.poll()?.partition, { timeout: 20_000 }).toBe(0)
    await reader.close()
  })

  it('is how epochs are applied', async () => {
    const topic = await newTopic(2)
    const access = accessOf(servers.env(mechanism))
    const owner = { job: `outbox-${mechanism}`, jobId: 'a', sink: 'out', generation: 1, nonce: 'n' }
    const records = epochRecords(1, 20_000)
    for (const epoch of [1, 2]) {
      const sink = new KafkaOutbox({ brokers: [servers.secure], topic, owner, ...access }, systemPorts)
      onTestFinished(() => sink.close())
      expect((await sink.open())?.epoch).toBe(epoch === 1 ? undefined : 1)
      await sink.apply(1, streamOf(blocksOf(records)))
    }
    expect(await javaRead(servers.plain, topic, 'read_committed')).toHaveLength(records.length)
  })

  it('refuses a wrong password, and says what to check', async () => {
    const brokers = [servers.secure]
    const right = accessOf(servers.env(mechanism))
    const access = { ...right, sasl: { ...right.sasl!, password: 'wrong-password' } }
    const refusals = [
      await failure(openKafkaAdmin({ brokers, ...access })),
      await failure(openKafkaProducer({ brokers, ...access })),
      await failure(new KafkaEnumerator({ brokers, topic: 'any', ...access }, systemPorts).partitions()),
    ]
    for (const error of refusals) {
      expect(error).toMatchObject({ code: 'BROKER_ERROR', retry: 'never' })
      expect(error.message).toMatch(/login/)
      expect(error.message).not.toContain('wrong-password')
    }
  })
})

describe('TLS', () => {
  it('shows a certificate of its own to brokers that want one, and needs no login then', async () => {
    const { certFile, keyFile } = authority.issue('client')
    const tls = { MILLRACE_BROKERS: servers.mutual, MILLRACE_KAFKA_TLS: 'on', MILLRACE_KAFKA_CA: authority.caFile }
    const access = accessOf({ ...tls, MILLRACE_KAFKA_CERT: certFile, MILLRACE_KAFKA_KEY: keyFile })
    const brokers = [servers.mutual]
    const topic = await newTopic(1)
    const producer = await openKafkaProducer({ brokers, ...access })
    await producer.send(topic, [{ key: null, value: Buffer.from('a value'), timestampMs: Date.now() }])
    await producer.close()
    const enumerator = new KafkaEnumerator({ brokers, topic, ...access }, systemPorts)
    expect(await enumerator.partitions()).toMatchObject([{ end: 1 }])
    await enumerator.close()
    const refused = new KafkaEnumerator({ brokers, topic, attempts: 1, ...accessOf(tls) }, systemPorts)
    expect((await failure(refused.partitions())).code).toBe('BROKER_UNREACHABLE')
  })

  it('is refused with a broker that another authority vouches for', async () => {
    const brokers = [servers.secure]
    const access = { ...accessOf(servers.env('PLAIN')), tls: { ca: foreign.ca } }
    const attempts = [
      failure(openKafkaAdmin({ brokers, ...access })),
      failure(new KafkaEnumerator({ brokers, topic: 'any', attempts: 1, ...access }, systemPorts).partitions()),
    ]
    for (const error of await Promise.all(attempts)) {
      expect(error).toMatchObject({ code: 'BROKER_UNREACHABLE', message: expect.stringMatching(/certificate/) })
    }
  })
})

const job = (name: string, topic: string, more = '') => `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${name} }
sources: [{ id: events, kafka: { topic: ${topic}${more} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
checkpoint: { every: 200ms }
metrics: [{ id: views, count: {}, window: { tumbling: 1h } }]
sinks: [{ id: out, kafka: { topic: ${topic}-out } }]
`

describe('a whole server', () => {
  it('reads, writes and produces over SASL and TLS; no output of it holds the password', async () => {
    const topic = await newTopic(2)
    await newTopic(1, `${topic}-out`)
    const env = servers.env('SCRAM-SHA-512')
    const engine = await engineForTest({ env })
    const harness = new CliHarness()
    Object.assign(harness.env, env)
    const produced = await harness.run(
      'produce',
      '--job',
      'jobs/engagement.yaml',
      '--topic',
      topic,
      '--brokers',
      servers.secure,
      '--limit',
      '500',
    )
    expect(produced, produced.stderr).toMatchObject({ code: 0 })
    await submitJob(engine.client, job('secure', topic))
    await untilRead(engine.client, 'secure', 500)
    const described = await engine.client.control.describe('secure')
    const everything = JSON.stringify([engine.lines, described, produced, await engine.client.control.list()])
    expect(everything).not.toContain(brokerPassword)
  })

  it('does not show its credentials to brokers that a job or a command names', async () => {
    const engine = await engineForTest({ env: servers.env('PLAIN') })
    const elsewhere = job('elsewhere', 'any', `, brokers: '${servers.plain}'`)
    const refused = await failure(engine.client.control.submit({ kind: 'text', text: elsewhere }))
    expect(refused.code).toBe('JOB_INVALID')
    expect(JSON.stringify(refused.violations)).toContain('MILLRACE_BROKERS')
    const harness = new CliHarness()
    Object.assign(harness.env, servers.env('PLAIN'))
    const produced = await harness.run(
      'produce',
      '--job',
      'jobs/engagement.yaml',
      '--topic',
      'any',
      '--brokers',
      servers.plain,
    )
    expect(produced).toMatchObject({ code: 3, stderr: expect.stringContaining('MILLRACE_BROKERS') })
  })

  it('fails a job whose login is refused, with a reason that has no secret', async () => {
    const folder = makeDataDir('wrong-password')
    onTestFinished(() => removeDataDir(folder))
    const env = { ...servers.env('SCRAM-SHA-256') }
    env.MILLRACE_KAFKA_PASSWORD_FILE = authority.file('wrong', 'planted-wrong-password')
    const engine = await engineForTest({ env })
    await submitJob(engine.client, job('refused', await newTopic(1)))
    const { reason } = await untilJob(engine.client, 'refused', ({ state }) => state === 'FAILED')
    expect(reason).toMatch(/login/)
    expect(JSON.stringify(engine.lines) + reason).not.toMatch(/planted-/)
    expect(readFileSync(env.MILLRACE_KAFKA_PASSWORD_FILE, 'utf8')).toBe('planted-wrong-password')
  })
})
