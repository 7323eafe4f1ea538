/** A job of every kind of table, its events, and what its views say: what savepoints are tried on. */
import { readFileSync } from 'node:fs'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import type { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import { type MemoryRecord, MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'

export const descriptors = loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))

const personMetrics = `
  - { id: steps, funnel: { steps: [{ where: name == 'view' }, { where: name == 'purchase' }], within: 30s }, window: { tumbling: 1m }, by: [platform] }
  - { id: stays, lifecycle: { lookback: 1h }, window: { tumbling: 1m } }`

/** The job; `bounded` ends with the topic. With `persons`, metrics 8 and 9 are about persons. */
export function jobOf({ name = 'shop', parallelism = 3, bounded = true, persons = false } = {}): JobDefinition {
  return parseJob(
    `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: ${name} }
sources: [{ id: events, log: { path: none, topic: events, bounded: ${bounded} } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 3650d }
watermark: { outOfOrderness: 5s }
checkpoint: { every: 50ms }
parallelism: ${parallelism}
metrics:
  - { id: views, count: {}, where: "name == 'view'", window: { tumbling: 1m }, by: [platform] }
  - { id: users, activeUsers: {}, window: { tumbling: 1m } }
  - { id: spent, sum: { field: revenue_minor }, window: { tumbling: 1m }, by: [person, platform] }
  - { id: visits, count: {}, window: { session: 2s }, by: [person] }
  - { id: trend, activeUsers: {}, window: { sliding: 1m, slide: 20s }, by: [platform] }
  - { id: median, quantile: { field: revenue_minor, q: 0.5 }, window: { tumbling: 1m }, by: [platform] }
  - { id: top, topK: { field: name, k: 2 }, window: { tumbling: 1m }, by: [platform] }
  - { id: ever, count: {}, window: { global: {} }, by: [person] }${persons ? personMetrics : ''}
`,
    descriptors,
  ).definition
}

export const METRICS = 8
const startMs = 1_700_000_040_000

/** A topic of five partitions for `count` events: `append(share)` adds those up to that share of them. */
export function topicInParts(seed: number, count: number): { topic: MemoryTopic; append: (share: number) => void } {
  const random = new SeededRandom(seed)
  const topic = new MemoryTopic('events', 5, new SeededRandom(seed))
  const parts: MemoryRecord[][] = Array.from({ length: 5 }, () => [])
  for (let i = 0; i < count; i++) {
    const timeMs = startMs + i * 20 - nextBelow(random, 4000)
    const event = Event.fromPartial({
      person: `p${nextBelow(random, 200)}`,
      name: ['view', 'click', 'purchase'][nextBelow(random, 3)]!,
      platform: ['web', 'ios'][nextBelow(random, 2)]!,
      revenueMinor: nextBelow(random, 500),
      occurredAt: new Date(timeMs),
    })
    parts[i % 5]!.push({ key: null, value: Event.encode(event).finish(), timestampMs: timeMs })
  }
  const appended = [0, 0, 0, 0, 0]
  const append = (share: number): void => {
    parts.forEach((records, partition) => {
      const end = Math.floor(records.length * share)
      for (let at = appended[partition]!; at < end; at += 40)
        topic.append(partition, records.slice(at, Math.min(end, at + 40)))
      appended[partition] = end
    })
  }
  return { topic, append }
}

/** The same, with all of them. */
export function topicOf(seed: number, count: number): MemoryTopic {
  const { topic, append } = topicInParts(seed, count)
  append(1)
  return topic
}

/** A simulation over `topic`, with its own store. */
export function simulate(seed: number, topic: MemoryTopic, savepoints?: MemorySavepoints, workers = 2): Simulation {
  return new Simulation({ seed, workers, topic, descriptors, ...(savepoints === undefined ? {} : { savepoints }) })
}

/** All values of all metrics: `metric|start|group` to value, with the status where `revisions`. */
export async function viewsOf(simulation: Simulation, job = 'shop', metrics = METRICS): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (let metric = 0; metric < metrics; metric++) {
    for (const rows of await simulation.rows(job, metric)) {
      for (let i = 0; i < rows.count; i++) {
        values.set(`${metric}|${rows.windowStartMs[i]}|${rows.dimensions[i]!.join('|')}`, rows.values[i]!)
      }
    }
  }
  return values
}
