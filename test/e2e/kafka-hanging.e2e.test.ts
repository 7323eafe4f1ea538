/**
 * Transactions of a Kafka sink that hang: over for their coordinator, and open in partitions. A broker that is killed
 * leaves them now and then; here they are made on purpose, and read back by the Java client.
 */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { encodeMarker } from '../../src/sink/kafka-markers.ts'
import { KafkaOutbox, type KafkaOutboxOptions, markerTopicOf, transactionalIdOf } from '../../src/sink/kafka-outbox.ts'
import type { OutboxOwner } from '../../src/sink/outbox.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../../src/source/kafka/admin.ts'
import { connectKafka } from '../../src/source/kafka/connect.ts'
import type { KafkaConnect, KafkaConnection } from '../../src/source/kafka/connection.ts'
import type { EndedTransaction } from '../../src/source/kafka/ended-transaction.ts'
import { inspectApis } from '../../src/source/kafka/inspect-protocol.ts'
import {
  type ProducerIdentity,
  readAddPartitions,
  readEndTxn,
  readProduce,
  transactionApis,
  writeAddPartitions,
  writeEndTxn,
  writeProduce,
} from '../../src/source/kafka/transaction-protocol.ts'
import { TransactionalProducer } from '../../src/source/kafka/transactional-producer.ts'
import { type Broker, startBroker } from '../support/broker.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { systemPorts } from '../support/kafka-modes.ts'
import { blocksOf, epochRecords, streamOf } from '../support/outbox.ts'
import { settle } from '../support/transaction-faults.ts'

const PREFIX = 'hanging'
const MARKERS = markerTopicOf(PREFIX)
/** What a transaction is told to the coordinator to be about, instead of what it writes. */
const DECOY = 'decoy'

let broker: Broker
let admin: KafkaAdmin
let tests = 0

beforeAll(async () => {
  // A broker that asks the coordinator first would not take what hangs below.
  broker = await startBroker({ own: true, settings: { 'transaction.partition.verification.enable': 'false' } })
  admin = await openKafkaAdmin({ brokers: [broker.brokers] })
  await admin.createTopic(DECOY, { partitions: 1 })
})

afterAll(async () => {
  await admin.close()
  await broker.stop()
})

/** A sink of a job of its own, with one epoch applied, and what it has said. */
async function newSink(options: Partial<KafkaOutboxOptions> = {}) {
  const topic = `results-${tests}`
  const owner: OutboxOwner = { job: `job-${tests++}`, jobId: 'a', sink: 'out', generation: 1, nonce: 'n' }
  await admin.createTopic(topic, { partitions: 1, config: { 'retention.ms': '-1' } })
  const ended: EndedTransaction[] = []
  const open = (more: Partial<KafkaOutboxOptions> = {}): KafkaOutbox => {
    const reached = { brokers: [broker.brokers], topic, owner, transactionPrefix: PREFIX, waitMs: 3000 }
    const sink = new KafkaOutbox({ ...reached, onEnded: (each) => ended.push(each), ...options, ...more }, systemPorts)
    onTestFinished(() => sink.close())
    return sink
  }
  const first = open()
  await first.open()
  await first.apply(1, streamOf(blocksOf(epochRecords(1, 3))))
  await first.close()
  return { topic, owner, ended, open, id: transactionalIdOf(PREFIX, owner.job, owner.sink) }
}

async function committed(topic: string): Promise<string[]> {
  const lines = await javaRead(broker.brokers, topic, 'read_committed')
  return lines.map((line) => Buffer.from(line.split('\t')[4]!, 'hex').toString())
}

const valuesOf = (epoch: number): string[] => epochRecords(epoch, 3).map(({ value }) => value)

interface Unfinished {
  readonly topic: string
  readonly owner: OutboxOwner
  readonly id: string
  /** What the coordinator hears of. */
  readonly told: readonly string[]
  readonly end: 'commit' | 'abort' | 'untold'
}

/** Epoch 2 of a sink as a transaction whose end does not reach all that it has written to. */
async function leaveUnfinished({ topic, owner, id, told, end }: Unfinished): Promise<bigint> {
  const producer = new TransactionalProducer({ brokers: [broker.brokers], transactionalId: id }, systemPorts)
  onTestFinished(() => producer.close())
  await producer.init()
  const { identity, cluster } = producer
  const records = new RecordBatchWriter()
  for (const { key, value, timestampMs } of epochRecords(2, 3)) {
    records.append(Buffer.from(key!), Buffer.from(value), timestampMs)
  }
  const marker = new RecordBatchWriter()
  const { jobId, generation } = owner
  const value = encodeMarker({ owner: { jobId, generation }, applied: { jobId, generation, epoch: 2 } })
  marker.append(Buffer.from(id), value, Date.now())
  const batches = [producer.seal(topic, 0, records), producer.seal(MARKERS, 0, marker)]
  const coordinator = await cluster.connectionTo(await cluster.findCoordinator('transaction', id))
  const { partitions } = await producer.metadata(topic)
  const leader = await cluster.connectionTo(partitions[0]!.leader)
  const ask = <T>(connection: KafkaConnection, [key, version]: readonly [number, number], ...rest: Rest<T>) =>
    connection.request(key, version, false, ...rest)
  if (end !== 'untold') {
    const topics = new Map(told.map((each) => [each, [0]]))
    const { addPartitionsToTxn } = transactionApis
    const added = await ask(
      coordinator,
      addPartitionsToTxn,
      (w) => writeAddPartitions(w, id, identity, topics),
      readAddPartitions,
    )
    expect(added.every(({ errorCode }) => errorCode === 0)).toBe(true)
  }
  const written = await ask(leader, transactionApis.produce, (w) => writeProduce(w, id, 5000, batches), readProduce)
  expect(written).toMatchObject([{ errorCode: 0 }, { errorCode: 0 }])
  if (end !== 'untold') {
    const { endTxn } = transactionApis
    expect(await ask(coordinator, endTxn, (w) => writeEndTxn(w, id, identity, end === 'commit'), readEndTxn)).toBe(0)
  }
  return identity.producerId
}

type Rest<T> = [Parameters<KafkaConnection['request']>[3], (reader: Parameters<typeof readEndTxn>[0]) => T]

it.each([
  { what: 'committed, and left open everywhere', told: [DECOY], end: 'commit', epoch: 2, hangs: 2 },
  { what: 'committed, and left open where the results are', told: [MARKERS], end: 'commit', epoch: 2, hangs: 1 },
  { what: 'committed, and left open where the marker is', told: ['results'], end: 'commit', epoch: 2, hangs: 1 },
  { what: 'aborted, and left open everywhere', told: [DECOY], end: 'abort', epoch: 1, hangs: 2 },
  { what: 'written and never told to the coordinator', told: [], end: 'untold', epoch: 1, hangs: 2 },
] as const)(
  'one that was $what is ended as it was decided, by who opens the sink',
  async ({ told, end, epoch, hangs }) => {
    const sink = await newSink()
    const { topic, ended } = sink
    const names = told.map((name) => (name === 'results' ? topic : name))
    const producerId = await leaveUnfinished({ ...sink, told: names, end })
    const next = sink.open()
    expect(await next.open()).toEqual({ jobId: 'a', generation: 1, epoch })
    expect(ended).toHaveLength(hangs)
    for (const each of ended) expect(each).toMatchObject({ producerId, end: end === 'commit' ? 'commit' : 'abort' })
    await next.apply(3, streamOf(blocksOf(epochRecords(3, 3))))
    const before = epoch === 2 ? [...valuesOf(1), ...valuesOf(2)] : valuesOf(1)
    expect((await committed(topic)).sort()).toEqual([...before, ...valuesOf(3)].sort())
    expect(ended).toHaveLength(hangs)
  },
)

it('one that hangs when it has just been committed is committed everywhere before its epoch counts as applied', async () => {
  let identity: ProducerIdentity | undefined
  let misled = false
  const connect = intercept((connection, request) => async (key, version, flexible, write, parse) => {
    if (key === transactionApis.initProducerId[0]) {
      const answer = await request(key, version, flexible, write, parse)
      identity = answer as ProducerIdentity
      return answer
    }
    if (key !== transactionApis.addPartitionsToTxn[0] || !misled) {
      return request(key, version, flexible, write, parse)
    }
    expect(connection.isOpen()).toBe(true)
    const decoy = new Map([[DECOY, [0]]])
    return request(key, version, flexible, (w) => writeAddPartitions(w, sink.id, identity!, decoy), parse)
  })
  const sink = await newSink({ connect })
  const { topic, ended } = sink
  const next = sink.open()
  await next.open()
  misled = true
  await next.apply(2, streamOf(blocksOf(epochRecords(2, 3))))
  misled = false
  expect(ended).toMatchObject([
    { topic, end: 'commit' },
    { topic: MARKERS, end: 'commit' },
  ])
  expect((await committed(topic)).sort()).toEqual([...valuesOf(1), ...valuesOf(2)].sort())
  await next.apply(3, streamOf(blocksOf(epochRecords(3, 3))))
  expect(await sink.open().open()).toMatchObject({ epoch: 3 })
  expect(ended).toHaveLength(2)
})

it('one of somebody else is left alone', async () => {
  const sink = await newSink()
  const other = await newSink()
  await leaveUnfinished({ ...other, topic: sink.topic, told: [MARKERS], end: 'commit' })
  const next = sink.open()
  expect(await next.open()).toMatchObject({ epoch: 1 })
  // Nor is it waited for: readers of this topic wait for the owner of the other one.
  await next.apply(2, streamOf(blocksOf(epochRecords(2, 3))))
  expect(await committed(sink.topic)).toHaveLength(3)
  expect(sink.ended).toEqual([])
})

it('one in the topic of markers is ended by any sink of the deployment, when nobody opens its own', async () => {
  const sink = await newSink()
  const gone = await newSink()
  const producerId = await leaveUnfinished({ ...gone, told: [gone.topic], end: 'commit' })
  expect(await sink.open().open()).toMatchObject({ epoch: 1 })
  expect(sink.ended).toMatchObject([{ topic: MARKERS, producerId, end: 'commit' }])
  expect(await gone.open().open()).toMatchObject({ epoch: 2 })
})

it('one of another deployment in the topic of markers is named, and left alone', async () => {
  const sink = await newSink()
  const other = await newSink()
  const producer = await leaveUnfinished({ ...other, id: 'elsewhere/job/out', told: [other.topic], end: 'commit' })
  const error = await settle(sink.open({ waitMs: 300 }).open())
  expect(error!.message).toContain(`that of producer ${producer}, which no coordinator knows: it hangs`)
  expect(sink.ended).toEqual([])
  // So that the other tests can read markers.
  await leaveUnfinished({ ...other, id: 'elsewhere/job/out', told: [other.topic, MARKERS], end: 'commit' })
})

it('one that this client may not end is named with the right that is missing, and how to end it', async () => {
  const refuse = intercept((_, request) => (key, version, flexible, write, parse) => {
    // CLUSTER_AUTHORIZATION_FAILED, as readEndMarker gives it.
    if (key === inspectApis.writeTxnMarkers[0]) return Promise.resolve(31 as never)
    return request(key, version, flexible, write, parse)
  })
  const sink = await newSink()
  const producerId = await leaveUnfinished({ ...sink, told: [DECOY], end: 'commit' })
  const error = await settle(sink.open({ connect: refuse }).open())
  expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
  expect(error!.message).toMatch(/may not commit it: CLUSTER_AUTHORIZATION_FAILED .*Grant that user ALTER/)
  expect(error!.message).toContain(`millrace txn abort ${sink.topic}-0 --hanging ${producerId}`)
  // With the right it goes on, although somebody has failed before.
  expect(await sink.open().open()).toMatchObject({ epoch: 2 })
})

it('where it cannot be told whose one is, opening waits for it, and says which right is missing', async () => {
  const blind = intercept((_, request) => (key, version, flexible, write, parse) => {
    // TOPIC_AUTHORIZATION_FAILED, as readDescribeProducers gives it.
    if (key === inspectApis.describeProducers[0]) {
      return Promise.resolve([{ partition: 0, errorCode: 29, producers: [] }] as never)
    }
    return request(key, version, flexible, write, parse)
  })
  const sink = await newSink()
  await leaveUnfinished({ ...sink, told: [MARKERS], end: 'abort' })
  const error = await settle(sink.open({ connect: blind, waitMs: 300 }).open())
  expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
  expect(error!.message).toMatch(/a transaction has been open in results-\d+-0 .*right to READ the topic/)
})

type Request = KafkaConnection['request']

/** Connections whose requests go through `wrap`. */
function intercept(wrap: (connection: KafkaConnection, request: Request) => Request): KafkaConnect {
  return async (host, port, options) => {
    const connection = await connectKafka(host, port, options)
    const request: Request = (...args) => connection.request(...args)
    return Object.assign(Object.create(connection) as KafkaConnection, {
      address: connection.address,
      offered: connection.offered,
      isOpen: () => connection.isOpen(),
      close: () => connection.close(),
      recycle: (body: Uint8Array) => connection.recycle?.(body),
      request: wrap(connection, request),
    })
  }
}
