/** A job with three outputs that go by the outbox, and events for it. */
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { exactlyOnce, type ShopAction, shopRecord } from '../support/shop.ts'

export const descriptors = builtInDescriptors()

const parsed = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 3650d }
watermark: { outOfOrderness: 1s }
checkpoint: { every: 10ms, retain: 1 }
parallelism: 3
metrics:
  - { id: views, count: {}, where: "name == 'view'", window: { tumbling: 10s }, by: [platform] }
  - { id: spent, sum: { field: revenue_minor }, window: { tumbling: 10s }, by: [person], allowedLateness: 2s }
sinks: [{ id: out, log: { path: none, topic: out } }]
deadLetters: { log: { path: none, topic: dead } }
late: { log: { path: none, topic: late } }
`,
  descriptors,
).definition

/** Results, dead letters and late events, all exactly once. */
export const definition: JobDefinition = exactlyOnce(parsed)

const EVENTS = 20_000
const startMs = 1_700_000_040_000

/** Events in order, a few of them late, a few of them no events. */
export function draw(seed: number): ShopAction[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: EVENTS }, (_, i) => ({
    person: `p${nextBelow(random, 100)}`,
    name: ['view', 'click'][nextBelow(random, 2)]!,
    platform: ['web', 'ios'][nextBelow(random, 2)]!,
    revenueMinor: nextBelow(random, 500),
    // Some come too late for their window, some for the correction of it.
    timeMs: startMs + i * 20 - nextBelow(random, nextBelow(random, 50) === 0 ? 20_000 : 900),
    broken: nextBelow(random, 200) === 0,
  }))
}

/** A topic of four partitions. */
export function emptyTopic(seed: number): MemoryTopic {
  return new MemoryTopic('events', 4, new SeededRandom(seed))
}

/** Appends events to all partitions of a topic. */
export function append(topic: MemoryTopic, events: readonly ShopAction[]): void {
  for (let at = 0; at < events.length; at += 100) {
    for (let partition = 0; partition < 4; partition++) {
      const batch = events.slice(at, at + 100).filter((_, i) => i % 4 === partition)
      topic.append(partition, batch.map(shopRecord))
    }
  }
}

/** A topic that holds them all. */
export function topicOf(events: readonly ShopAction[], seed: number): MemoryTopic {
  const topic = emptyTopic(seed)
  append(topic, events)
  return topic
}
