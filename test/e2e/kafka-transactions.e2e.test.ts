/**
 * Everything that can go wrong in a transaction, each made on purpose in front of a real broker: afterwards a Java client
 * that sees committed records only reads every record once, none of an aborted epoch, and nothing is left open.
 *
 * Each case applies three epochs under a job of its own, with the fault in the second; the topic is read once at the end.
 */
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import { KafkaOutbox, type KafkaOutboxOptions, markerTopicOf } from '../../src/sink/kafka-outbox.ts'
import type { OutboxOwner } from '../../src/sink/outbox.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../../src/source/kafka/admin.ts'
import { KafkaCluster } from '../../src/source/kafka/kafka-cluster.ts'
import { listTransactions } from '../../src/source/kafka/open-transactions.ts'
import { type Broker, startBroker } from '../support/broker.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { systemPorts } from '../support/kafka-modes.ts'
import { type KafkaProxy, startKafkaProxy } from '../support/kafka-proxy.ts'
import type { KafkaFault } from '../support/kafka-proxy-faults.ts'
import { blocksOf, type OutboxRecord, streamOf } from '../support/outbox.ts'

const TOPIC = 'results'
const PREFIX = 'faults'
const PARTITIONS = 3

let broker: Broker
let proxy: KafkaProxy
let admin: KafkaAdmin
/** What a reader must find at the end. */
const expected: string[] = []

beforeAll(async () => {
  broker = await startBroker({
    own: true,
    settings: {
      'transaction.abort.timed.out.transaction.cleanup.interval.ms': '300',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found': 'true',
    },
  })
  proxy = await startKafkaProxy(broker.brokers, { ceiling: 'redpanda' })
  admin = await openKafkaAdmin({ brokers: [broker.brokers] })
  await admin.createTopic(TOPIC, { partitions: PARTITIONS, config: { 'retention.ms': '-1' } })
})

afterAll(async () => {
  await admin.close()
  await proxy.close()
  await broker.stop()
})

let jobs = 0
const open: KafkaOutbox[] = []

function sinkOf(owner: OutboxOwner, more: Partial<KafkaOutboxOptions> = {}): KafkaOutbox {
  const sink = new KafkaOutbox(
    { brokers: [proxy.brokers], topic: TOPIC, owner, prefix: PREFIX, requestTimeoutMs: 2000, ...more },
    systemPorts,
  )
  open.push(sink)
  return sink
}

const newOwner = (): OutboxOwner => ({ job: `job-${jobs++}`, jobId: 'a', sink: 'out', generation: 1, nonce: 'n' })

function recordsOf(owner: OutboxOwner, epoch: number, count = 200): OutboxRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${i}`,
    value: `${owner.job} epoch ${epoch} record ${i}`,
    timestampMs: 1_700_000_000_000 + i,
  }))
}

async function settle(promise: Promise<unknown>): Promise<MillraceError | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => error as MillraceError,
  )
}

/** What a job does with its sink: after a rejection it opens anew, reads the marker, and applies what is owed. */
async function applyAll(owner: OutboxOwner, sink: KafkaOutbox, from: number, to: number, count = 200): Promise<void> {
  let current = sink
  for (let epoch = from; epoch <= to; ) {
    const error = await settle(current.apply(epoch, streamOf(blocksOf(recordsOf(owner, epoch, count)))))
    if (error === undefined) {
      expected.push(...recordsOf(owner, epoch, count).map(({ value }) => value))
      epoch++
      continue
    }
    await current.close()
    current = sinkOf({ ...owner, nonce: `n${open.length}` })
    const marker = await current.open()
    if (marker?.epoch !== epoch) continue
    expected.push(...recordsOf(owner, epoch, count).map(({ value }) => value))
    epoch++
  }
}

type Outcome = 'resolves' | 'restart' | 'never'

/** Opens, applies epoch 1, and epoch 2 under `faults`; checks how that ends, then goes on to epoch 3 as a job would. */
async function underFaults(faults: KafkaFault[], outcome: Outcome, marker?: number, count = 200): Promise<void> {
  const owner = newOwner()
  const sink = sinkOf(owner)
  await sink.open()
  await applyAll(owner, sink, 1, 1, count)
  proxy.faults.push(...faults)
  const error = await settle(sink.apply(2, streamOf(blocksOf(recordsOf(owner, 2, count)))))
  expect(proxy.faults, 'every fault has happened').toEqual([])
  expect(error?.message ?? 'resolves').toMatch(outcome === 'resolves' ? /^resolves$/ : /^applying epoch 2 to sink out/)
  if (error === undefined) {
    expected.push(...recordsOf(owner, 2, count).map(({ value }) => value))
    await applyAll(owner, sink, 3, 3, count)
    return
  }
  expect(error).toMatchObject({ code: 'SINK_FAILED', retry: outcome })
  const next = sinkOf({ ...owner, generation: 2 })
  const found = await next.open()
  if (marker !== undefined) expect(found?.epoch).toBe(marker)
  if (found?.epoch === 2) expected.push(...recordsOf(owner, 2, count).map(({ value }) => value))
  await applyAll({ ...owner, generation: 2 }, next, found!.epoch + 1, 3, count)
}

const answer = (api: KafkaFault['api'], errorCode: number): KafkaFault => ({ api, happens: 'answer', errorCode })

describe('answers that say "not now"', () => {
  it.each<[string, KafkaFault[]]>([
    [
      'CONCURRENT_TRANSACTIONS on adding partitions',
      [answer('addPartitionsToTxn', 51), answer('addPartitionsToTxn', 51)],
    ],
    ['CONCURRENT_TRANSACTIONS on the end', [answer('endTxn', 51), answer('endTxn', 51)]],
    ['CONCURRENT_TRANSACTIONS on an end that was done', [{ api: 'endTxn', happens: 'answer-after', errorCode: 51 }]],
    ['NOT_COORDINATOR on adding partitions', [answer('addPartitionsToTxn', 16)]],
    [
      'NOT_COORDINATOR on the end',
      [answer('endTxn', 16), answer('findCoordinator', 15), answer('findCoordinator', 14)],
    ],
    ['COORDINATOR_LOAD_IN_PROGRESS on adding partitions', [answer('addPartitionsToTxn', 14)]],
    ['COORDINATOR_LOAD_IN_PROGRESS on the end', [answer('endTxn', 14), answer('endTxn', 14)]],
    ['COORDINATOR_NOT_AVAILABLE on the end', [answer('endTxn', 15)]],
    ['a leader that has moved', [answer('produce', 6), answer('produce', 5)]],
    ['a leader that moved after it had written', [{ api: 'produce', happens: 'answer-after', errorCode: 6 }]],
    ['a write that timed out and was done', [{ api: 'produce', happens: 'answer-after', errorCode: 7 }]],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', [{ api: 'produce', happens: 'answer-after', errorCode: 20 }]],
    ['a topic that a broker does not know yet', [answer('produce', 3), answer('addPartitionsToTxn', 3)]],
  ])('%s: waited out', async (_, faults) => {
    await underFaults(faults, 'resolves')
  })
})

describe('connections that are cut', () => {
  it.each<[string, KafkaFault, Outcome, number?]>([
    ['before partitions are added', { api: 'addPartitionsToTxn', happens: 'cut-before' }, 'resolves'],
    ['after partitions were added', { api: 'addPartitionsToTxn', happens: 'cut-after' }, 'resolves'],
    ['before records are sent', { api: 'produce', happens: 'cut-before' }, 'resolves'],
    ['while records are sent', { api: 'produce', happens: 'cut-sent' }, 'resolves'],
    ['after records were written', { api: 'produce', happens: 'cut-after' }, 'resolves'],
    ['before the end is sent', { api: 'endTxn', happens: 'cut-before' }, 'restart', 1],
    ['while the end is sent', { api: 'endTxn', happens: 'cut-sent' }, 'restart'],
    ['after the broker committed, before it could say so', { api: 'endTxn', happens: 'cut-after' }, 'restart', 2],
  ])('%s', async (_, fault, outcome, marker) => {
    await underFaults([fault], outcome, marker)
  })

  it.each(['cut-before', 'cut-after', 'cut-sent'] as const)('%s, while an owner is taking over', async (happens) => {
    const owner = newOwner()
    const sink = sinkOf(owner)
    await sink.open()
    await applyAll(owner, sink, 1, 1)
    proxy.faults.push({ api: 'initProducerId', happens })
    const next = sinkOf({ ...owner, generation: 2 })
    expect(await next.open()).toMatchObject({ epoch: 1 })
    expect(proxy.faults).toEqual([])
    await applyAll({ ...owner, generation: 2 }, next, 2, 3)
  })

  it('all of them, between one request and the next', async () => {
    for (const api of ['addPartitionsToTxn', 'produce'] as const) {
      await underFaults([{ api, happens: 'call', run: async () => proxy.kill() }], 'resolves')
    }
    await underFaults([{ api: 'endTxn', happens: 'call', run: async () => proxy.kill() }], 'restart', 1)
  })

  it('half-open while the end is sent', async () => {
    const owner = newOwner()
    const sink = sinkOf(owner)
    await sink.open()
    proxy.faults.push({ api: 'endTxn', happens: 'call', run: async () => proxy.stall(true) })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    proxy.stall(false)
    const next = sinkOf(owner)
    const marker = await next.open()
    if (marker?.epoch === 1) expected.push(...recordsOf(owner, 1).map(({ value }) => value))
    await applyAll(owner, next, (marker?.epoch ?? 0) + 1, 3)
  })
})

describe('answers while an owner takes over', () => {
  it.each([
    ['CONCURRENT_TRANSACTIONS', 51],
    ['NOT_COORDINATOR', 16],
    ['COORDINATOR_LOAD_IN_PROGRESS', 14],
    ['COORDINATOR_NOT_AVAILABLE', 15],
  ])('%s: waited out', async (_, errorCode) => {
    const owner = newOwner()
    proxy.faults.push(answer('initProducerId', errorCode), answer('findCoordinator', 15))
    const sink = sinkOf(owner)
    expect(await sink.open()).toBeNull()
    expect(proxy.faults).toEqual([])
    await applyAll(owner, sink, 1, 1)
  })

  it.each([
    ['no right to the transactional id', 53, /TRANSACTIONAL_ID_AUTHORIZATION_FAILED.*Grant/],
    ['a timeout above the cap', 50, /transaction\.max\.timeout\.ms/],
  ])('%s: said', async (_, errorCode, message) => {
    proxy.faults.push(answer('initProducerId', errorCode))
    const error = await settle(sinkOf(newOwner()).open())
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'never', message: expect.stringMatching(message) })
  })
})

describe('transactions that cannot be committed', () => {
  it.each<[string, KafkaFault, Outcome]>([
    ['a record too large for the topic', answer('produce', 10), 'never'],
    ['no right to write', answer('addPartitionsToTxn', 29), 'never'],
    ['no right to the transactional id', answer('addPartitionsToTxn', 53), 'never'],
    ['a producer that is fenced on adding', answer('addPartitionsToTxn', 90), 'restart'],
    ['a producer that is fenced on writing', answer('produce', 47), 'restart'],
    ['a producer that is fenced on the end', answer('endTxn', 90), 'restart'],
    ['a transaction in another state', answer('endTxn', 48), 'restart'],
    ['an order that is broken', answer('produce', 45), 'restart'],
    ['an id that has expired', answer('addPartitionsToTxn', 49), 'restart'],
    ['an error without a name', answer('endTxn', 999), 'restart'],
  ])('%s', async (_, fault, outcome) => {
    await underFaults([fault], outcome, 1)
  })

  it('another owner takes over between two rounds', async () => {
    const owner = newOwner()
    const sink = sinkOf(owner)
    await sink.open()
    const next = sinkOf({ ...owner, generation: 2 })
    let marker: unknown
    const takeOver = async (): Promise<void> => {
      marker = await next.open()
    }
    proxy.faults.push({ api: 'produce', happens: 'call', skip: 1, run: takeOver })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1, 100_000)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/another owner/),
    })
    expect(marker).toBeNull()
    await applyAll({ ...owner, generation: 2 }, next, 1, 1)
  })

  it('the broker has ended it because it was open for too long', async () => {
    const owner = newOwner()
    const cluster = new KafkaCluster({ brokers: [broker.brokers] })
    const ended = async (): Promise<void> => {
      await cluster.metadata(TOPIC)
      const state = async (): Promise<string | undefined> =>
        (await listTransactions(cluster, ({ transactionalId }) => transactionalId.includes(`/${owner.job}/`)))[0]?.state
      await expect.poll(state, { timeout: 30_000 }).toBe('CompleteAbort')
    }
    const sink = sinkOf(owner, { transactionTimeoutMs: 1000, requestTimeoutMs: 40_000 })
    await sink.open()
    proxy.faults.push({ api: 'endTxn', happens: 'call', run: ended })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/its timeout/),
    })
    await cluster.close()
    const next = sinkOf(owner)
    expect(await next.open()).toBeNull()
    await applyAll(owner, next, 1, 2)
  })

  it('a topic that only somebody else may write to', async () => {
    const owner = newOwner()
    await admin.createTopic('closed', { partitions: 1 })
    const sink = sinkOf(owner, { topic: 'closed' })
    await sink.open()
    const { ResourcePatternTypes, AclPermissionTypes, AclOperationTypes, AclResourceTypes } = kafkajs
    const client = new kafkajs.Kafka({ brokers: [broker.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await client.connect()
    const rule = {
      resourceType: AclResourceTypes.TOPIC,
      resourceName: 'closed',
      resourcePatternType: ResourcePatternTypes.LITERAL,
      host: '*',
      permissionType: AclPermissionTypes.ALLOW,
    }
    const describeOnly = { ...rule, principal: 'User:ANONYMOUS', operation: AclOperationTypes.DESCRIBE }
    await client.createAcls({
      acl: [{ ...rule, principal: 'User:other', operation: AclOperationTypes.WRITE }, describeOnly],
    })
    await client.disconnect()
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'never',
      message: expect.stringMatching(/adding closed-0 .*TOPIC_AUTHORIZATION_FAILED.*Grant/),
    })
    // Not allowed to ask for the topic's settings either: opening does not depend on them.
    expect(await sinkOf(owner, { topic: 'closed' }).open()).toBeNull()
  })

  it('the topic is deleted, and comes back', async () => {
    const owner = newOwner()
    await admin.createTopic('passing', { partitions: 1 })
    const sink = sinkOf(owner, { topic: 'passing' })
    await sink.open()
    await admin.deleteTopic('passing')
    await expect.poll(() => admin.topicExists('passing'), { timeout: 10_000 }).toBe(false)
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/does not exist/),
    })
    await admin.createTopic('passing', { partitions: 1 })
    const next = sinkOf(owner, { topic: 'passing' })
    expect(await next.open()).toBeNull()
    await next.apply(1, streamOf(blocksOf(recordsOf(owner, 1))))
    expect(await javaRead(broker.brokers, 'passing', 'read_committed')).toHaveLength(200)
  })
})

it('a broker that is killed and comes back, in the middle of an epoch', async () => {
  const owner = newOwner()
  const sink = sinkOf(owner, { requestTimeoutMs: 10_000 })
  await sink.open()
  await applyAll(owner, sink, 1, 1)
  const killed = async (): Promise<void> => {
    await broker.kill()
    await broker.restart()
  }
  proxy.faults.push({ api: 'produce', happens: 'call', run: killed })
  await applyAll(owner, sink, 2, 3)
  expect(proxy.faults).toEqual([])
})

it('leaves every record once, and nothing open', async () => {
  for (const sink of open) await sink.close()
  const cluster = new KafkaCluster({ brokers: [broker.brokers] })
  await cluster.metadata(TOPIC)
  const transactions = await listTransactions(cluster, ({ transactionalId }) => transactionalId.startsWith(PREFIX))
  await cluster.close()
  expect(transactions.filter(({ state }) => !/^(Empty|Complete(Commit|Abort))$/.test(state))).toEqual([])
  const lines = await javaRead(broker.brokers, TOPIC, 'read_committed')
  const read = lines.map((line) => Buffer.from(line.split('\t')[4]!, 'hex').toString())
  const counts = new Map<string, number>()
  for (const value of read) counts.set(value, (counts.get(value) ?? 0) + 1)
  const wrong = expected.filter((value) => counts.get(value) !== 1)
  const known = new Set(expected)
  const foreign = [...counts.keys()].filter((value) => !known.has(value))
  expect({ wrong: wrong.slice(0, 5), foreign: foreign.slice(0, 5) }).toEqual({ wrong: [], foreign: [] })
  expect(read).toHaveLength(expected.length)
  // Read to its end: no open transaction holds the markers either.
  expect((await javaRead(broker.brokers, markerTopicOf(PREFIX), 'read_committed')).length).toBeGreaterThan(0)
  expect(proxy.rejected).toEqual([])
})
