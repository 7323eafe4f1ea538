/** Answers of a simulated job about a metric with a cap on its groups. */
import { expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import { jobViews } from '../../src/query/job-views.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { createQueryService } from '../../src/query/service.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { makeEvent } from '../support/events.ts'
import { followedJob } from './support/followed.ts'

const HOUR = 3_600_000
const startMs = Math.ceil(1_700_000_000_000 / HOUR) * HOUR

const by = 'by: [name, platform], window: { tumbling: 1h }, maxGroups: 3'
const metrics = `
  { id: views, count: {}, ${by} },
  { id: persons, activeUsers: {}, ${by} },
  { id: hourly, activeUsers: {}, window: { tumbling: 1h } },
  { id: share, ratio: { of: persons, to: hourly } }
`

it('shows the groups with the most events, the rest as one, and late events and rescaling change which those are', async () => {
  const topic = new MemoryTopic('events', 2, new SeededRandom(1))
  const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors: builtInDescriptors() })
  const queries = createQueryService(jobViews(simulation.manager), simulation.scheduler, 10)
  const append = (name: string, platform: string, count: number, persons = count): void => {
    for (let i = 0; i < count; i++) {
      const { value } = makeEvent({ person: `p${i % persons}`, timeMs: startMs + i, name, platform })
      topic.append(i % 2, [{ key: null, value, timestampMs: startMs }])
    }
  }
  const range = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY }
  const ask = (metric: string, more: Partial<MetricQuery> = {}): MetricQuery => {
    return { job: 'followed', metric, ...range, filters: new Map(), groupBy: null, limit: 100, latest: false, ...more }
  }
  const read = async (metric: string, more: Partial<MetricQuery> = {}) => {
    const { values } = await simulation.settle(queries.query(ask(metric, more)))
    return values.map(({ dimensions, value, eventCount, otherGroups }) => [
      dimensions.join(),
      value,
      eventCount,
      otherGroups ?? 0,
    ])
  }
  append('a', 'web', 5)
  append('b', 'web', 4)
  append('other', '', 3)
  append('', '', 2, 1)
  append('c', 'ios', 2, 1)
  append('d', 'ios', 1)
  await simulation.submit(followedJob(metrics))
  await simulation.runUntilState('followed', 'RUNNING')
  const told: MetricValue[] = []
  const stop = queries.watch(ask('views'), { onValues: ({ values }) => told.push(...values), onEnd: () => {} })
  await simulation.scheduler.runUntil(() => told.reduce((sum, { value }) => sum + value, 0) >= 17, 'all events')

  expect(await read('views')).toEqual([
    ['a,web', 5, 5, 0],
    ['b,web', 4, 4, 0],
    ['other,', 3, 3, 0],
    [',', 5, 5, 3],
  ])
  // Of persons in several groups it is not known how many they are.
  expect((await read('persons')).at(-1)).toEqual([',', Number.NaN, 5, 3])
  // Conditions come first: the cap is of what passes. Those on values are about what is shown.
  expect(await read('views', { filters: new Map([['platform', 'ios']]) })).toEqual([
    ['c,ios', 2, 2, 0],
    ['d,ios', 1, 1, 0],
  ])
  expect(await read('views', { values: [{ relation: '>', than: 4 }] })).toEqual([
    ['a,web', 5, 5, 0],
    [',', 5, 5, 3],
  ])
  // Totals are capped as totals, and the top is that of all groups.
  expect(await read('views', { groupBy: ['name'] })).toEqual([
    ['a', 5, 5, 0],
    ['b', 4, 4, 0],
    ['other', 3, 3, 0],
    ['', 5, 5, 3],
  ])
  expect(await read('views', { groupBy: ['platform'] })).toEqual([
    ['', 5, 5, 0],
    ['ios', 3, 3, 0],
    ['web', 9, 9, 0],
  ])
  expect(await read('views', { top: { count: 4, ascending: false } })).toHaveLength(4)
  expect(await read('views', { latest: true, limit: 2 })).toEqual([
    ['other,', 3, 3, 0],
    [',', 5, 5, 3],
  ])
  // A ratio divides groups, and has no rest.
  expect(await read('share')).toHaveLength(6)
  // A watch tells the groups themselves.
  expect(new Set(told.map(({ dimensions }) => dimensions.join()))).toHaveLength(6)
  expect(told.some(({ otherGroups }) => otherGroups !== undefined)).toBe(false)

  append('d', 'ios', 9)
  await simulation.scheduler.runUntil(() => told.at(-1)?.value === 10, 'the late ones')
  const after = [
    ['a,web', 5, 5, 0],
    ['b,web', 4, 4, 0],
    ['d,ios', 10, 10, 0],
    [',', 7, 7, 3],
  ]
  expect(await read('views')).toEqual(after)
  await simulation.settle(simulation.manager.rescale('followed', 3))
  await simulation.runUntilState('followed', 'RUNNING')
  expect(await read('views')).toEqual(after)
  stop()
  await simulation.close()
})
