/** What a job knows of one person: what they alone come to, and their timeline. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import type { QueryApi } from '../../src/query/api.ts'
import { jobViews } from '../../src/query/job-views.ts'
import type { KeyQuery, KeyResult } from '../../src/query/key-api.ts'
import { createQueryService } from '../../src/query/service.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { allOf } from '../support/engine-numbers.ts'

const DAY_MS = 86_400_000
const MONDAY_MS = Date.UTC(2024, 2, 11)

const document = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
watermark: { outOfOrderness: 1h }
parallelism: 2
metrics:
  - { id: checkout, window: { calendar: day }, by: [platform], allowedLateness: 10d, funnel: { within: 1d, steps: [
      { where: "name == 'cart'" }, { where: "name == 'pay'" }, { where: "name == 'thanks'" }] } }
  - { id: states, window: { calendar: day }, allowedLateness: 10d, lifecycle: { lookback: 30d } }
  - { id: weekly, activeUsers: {}, window: { sliding: 7d, slide: 1d }, allowedLateness: 10d }
  - { id: visits, window: { calendar: day }, allowedLateness: 10d, sessions: { gap: 30m } }
  - { id: mine, count: {}, window: { calendar: day }, by: [person] }
  - { id: all, count: {}, window: { calendar: day } }
`

let simulation: Simulation
let queries: QueryApi
const persons = ['ann', 'bob', 'cem', 'dua', 'eve']

beforeAll(async () => {
  const random = new SeededRandom(3)
  const topic = new MemoryTopic('events', 2, random)
  const send = (person: string, name: string, day: number, hour: number, platform = 'web') => {
    const timeMs = MONDAY_MS + day * DAY_MS + hour * 3_600_000
    const value = Event.encode(Event.fromPartial({ person, name, platform, occurredAt: new Date(timeMs) })).finish()
    topic.append(random.nextUint32() % 2, [{ key: null, value, timestampMs: timeMs }])
  }
  for (let day = 0; day < 3; day++) {
    for (const [i, person] of persons.entries()) {
      send(person, 'cart', day, 8 + i)
      if (i > day) send(person, 'pay', day, 9 + i, 'ios')
      if (i > 3) send(person, 'thanks', day, 10 + i)
    }
  }
  send('ann', 'cart', 2, 12)
  send('ann', 'cart', 2, 12)
  const descriptors = builtInDescriptors()
  simulation = new Simulation({ seed: 3, workers: 2, topic, descriptors })
  await simulation.submit(parseJob(document, descriptors).definition)
  await simulation.runUntilState('shop', 'RUNNING')
  queries = createQueryService(jobViews(simulation.manager), simulation.scheduler, 10)
  const sent = 15 + 9 + 3 + 2
  const job = simulation.manager.job('shop')
  const applied = () => simulation.manager.statsOf(job).reduce((sum, { stats }) => sum + stats.applied, 0)
  await simulation.scheduler.runUntil(() => applied() >= sent, 'all events to be applied')
  // What it has gained goes to the results with a checkpoint.
  const { history } = job.coordinator
  const before = history.completed
  await simulation.scheduler.runUntil(() => history.completed > before + 1, 'another checkpoint')
})

afterAll(() => simulation.close())

const asked: KeyQuery = {
  job: 'shop',
  key: '',
  metrics: [],
  fromMs: -Infinity,
  toMs: Infinity,
  limit: 1000,
  events: 100,
}
const ask = (key: string, more: Partial<KeyQuery> = {}): Promise<KeyResult> =>
  simulation.settle(queries.lookupKey({ ...asked, key, ...more }))

describe('a lookup of a person', () => {
  it('adds up over all persons to what the metrics are', async () => {
    const sums = new Map<string, number>()
    for (const key of [...persons, 'nobody']) {
      for (const { info, values, ofPerson } of (await ask(key)).results) {
        expect(ofPerson, info.metric).toBe(info.metric !== 'mine')
        for (const { windowStartMs, dimensions, value } of values) {
          const name = `${info.metric} ${windowStartMs} ${dimensions.join('|')}`
          if (ofPerson) sums.set(name, (sums.get(name) ?? 0) + value)
        }
      }
    }
    const whole = new Map<string, number>()
    for (const metric of ['checkout', 'states', 'weekly', 'visits'])
      for (const { windowStartMs, dimensions, value } of (await simulation.settle(queries.query(allOf('shop', metric))))
        .values)
        whole.set(`${metric} ${windowStartMs} ${dimensions.join('|')}`, value)
    expect(Object.fromEntries([...sums].sort())).toEqual(Object.fromEntries([...whole].sort()))
    expect(sums.size).toBe(25)
  })

  it('tells how far they came in a funnel, what they are, and the rows by their key', async () => {
    const { results } = await ask('cem', { fromMs: MONDAY_MS, toMs: MONDAY_MS + DAY_MS })
    const of = (metric: string) =>
      results.find(({ info }) => info.metric === metric)!.values.map(({ dimensions, value }) => [...dimensions, value])
    expect(of('checkout')).toEqual([
      ['web', '1', 1],
      ['web', '2', 1],
      ['web', '3', 0],
    ])
    expect(of('states')).toEqual([['new', 1]])
    expect(of('mine')).toEqual([['cem', 2]])
    expect(results.map(({ info }) => info.metric)).not.toContain('all')
  })

  it('tells their timelines, once where metrics share one, with what each event is', async () => {
    const { timelines } = await ask('ann')
    expect(timelines.map(({ metrics }) => metrics)).toEqual([['checkout'], ['states', 'weekly'], ['visits']])
    const [checkout, states] = timelines
    expect(checkout).toMatchObject({ dimensions: ['platform'], truncated: false })
    expect(checkout!.conditions[0]).toBe("step 1: name == 'cart'")
    expect(checkout!.events.map(({ timeMs, conditions, copies }) => [timeMs - MONDAY_MS, conditions, copies])).toEqual([
      [8 * 3_600_000, [0], 1],
      [DAY_MS + 8 * 3_600_000, [0], 1],
      [2 * DAY_MS + 8 * 3_600_000, [0], 1],
      [2 * DAY_MS + 12 * 3_600_000, [0], 2],
    ])
    expect(checkout!.events.every(({ dimensions }) => dimensions[0] === 'web')).toBe(true)
    expect(states!.events.map(({ timeMs }) => timeMs)).toEqual([0, 1, 2].map((day) => MONDAY_MS + day * DAY_MS))
    const short = (await ask('ann', { events: 1, metrics: ['checkout'] })).timelines
    expect(short.map(({ events, truncated }) => [events.length, truncated])).toEqual([[1, true]])
    expect((await ask('ann', { events: 0 })).timelines).toEqual([])
    expect((await ask('nobody')).timelines.map(({ events }) => events.length)).toEqual([0, 0, 0])
  })

  it('refuses metrics that know nobody', async () => {
    await expect(ask('ann', { metrics: ['all'] })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining('those that do: checkout, states, weekly, visits, mine'),
    })
  })
})
