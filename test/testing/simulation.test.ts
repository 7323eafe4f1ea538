import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { type MemoryRecord, MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'

const descriptors = loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))

const { definition } = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 3650d }
watermark: { outOfOrderness: 5s }
checkpoint: { every: 50ms }
parallelism: 3
metrics:
  - { id: views, count: {}, where: "name == 'view'", window: { tumbling: 1m }, by: [platform] }
  - { id: users, activeUsers: {}, window: { tumbling: 1m } }
  - { id: spent, sum: { field: revenue_minor }, window: { tumbling: 1m }, by: [person] }
`,
  descriptors,
)

interface Drawn {
  readonly person: string
  readonly name: string
  readonly platform: string
  readonly revenueMinor: number
  readonly timeMs: number
}

const startMs = 1_700_000_040_000

function draw(seed: number, count: number): Drawn[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, (_, i) => ({
    person: `p${nextBelow(random, 200)}`,
    name: ['view', 'click', 'purchase'][nextBelow(random, 3)]!,
    platform: ['web', 'ios'][nextBelow(random, 2)]!,
    revenueMinor: nextBelow(random, 500),
    timeMs: startMs + i * 20 - nextBelow(random, 4000),
  }))
}

function recordOf({ timeMs, ...rest }: Drawn): MemoryRecord {
  const value = Event.encode(Event.fromPartial({ ...rest, occurredAt: new Date(timeMs) })).finish()
  return { key: null, value, timestampMs: timeMs }
}

function topicOf(events: readonly Drawn[], seed: number): MemoryTopic {
  const topic = new MemoryTopic('events', 5, new SeededRandom(seed))
  const batches: Drawn[][] = Array.from({ length: 5 }, () => [])
  events.forEach((event, i) => {
    batches[i % 5]!.push(event)
  })
  batches.forEach((batch, partition) => {
    for (let at = 0; at < batch.length; at += 40) {
      const records = batch.slice(at, at + 40).map(recordOf)
      topic.append(partition, records)
    }
  })
  return topic
}

/** What each metric must say: `window|group` to value. */
function expected(events: readonly Drawn[]): Map<string, number>[] {
  const add = (map: Map<string, number>, key: string, value: number) => map.set(key, (map.get(key) ?? 0) + value)
  const views = new Map<string, number>()
  const users = new Map<string, number>()
  const spent = new Map<string, number>()
  const seen = new Set<string>()
  for (const event of events) {
    const window = Math.floor(event.timeMs / 60_000) * 60_000
    if (event.name === 'view') add(views, `${window}|${event.platform}`, 1)
    if (!seen.has(`${window}|${event.person}`)) add(users, `${window}|`, 1)
    seen.add(`${window}|${event.person}`)
    add(spent, `${window}|${event.person}`, event.revenueMinor)
  }
  return [views, users, spent]
}

async function valuesOf(simulation: Simulation, metric: number): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (const rows of await simulation.rows('shop', metric)) {
    for (let i = 0; i < rows.count; i++)
      values.set(`${rows.windowStartMs[i]}|${rows.dimensions[i]!.join('|')}`, rows.values[i]!)
  }
  return values
}

async function run(
  seed: number,
  crashes: number,
): Promise<{ values: Map<string, number>[]; trace: string[]; attempts: number }> {
  const events = draw(seed, 20_000)
  const simulation = new Simulation({ seed, workers: 2, topic: topicOf(events, seed), descriptors })
  const random = new SeededRandom(seed + 1)
  await simulation.submit(definition)
  await simulation.runUntilState('shop', 'RUNNING')
  for (let i = 0; i < crashes; i++) {
    await simulation.scheduler.runFor(60 + nextBelow(random, 100))
    const { attempt } = simulation.status('shop')
    simulation.workers.crash(nextBelow(random, 2))
    await simulation.scheduler.runUntil(() => simulation.status('shop').attempt > attempt, 'the next attempt')
    await simulation.scheduler.runUntil(() => simulation.status('shop').state !== 'STARTING', 'the restart')
  }
  await simulation.runUntilState('shop', 'FINISHED')
  const values = [await valuesOf(simulation, 0), await valuesOf(simulation, 1), await valuesOf(simulation, 2)]
  const attempts = simulation.status('shop').attempt
  await simulation.close()
  return { values, trace: simulation.trace, attempts }
}

it.each([1, 2, 3, 4, 5, 6])('counts every event once, whatever the order of things (seed %i)', async (seed) => {
  const { values } = await run(seed, 0)
  expect(values).toEqual(expected(draw(seed, 20_000)))
})

it.each([11, 12, 13, 14, 15, 16])('counts every event once when workers crash (seed %i)', async (seed) => {
  const { values, attempts } = await run(seed, 2)
  expect(attempts).toBe(3)
  expect(values).toEqual(expected(draw(seed, 20_000)))
})

it('is the same run for the same seed, and another one for another', async () => {
  const [first, second, other] = [await run(21, 1), await run(21, 1), await run(22, 1)]
  expect(second.trace).toEqual(first.trace)
  expect(other.trace).not.toEqual(first.trace)
})

it('goes on from a checkpoint, not from the start', async () => {
  const { trace } = await run(11, 2)
  expect(trace.some((line) => /RUNNING: .*checkpoint [1-9]/.test(line))).toBe(true)
})

it('finishes with alignment when one source subtask ends long before the other', async () => {
  const events = draw(31, 20_000)
  const topic = new MemoryTopic('events', 2, new SeededRandom(31))
  // Partition 1 holds the first quarter of the time only.
  const early = events.slice(0, 5000)
  const parts = [events.filter((_, i) => i >= 5000 || i % 2 === 0), early.filter((_, i) => i % 2 === 1)]
  parts.forEach((part, partition) => {
    for (let at = 0; at < part.length; at += 40) topic.append(partition, part.slice(at, at + 40).map(recordOf))
  })
  const simulation = new Simulation({ seed: 31, workers: 2, topic, descriptors })
  const aligned = { ...definition, parallelism: 2, watermark: { ...definition.watermark, maxDriftMs: 10_000 } }
  await simulation.submit(aligned)
  await simulation.runUntilState('shop', 'FINISHED')
  expect(await valuesOf(simulation, 0)).toEqual(expected(events)[0])
  await simulation.close()
})
