/**
 * The main job run whole, and stopped with a savepoint in its middle and resumed at parallelism 3 by another server: the
 * same final rows, which are the batch oracle's.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import {
  type EngagementMetric,
  engagementDifferences,
  engagementMetricIds,
  valuesOf,
} from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'

const PARTITIONS = 3

let expected: ReadonlyMap<EngagementMetric, readonly string[]>

beforeAll(async () => {
  expected = await expectedNumbers()
})

/** All that is final of a value: everything but the attempt. */
function rowsOf(values: Awaited<ReturnType<typeof valuesOf>>): string[] {
  return values
    .map(({ windowStartMs, windowEndMs, dimensions, value, status, revision, eventCount, lateCount }) =>
      JSON.stringify([windowStartMs, windowEndMs, dimensions, value, status, revision, eventCount, lateCount]),
    )
    .sort()
}

describe('the main job', () => {
  it.each([1, 2])(
    'stopped with a savepoint at parallelism %d and resumed at 3 ends as run whole',
    async (parallelism) => {
      const folder = folderForTest('golden-savepoints')
      const env = { MILLRACE_SAVEPOINT_DIR: folder }
      const first = await engineForTest({ threads: 2, env })
      const log = createLogTopic(first.logRoot, `events-${parallelism}`, PARTITIONS)
      const filled = fillPartitions(engagementEvents(), PARTITIONS, 'hash').map((list, i) =>
        shuffleWithin(list, 5000, i),
      )
      const jobOf = (name: string, bounded: boolean, at: number) =>
        engagementJob({
          ...{ name, parallelism: at, source: log.source({ bounded }) },
          watermark: { outOfOrderness: '5s', idleness: '0s' },
        })
      await submitJob(first.client, jobOf('main', false, parallelism))
      await log.append(filled.map((list) => list.slice(0, list.length >> 1)))
      await untilRead(first.client, 'main', 1)
      // The rest is on its way when it stops: the savepoint falls wherever it falls.
      const rest = log.append(filled.map((list) => list.slice(list.length >> 1)))
      await first.client.control.stop('main', { savepoint: 'middle', drain: false })
      await rest
      await log.close()
      await submitJob(first.client, jobOf('whole', true, 2))
      await untilJob(first.client, 'whole', ({ state }) => state === 'FINISHED')

      const second = await engineForTest({ threads: 3, env })
      const wish = { savepoint: 'middle', claim: false, dropState: [] }
      await second.client.control.submit({ kind: 'text', text: jobOf('main', true, 3) }, wish)
      await untilJob(second.client, 'main', ({ state }) => state === 'FINISHED')
      expect(await engagementDifferences(second.client, 'main', expected)).toEqual([])
      for (const id of engagementMetricIds) {
        const whole = rowsOf(await valuesOf(first.client, 'whole', id))
        expect(whole.length).toBeGreaterThan(0)
        expect(rowsOf(await valuesOf(second.client, 'main', id)), id).toEqual(whole)
      }
      const { events } = await untilRead(second.client, 'main', ECOM_ROWS)
      expect(events).toMatchObject({ read: ECOM_ROWS, late: 0, deadLettered: 0, lost: 0 })
    },
  )
})
