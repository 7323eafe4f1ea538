/**
 * A broker or a Redis that is down at the start or for a while later: the job says why, no partition looks idle, nothing
 * is lost, and it goes on by itself.
 */

import { describe, expect, inject, it, onTestFinished } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import { systemClock } from '../../src/core/system.ts'
import { createClient } from '../../src/rpc/client.ts'
import {
  engineForTest,
  folderForTest,
  submitJob,
  summaryOf,
  untilJob,
  untilRead,
  untilState,
} from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementJob, makeEvent, type SampleEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { createLogTopic } from '../support/events-log.ts'
import { testBrokers } from '../support/infra.ts'
import { freePort } from '../support/infra-process.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { startKafkaProxy } from '../support/kafka-proxy.ts'
import { startRedis } from '../support/redis.ts'

const NOON_MS = Date.UTC(2024, 2, 10, 12)
const SECOND_MS = 1000
const metrics = [{ id: 'views', count: {}, window: { tumbling: '1m' } }]

const at = (seconds: number): SampleEvent => makeEvent({ person: `p${seconds}`, timeMs: NOON_MS + seconds * SECOND_MS })
const range = (from: number, to: number): SampleEvent[] => Array.from({ length: to - from }, (_, i) => at(from + i))

describe('a broker that is down', () => {
  it('at the start: the job waits, says for what, and reads all when it comes', async () => {
    const proxy = await startKafkaProxy(testBrokers().split(',')[0]!)
    onTestFinished(() => proxy.close())
    proxy.refuse = true
    const access = await KafkaAccess.open('direct', testBrokers(), `down-${inject('runId')}`)
    onTestFinished(() => access.close())
    const topic = await createKafkaTopic(access, 2)
    await topic.append([range(0, 50), range(0, 50)])
    const engine = await engineForTest({ brokers: proxy.brokers })
    const job = engagementJob({ name: 'waits', source: topic.source(), metrics })
    await submitJob(engine.client, job)
    const waiting = await untilState(engine.client, 'waits', 'RESTARTING')
    expect(waiting.reason).toMatch(/BROKER_UNREACHABLE: .*127\.0\.0\.1.*attempt \d+ follows in/)
    expect(waiting.events.read).toBe(0)
    proxy.refuse = false
    const { events } = await untilRead(engine.client, 'waits', 100)
    expect(events).toMatchObject({ read: 100, applied: 100, late: 0 })
  })

  it('for longer than the idleness later: no partition is taken for idle, and nothing is late or lost', async () => {
    const proxy = await startKafkaProxy(testBrokers().split(',')[0]!)
    onTestFinished(() => proxy.close())
    const access = await KafkaAccess.open('direct', testBrokers(), `outage-${inject('runId')}`)
    onTestFinished(() => access.close())
    const topic = await createKafkaTopic(access, 2)
    const engine = await engineForTest({ brokers: proxy.brokers })
    const { client } = engine
    const watermark = { outOfOrderness: '5s', idleness: '2s' }
    const checkpoint = { every: '100ms' }
    await submitJob(client, engagementJob({ name: 'outage', source: topic.source(), metrics, watermark, checkpoint }))
    // Partition 0 is ten minutes ahead of partition 1, which is fed until the moment of the cut.
    await topic.append([range(0, 600), range(0, 10)])
    let fed = 10
    await untilJob(client, 'outage', async ({ events }) => {
      await topic.append([[], [at(fed++)]])
      return events.read > 610
    })
    proxy.refuse = true
    proxy.kill()

    // A job on a quiet partition of the log measures the time that must pass: it is idle, so the outage is longer.
    const quiet = createLogTopic(engine.logRoot, 'quiet', 1)
    onTestFinished(() => quiet.close())
    await quiet.append([[at(0)]])
    await submitJob(client, engagementJob({ name: 'quiet', source: quiet.source(), metrics, watermark }))
    await untilJob(client, 'quiet', async () => {
      const { partitions } = await client.control.describe('quiet')
      return partitions.length === 1 && partitions[0]!.idle
    })
    const { partitions, job } = await client.control.describe('outage')
    expect(partitions.map(({ reachable, idle }) => [reachable, idle])).toEqual([
      [false, false],
      [false, false],
    ])
    // The watermark is that of the slow partition: nothing has pushed it on.
    expect(job!.watermark!.getTime()).toBeLessThan(NOON_MS + fed * SECOND_MS)

    // What comes meanwhile is minutes behind partition 0, and on time.
    await topic.append([[], range(fed, 600)])
    proxy.refuse = false
    const written = 600 + 600
    const { events, state } = await untilRead(client, 'outage', written)
    expect(events).toMatchObject({ read: written, applied: written, late: 0, lost: 0 })
    expect(state).toBe('RUNNING')
    const values = await valuesOf(client, 'outage', 'views')
    expect(values.map(({ value }) => value)).toEqual(Array.from({ length: 10 }, () => 120))
  })
})

describe('a Redis that is down', () => {
  it('at the start: the server waits, says for what, and takes jobs when it comes', async () => {
    const redis = await startRedis({ own: true })
    onTestFinished(() => redis.stop())
    await redis.kill()
    const grpcPort = await freePort()
    // It serves before it has its store, and is not said to have started for as long as it may still come.
    const starting = engineForTest({ redisUrl: redis.url, grpcPort })
    const log = createLogTopic(folderForTest('topics'), 'events', 1)
    onTestFinished(() => log.close())
    await log.append([range(0, 20)])
    const job = engagementJob({ name: 'early', source: log.source(), metrics })
    const early = createClient({ address: `127.0.0.1:${grpcPort}`, clock: systemClock })
    onTestFinished(() => early.close())
    const said = async (): Promise<string> => {
      const error = await early.control.submit({ kind: 'text', text: job }).catch((thrown: MillraceError) => thrown)
      return error instanceof Error ? `${error.code}: ${error.message}` : 'submitted'
    }
    await expect
      .poll(said, { timeout: 10_000 })
      .toMatch(/^UNAVAILABLE: jobs are being recovered: Redis at 127\.0\.0\.1:\d+ did not answer .*check that it runs/)
    await redis.restart()
    const engine = await starting
    await submitJob(engine.client, job)
    expect((await untilRead(engine.client, 'early', 20)).events.applied).toBe(20)
  })

  it('for longer than a checkpoint later: the job reads on, says what fails, and makes checkpoints again', async () => {
    const redis = await startRedis({ own: true })
    onTestFinished(() => redis.stop())
    const engine = await engineForTest({ redisUrl: redis.url })
    const { client } = engine
    const log = createLogTopic(folderForTest('topics'), 'events', 2)
    onTestFinished(() => log.close())
    const checkpoint = { every: '100ms' }
    await submitJob(client, engagementJob({ name: 'steady', source: log.source(), metrics, checkpoint }))
    await log.append([range(0, 100), range(0, 100)])
    await untilRead(client, 'steady', 200)
    const before = await client.control.triggerCheckpoint('steady')
    await redis.kill()
    await log.append([range(100, 200), range(100, 200)])
    // At least two checkpoints cannot be made.
    await untilJob(client, 'steady', async () => {
      const { checkpoints } = await client.control.describe('steady')
      return checkpoints!.failed >= 2 && /STORE_UNREACHABLE|Redis/i.test(checkpoints!.lastFailure)
    })
    // Live numbers do not wait for the store.
    await untilRead(client, 'steady', 400)
    expect((await summaryOf(client, 'steady')).state).toBe('RUNNING')
    await redis.restart()
    await untilJob(client, 'steady', async () => {
      const { checkpoints } = await client.control.describe('steady')
      return (checkpoints!.latest?.id ?? 0) > before.id
    })
    await log.append([range(200, 300), range(200, 300)])
    const { events, restarts } = await untilRead(client, 'steady', 600)
    expect(events).toMatchObject({ read: 600, applied: 600, late: 0 })
    expect(restarts).toBe(0)
    const values = await valuesOf(client, 'steady', 'views')
    expect(values.map(({ value }) => value)).toEqual(Array.from({ length: 5 }, () => 120))

    // And what it wrote since is good: a new server goes on from it.
    const { checkpointId } = await client.control.stop('steady')
    expect(checkpointId).toBeGreaterThan(before.id)
    await engine.close()
    const next = await engineForTest({ redisUrl: redis.url })
    await expect.poll(async () => (await next.client.control.list()).map(({ name }) => name)).toEqual(['steady'])
    await log.append([range(300, 360), range(300, 360)])
    await submitJob(next.client, engagementJob({ name: 'steady', source: log.source(), metrics, checkpoint }))
    const after = await untilRead(next.client, 'steady', 720)
    expect(after.events).toMatchObject({ read: 720, applied: 720, late: 0 })
    const again = await valuesOf(next.client, 'steady', 'views')
    expect(again.map(({ value }) => value)).toEqual(Array.from({ length: 6 }, () => 120))
  })
})
