/**
 * Deduplication over a real broker and Redis: the server is killed between the copies of events, comes back at another
 * parallelism, and still knows every id that it had counted.
 */

import { beforeAll, expect, inject, it } from 'vitest'
import { accountedFor } from '../../src/control/api.ts'
import { sampleWithCopies } from '../support/copies.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, untilJob, untilRead } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences } from '../support/engine-numbers.ts'
import { engagementJob, makeEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const PARTITIONS = 4
const STEPS = 6
const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

it('counts each event once over kills and a rescale', async () => {
  const prefix = `dedupe-${inject('runId')}`
  const access = await KafkaAccess.open('direct', testBrokers(), prefix)
  const server = await MillraceServer.start({ redisUrl: testRedis(), redisPrefix: prefix, brokers: testBrokers() })
  try {
    const topic = await createKafkaTopic(access, PARTITIONS)
    const { partitions, copies } = sampleWithCopies(PARTITIONS, 'uuids', 20 * 3_600_000, 41)
    const job = engagementJob({
      name: 'engagement',
      source: topic.source(),
      checkpoint: { every: '40ms' },
      watermark: { outOfOrderness: '5s', idleness: '0s' },
      dedupe: { by: 'event_id', within: '2d' },
      parallelism: 2,
    })
    await submitJob(server.client, job)
    for (let step = 0; step < STEPS; step++) {
      const part = partitions.map((events) => {
        const at = (share: number): number => Math.floor((events.length * share) / STEPS)
        return events.slice(at(step), at(step + 1))
      })
      await topic.append(part)
      if (step === 1 || step === 4) {
        await untilJob(server.client, 'engagement', ({ events }) => events.read > (ECOM_ROWS * step) / STEPS)
        await server.client.control.triggerCheckpoint('engagement')
        await server.kill()
        await server.restart()
      }
      if (step === 2) await server.client.control.rescale('engagement', 3)
      await untilJob(server.client, 'engagement', ({ state }) => state === 'RUNNING')
    }
    const end = makeEvent({ person: 'end', timeMs: END_MS, name: 'end' })
    await topic.append(Array.from({ length: PARTITIONS }, () => [end]))
    const written = ECOM_ROWS + copies + PARTITIONS
    const { events, attempt } = await untilRead(server.client, 'engagement', written)
    expect(attempt).toBeGreaterThan(3)
    expect(events).toMatchObject({ applied: ECOM_ROWS + PARTITIONS, late: 0, deduplicated: copies, dedupeForgotten: 0 })
    expect(accountedFor(events)).toBe(written)
    await expect
      .poll(() => engagementDifferences(server.client, 'engagement', expected, END_MS - DAY_MS), { timeout: 10_000 })
      .toEqual([])
    await server.client.control.cancel('engagement')
  } finally {
    await server.stop()
    await access.close()
  }
})
