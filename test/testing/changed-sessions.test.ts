/**
 * Sessions, and events on both sides of being late, over changes of a running job: whatever is rescaled, upgraded, crashed or
 * stopped in between, the values, the late events and what the sink holds are those of the same job left alone.
 *
 * Event time goes on in steps of their own, each worked off before the next, and each other step is one batch of one
 * partition. So what is late, and which sessions an event bridges, is decided by the events alone.
 */
import { expect, it } from 'vitest'
import { decodeManifest } from '../../src/checkpoint/manifest.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const PARTITIONS = 3
const startMs = 1_700_000_040_000

const metrics = {
  visits: 'count: {}, by: [person], window: { session: 10s }, allowedLateness: 20s',
  spent: 'sum: { field: revenue_minor }, by: [person], window: { session: 10s }, allowedLateness: 20s',
  prompt: 'count: {}, by: [person], window: { session: 4s }',
  strict: 'count: {}, by: [platform], window: { tumbling: 20s }',
  patient: 'activeUsers: {}, by: [platform], window: { tumbling: 20s }, allowedLateness: 30s',
  sliding: 'count: {}, by: [platform], window: { sliding: 20s, slide: 5s }, allowedLateness: 10s',
}
const kept = Object.keys(metrics)
const extra = { extra: 'count: {}, by: [platform, person], window: { tumbling: 5s }' }

function definitionOf(texts: Readonly<Record<string, string>>, parallelism = 2): JobDefinition {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { maxFuture: 3650d }
watermark: { outOfOrderness: 1s, idleness: 0s }
checkpoint: { every: 70ms }
restart: { fixedDelay: { delay: 20ms, attempts: 1000 } }
parallelism: ${parallelism}
metrics:
${Object.entries(texts)
  .map(([id, parts]) => `  - { id: ${id}, ${parts} }\n`)
  .join('')}sinks: [{ id: out, log: { path: none, topic: out } }]`
  const { definition } = parseJob(text, descriptors)
  return { ...definition, sinks: definition.sinks.map((sink) => ({ ...sink, delivery: 'exactly-once' as const })) }
}

interface Drawn {
  readonly person: string
  readonly timeMs: number
}

/** Event time goes on to `markMs` in every partition; or some events come, in one. */
type Step = { readonly markMs: number } | { readonly partition: number; readonly events: readonly Drawn[] }

function draw(random: SeededRandom): Step[] {
  let nowMs = startMs
  const steps: Step[] = [{ markMs: nowMs }]
  for (let i = 0; i < 16; i++) {
    if (nextBelow(random, 3) === 0) {
      nowMs += 1000 * (1 + nextBelow(random, 25))
      steps.push({ markMs: nowMs })
      continue
    }
    const events = Array.from({ length: 1 + nextBelow(random, 8) }, () => ({
      person: `p${nextBelow(random, 4)}`,
      // In time, within the lateness, beyond it, and on every edge between.
      timeMs: nowMs - 1000 * nextBelow(random, 50) - nextBelow(random, 3),
    }))
    steps.push({ partition: nextBelow(random, PARTITIONS), events })
  }
  return steps
}

class Run {
  readonly simulation: Simulation
  readonly #topic: MemoryTopic
  #read = 0

  constructor(seed: number) {
    this.#topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(seed))
    this.simulation = new Simulation({ seed, workers: 3, topic: this.#topic, descriptors })
  }

  async start(texts: Readonly<Record<string, string>> = metrics): Promise<void> {
    await this.simulation.submit(definitionOf(texts))
    await this.simulation.runUntilState('shop', 'RUNNING')
  }

  /** Appends a step and lets the job work it off. */
  async take(step: Step): Promise<void> {
    if ('markMs' in step) {
      for (let partition = 0; partition < PARTITIONS; partition++)
        this.#append(partition, [{ person: `mark-${partition}`, timeMs: step.markMs }])
    } else this.#append(step.partition, step.events)
    await this.simulation.scheduler.runFor(90)
  }

  async upgrade(texts: Readonly<Record<string, string>>, dropState: readonly string[]) {
    const { manager } = this.simulation
    const { parallelism } = manager.job('shop').coordinator.plan
    const submission = { definition: definitionOf(texts, parallelism), schema: null, text: '' }
    return this.simulation.settle(manager.upgrade(submission, { dropState, dryRun: false }))
  }

  async values(id: string): Promise<ReadonlyMap<string, unknown>> {
    const index = this.simulation.manager.job('shop').coordinator.plan.definition.metrics.findIndex((m) => m.id === id)
    const values = new Map<string, unknown>()
    for (const rows of await this.simulation.rows('shop', index)) {
      for (let i = 0; i < rows.count; i++) {
        const name = `${rows.dimensions[i]!.join('|')}|${rows.windowStartMs[i]}`
        expect(values.has(name), `${id}: ${name} is there twice`).toBe(false)
        values.set(name, [rows.windowEndMs[i], rows.values[i], rows.lateCount[i]])
      }
    }
    return values
  }

  /** All that must be the same: values of views with late counts, what was counted, and what the sink holds. */
  async outcome() {
    const views: Record<string, unknown> = {}
    for (const id of kept) views[id] = new Map([...(await this.values(id))].sort())
    await this.simulation.settle(this.simulation.manager.stop('shop'))
    const { manifests } = this.simulation.store.jobs.get('shop')!
    const { counters } = decodeManifest(manifests.get(Math.max(...manifests.keys()))!, 'the last checkpoint')
    expect(counters.read).toBe(this.#read)
    return { views, applied: counters.applied, late: counters.late, sink: this.#sink() }
  }

  /** The newest record of each metric, window and group that is not withdrawn. Revisions rise. */
  #sink(): ReadonlyMap<string, unknown> {
    const newest = new Map<string, MetricValue>()
    for (const { key, value } of this.simulation.sinks.records('shop', 'out')) {
      const said = MetricValue.decode(value)
      if (!kept.includes(said.metric)) continue
      const name = Buffer.from(key!).toString()
      // A session takes the revisions of those that it is made of with it, to a new start too.
      expect(said.revision, name).toBeGreaterThan(newest.get(name)?.revision ?? 0)
      newest.set(name, said)
    }
    const there = [...newest].filter(([, { eventCount }]) => eventCount > 0)
    return new Map(
      there.map(([name, { value, windowEnd }]) => [name, [value!.value, windowEnd!.getTime()]] as const).sort(),
    )
  }

  #append(partition: number, events: readonly Drawn[]): void {
    this.#read += events.length
    const records = events.map(({ person, timeMs }) => {
      const occurredAt = new Date(timeMs)
      const platform = person.endsWith('1') ? 'ios' : 'web'
      const event = Event.fromPartial({ person, name: 'view', platform, revenueMinor: 7, occurredAt })
      return { key: null, value: Event.encode(event).finish(), timestampMs: timeMs }
    })
    this.#topic.append(partition, records)
  }
}

/** Something that happens to a job between two steps. */
async function change(run: Run, random: SeededRandom): Promise<void> {
  const { simulation } = run
  const { manager, workers } = simulation
  switch (nextBelow(random, 6)) {
    case 0:
    case 1:
      await simulation.settle(manager.rescale('shop', 1 + nextBelow(random, 4)))
      return
    case 2:
    case 3: {
      const there = manager.job('shop').coordinator.plan.definition.metrics.some(({ id }) => id === 'extra')
      const turned = Object.fromEntries(Object.entries(metrics).toSorted(() => nextBelow(random, 3) - 1))
      await run.upgrade(there ? turned : { ...extra, ...turned }, there ? ['extra'] : [])
      return
    }
    case 4:
      workers.crash(nextBelow(random, 3))
      // It may host nothing of the job.
      await simulation.scheduler.runFor(10)
      await simulation.runUntilState('shop', 'RUNNING')
      // What is read again is settled before what is new comes.
      await simulation.scheduler.runFor(90)
      return
    default:
  }
}

it.each(Array.from({ length: 12 }, (_, i) => i + 1))(
  'what is late stays late, and sessions go on, whatever changes in between (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    const steps = draw(new SeededRandom(seed))
    const random = new SeededRandom(seed ^ 0xc4a)
    const [plain, changed] = [new Run(seed), new Run(seed + 1000)]
    await plain.start()
    await changed.start()
    for (const step of steps) {
      await plain.take(step)
      await changed.take(step)
      await change(changed, random)
    }
    const expected = await plain.outcome()
    expect(expected.late).toBeGreaterThan(0)
    expect(await changed.outcome()).toEqual(expected)
    await plain.simulation.close()
    await changed.simulation.close()
  },
)

it('two tables of sessions become one with consent only: what the other had begins anew', async () => {
  // Kept for different times, they are two tables; sessions of two would overlap in one.
  const visits = `${metrics.visits}, where: "platform == 'ios'"`
  const both = { spent: metrics.spent, most: metrics.spent.replace('sum', 'max') }
  const apart = { visits: `${visits}, retain: 1d`, ...both }
  const together = { visits, ...both }
  const run = new Run(3)
  await run.start(apart)
  const seconds = (at: number): Drawn => ({ person: 'p1', timeMs: startMs + at * 1000 })
  await run.take({ markMs: startMs })
  await run.take({ partition: 0, events: [seconds(-30), seconds(-1), seconds(1)] })
  await expect(run.upgrade(together, [])).rejects.toMatchObject({
    code: 'STATE_INCOMPATIBLE',
    message: expect.stringMatching(/sessions lie in another table/),
  })
  await run.take({ partition: 0, events: [seconds(2)] })
  const { record } = await run.upgrade(together, ['visits'])
  expect(record?.outcome).toBe('done')
  // An open session goes on and fires, another begins, and an event that comes late bridges the two.
  await run.take({ partition: 1, events: [seconds(3), seconds(20)] })
  await run.take({ markMs: startMs + 30_000 })
  await run.take({ partition: 2, events: [seconds(12)] })
  const of = async (id: string) => [...(await run.values(id))].filter(([name]) => name.startsWith('p1')).sort()
  const span = (from: number) => `p1|${startMs + from * 1000}`
  expect(await of('spent')).toEqual([
    [span(-30), [startMs - 20_000, 7, 0]],
    [span(-1), [startMs + 30_000, 42, 0]],
  ])
  expect(await of('visits')).toEqual([[span(-1), [startMs + 30_000, 3, 0]]])
  await run.simulation.close()
})
