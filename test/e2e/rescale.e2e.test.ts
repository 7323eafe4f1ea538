/**
 * A job that is rescaled from 2 to 3 to 1 while events flow, killed in the middle of a rescale, and upgraded, on a real
 * broker and Redis: its final numbers are the batch oracle's, and nothing is in its output twice.
 */
import { beforeAll, expect, inject, it } from 'vitest'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, untilRead, untilState } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences } from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions, makeEvent, type SampleEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { readLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 4
const STEPS = 8
const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

it('ends with the numbers of the oracle, each given out once', { timeout: 180_000 }, async () => {
  const prefix = `rescale-${inject('runId')}`
  const access = await KafkaAccess.open('direct', testBrokers(), prefix)
  const server = await MillraceServer.start({ redisUrl: testRedis(), redisPrefix: prefix, brokers: testBrokers() })
  try {
    const topic = await createKafkaTopic(access, PARTITIONS)
    const job = engagementJob({
      name: 'engagement',
      source: topic.source(),
      sinks: [{ id: 'out', log: { path: server.logRoot, topic: 'results' } }],
      checkpoint: { every: '100ms' },
      watermark: { outOfOrderness: '5s', idleness: '0s' },
      parallelism: 2,
    })
    const filled = fillPartitions(engagementEvents(), PARTITIONS, 'hash')
    const step = (n: number): SampleEvent[][] =>
      filled.map((all) => all.slice(Math.floor((all.length * n) / STEPS), Math.floor((all.length * (n + 1)) / STEPS)))
    await submitJob(server.client, job)
    await topic.append(step(0))
    await untilState(server.client, 'engagement', 'RUNNING')
    const rescale = (n: number) => server.client.control.rescale('engagement', n)
    const [up] = await Promise.all([rescale(3), topic.append(step(1)), topic.append(step(2))])
    const [down] = await Promise.all([rescale(1), topic.append(step(3)), topic.append(step(4))])
    expect([up.redeploy, down.redeploy].map((redeploy) => redeploy!.outcome)).toEqual(['done', 'done'])
    expect(down.summary.parallelism).toBe(1)

    // Killed on the way: the wish is stored, the next process carries it out.
    const cut = rescale(2).catch(() => null)
    await expect
      .poll(async () => (await server.client.control.describe('engagement')).redeploys[0]?.outcome, { interval: 1 })
      .toBe('pending')
    await Promise.all([server.kill(), topic.append(step(5))])
    await cut
    await server.restart()
    await untilState(server.client, 'engagement', 'RUNNING')
    await topic.append(step(6))

    const changed = JSON.parse(job) as { metrics: object[] }
    changed.metrics.unshift({ id: 'later', count: {}, window: { tumbling: '1d' } })
    const document = { kind: 'text', text: JSON.stringify(changed) } as const
    const compared = await server.client.control.upgrade(document, { dropState: [], dryRun: true })
    expect(compared.changes.filter(({ kind }) => kind === 'metric').map(({ change }) => change)).toEqual(
      expect.arrayContaining(['kept', 'new']),
    )
    await server.client.control.upgrade(document, { dropState: [], dryRun: false })
    await topic.append(step(7))
    await topic.append(filled.map(() => [makeEvent({ person: 'end', timeMs: END_MS, name: 'end' })]))
    await untilRead(server.client, 'engagement', ECOM_ROWS + PARTITIONS)
    await expect
      .poll(() => engagementDifferences(server.client, 'engagement', expected, END_MS - DAY_MS), { timeout: 20_000 })
      .toEqual([])
    await server.client.control.triggerCheckpoint('engagement')
    const { redeploys, job: summary } = await server.client.control.describe('engagement')
    expect(redeploys.map(({ outcome, toParallelism }) => [outcome, toParallelism])).toEqual([
      ['done', 2],
      ['done', 2],
      ['done', 1],
      ['done', 3],
    ])
    expect([summary?.parallelism, summary?.events?.late]).toEqual([2, 0])
    await server.client.control.stop('engagement')
    await expectOnce(server.logRoot)
  } finally {
    await server.stop()
    await access.close()
  }
})

/** Each final value of the oracle is in the output, once. */
async function expectOnce(logRoot: string): Promise<void> {
  const lines: string[] = []
  for (const values of (await readLogTopic(logRoot, 'results')).values()) {
    for (const bytes of values) {
      const value = MetricValue.decode(bytes)
      if (value.windowStart!.getTime() >= END_MS - DAY_MS || value.metric === 'later') continue
      const bounds = `${value.windowStart!.toISOString()}..${value.windowEnd!.toISOString()}`
      const number = value.value?.$case === 'intValue' ? value.value.value : Number.NaN
      const group = JSON.stringify(value.dimensions.map((dimension) => dimension.value))
      lines.push(`${value.metric} ${bounds} ${group} = ${number}`)
    }
  }
  expect(lines.sort()).toEqual([...expected.values()].flat().sort())
}
