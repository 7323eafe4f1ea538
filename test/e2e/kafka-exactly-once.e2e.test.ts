/**
 * A whole job with a Kafka sink in a process that is killed again and again: a Java client that sees committed records only
 * reads every result of the view once, and no other; no transaction is open.
 */
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { KafkaCluster } from '../../src/source/kafka/kafka-cluster.ts'
import { isOpen, listTransactions } from '../../src/source/kafka/open-transactions.ts'
import { submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { makeEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 2
const STEPS = 24
const KILLS = 5
const PERSONS = 40
const MINUTE_MS = 60_000
const START_MS = Date.UTC(2026, 0, 1)

let access: KafkaAccess
let server: MillraceServer
let prefix: string

beforeAll(async () => {
  prefix = `once-${inject('runId')}`
  access = await KafkaAccess.open('direct', testBrokers(), prefix)
  const env = { MILLRACE_KAFKA_PREFIX: prefix }
  server = await MillraceServer.start({ redisUrl: testRedis(), redisPrefix: prefix, brokers: testBrokers(), env })
})

afterAll(async () => {
  await server?.stop()
  await access?.close()
})

/** A result as text: what it is of, and its value. */
const textOf = (windowStartMs: number, person: string, count: number, revision: number): string =>
  `${new Date(windowStartMs).toISOString()} ${person} ${count} #${revision}`

it.each([1, 2])(
  'parallelism %i',
  async (parallelism) => {
    const name = `once-${parallelism}`
    const events = await createKafkaTopic(access, PARTITIONS)
    const results = await createKafkaTopic(access, 3)
    const job = JSON.stringify({
      ...{ apiVersion: 'millrace.dev/v1', kind: 'Job', metadata: { name } },
      sources: [{ id: 'events', ...events.source() }],
      event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person' },
      watermark: { outOfOrderness: '1s', idleness: '0s' },
      checkpoint: { every: '50ms' },
      parallelism,
      metrics: [{ id: 'views', count: {}, window: { tumbling: '1m' }, by: ['person'] }],
      sinks: [{ id: 'out', kafka: { topic: results.topic } }],
    })
    await submitJob(server.client, job)
    const untilRestored = async () => {
      await untilJob(server.client, name, ({ state }) => state === 'RUNNING')
      return server.client.control.describe(name)
    }
    const random = new SeededRandom(parallelism)
    const kills = new Set<number>()
    while (kills.size < KILLS) kills.add(2 + nextBelow(random, STEPS - 2))
    let written = 0
    for (let step = 0; step < STEPS; step++) {
      const batch = Array.from({ length: PARTITIONS }, (_, partition) =>
        Array.from({ length: 150 }, (_, i) => {
          const person = `p${nextBelow(random, PERSONS)}`
          return makeEvent({ person, timeMs: START_MS + step * MINUTE_MS + i * 400 + partition })
        }),
      )
      await events.append(batch)
      written += batch.flat().length
      await untilJob(server.client, name, ({ state }) => state === 'RUNNING')
      if (!kills.has(step)) {
        await server.client.control.triggerCheckpoint(name)
        continue
      }
      // Anywhere in the step: before it is read, while its results are in the outbox, while they are applied.
      for (let turns = nextBelow(random, 50); turns > 0; turns--) await server.client.control.list()
      await server.kill()
      await server.restart()
      const { restored } = (await untilRestored()).checkpoints!
      expect(restored, 'the job has gone on from a checkpoint').toBeDefined()
    }
    const endMs = START_MS + STEPS * MINUTE_MS + 3_600_000
    const last = Array.from({ length: PARTITIONS }, () => [makeEvent({ person: 'end', timeMs: endMs })])
    await events.append(last)
    await untilRead(server.client, name, written + last.length)
    const view = async (): Promise<string[]> => {
      const values = await valuesOf(server.client, name, 'views')
      const final = values.filter(({ windowStartMs }) => windowStartMs < endMs - MINUTE_MS)
      return final.map((each) => textOf(each.windowStartMs, each.dimensions[0]!, each.value, each.revision)).sort()
    }
    const sink = async (): Promise<string[]> => {
      const lines = await javaRead(testBrokers(), results.topic, 'read_committed')
      const values = lines.map((line) => MetricValue.decode(Buffer.from(line.split('\t')[4]!, 'hex')))
      return values
        .map(({ windowStart, dimensions, value, revision }) => {
          const count = value?.$case === 'intValue' ? Number(value.value) : Number.NaN
          return textOf(windowStart!.getTime(), dimensions[0]!.value, count, revision)
        })
        .sort()
    }
    const expected = await view()
    expect(expected.length).toBeGreaterThan(STEPS * PERSONS * 0.9)
    await expect.poll(async () => (await sink()).length, { timeout: 120_000 }).toBeGreaterThanOrEqual(expected.length)
    // Another epoch or two: what would come twice has come by then.
    for (let i = 0; i < 2; i++) await server.client.control.triggerCheckpoint(name)
    expect(await sink()).toEqual(expected)
    await server.client.control.stop(name)
    expect(await sink()).toEqual(expected)
    const cluster = new KafkaCluster({ brokers: testBrokers().split(',') })
    await cluster.metadata(results.topic)
    const listed = await listTransactions(cluster, ({ transactionalId }) => transactionalId === `${prefix}/${name}/out`)
    await cluster.close()
    expect(listed).toHaveLength(1)
    expect(listed.filter(({ state }) => isOpen(state))).toEqual([])
  },
  240_000,
)
