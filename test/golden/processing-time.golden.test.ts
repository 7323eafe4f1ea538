/** Windows of processing time and early results in a whole engine: they come by the clock, while the input stands still. */
import { describe, expect, it } from 'vitest'
import { MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import { engineForTest, submitJob } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { makeEvent } from '../support/events.ts'
import { createLogTopic, readLogTopic } from '../support/events-log.ts'

const EVENTS = 300

describe('a job by the clock', () => {
  it('fires windows and tells early results without a watermark that moves', { timeout: 60_000 }, async () => {
    const engine = await engineForTest({ threads: 2 })
    const log = createLogTopic(engine.logRoot, 'clock', 2)
    await createLogTopic(engine.logRoot, 'results', 8).close()
    const name = await submitJob(
      engine.client,
      `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: clock }
sources: [${JSON.stringify({ id: 'events', ...log.source() })}]
event: { message: millrace.v1.Event, time: occurred_at, key: person }
parallelism: 2
metrics:
  - { id: by_person, count: {}, by: [person], window: { tumbling: 200ms, time: processing } }
  - { id: by_platform, activeUsers: {}, by: [platform], window: { tumbling: 200ms, time: processing } }
  - { id: sliding, count: {}, by: [platform], window: { sliding: 400ms, slide: 200ms, time: processing } }
  - { id: today, count: {}, by: [platform], window: { tumbling: 1d }, early: 100ms }
sinks: [{ id: results, log: ${JSON.stringify({ path: engine.logRoot, topic: 'results' })} }]
`,
    )
    const timeMs = Date.UTC(2024, 0, 2)
    const events = Array.from({ length: EVENTS }, (_, i) => makeEvent({ person: `p${i}`, timeMs: timeMs + i }))
    await log.append([events.slice(0, EVENTS / 2), events.slice(EVENTS / 2)])
    const total = async (id: string): Promise<number> => {
      const values = await valuesOf(engine.client, name, id)
      return values.filter(({ status }) => status === 'final').reduce((sum, { value }) => sum + value, 0)
    }
    await expect.poll(() => total('by_person'), { timeout: 20_000 }).toBe(EVENTS)
    await expect.poll(() => total('by_platform'), { timeout: 20_000 }).toBe(EVENTS)
    // Each event is in two windows.
    await expect.poll(() => total('sliding'), { timeout: 20_000 }).toBe(2 * EVENTS)
    const early = async (): Promise<unknown> => {
      const records = [...(await readLogTopic(engine.logRoot, 'results')).values()].flat()
      const last = records.map((value) => MetricValue.decode(value)).findLast(({ metric }) => metric === 'today')
      return last && [last.status, last.revision, last.value?.value]
    }
    await expect.poll(early, { timeout: 20_000 }).toEqual([ValueStatus.VALUE_STATUS_PROVISIONAL, 0, EVENTS])
    await engine.client.control.cancel(name)
    await log.close()
  })
})
