/** Global windows in a whole simulated deployment: results by count, with and without purging, over stops and rescaling. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'

const descriptors = loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))
const START_MS = 1_700_006_400_000

interface Visit {
  readonly person: string
  readonly name: string
  readonly revenueMinor: number
}

function draw(seed: number, count: number): readonly Visit[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => ({
    person: `p${nextBelow(random, 7)}`,
    name: nextBelow(random, 3) === 0 ? 'buy' : 'view',
    revenueMinor: nextBelow(random, 100),
  }))
}

function append(topic: MemoryTopic, visits: readonly Visit[]): void {
  for (const [i, visit] of visits.entries()) {
    // One person is in one partition: what a count takes together is a matter of order.
    const occurredAt = new Date(START_MS + i)
    const value = Event.encode(Event.fromPartial({ ...visit, eventId: `e${i}`, occurredAt })).finish()
    topic.append(Number(visit.person.slice(1)) % topic.partitions.length, [{ key: null, value, timestampMs: START_MS }])
  }
}

function definitionOf(metrics: string, parallelism: number) {
  return parseJob(
    `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: counted }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
parallelism: ${parallelism}
metrics:
${metrics}
sinks: [{ id: out, delivery: at-least-once, log: { path: none, topic: results } }]
`,
    descriptors,
  ).definition
}

/** Runs virtual time until a promise settles. */
async function settle<T>(simulation: Simulation, promise: Promise<T>): Promise<T> {
  let settled = false
  const mark = (): void => {
    settled = true
  }
  promise.then(mark, mark)
  await simulation.scheduler.runUntil(() => settled, 'a promise')
  return promise
}

/** What sinks got, a line each, in the order of a group's results. */
function resultsOf(simulation: Simulation): readonly string[] {
  return simulation.written
    .map(({ value }) => MetricValue.decode(value))
    .map((one) => `${one.metric} ${one.dimensions[0]!.value} #${one.revision} ${one.eventCount} ${numberOf(one)}`)
    .sort()
}

function numberOf({ value }: MetricValue): number | undefined {
  return value === undefined ? undefined : Number(value.value)
}

/** The same from the events. */
function expected(visits: readonly Visit[], metric: string, count: number, purge: boolean, only = ''): string[] {
  const groups = new Map<string, { results: number; events: number; sum: number }>()
  const lines: string[] = []
  for (const { person, name, revenueMinor } of visits) {
    if (only !== '' && name !== only) continue
    const group = groups.get(person) ?? { results: 0, events: 0, sum: 0 }
    groups.set(person, group)
    group.events++
    group.sum += revenueMinor
    if (group.events % count !== 0) continue
    lines.push(`${metric} ${person} #${++group.results} ${group.events} ${group.sum}`)
    if (purge) Object.assign(group, { events: 0, sum: 0 })
  }
  return lines
}

const metrics = `
  - { id: each_five, sum: { field: revenue_minor }, by: [person], window: { global: {} }, trigger: { count: 5, purge: true } }
  - { id: so_far, sum: { field: revenue_minor }, by: [person], window: { global: {} }, trigger: { count: 4 } }
  - { id: buys, sum: { field: revenue_minor }, where: name == "buy", by: [person], window: { global: {} }, trigger: { count: 2, purge: true } }`

function expectedAll(visits: readonly Visit[]): readonly string[] {
  return [
    ...expected(visits, 'each_five', 5, true),
    ...expected(visits, 'so_far', 4, false),
    ...expected(visits, 'buys', 2, true, 'buy'),
  ].sort()
}

describe('a global window with a count', () => {
  it.each([1, 2, 3])('gives each result once, over stops and at other parallelisms (seed %i)', async (seed) => {
    const visits = draw(seed, 3000)
    const topic = new MemoryTopic('events', 3, new SeededRandom(seed))
    append(topic, visits.slice(0, 1700))
    const simulation = new Simulation({ seed, workers: 3, topic, descriptors })
    const applied = (count: number) =>
      simulation.scheduler.runUntil(() => {
        const stats = simulation.manager.statsOf(simulation.manager.job('counted'))
        return stats.reduce((sum, one) => sum + one.stats.applied, 0) === count
      }, `${count} to be applied`)
    await simulation.submit(definitionOf(metrics, 1))
    await applied(1700)
    for (const [parallelism, from, to] of [
      [3, 1700, 2400],
      [2, 2400, 3000],
    ] as const) {
      await settle(simulation, simulation.manager.stop('counted'))
      append(topic, visits.slice(from, to))
      await settle(simulation, simulation.manager.submit(definitionOf(metrics, parallelism), ''))
      await applied(to)
    }
    await settle(simulation, simulation.manager.stop('counted'))
    expect(resultsOf(simulation)).toEqual(expectedAll(visits))
    await simulation.close()
  })

  it('tells what is purged as final, what goes on as provisional, with keys and times that brokers take', async () => {
    const topic = new MemoryTopic('events', 1, new SeededRandom(1))
    append(topic, draw(5, 500))
    const simulation = new Simulation({ seed: 5, workers: 1, topic, descriptors })
    await simulation.submit(definitionOf(metrics, 1))
    await simulation.scheduler.runUntil(() => simulation.written.length >= expectedAll(draw(5, 500)).length)
    const keys = simulation.written.map(({ key }) => new TextDecoder().decode(key!))
    for (const [i, { value, timestampMs }] of simulation.written.entries()) {
      const { metric, status } = MetricValue.decode(value)
      expect(status).toBe(metric === 'so_far' ? ValueStatus.VALUE_STATUS_PROVISIONAL : ValueStatus.VALUE_STATUS_FINAL)
      expect(timestampMs).toBeLessThan(START_MS + 1000)
      expect(timestampMs).toBeGreaterThanOrEqual(0)
      if (metric !== 'so_far') expect(keys.indexOf(keys[i]!)).toBe(i)
    }
    await simulation.close()
  })

  it('gives no result for what has not come to its count, and shows it to queries', async () => {
    const topic = new MemoryTopic('events', 1, new SeededRandom(1))
    append(
      topic,
      Array.from({ length: 13 }, (_, i) => ({ person: 'p0', name: 'view', revenueMinor: i })),
    )
    const simulation = new Simulation({ seed: 1, workers: 1, topic, descriptors })
    const definition = definitionOf(metrics, 1)
    await simulation.submit({ ...definition, source: { ...definition.source, bounded: true } })
    await simulation.runUntilState('counted', 'FINISHED')
    expect(resultsOf(simulation)).toEqual([
      'each_five p0 #1 5 10',
      'each_five p0 #2 5 35',
      'so_far p0 #1 4 6',
      'so_far p0 #2 8 28',
      'so_far p0 #3 12 66',
    ])
    const [rows] = await simulation.rows('counted', 0)
    expect([rows?.events[0], rows?.values[0], rows?.revision[0], rows?.provisional?.[0]]).toEqual([3, 33, 2, 1])
    await simulation.close()
  })

  it('purges sketches with the rest', async () => {
    const sketches = `
  - { id: names, topK: { field: name, k: 2 }, by: [person], window: { global: {} }, trigger: { count: 3, purge: true } }
  - { id: worth, quantile: { field: revenue_minor, q: 0.5 }, by: [person], window: { global: {} }, trigger: { count: 3, purge: true } }`
    const topic = new MemoryTopic('events', 1, new SeededRandom(1))
    const names = ['a', 'a', 'b', 'c', 'c', 'c', 'd', 'e', 'e']
    append(
      topic,
      names.map((name, i) => ({ person: 'p0', name, revenueMinor: i < 3 ? 100 : 900 })),
    )
    const simulation = new Simulation({ seed: 1, workers: 1, topic, descriptors })
    await simulation.submit(definitionOf(sketches, 1))
    await simulation.scheduler.runUntil(() => simulation.written.length === 6)
    const values = simulation.written.map(({ value }) => MetricValue.decode(value))
    const tops = values.filter(({ metric }) => metric === 'names').map(({ items }) => items.map((item) => item.label))
    expect(tops).toEqual([['a', 'b'], ['c'], ['e', 'd']])
    const medians = values.filter(({ metric }) => metric === 'worth').map(numberOf)
    expect(medians[0]).toBeCloseTo(100, -1)
    expect(medians[2]).toBeGreaterThan(800)
    await simulation.close()
  })
})

describe('a global window without a trigger', () => {
  it('is a running value for queries and early results, never final, in total too', async () => {
    const visits = draw(9, 400)
    const topic = new MemoryTopic('events', 2, new SeededRandom(1))
    append(topic, visits)
    const running = `
  - { id: all, count: {}, window: { global: {} }, early: 1s }
  - { id: persons, activeUsers: {}, by: [name], window: { global: {} } }`
    const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors })
    await simulation.submit(definitionOf(running, 2))
    const last = () => simulation.written.map(({ value }) => MetricValue.decode(value)).at(-1)
    await simulation.scheduler.runUntil(() => last()?.eventCount === 400)
    expect(last()).toMatchObject({ metric: 'all', status: ValueStatus.VALUE_STATUS_PROVISIONAL, revision: 0 })
    const rows = (await simulation.rows('counted', 1)).flatMap((part) =>
      part.dimensions.map((dimensions, i) => [dimensions[0], part.values[i]]),
    )
    const names = ['buy', 'view'].map((name) => [
      name,
      new Set(visits.filter((one) => one.name === name).map(({ person }) => person)).size,
    ])
    expect(rows.toSorted()).toEqual(names)
    await simulation.close()
  })
})
