/**
 * Funnels and lifecycles under faults: whatever crashes, freezes or is stopped, views hold what the definition says. Events
 * come up to three seconds behind the watermark, and every window takes them.
 */
import { expect, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { describeFaultPlan, drawFaultPlan } from '../../src/testing/fault-plan.ts'
import { runUnderFaults } from '../../src/testing/fault-run.ts'
import { feedSlowly } from '../../src/testing/slow-feed.ts'
import { funnelReference } from '../metrics/funnel-reference.ts'
import { lifecycleReference } from '../metrics/lifecycle-reference.ts'
import type { Given, TestEvent } from '../metrics/support.ts'
import { descriptors } from '../support/fault-shop.ts'
import { exactlyOnce } from '../support/shop.ts'

const SEEDS = 40
const PARTITIONS = 3
const WINDOW_MS = 1000
const startMs = 1_700_000_040_000

const steps = "steps: [{ where: name == 'view' }, { where: name == 'cart' }, { where: name == 'buy' }], within: 700ms"
const parsed = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: persons }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { maxFuture: 3650d }
watermark: { outOfOrderness: 300ms }
checkpoint: { every: 100ms, retain: 1 }
parallelism: 2
metrics:
  - { id: steps, funnel: { ${steps} }, window: { tumbling: 1s }, by: [platform], allowedLateness: 5s }
  - { id: times, funnel: { ${steps}, measure: convertTime }, window: { tumbling: 1s }, by: [platform], allowedLateness: 5s }
  - { id: status, lifecycle: { lookback: 3s }, window: { tumbling: 1s }, allowedLateness: 5s }
sinks: [{ id: out, log: { path: none, topic: out } }]
late: { log: { path: none, topic: late } }
`,
  descriptors,
).definition
const definition: JobDefinition = exactlyOnce(parsed)

const names = ['view', 'cart', 'buy', 'other']

interface Shown extends TestEvent {
  readonly person: string
  readonly name: string
  readonly partition: number
  readonly offset: number
}

function draw(seed: number): readonly Shown[] {
  const random = new SeededRandom(seed ^ 0x9e12)
  const offsets = new Array<number>(PARTITIONS).fill(0)
  return Array.from({ length: 240 }, (_, i) => {
    const partition = i % PARTITIONS
    const kind = nextBelow(random, names.length)
    return {
      ...{ partition, offset: offsets[partition]!++, person: `p${nextBelow(random, 6)}` },
      ...{ name: names[kind]!, bits: kind < 3 ? 1 << kind : 0, text: ['web', 'ios'][nextBelow(random, 2)]! },
      timeMs: startMs + i * 25 - nextBelow(random, nextBelow(random, 12) === 0 ? 3000 : 250),
    }
  })
}

function topicOf(events: readonly Shown[], seed: number): MemoryTopic {
  const topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(seed))
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const own = events.filter((event) => event.partition === partition)
    for (let at = 0; at < own.length; at += 4) {
      const records = own.slice(at, at + 4).map(({ person, name, text, timeMs }) => {
        const event = Event.fromPartial({ person, name, platform: text, occurredAt: new Date(timeMs) })
        return { key: null, value: Event.encode(event).finish(), timestampMs: timeMs }
      })
      topic.append(partition, records)
    }
  }
  return topic
}

/** `metric|window|group` to value. */
function oracle(events: readonly Shown[]): Map<string, number> {
  const persons = [...Map.groupBy(events, ({ person }) => person).values()]
  const shape = {
    steps: 3,
    order: 'sequential',
    withinMs: 700,
    exclude: [],
    attribution: 'first',
    bucketsMs: [1],
  } as const
  const values = new Map<string, number[]>()
  const add = (metric: string, given: readonly Given[], grouped: boolean): void => {
    for (const { startMs: window, text, label, values: more } of given) {
      const name = [metric, window, ...(grouped ? [text] : []), label].join('|')
      values.set(name, values.get(name)?.map((value, i) => value + more[i]!) ?? [...more])
    }
  }
  for (const own of persons) {
    add(
      'steps',
      funnelReference(
        shape,
        WINDOW_MS,
        own.filter(({ bits }) => bits !== 0),
      ),
      true,
    )
  }
  const periodOf = (timeMs: number) => {
    const start = Math.floor(timeMs / WINDOW_MS) * WINDOW_MS
    return { startMs: start, endMs: start + WINDOW_MS }
  }
  for (const own of persons) {
    add(
      'status',
      lifecycleReference(
        periodOf,
        3000,
        own.map((event) => ({ ...event, text: '' })),
      ),
      false,
    )
  }
  const all = [...values].flatMap(([name, row]): [string, number][] =>
    name.startsWith('steps')
      ? [
          [name, row[2]!],
          [name.replace('steps', 'times'), row[3]! / row[2]!],
        ]
      : [[name, row[0]!]],
  )
  return new Map(all)
}

it(`holds the definition over ${SEEDS} seeds of faults`, { timeout: 240_000 }, async () => {
  const outcomes: string[] = []
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = drawFaultPlan(seed, { untilMs: 2600, workers: 2, losses: false })
    const events = draw(seed)
    const topic = topicOf(events, seed)
    const onFirstRun = feedSlowly(topic, seed, 200)
    const run = await runUnderFaults({ seed, topic, descriptors, definition, plan, workers: 2, onFirstRun })
    const what = `seed ${seed}: ${describeFaultPlan(plan)}`
    expect(run.checks.broken, what).toEqual([])
    expect(run.outcome, what).toBe('finished')
    expect(run.sinks.records('persons', 'lateEvents'), what).toEqual([])
    const views = new Map<string, number>()
    for (const [index, { id }] of definition.metrics.entries()) {
      for (const rows of await run.simulation!.rows('persons', index)) {
        for (let i = 0; i < rows.count; i++) {
          views.set([id, rows.windowStartMs[i], ...rows.dimensions[i]!].join('|'), rows.values[i]!)
        }
      }
    }
    const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(sorted(views), what).toEqual(sorted(oracle(events)))
    outcomes.push(...plan.map(({ kind }) => kind))
    await run.close()
  }
  expect(new Set(outcomes).size).toBeGreaterThan(6)
})
