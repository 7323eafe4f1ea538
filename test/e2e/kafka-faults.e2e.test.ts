/** A broker that dies and comes back, and a network that breaks in every way: nothing lost, nothing twice, never idle. */
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import type { KafkaReader } from '../../src/source/kafka/kafka-reader.ts'
import { asRead, contractRecords, ReadLoop } from '../source/contract.ts'
import { type Broker, startBroker } from '../support/broker.ts'
import { testBrokers } from '../support/infra.ts'
import { KafkaAccess, type KafkaMode, kafkaModes, systemPorts } from '../support/kafka-modes.ts'
import { type KafkaProxy, startKafkaProxy } from '../support/kafka-proxy.ts'

const PARTITIONS = 3

async function produce(access: KafkaAccess, topic: string, from: number, count: number): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records = contractRecords(partition, from, count).map(({ key, value, timestampMs }) => ({
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      timestampMs,
      partition,
    }))
    await access.producer.send(topic, records)
  }
}

async function startReading(access: KafkaAccess, reader: KafkaReader, topic: string): Promise<ReadLoop> {
  const enumerator = access.enumerator(topic)
  const reading = new ReadLoop(reader)
  for (const info of await enumerator.partitions()) reading.assign(info, 0, Number.POSITIVE_INFINITY)
  await enumerator.close()
  return reading
}

const have = (reading: ReadLoop, count: number) => (): boolean =>
  [0, 1, 2].every((partition) => reading.of(partition).length >= count)

function expectExactly(reading: ReadLoop, count: number): void {
  for (const partition of [0, 1, 2]) {
    expect(reading.of(partition)).toEqual(asRead(contractRecords(partition, 0, count), 0))
  }
}

async function expectUnreachable(reading: ReadLoop, reader: KafkaReader): Promise<void> {
  await expect
    .poll(
      () => {
        while (reading.poll() !== undefined);
        return [0, 1, 2].map((partition) => reader.status(partition).reachable)
      },
      { timeout: 20_000 },
    )
    .toEqual([false, false, false])
}

describe('a broker that is killed and restarted', () => {
  let broker: Broker

  beforeAll(async () => {
    broker = await startBroker({ own: true })
  })

  afterAll(() => broker.stop())

  it.each(kafkaModes)('%s', async (mode: KafkaMode) => {
    const access = await KafkaAccess.open(mode, broker.brokers, `kill-${mode}`)
    const topic = await access.createTopic(PARTITIONS)
    await produce(access, topic, 0, 500)
    const reader = access.reader(topic)
    const reading = await startReading(access, reader, topic)
    await reading.until(() => reading.order.length > 0)
    await broker.kill()
    await expectUnreachable(reading, reader)
    await broker.restart()
    await produce(access, topic, 500, 500)
    await reading.until(have(reading, 1000))
    expectExactly(reading, 1000)
    expect([0, 1, 2].map((partition) => reader.status(partition).reachable)).toEqual([true, true, true])
    await reader.close()
    await access.close()
  })
})

describe('a network that breaks', () => {
  async function throughProxy(ceiling: boolean): Promise<{
    readonly proxy: KafkaProxy
    readonly access: KafkaAccess
    readonly open: () => KafkaReader
    readonly topic: string
  }> {
    const proxy = await startKafkaProxy(testBrokers().split(',')[0]!, ceiling ? { ceiling: 'redpanda' } : {})
    // Topics and records come in by the side: what breaks is the reader's way.
    const access = await KafkaAccess.open('direct', testBrokers(), `net-${ceiling}-${inject('runId')}-${++runs}`)
    onTestFinished(async () => {
      await access.close()
      await proxy.close()
      expect(proxy.rejected).toEqual([])
    })
    const topic = await access.createTopic(PARTITIONS)
    const { KafkaReader } = await import('../../src/source/kafka/kafka-reader.ts')
    const timing = { backoffMaxMs: 200, requestTimeoutMs: 1500, connectTimeoutMs: 1000 }
    const open = (): KafkaReader => {
      const reader = new KafkaReader({ brokers: [proxy.brokers], topic, ...timing }, systemPorts)
      onTestFinished(() => reader.close())
      return reader
    }
    return { proxy, access, open, topic }
  }
  let runs = 0

  describe.each([false, true])('with a Redpanda ceiling: %s', (ceiling) => {
    it('connections that are cut, again and again, while records come', async () => {
      const { proxy, access, open, topic } = await throughProxy(ceiling)
      const reader = open()
      const reading = await startReading(access, reader, topic)
      for (let round = 0; round < 8; round++) {
        await produce(access, topic, round * 50, 50)
        if (round % 2 === 0) await reading.until(() => reading.of(round % PARTITIONS).length > round * 40)
        proxy.kill()
      }
      await reading.until(have(reading, 400))
      expectExactly(reading, 400)
    })

    it('connections that are refused for a while', async () => {
      const { proxy, access, open, topic } = await throughProxy(ceiling)
      await produce(access, topic, 0, 100)
      const reader = open()
      const reading = await startReading(access, reader, topic)
      await reading.until(have(reading, 100))
      proxy.refuse = true
      proxy.kill()
      await expectUnreachable(reading, reader)
      await produce(access, topic, 100, 100)
      expect(reading.poll()).toBeUndefined()
      proxy.refuse = false
      await reading.until(have(reading, 200))
      expectExactly(reading, 200)
    })

    it('half-open connections, which only a timeout ends', async () => {
      const { proxy, access, open, topic } = await throughProxy(ceiling)
      await produce(access, topic, 0, 100)
      const reader = open()
      const reading = await startReading(access, reader, topic)
      await reading.until(have(reading, 100))
      proxy.stall(true)
      await expectUnreachable(reading, reader)
      await produce(access, topic, 100, 100)
      proxy.stall(false)
      await reading.until(have(reading, 200))
      expectExactly(reading, 200)
    })

    it('answers that come late', async () => {
      const { proxy, access, open, topic } = await throughProxy(ceiling)
      proxy.delayMs = 120
      await produce(access, topic, 0, 300)
      const reader = open()
      const reading = await startReading(access, reader, topic)
      await reading.until(have(reading, 300))
      expectExactly(reading, 300)
    })
  })

  it('a broker that offers less than is needed, named version by version', async () => {
    const { connectKafka } = await import('../../src/source/kafka/connect.ts')
    const { proxy } = await throughProxy(false)
    proxy.maxima = new Map([
      [18, 3],
      [1, 10],
      [3, 6],
    ])
    const [host, port] = proxy.brokers.split(':')
    const options = { clientId: 'test', connectTimeoutMs: 2000, requestTimeoutMs: 2000 }
    await expect(connectKafka(host!, Number(port), options)).rejects.toMatchObject({
      code: 'BROKER_UNSUPPORTED',
      retry: 'never',
      message: expect.stringMatching(/fetch 11 \(offered: 4 to 10\), listOffsets 3 \(not offered\)/),
    })
  })

  it('nobody at the address', async () => {
    const { KafkaEnumerator } = await import('../../src/source/kafka/kafka-enumerator.ts')
    const enumerator = new KafkaEnumerator(
      { brokers: ['127.0.0.1:1'], topic: 't', attempts: 2, backoffMs: 1 },
      systemPorts,
    )
    await expect(enumerator.partitions()).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      retry: 'backoff',
      message: expect.stringContaining('127.0.0.1:1'),
    })
    await enumerator.close()
  })
})
