/** The servers that tests rest on: they serve, survive a kill with their data, and die with whoever started them. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { exchange, projectRoot, waitUntil } from '../support/infra-process.ts'
import { startRedis } from '../support/redis.ts'

function client(brokers: string): Kafka {
  return new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 10 } })
}

async function writeOne(brokers: string, topic: string): Promise<void> {
  const admin = client(brokers).admin()
  const producer = client(brokers).producer()
  onTestFinished(async () => {
    await admin.disconnect()
    await producer.disconnect()
  })
  await admin.connect()
  await producer.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
  await producer.send({ topic, messages: [{ key: 'k', value: 'v', partition: 0, timestamp: '1' }] })
}

async function endOffset(brokers: string, topic: string): Promise<string | undefined> {
  const admin = client(brokers).admin()
  await admin.connect()
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.find((o) => o.partition === 0)?.high
  } finally {
    await admin.disconnect()
  }
}

function portOf(address: string): number {
  return Number(/:(\d+)/.exec(address.replace('redis://', ''))?.[1])
}

async function redis(url: string, command: string): Promise<string> {
  return (await exchange(portOf(url), `${command}\r\n`, 2000)).toString('latin1')
}

describe('the broker of the run', () => {
  it('takes a topic and a record', async () => {
    const topic = `infra-${inject('runId')}`
    await writeOne(testBrokers(), topic)
    expect(await endOffset(testBrokers(), topic)).toBe('1')
  })
})

describe('the Redis of the run', () => {
  it('keeps what it acknowledges', async () => {
    expect(await redis(testRedis(), 'CONFIG GET appendfsync')).toContain('always')
    expect(await redis(testRedis(), 'CONFIG GET maxmemory-policy')).toContain('noeviction')
  })
})

describe('a private instance', () => {
  it('of the broker comes back on its port with its data after a kill', async () => {
    const broker = await startBroker({ own: true })
    onTestFinished(() => broker.stop())
    await writeOne(broker.brokers, 'kept')
    await broker.kill()
    await expect(exchange(portOf(broker.brokers), 'x', 500)).rejects.toThrow()
    await broker.restart()
    expect(await endOffset(broker.brokers, 'kept')).toBe('1')
  })

  it('of Redis comes back on its port with its data after a kill', async () => {
    const server = await startRedis({ own: true })
    onTestFinished(() => server.stop())
    expect(await redis(server.url, 'SET kept 1')).toBe('+OK\r\n')
    await server.kill()
    await expect(exchange(portOf(server.url), 'PING\r\n', 500)).rejects.toThrow()
    await server.restart()
    expect(await redis(server.url, 'GET kept')).toBe('$1\r\n1\r\n')
  })

  it('of Redis takes other settings', async () => {
    const server = await startRedis({ settings: { appendfsync: 'everysec' } })
    onTestFinished(() => server.stop())
    expect(await redis(server.url, 'CONFIG GET appendfsync')).toContain('everysec')
  })

  it('dies with a process that is killed', async () => {
    const code = `
      const { startRedis } = await import(${JSON.stringify(join(projectRoot, 'test/support/redis.ts'))})
      console.log((await startRedis({ own: true })).url)`
    const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    const url = await new Promise<string>((done) => owner.stdout.once('data', (data) => done(String(data).trim())))
    expect(await redis(url, 'PING')).toBe('+PONG\r\n')
    owner.kill('SIGKILL')
    await waitUntil(
      async () => {
        const gone = await redis(url, 'PING').then(
          () => false,
          () => true,
        )
        return gone
      },
      { deadlineMs: 10_000, alive: () => true, failure: () => `redis-server at ${url} outlived its owner` },
    )
  })
})
