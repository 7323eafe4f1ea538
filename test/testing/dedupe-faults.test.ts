/**
 * Deduplication under faults: every event is sent one to three times, to any partitions, and whatever crashes, freezes or
 * is stopped, views hold what one of each gives, and the ledger says how many copies there were.
 */
import { expect, it } from 'vitest'
import { decodeManifest } from '../../src/checkpoint/manifest.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { describeFaultPlan, drawFaultPlan } from '../../src/testing/fault-plan.ts'
import { runUnderFaults } from '../../src/testing/fault-run.ts'
import { feedSlowly } from '../../src/testing/slow-feed.ts'
import { descriptors } from '../support/fault-shop.ts'
import { exactlyOnce } from '../support/shop.ts'

const SEEDS = 30
const PARTITIONS = 3
const EVENTS = 140
const startMs = 1_700_000_040_000

const parsed = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: copies }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { maxFuture: 3650d }
watermark: { outOfOrderness: 300ms }
checkpoint: { every: 100ms, retain: 1 }
parallelism: 2
dedupe: { by: event_id, within: 10s }
metrics:
  - { id: views, count: {}, where: name != 'other', window: { tumbling: 1s }, by: [platform], allowedLateness: 5s }
  - { id: spent, sum: { field: revenue_minor }, where: name != 'other', window: { tumbling: 1s }, by: [person], allowedLateness: 5s }
sinks: [{ id: out, log: { path: none, topic: out } }]
late: { log: { path: none, topic: late } }
`,
  descriptors,
).definition
const definition: JobDefinition = exactlyOnce(parsed)

interface Sent {
  readonly eventId: string
  readonly person: string
  readonly name: string
  readonly platform: string
  readonly revenueMinor: number
  readonly timeMs: number
}

/** Events, and in which order their copies come; ids of one person in three are no UUIDs, some events have none. */
function draw(seed: number): { readonly events: readonly Sent[]; readonly sent: readonly Sent[] } {
  const random = new SeededRandom(seed ^ 0xd0d0)
  const events = Array.from({ length: EVENTS }, (_, i): Sent => {
    const person = nextBelow(random, 6)
    const hex = (i * 7919).toString(16).padStart(12, '0')
    const eventId = person % 3 === 0 ? `${i}` : `0190b7a1-7c00-7000-8000-${hex}`
    return {
      eventId: nextBelow(random, 12) === 0 ? '' : eventId,
      person: `p${person}`,
      name: ['view', 'cart', 'other'][nextBelow(random, 3)]!,
      platform: ['web', 'ios'][nextBelow(random, 2)]!,
      revenueMinor: nextBelow(random, 500),
      timeMs: startMs + i * 40 - nextBelow(random, 250),
    }
  })
  const sent = events.flatMap((event, i) => {
    const copies = event.eventId === '' ? 1 : 1 + nextBelow(random, 3)
    return Array.from({ length: copies }, (_, k) => ({ event, at: i + (k === 0 ? 0 : nextBelow(random, 40)) }))
  })
  sent.sort((a, b) => a.at - b.at)
  return { events, sent: sent.map(({ event }) => event) }
}

function topicOf(sent: readonly Sent[], seed: number): MemoryTopic {
  const random = new SeededRandom(seed)
  const topic = new MemoryTopic('events', PARTITIONS, random)
  const lanes: Sent[][] = Array.from({ length: PARTITIONS }, () => [])
  for (const event of sent) lanes[nextBelow(random, PARTITIONS)]!.push(event)
  lanes.forEach((own, partition) => {
    for (let at = 0; at < own.length; at += 4) {
      const records = own.slice(at, at + 4).map(({ timeMs, ...fields }) => {
        const event = Event.fromPartial({ ...fields, occurredAt: new Date(timeMs) })
        return { key: null, value: Event.encode(event).finish(), timestampMs: timeMs }
      })
      topic.append(partition, records)
    }
  })
  return topic
}

function oracle(events: readonly Sent[]): Map<string, number> {
  const values = new Map<string, number>()
  const add = (name: string, value: number): void => {
    values.set(name, (values.get(name) ?? 0) + value)
  }
  for (const { name, platform, person, revenueMinor, timeMs } of events) {
    if (name === 'other') continue
    const window = Math.floor(timeMs / 1000) * 1000
    add(`views|${window}|${platform}`, 1)
    add(`spent|${window}|${person}`, revenueMinor)
  }
  return values
}

it(`counts one of the copies of each event over ${SEEDS} seeds of faults`, { timeout: 240_000 }, async () => {
  const outcomes: string[] = []
  let copies = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = drawFaultPlan(seed, { untilMs: 2600, workers: 2, losses: false })
    const { events, sent } = draw(seed)
    const topic = topicOf(sent, seed)
    const onFirstRun = feedSlowly(topic, seed, 200)
    const run = await runUnderFaults({ seed, topic, descriptors, definition, plan, workers: 2, onFirstRun })
    const what = `seed ${seed}: ${describeFaultPlan(plan)}`
    expect(run.checks.broken, what).toEqual([])
    expect(run.outcome, what).toBe('finished')
    expect(run.sinks.records('copies', 'lateEvents'), what).toEqual([])
    const views = new Map<string, number>()
    for (const [index, { id }] of definition.metrics.entries()) {
      for (const rows of await run.simulation!.rows('copies', index)) {
        for (let i = 0; i < rows.count; i++)
          views.set([id, rows.windowStartMs[i], ...rows.dimensions[i]!].join('|'), rows.values[i]!)
      }
    }
    const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(sorted(views), what).toEqual(sorted(oracle(events)))
    const manifests = run.store.jobs.get('copies')!.manifests
    const { counters } = decodeManifest(manifests.get(Math.max(...manifests.keys()))!, 'the last checkpoint')
    const wanted = (all: readonly Sent[]): number => all.filter(({ name }) => name !== 'other').length
    expect(counters, what).toMatchObject({
      read: sent.length,
      applied: wanted(events),
      late: 0,
      filtered: sent.length - wanted(sent),
      deduplicated: wanted(sent) - wanted(events),
      dedupeForgotten: 0,
    })
    copies += wanted(sent) - wanted(events)
    outcomes.push(...plan.map(({ kind }) => kind))
    await run.close()
  }
  expect(copies).toBeGreaterThan(SEEDS * 40)
  expect(new Set(outcomes).size).toBeGreaterThan(6)
})
