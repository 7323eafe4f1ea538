/**
 * The main job over the sample in which every event is sent one to three times, with `dedupe`: every number of every metric
 * is that of the batch oracle over the events alone.
 */

import { afterAll, beforeAll, expect, it } from 'vitest'
import { accountedFor } from '../../src/control/api.ts'
import { sampleWithCopies } from '../support/copies.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { openEngine, submitJob, type TestEngine, untilJob, untilRead } from '../support/engine.ts'
import { type EngagementMetric, engagementDifferences } from '../support/engine-numbers.ts'
import { engagementJob } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'

const HOUR_MS = 3_600_000

let expected: ReadonlyMap<EngagementMetric, readonly string[]>
let engine: TestEngine

beforeAll(async () => {
  expected = await expectedNumbers()
  engine = await openEngine({ threads: 2 })
})

afterAll(async () => {
  await engine?.close()
})

it.each([
  { ids: 'rows', parallelism: 1, partitions: 1 },
  { ids: 'rows', parallelism: 2, partitions: 4 },
  { ids: 'uuids', parallelism: 3, partitions: 4 },
] as const)(
  'ids of $ids, $partitions partitions, parallelism $parallelism',
  async ({ ids, parallelism, partitions }) => {
    const { partitions: sent, copies } = sampleWithCopies(partitions, ids, 20 * HOUR_MS, parallelism)
    const log = createLogTopic(engine.logRoot, `copies-${ids}-${parallelism}`, partitions)
    await log.append(sent)
    await log.close()
    const job = engagementJob({
      name: `copies-${ids}-${parallelism}`,
      source: log.source({ bounded: true }),
      watermark: { outOfOrderness: '5s' },
      dedupe: { by: 'event_id', within: '2d' },
      parallelism,
    })
    const name = await submitJob(engine.client, job)
    await untilJob(engine.client, name, ({ state }) => state === 'FINISHED')
    expect(await engagementDifferences(engine.client, name, expected)).toEqual([])
    const { events } = await untilRead(engine.client, name, ECOM_ROWS + copies)
    expect(events).toMatchObject({ applied: ECOM_ROWS, late: 0, filtered: 0, deduplicated: copies, dedupeForgotten: 0 })
    expect(accountedFor(events)).toBe(ECOM_ROWS + copies)
    await engine.client.control.cancel(name)
  },
)
