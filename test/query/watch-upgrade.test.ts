/** A watch over upgrades and rescales of its job: it waits, finds its metric again wherever it is now, and ends when it is gone. */
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

const definitionOf = (metrics: string, parallelism = 2) =>
  parseJob(
    `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: followed }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { maxFuture: 36500d }
checkpoint: { every: 20ms }
parallelism: ${parallelism}
metrics: [${metrics}]
`,
    descriptors,
  ).definition

const views = '{ id: views, count: {}, window: { tumbling: 1h } }'
const people = '{ id: people, activeUsers: {}, window: { tumbling: 1h }, by: [platform] }'
const other = '{ id: views, sum: { field: revenue_minor }, window: { tumbling: 1h } }'

it('a watch goes on over an upgrade and a rescale, and ends when its metric is gone or means something else', async () => {
  const topic = new MemoryTopic('events', 2, new SeededRandom(1))
  const append = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const { value } = makeEvent({ person: `p${i}`, timeMs: startMs + i })
      topic.append(i % 2, [{ key: null, value, timestampMs: startMs }])
    }
  }
  const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors })
  const { scheduler, manager } = simulation
  const queries = createQueryService(jobViews(manager), scheduler, 10)
  const open = (metric: string) => {
    const seen = { waits: [] as (string | null)[], values: [] as number[], ends: [] as (MillraceError | null)[] }
    const query = { job: 'followed', metric, filters: new Map(), groupBy: null, limit: 100, latest: false }
    const range = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }
    queries.watch(
      { ...query, ...range },
      {
        onValues: (answer) => seen.values.push(...answer.values.map(({ value }) => value)),
        onWaiting: (why) => seen.waits.push(why),
        onEnd: (error) => seen.ends.push(error),
      },
    )
    return seen
  }
  const upgrade = async (metrics: string, dropState: readonly string[] = []): Promise<void> => {
    const submission = { definition: definitionOf(metrics), schema: null, text: '' }
    const { record } = await simulation.settle(manager.upgrade(submission, { dropState, dryRun: false }))
    expect(record?.outcome).toBe('done')
  }
  const until = (seen: ReturnType<typeof open>, value: number) =>
    scheduler.runUntil(() => seen.values.at(-1) === value, `the value ${value}`)

  append(10)
  await simulation.submit(definitionOf(views))
  const first = open('views')
  await until(first, 10)

  // Another metric comes before it, in a table of its own.
  await upgrade(`${people}, ${views}`)
  append(6)
  await until(first, 16)
  const second = open('people')
  await until(second, 6)
  await simulation.settle(manager.rescale('followed', 3))
  append(4)
  await until(first, 20)
  expect(first.waits.at(-1)).toBe(null)
  expect([...first.ends, ...second.ends]).toEqual([])
  // What a watch tells never goes back but by a change of attempt, and none is here that lost anything.
  expect(first.values).toEqual(first.values.toSorted((a, b) => a - b))

  await upgrade(views, ['people'])
  await scheduler.runUntil(() => second.ends.length > 0, 'the end of what is gone')
  expect(second.ends).toMatchObject([{ code: 'METRIC_NOT_FOUND' }])
  append(2)
  await until(first, 22)
  await upgrade(other, ['views'])
  await scheduler.runUntil(() => first.ends.length > 0, 'the end of what means something else')
  expect(first.ends).toMatchObject([{ code: 'QUERY_INVALID' }])
  await simulation.close()
})
