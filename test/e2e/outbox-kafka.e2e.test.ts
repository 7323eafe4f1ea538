/** The Kafka sink against the contract of all sinks, on a real broker: every request that it makes is a step. */
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { RecordCursor } from '../../src/event/records.ts'
import { KafkaOutbox } from '../../src/sink/kafka-outbox.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../../src/source/kafka/admin.ts'
import { connectKafka } from '../../src/source/kafka/connect.ts'
import type { KafkaConnect, KafkaConnection } from '../../src/source/kafka/connection.ts'
import { KafkaCluster } from '../../src/source/kafka/kafka-cluster.ts'
import { KafkaEnumerator } from '../../src/source/kafka/kafka-enumerator.ts'
import { KafkaReader } from '../../src/source/kafka/kafka-reader.ts'
import { listTransactions } from '../../src/source/kafka/open-transactions.ts'
import { outboxContract } from '../sink/outbox-contract.ts'
import type { Crash, TestRecord } from '../sink/outbox-records.ts'
import { testBrokers } from '../support/infra.ts'
import { systemPorts } from '../support/kafka-modes.ts'

const brokers = (): string[] => testBrokers().split(',')
let admin: KafkaAdmin
let targets = 0

beforeAll(async () => {
  admin = await openKafkaAdmin({ brokers: brokers() })
})

afterAll(() => admin.close())

/** Connections all of whose requests face a crash. */
function facing(crash: Crash): KafkaConnect {
  return async (host, port, options) => {
    const connection = await crash.step(() => connectKafka(host, port, options))
    const request: KafkaConnection['request'] = (...args) => crash.step(() => connection.request(...args))
    return {
      request,
      address: connection.address,
      offered: connection.offered,
      isOpen: () => connection.isOpen(),
      close: () => connection.close(),
    }
  }
}

/** A record as text: key, value and time. */
function textOf(key: Uint8Array | null, value: Uint8Array, timestampMs: number): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return `${key === null ? '-' : hex(key)} ${hex(value)} ${timestampMs}`
}

/** What a reader of committed records gets, once all that was decided has reached the topic. */
async function readCommitted(topic: string, prefix: string): Promise<string[]> {
  const cluster = new KafkaCluster({ brokers: brokers() })
  await cluster.metadata(topic)
  const ending = async (): Promise<number> => {
    const listed = await listTransactions(cluster, ({ transactionalId }) => transactionalId.startsWith(`${prefix}/`))
    return listed.filter(({ state }) => state.startsWith('Prepare')).length
  }
  await expect.poll(ending, { timeout: 20_000, interval: 5 }).toBe(0)
  await cluster.close()
  const enumerator = new KafkaEnumerator({ brokers: brokers(), topic }, systemPorts)
  const [info] = await enumerator.partitions()
  await enumerator.close()
  const texts: string[] = []
  const reader = new KafkaReader({ brokers: brokers(), topic }, systemPorts)
  reader.assign({ partition: 0, topicId: info!.topicId, offset: info!.earliest, stopOffset: info!.end })
  const cursor = new RecordCursor(topic)
  while (!reader.status(0).finished) {
    const chunk = reader.poll()
    if (chunk === undefined) {
      await new Promise<void>((resolve) => reader.onReady(resolve))
      continue
    }
    cursor.reset(chunk)
    while (cursor.next()) {
      const { bytes, keyStart, keyEnd, valueStart, valueEnd, timestampMs } = cursor
      const key = keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd)
      texts.push(textOf(key, bytes.subarray(valueStart, valueEnd), timestampMs))
    }
  }
  await reader.close()
  return texts
}

outboxContract({
  name: 'Kafka',
  wholeEpochs: true,
  anyKeys: true,
  runs: 4,
  target: async () => {
    const prefix = `contract-${inject('runId')}-${targets++}`
    const topic = `${prefix}-results`
    await admin.createTopic(topic, { partitions: 1, config: { 'retention.ms': '-1' } })
    return {
      sink: (owner, crash) => {
        const connect = crash === undefined ? {} : { connect: facing(crash) }
        return new KafkaOutbox({ brokers: brokers(), topic, owner, transactionPrefix: prefix, ...connect }, systemPorts)
      },
      read: () => readCommitted(topic, prefix),
      expected: (records: readonly TestRecord[]) =>
        records.map(({ key, value, timestampMs }) => textOf(key, value, timestampMs)),
    }
  },
})
