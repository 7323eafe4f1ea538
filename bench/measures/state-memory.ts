/**
 * What state takes for each key and each window: jobs of one metric in a simulated deployment in this process (the real
 * operators, virtual time, no broker), read twice with different numbers of keys. The bytes are those that the engine
 * counts against a job's stateLimit: pages and indexes. Their difference over the difference of keys and windows leaves
 * out what a table takes by itself.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SeededRandom } from '../../src/core/clock.ts'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import type { Measure, MeasureContext } from './measure.ts'

const WINDOW_MS = 60_000
const START_MS = 1_700_006_400_000

/** One figure: bytes of what `units` counts. */
interface StateCase {
  readonly name: string
  readonly metric: string
  /** Keys or values in the two runs. */
  readonly sizes: readonly [number, number]
  readonly windows: number
  /** The event of a key in a window; null where it has none. */
  readonly event: (key: number, window: number) => Partial<Event>
  /** How many of what the figure is for are in a run of `size`. */
  readonly units: (size: number) => number
}

const person = (key: number): Partial<Event> => ({ person: `user-${key}`, revenueMinor: 100 + (key % 900) })
const tumbling = 'window: { tumbling: 1m }'
const keys: readonly [number, number] = [50_000, 100_000]

/** A sketch of each of `groups` groups and of twice as many, with `values` different values each. */
function sketch(name: string, metric: string, values: number, groups = 400): StateCase {
  return {
    name,
    metric: `${metric}, ${tumbling}, by: [screen]`,
    sizes: [groups * values, 2 * groups * values],
    windows: 1,
    event: (key) => ({ ...person(key), screen: `/product/${Math.floor(key / values)}`, name: `name-${key % values}` }),
    units: (size) => size / values,
  }
}

const cases: readonly StateCase[] = [
  {
    name: 'count_by_person',
    metric: `count: {}, ${tumbling}, by: [person]`,
    ...{ sizes: keys, windows: 3, event: person, units: (size) => size * 3 },
  },
  {
    name: 'distinct_member',
    metric: `activeUsers: {}, ${tumbling}`,
    ...{ sizes: keys, windows: 3, event: person, units: (size) => size * 3 },
  },
  {
    name: 'sliding_by_person_and_pane',
    metric: 'count: {}, window: { sliding: 12m, slide: 1m }, by: [person]',
    ...{ sizes: keys, windows: 3, event: person, units: (size) => size * 3 },
  },
  {
    name: 'session_by_person',
    metric: 'count: {}, window: { session: 30m }, by: [person]',
    ...{ sizes: keys, windows: 1, event: person, units: (size) => size },
  },
  sketch('approx_distinct_100', 'approxDistinct: {}', 100),
  sketch('approx_distinct_10000', 'approxDistinct: {}', 10_000, 50),
  sketch('quantile', 'quantile: { field: revenue_minor, q: 0.95 }', 1000),
  sketch('histogram', 'histogram: { field: revenue_minor, bounds: [1000, 5000, 10000, 20000] }', 1000),
  sketch('top_10', 'topK: { field: name, k: 10 }', 1000),
]

/** Bytes of state a key and window, by kind. */
export const stateMemory: Measure = {
  id: 'state-memory',
  async run(context) {
    const descriptors = loadDescriptors(readFileSync(join(import.meta.dirname, '../../src/gen/descriptors.binpb')))
    const figures: string[] = []
    for (const one of cases) figures.push(`${one.name}=${await bytesEach(one, descriptors, context)}`)
    return { figures: figures.join(' '), remarks: [] }
  },
}

async function bytesEach(one: StateCase, descriptors: Descriptors, { detail }: MeasureContext): Promise<number> {
  const [small, large] = one.sizes
  const bytes = [await stateBytes(one, small, descriptors), await stateBytes(one, large, descriptors)] as const
  const each = Math.round((bytes[1] - bytes[0]) / (one.units(large) - one.units(small)))
  detail(JSON.stringify({ bench: 'state-memory', state: one.name, sizes: one.sizes, bytes, bytes_each: each }))
  return each
}

async function stateBytes(one: StateCase, size: number, descriptors: Descriptors): Promise<number> {
  const topic = new MemoryTopic('events', 1, new SeededRandom(1))
  for (let window = 0; window < one.windows; window++) {
    for (let from = 0; from < size; from += 500) {
      const records = Array.from({ length: Math.min(500, size - from) }, (_, i) => {
        const occurredAt = new Date(START_MS + window * WINDOW_MS + 1000)
        const event = Event.fromPartial({ ...one.event(from + i, window), eventId: 'e', occurredAt })
        return { key: null, value: Event.encode(event).finish(), timestampMs: occurredAt.getTime() }
      })
      topic.append(0, records)
    }
  }
  const { definition } = parseJob(jobText(one.metric), descriptors)
  const simulation = new Simulation({ seed: 1, workers: 1, topic, descriptors })
  try {
    await simulation.submit(definition)
    const job = simulation.manager.job('state-memory')
    const sum = (of: (stats: { applied: number; stateBytes: number }) => number) =>
      simulation.manager.statsOf(job).reduce((total, { stats }) => total + of(stats), 0)
    await simulation.scheduler.runUntil(() => sum(({ applied }) => applied) === size * one.windows, 'all to be applied')
    return sum((stats) => stats.stateBytes)
  } finally {
    await simulation.close()
  }
}

/** Nothing is due while it runs: the watermark stays a day behind. */
function jobText(metric: string): string {
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: state-memory }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 36500d }
watermark: { outOfOrderness: 1d }
checkpoint: { every: 0s }
parallelism: 1
metrics: [{ id: m, ${metric} }]
`
}
