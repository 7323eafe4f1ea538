/** Ratios of a simulated job: what queries answer, and that a watch ends with the same, whatever changes on either side. */
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
const startMs = Math.ceil(1_700_000_000_000 / (24 * HOUR)) * 24 * HOUR

const metrics = `
  { id: hourly, activeUsers: {}, window: { tumbling: 1h }, allowedLateness: 12h },
  { id: daily, activeUsers: {}, window: { sliding: 24h, slide: 1h }, allowedLateness: 12h },
  { id: buyers, activeUsers: {}, where: name == 'purchase', by: [platform], window: { tumbling: 1h }, allowedLateness: 12h },
  { id: views, count: {}, by: [platform], window: { tumbling: 1h }, allowedLateness: 12h },
  { id: stickiness, ratio: { of: hourly, to: daily } },
  { id: adoption, ratio: { of: buyers, to: hourly, scale: 100 } },
  { id: each, ratio: { of: views, to: hourly } }
`

const everything: Omit<MetricQuery, 'metric'> = {
  ...{ job: 'followed', filters: new Map(), groupBy: null, limit: 10_000, latest: false },
  ...{ fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY },
}

const nameOf = (value: MetricValue): string => JSON.stringify([value.windowEndMs, ...value.dimensions])

it.each([1, 2, 3])('a ratio is its metrics divided, and a watch ends with what a query says: seed %i', async (seed) => {
  const random = new SeededRandom(seed)
  const chance = (): number => random.nextUint32() / 2 ** 32
  const topic = new MemoryTopic('events', 2, random)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors: builtInDescriptors() })
  const { scheduler } = simulation
  const queries = createQueryService(jobViews(simulation.manager), scheduler, 10)
  const append = (count: number, fromHour: number, hours: number): void => {
    for (let i = 0; i < count; i++) {
      const timeMs = startMs + Math.floor((fromHour + chance() * hours) * HOUR)
      const person = `p${Math.floor(chance() * 8)}`
      const name = chance() < 0.2 ? 'purchase' : 'page_view'
      const { value } = makeEvent({ person, timeMs, name, platform: chance() < 0.5 ? 'ios' : 'web' })
      topic.append(i % 2, [{ key: null, value, timestampMs: startMs }])
    }
  }
  const read = (metric: string, more: Partial<MetricQuery> = {}) =>
    simulation.settle(queries.query({ ...everything, ...more, metric }))

  const told = ['stickiness', 'adoption', 'each'].map((metric) => {
    const values = new Map<string, MetricValue>()
    const onValues = ({ values: changed }: { values: readonly MetricValue[] }): void => {
      for (const value of changed) values.set(nameOf(value), value)
    }
    return { metric, values, onValues }
  })
  append(60, 0, 6)
  await simulation.submit(followedJob(metrics))
  await simulation.runUntilState('followed', 'RUNNING')
  const stops = told.map(({ metric, onValues }) =>
    queries.watch({ ...everything, metric }, { onValues, onEnd: (error) => expect(error).toBe(null) }),
  )
  const events = async () => (await read('views')).values.reduce((sum, { value }) => sum + value, 0)
  const until = async (count: number): Promise<void> => {
    while ((await events()) < count)
      await simulation.settle(new Promise((done) => scheduler.after(50, () => done(null))))
  }
  await until(60)
  // Time goes on, and then some come late: both sides of windows that are over change.
  append(40, 6, 6)
  await until(100)
  append(30, 2, 8)
  await until(130)

  const byEnd = async (metric: string) => new Map((await read(metric)).values.map((value) => [nameOf(value), value]))
  const [hourly, daily, buyers, views] = [
    await byEnd('hourly'),
    await byEnd('daily'),
    await byEnd('buyers'),
    await byEnd('views'),
  ]
  const expected = {
    stickiness: [...hourly].map(([name, { value }]) => [name, value / daily.get(name)!.value] as const),
    adoption: [...buyers].map(
      ([name, { value, windowEndMs }]) => [name, (value / hourly.get(`[${windowEndMs}]`)!.value) * 100] as const,
    ),
    each: [...views].map(
      ([name, { value, windowEndMs }]) => [name, value / hourly.get(`[${windowEndMs}]`)!.value] as const,
    ),
  }
  for (const { metric, values } of told) {
    const answer = await byEnd(metric)
    const wanted = expected[metric as keyof typeof expected]
    expect(wanted.length).toBeGreaterThan(5)
    expect(new Map([...answer].map(([name, { value }]) => [name, value]))).toEqual(
      // Days that are not over have hours without events, in which nobody was active.
      metric === 'stickiness'
        ? new Map([
            ...[...daily.keys()].filter((name) => !hourly.has(name)).map((name) => [name, 0] as const),
            ...wanted,
          ])
        : new Map(wanted),
    )
    await scheduler.runUntil(
      () =>
        [...answer].every(
          ([name, { value, status }]) => values.get(name)?.value === value && values.get(name)?.status === status,
        ),
      `the values of ${metric}`,
    )
    expect([...values.keys()].sort()).toEqual([...answer.keys()].sort())
    expect(new Set([...answer.values()].map(({ status }) => status)).size).toBeGreaterThan(1)
  }

  // Conditions go to the sides that have the dimension; those on values are about the ratio.
  const web = await read('adoption', { filters: new Map([['platform', 'web']]), values: [{ relation: '>', than: 20 }] })
  expect(web.values.map((value) => [nameOf(value), value.value])).toEqual(
    expected.adoption
      .filter(([name, value]) => name.includes('web') && value > 20)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
  const newest = await read('stickiness', { latest: true, limit: 2 })
  expect(newest).toMatchObject({ truncated: true })
  expect(newest.values).toEqual((await read('stickiness')).values.slice(-2))
  // Views add up over platforms, and their users are those of all of them.
  const total = await read('each', { groupBy: [] })
  expect(total.values.map(({ value, windowEndMs }) => [windowEndMs, value])).toEqual(
    [...hourly.values()].map(({ windowEndMs, value }) => [
      windowEndMs,
      [...views.values()].filter((one) => one.windowEndMs === windowEndMs).reduce((sum, one) => sum + one.value, 0) /
        value,
    ]),
  )
  await expect(read('adoption', { groupBy: [] })).rejects.toMatchObject({ code: 'QUERY_INVALID' })
  for (const stop of stops) stop()
  await simulation.close()
})
