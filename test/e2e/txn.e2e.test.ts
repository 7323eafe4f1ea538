/** `millrace txn` and the watch for partitions that are held back, on a broker that lets transactions hang. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type HeldPartition, HeldPartitions } from '../../src/control/held-partitions.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { type KafkaAdmin, openKafkaAdmin } from '../../src/source/kafka/admin.ts'
import { readProduce, transactionApis, writeProduce } from '../../src/source/kafka/transaction-protocol.ts'
import { TransactionalProducer } from '../../src/source/kafka/transactional-producer.ts'
import { type Broker, startBroker } from '../support/broker.ts'
import { CliHarness } from '../support/cli.ts'
import { engineForTest, submitJob, type TestEngine, untilState } from '../support/engine.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { systemPorts } from '../support/kafka-modes.ts'

let broker: Broker
let admin: KafkaAdmin

beforeAll(async () => {
  // A broker that asks the coordinator first would not take what hangs below.
  broker = await startBroker({ own: true, settings: { 'transaction.partition.verification.enable': 'false' } })
  admin = await openKafkaAdmin({ brokers: [broker.brokers] })
  for (const topic of ['events', 'results', 'elsewhere']) await admin.createTopic(topic, { partitions: 1 })
})

afterAll(async () => {
  await admin.close()
  await broker.stop()
})

function producerOf(transactionalId: string): TransactionalProducer {
  const producer = new TransactionalProducer({ brokers: [broker.brokers], transactionalId }, systemPorts)
  onTestFinished(() => producer.close())
  return producer
}

function oneRecord(): RecordBatchWriter {
  const writer = new RecordBatchWriter()
  writer.append(Buffer.from('key'), Buffer.from('value'), Date.now())
  return writer
}

async function openTransaction(transactionalId: string, topic: string): Promise<TransactionalProducer> {
  const producer = producerOf(transactionalId)
  await producer.init()
  await producer.metadata(topic)
  await producer.produce([producer.seal(topic, 0, oneRecord())])
  return producer
}

/** Writes a transactional batch that no coordinator knows of: what a late retry of a producer leaves. */
async function hang(topic: string): Promise<void> {
  const producer = producerOf('late-retry')
  await producer.init()
  await late('late-retry', producer, topic)
}

/** Writes to a partition within a transaction whose coordinator does not hear of it. */
async function late(transactionalId: string, producer: TransactionalProducer, topic: string): Promise<void> {
  const { partitions } = await producer.metadata(topic)
  const connection = await producer.cluster.connectionTo(partitions[0]!.leader)
  const [key, version] = transactionApis.produce
  const batch = producer.seal(topic, 0, oneRecord())
  const answers = await connection.request(
    key,
    version,
    false,
    (writer) => writeProduce(writer, transactionalId, 5000, [batch]),
    readProduce,
  )
  expect(answers).toMatchObject([{ errorCode: 0 }])
}

const job = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: engagement }
sources: [{ id: events, kafka: { topic: events } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
metrics: [{ id: views, count: {}, window: { tumbling: 1h } }]
sinks: [{ id: out, kafka: { topic: results } }]
`

/** Runs a command against a server; its output and exit code. */
async function millrace(engine: TestEngine, ...args: string[]) {
  const harness = new CliHarness()
  harness.env.MILLRACE_SERVER = engine.engine.address
  return harness.run(...args)
}

interface Listed {
  readonly transactions: readonly { readonly transactionalId: string; readonly producerId: number }[]
}

const listed = async (engine: TestEngine, ...args: string[]): Promise<Listed['transactions']> => {
  const { stdout, stderr, code } = await millrace(engine, 'txn', 'list', '--output', 'json', ...args)
  expect(code, stderr).toBe(0)
  return (JSON.parse(stdout) as Listed).transactions
}

describe('millrace txn', () => {
  it('lists what is open, whose it is and what it holds back, and ends it unless its job runs', async () => {
    const engine = await engineForTest({ brokers: broker.brokers })
    expect(await listed(engine)).toEqual([])
    await submitJob(engine.client, job)
    await untilState(engine.client, 'engagement', 'RUNNING')
    await openTransaction('millrace/engagement/out', 'results')
    await openTransaction('millrace/gone/out', 'elsewhere')
    await openTransaction('somebody-else', 'events')
    const where = (topic: string) => [
      { topic, partition: 0, holds: true, startOffset: 0, lastStableOffset: 0, highWatermark: 1 },
    ]
    const all = await listed(engine)
    expect(all).toHaveLength(3)
    expect(all).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...{ transactionalId: 'millrace/engagement/out', job: 'engagement', sink: 'out', jobRuns: true },
          ...{ state: 'Ongoing', timeoutMs: 60_000, partitions: where('results') },
          startTime: expect.stringMatching(/^20\d\d-/),
        }),
        expect.objectContaining({
          transactionalId: 'millrace/gone/out',
          job: 'gone',
          jobRuns: false,
          partitions: where('elsewhere'),
        }),
        expect.objectContaining({ transactionalId: 'somebody-else', job: '', sink: '', partitions: where('events') }),
      ]),
    )
    const table = await millrace(engine, 'txn', 'list', 'engagement')
    expect(table.stdout).toMatch(/^ID +JOB +SINK +STATE +OPEN +PARTITIONS +HOLDS BACK$/m)
    expect(table.stdout).toMatch(/^millrace\/engagement\/out +engagement +out +Ongoing .* results-0\* +1$/m)
    expect(table.stdout).not.toContain('millrace/gone')

    const running = await millrace(engine, 'txn', 'abort', 'millrace/engagement/out')
    expect(running.code).not.toBe(0)
    expect(running.stderr).toMatch(/job engagement runs/)
    const foreign = await millrace(engine, 'txn', 'abort', 'somebody-else')
    expect(foreign.stderr).toMatch(/none of this deployment's/)
    expect(await listed(engine)).toHaveLength(3)

    expect((await millrace(engine, 'txn', 'abort', 'millrace/gone/out')).stdout).toBe('millrace/gone/out: aborted\n')
    expect((await millrace(engine, 'txn', 'abort', 'millrace/gone/out')).stdout).toBe(
      'millrace/gone/out: nothing was open\n',
    )
    expect((await millrace(engine, 'txn', 'abort', 'somebody-else', '--force')).stdout).toMatch(/: aborted/)
    expect((await millrace(engine, 'txn', 'abort', 'millrace/engagement/out', '--force')).stdout).toMatch(/: aborted/)
    expect(await listed(engine)).toEqual([])
    expect((await listed(engine, '--idle')).map(({ transactionalId }) => transactionalId).sort()).toEqual([
      'millrace/engagement/out',
      'millrace/gone/out',
    ])
    expect(await javaRead(broker.brokers, 'results', 'read_committed')).toEqual([])
    const audited = engine.lines.filter((line) => line.includes('EndTransaction') && line.includes('"outcome":"OK"'))
    expect(audited).toHaveLength(4)
    expect(JSON.parse(audited[0]!)).toMatchObject({
      ...{ job: 'gone', transactionalId: 'millrace/gone/out', ended: 'aborted', partitions: ['elsewhere-0'] },
      ...{ producerId: expect.any(Number) as number, producerEpoch: expect.any(Number) as number, force: false },
    })
    await engine.client.control.cancel('engagement')
  })

  it('finds one that hangs, and ends it by the partition that it holds back', async () => {
    const engine = await engineForTest({ brokers: broker.brokers })
    await submitJob(engine.client, job)
    await untilState(engine.client, 'engagement', 'RUNNING')
    await hang('events')
    const [hanging, ...others] = await listed(engine)
    expect(others).toEqual([])
    expect(hanging).toMatchObject({
      transactionalId: '',
      state: 'Hanging',
      partitions: [{ topic: 'events', holds: true }],
    })
    const args = ['txn', 'abort', 'events-0', '--hanging', String(hanging!.producerId)]
    const young = await millrace(engine, ...args)
    expect(young.code).not.toBe(0)
    expect(young.stderr).toMatch(/may still end its transaction/)
    expect((await millrace(engine, ...args, '--force')).stdout).toBe('events-0: aborted\n')
    expect(await listed(engine)).toEqual([])
    expect((await millrace(engine, ...args, '--force')).stdout).toBe('events-0: nothing was open\n')
    const usage = await millrace(engine, 'txn', 'abort', 'events', '--hanging', '5')
    expect(usage.stderr).toMatch(/not TOPIC-PARTITION/)
    await engine.client.control.cancel('engagement')
  })

  it('commits one that a sink had committed, and that its coordinator left open where nobody looks any more', async () => {
    const engine = await engineForTest({ brokers: broker.brokers })
    await admin.createTopic('former', { partitions: 1 })
    await submitJob(engine.client, job.replace('topic: events', 'topic: former'))
    await untilState(engine.client, 'engagement', 'RUNNING')
    const producer = await openTransaction('millrace/gone/out', 'elsewhere')
    await late('millrace/gone/out', producer, 'former')
    await producer.commit()
    const [hanging] = await listed(engine)
    expect(hanging).toMatchObject({ state: 'Hanging', partitions: [{ topic: 'former' }] })
    const args = ['txn', 'abort', 'former-0', '--hanging', String(hanging!.producerId), '--force']
    expect((await millrace(engine, ...args)).stdout).toBe('former-0: committed\n')
    expect(await javaRead(broker.brokers, 'former', 'read_committed')).toHaveLength(1)
    await engine.client.control.cancel('engagement')
  })
})

describe('partitions that are held back', () => {
  const definition = {
    source: { id: 'events', input: { kind: 'generator' } },
    sinks: [],
    deadLetters: null,
    late: null,
  } as unknown as JobDefinition
  const reading = (topic: string): JobDefinition =>
    ({
      ...definition,
      source: { id: 'events', input: { kind: 'kafka', topic, brokers: broker.brokers } },
    }) as JobDefinition

  it('are warned of once, with who holds them, until they are free', async () => {
    const topic = 'held'
    await admin.createTopic(topic, { partitions: 2 })
    const warnings: string[] = []
    const held = new HeldPartitions({
      jobs: () => [{ name: 'a', runs: true, definition: reading(topic) }],
      security: {},
      ports: systemPorts,
      warn: (message, { holder }) => warnings.push(`${message} ${String(holder)}`),
      thresholdMs: 50,
    })
    onTestFinished(() => held.close())
    await held.look()
    expect(held.of('a')).toEqual([])
    const producer = await openTransaction('millrace/a/out', topic)
    // The first look after it began is never old enough.
    await held.look()
    expect(held.of('a')).toEqual([])
    const looking = async (): Promise<readonly HeldPartition[]> => {
      await held.look()
      return held.of('a')
    }
    await expect.poll(looking).toMatchObject([{ topic, partition: 0, lastStableOffset: 0, highWatermark: 1 }])
    expect(held.of('a')[0]!.holder).toMatch(/transactional id millrace\/a\/out, Ongoing since 20/)
    await held.look()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/held-0: readers of committed records stand at 0, 1 before the end.*millrace txn list/)
    expect(held.of('b')).toEqual([])
    await producer.abort()
    await expect.poll(looking).toEqual([])
  })

  it('are looked for although one topic cannot be: that is said once', async () => {
    await admin.createTopic('beside', { partitions: 1 })
    await openTransaction('millrace/b/out', 'beside')
    const warnings: string[] = []
    const held = new HeldPartitions({
      jobs: () => ['no topic', 'beside'].map((topic) => ({ name: topic, runs: true, definition: reading(topic) })),
      security: {},
      ports: systemPorts,
      warn: (message) => warnings.push(message),
      thresholdMs: 0,
    })
    onTestFinished(() => held.close())
    for (let i = 0; i < 3; i++) await held.look()
    expect(warnings).toEqual([
      expect.stringMatching(/^topic no topic cannot be watched for open transactions: .*INVALID_TOPIC/),
      expect.stringMatching(/beside-0/),
    ])
    expect(held.of('beside')).toHaveLength(1)
  })
})
