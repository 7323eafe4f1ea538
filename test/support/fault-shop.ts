/** A small job for runs under faults: its events, its topic, and what it must come to, computed from the topic alone. */
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { builtInDescriptors } from './descriptors.ts'
import { exactlyOnce, type ShopAction, shopRecord } from './shop.ts'

export const descriptors = builtInDescriptors()

const parsed = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 3650d }
watermark: { outOfOrderness: 300ms }
checkpoint: { every: 100ms, retain: 1 }
parallelism: 2
metrics:
  - { id: views, count: {}, where: "name == 'view'", window: { tumbling: 1s }, by: [platform], allowedLateness: 500ms }
  - { id: spent, sum: { field: revenue_minor }, where: "name == 'view'", window: { tumbling: 1s }, by: [person], allowedLateness: 500ms }
sinks: [{ id: out, log: { path: none, topic: out } }]
deadLetters: { log: { path: none, topic: dead } }
late: { log: { path: none, topic: late } }
`,
  descriptors,
).definition

export const definition: JobDefinition = exactlyOnce(parsed)

export const PARTITIONS = 3
const EVENTS = 240
const BATCH = 4
const startMs = 1_700_000_040_000

/** An event, and where it lies. */
export interface ShopEvent extends ShopAction {
  readonly partition: number
  readonly offset: number
}

/** Events in order of their partitions; some are late, some are no events. */
export function drawShop(seed: number): readonly ShopEvent[] {
  const random = new SeededRandom(seed ^ 0x540b)
  const offsets = Array.from({ length: PARTITIONS }, () => 0)
  return Array.from({ length: EVENTS }, (_, i) => {
    const partition = i % PARTITIONS
    return {
      partition,
      offset: offsets[partition]!++,
      person: `p${nextBelow(random, 6)}`,
      name: ['view', 'view', 'click'][nextBelow(random, 3)]!,
      platform: ['web', 'ios'][nextBelow(random, 2)]!,
      revenueMinor: nextBelow(random, 500),
      timeMs: startMs + i * 25 - nextBelow(random, nextBelow(random, 12) === 0 ? 3000 : 250),
      broken: nextBelow(random, 40) === 0,
    }
  })
}

/** The topic of all of them. */
export function shopTopic(events: readonly ShopEvent[], seed: number): MemoryTopic {
  const topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(seed))
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const own = events.filter((event) => event.partition === partition)
    for (let at = 0; at < own.length; at += BATCH) {
      topic.append(partition, own.slice(at, at + BATCH).map(shopRecord))
    }
  }
  return topic
}

/** `metric|window start|group` to value: the definition by hand, over all events that are whole and not in `late`. */
export function shopOracle(
  events: readonly ShopEvent[],
  late: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, number> {
  const values = new Map<string, number>()
  const add = (key: string, value: number): void => void values.set(key, (values.get(key) ?? 0) + value)
  for (const event of events) {
    if (event.broken || event.name !== 'view') continue
    const missed = late.get(`${event.partition}/${event.offset}`) ?? []
    const window = Math.floor(event.timeMs / 1000) * 1000
    if (!missed.includes('views')) add(`views|${window}|${event.platform}`, 1)
    if (!missed.includes('spent')) add(`spent|${window}|${event.person}`, event.revenueMinor)
  }
  return values
}
