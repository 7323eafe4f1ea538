/** What a transaction does not survive, each made on purpose in front of a real broker: it is taken back, and comes again. */
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KafkaCluster } from '../../src/source/kafka/kafka-cluster.ts'
import { listTransactions } from '../../src/source/kafka/open-transactions.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import type { KafkaFault } from '../support/kafka-proxy-faults.ts'
import { blocksOf, streamOf } from '../support/outbox.ts'
import { answer, FaultBench, type Outcome, recordsOf, settle } from '../support/transaction-faults.ts'

let bench: FaultBench

beforeAll(async () => {
  bench = await FaultBench.start()
})

afterAll(() => bench.stop())

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
    await bench.underFaults([fault], outcome, 1)
  })

  it('another owner takes over between two rounds', async () => {
    const owner = bench.newOwner()
    const sink = bench.sinkOf(owner)
    await sink.open()
    const next = bench.sinkOf({ ...owner, generation: 2 })
    let marker: unknown
    const takeOver = async (): Promise<void> => {
      marker = await next.open()
    }
    bench.proxy.faults.push({ api: 'produce', happens: 'call', skip: 1, run: takeOver })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1, 100_000)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/another owner/),
    })
    expect(marker).toBeNull()
    await bench.applyAll({ ...owner, generation: 2 }, next, 1, 1)
  })

  it('the broker has ended it because it was open for too long', async () => {
    const owner = bench.newOwner()
    const cluster = new KafkaCluster({ brokers: [bench.broker.brokers] })
    const ended = async (): Promise<void> => {
      await cluster.metadata('results')
      const state = async (): Promise<string | undefined> =>
        (await listTransactions(cluster, ({ transactionalId }) => transactionalId.includes(`/${owner.job}/`)))[0]?.state
      await expect.poll(state, { timeout: 30_000 }).toBe('CompleteAbort')
    }
    const sink = bench.sinkOf(owner, { transactionTimeoutMs: 1000, requestTimeoutMs: 40_000 })
    await sink.open()
    bench.proxy.faults.push({ api: 'endTxn', happens: 'call', run: ended })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/its timeout/),
    })
    await cluster.close()
    const next = bench.sinkOf(owner)
    expect(await next.open()).toBeNull()
    await bench.applyAll(owner, next, 1, 2)
  })

  it('a topic that only somebody else may write to', async () => {
    const owner = bench.newOwner()
    await bench.admin.createTopic('closed', { partitions: 1 })
    const sink = bench.sinkOf(owner, { topic: 'closed' })
    await sink.open()
    const { ResourcePatternTypes, AclPermissionTypes, AclOperationTypes, AclResourceTypes } = kafkajs
    const client = new kafkajs.Kafka({ brokers: [bench.broker.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
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
    expect(await bench.sinkOf(owner, { topic: 'closed' }).open()).toBeNull()
  })

  it('the topic is deleted, and comes back', async () => {
    const owner = bench.newOwner()
    await bench.admin.createTopic('passing', { partitions: 1 })
    const sink = bench.sinkOf(owner, { topic: 'passing' })
    await sink.open()
    await bench.admin.deleteTopic('passing')
    await expect.poll(() => bench.admin.topicExists('passing'), { timeout: 10_000 }).toBe(false)
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({
      code: 'SINK_FAILED',
      retry: 'restart',
      message: expect.stringMatching(/does not exist/),
    })
    await bench.admin.createTopic('passing', { partitions: 1 })
    const next = bench.sinkOf(owner, { topic: 'passing' })
    expect(await next.open()).toBeNull()
    await next.apply(1, streamOf(blocksOf(recordsOf(owner, 1))))
    expect(await javaRead(bench.broker.brokers, 'passing', 'read_committed')).toHaveLength(200)
  })
})

it('a broker that is killed and comes back, in the middle of an epoch', async () => {
  const owner = bench.newOwner()
  const sink = bench.sinkOf(owner, { requestTimeoutMs: 10_000 })
  await sink.open()
  await bench.applyAll(owner, sink, 1, 1)
  const killed = async (): Promise<void> => {
    await bench.broker.kill()
    await bench.broker.restart()
  }
  bench.proxy.faults.push({ api: 'produce', happens: 'call', run: killed })
  await bench.applyAll(owner, sink, 2, 3)
  expect(bench.proxy.faults).toEqual([])
})

it('leaves every record once, and nothing open', () => bench.check())
