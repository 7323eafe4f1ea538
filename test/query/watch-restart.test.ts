/** Watches over the life of a whole simulated job: they wait while it starts and restarts, and end when it rests for good. */
import { expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import type { MillraceError } from '../../src/core/errors.ts'
import { parseJob } from '../../src/job/parse.ts'
import { jobViews } from '../../src/query/job-views.ts'
import { createQueryService } from '../../src/query/service.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { makeEvent } from '../support/events.ts'

const descriptors = builtInDescriptors()
const startMs = 1_700_000_000_000

it('opened while a job starts or restarts, a watch says that it waits, delivers, and ends when the job is stopped', async () => {
  const topic = new MemoryTopic('events', 2, new SeededRandom(1))
  const append = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const { value } = makeEvent({ person: `p${i}`, timeMs: startMs + i })
      topic.append(i % 2, [{ key: null, value, timestampMs: startMs }])
    }
  }
  append(10)
  const { definition } = parseJob(
    `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: followed }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { maxFuture: 36500d }
checkpoint: { every: 20ms }
parallelism: 2
metrics: [{ id: views, count: {}, window: { tumbling: 1h } }]
`,
    descriptors,
  )
  const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors })
  const { scheduler, manager } = simulation
  const queries = createQueryService(jobViews(manager), scheduler, 10)
  const open = () => {
    const seen = { waits: [] as (string | null)[], values: [] as number[], ends: [] as (MillraceError | null)[] }
    const query = { job: 'followed', metric: 'views', filters: new Map(), groupBy: null, limit: 100, latest: false }
    const range = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }
    queries.watch(
      { ...query, ...range },
      {
        onValues: ({ values }) => seen.values.push(...values.map(({ value }) => value)),
        onWaiting: (why) => seen.waits.push(why),
        onEnd: (error) => seen.ends.push(error),
      },
    )
    return seen
  }

  await simulation.submit(definition)
  expect(simulation.status('followed').state).not.toBe('RUNNING')
  const early = open()
  await scheduler.runUntil(() => early.values.at(-1) === 10, 'the values')
  expect(early.waits.length).toBeGreaterThanOrEqual(2)
  expect(early.waits[0]).toMatch(/^job followed is /)
  expect(early.waits.at(-1)).toBe(null)

  simulation.workers.crash(0)
  await simulation.runUntilState('followed', 'RESTARTING')
  const late = open()
  append(5)
  await scheduler.runUntil(
    () => late.values.at(-1) === 15 && early.values.at(-1) === 15,
    'the values of the next attempt',
  )
  expect(late.waits[0]).toMatch(/^job followed is /)
  expect([...early.ends, ...late.ends]).toEqual([])

  const stopped = manager.stop('followed')
  await scheduler.runUntil(() => early.ends.length + late.ends.length === 2, 'the ends of the watches')
  await stopped
  for (const { ends } of [early, late]) expect(ends).toMatchObject([{ code: 'UNAVAILABLE', retry: 'never' }])
  await simulation.close()
})
