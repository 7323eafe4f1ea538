/**
 * Jobs that are changed while they run, against an oracle over the events: every metric has the values of all events since
 * it began, whatever was renamed, added, dropped, moved to other windows of lateness or dealt out to other subtasks.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { RedeployRecord } from '../../src/coordinator/redeploys.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { parseJob } from '../../src/job/parse.ts'
import type { StateDiffEntry } from '../../src/job/state-diff.ts'
import { type MemoryRecord, MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { jobs, type MetricText, metricYaml } from '../job/state-support.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const PARTITIONS = 3
const startMs = 1_700_000_040_000

interface Drawn {
  readonly person: string
  readonly name: string
  readonly platform: string
  readonly screen: string
  readonly revenueMinor: number
  readonly price: number | null
  readonly timeMs: number
}

function draw(seed: number, count: number): Drawn[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, (_, i) => ({
    person: `p${nextBelow(random, 30)}`,
    name: ['page_view', 'click'][nextBelow(random, 2)]!,
    platform: ['web', 'ios'][nextBelow(random, 2)]!,
    screen: ['', 'home', 'cart', 'about'][nextBelow(random, 4)]!,
    revenueMinor: nextBelow(random, 20),
    price: nextBelow(random, 3) === 0 ? null : nextBelow(random, 80) / 8,
    timeMs: startMs + i * 60 - nextBelow(random, 4000),
  }))
}

function recordOf({ timeMs, price, ...rest }: Drawn): MemoryRecord {
  const properties = price === null ? {} : { price: { value: { $case: 'doubleValue', value: price } } as const }
  const event = Event.fromPartial({ ...rest, properties, occurredAt: new Date(timeMs) })
  return { key: null, value: Event.encode(event).finish(), timestampMs: timeMs }
}

function definitionOf(metrics: readonly MetricText[], parallelism: number, bounded: boolean): JobDefinition {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events, bounded: ${bounded} } }]
event: { maxFuture: 3650d }
watermark: { outOfOrderness: 5s }
checkpoint: { every: 50ms }
parallelism: ${parallelism}
metrics:
${metrics.map(metricYaml).join('')}`
  return parseJob(text, descriptors).definition
}

const taken: Readonly<Record<string, (event: Drawn) => boolean>> = {
  '': () => true,
  "name == 'page_view'": ({ name }) => name === 'page_view',
  "platform == 'web' && revenue_minor > 3": ({ platform, revenueMinor }) => platform === 'web' && revenueMinor > 3,
}

function windowsOf(window: string, timeMs: number): number[] {
  if (window.startsWith('{ tumbling')) return [Math.floor(timeMs / 60_000) * 60_000]
  const last = Math.floor(timeMs / 20_000) * 20_000
  return [last, last - 20_000, last - 40_000]
}

/** The value of a metric over some events of a group and window. */
function metricValue(kind: string, events: readonly Drawn[]): number {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  const revenues = events.map(({ revenueMinor }) => revenueMinor)
  const prices = events.flatMap(({ price }) => price ?? [])
  const most = (texts: readonly string[]) =>
    texts.length === 0 ? Number.NaN : Math.max(...texts.map((text) => texts.filter((other) => other === text).length))
  const screens = events.flatMap(({ screen }) => (screen === '' ? [] : [screen]))
  if (kind.startsWith('count')) return events.length
  if (kind.startsWith('sum')) return sum(kind.includes('price') ? prices : revenues)
  if (kind.startsWith('avg'))
    return kind.includes('price') ? sum(prices) / prices.length : sum(revenues) / events.length
  if (kind.startsWith('max')) return Math.max(...revenues)
  if (kind.startsWith('activeUsers')) return new Set(events.map(({ person }) => person)).size
  if (kind.startsWith('distinct')) return new Set(screens).size
  if (kind.startsWith('topK')) return most(screens)
  if (kind.startsWith('histogram')) return events.length
  throw new Error(kind)
}

function expected(metric: MetricText, events: readonly Drawn[]): Map<string, number> {
  const groups = new Map<string, Drawn[]>()
  for (const event of events) {
    if (!taken[metric.where]!(event)) continue
    const group = metric.by === '' ? '' : event[metric.by as 'platform' | 'person']
    for (const window of windowsOf(metric.window, event.timeMs)) {
      const name = `${window}|${group}`
      groups.set(name, [...(groups.get(name) ?? []), event])
    }
  }
  return new Map([...groups].map(([name, all]) => [name, quantile(metric) ? 0 : metricValue(metric.kind, all)]))
}

/** What differs: where, what it is, what it should be. */
function differences(found: ReadonlyMap<string, number>, wanted: ReadonlyMap<string, number>): unknown[] {
  const names = new Set([...found.keys(), ...wanted.keys()])
  return [...names]
    .filter((name) => !Object.is(found.get(name), wanted.get(name)))
    .map((name) => [name, found.get(name), wanted.get(name)])
}

/** Estimates are compared by where there is one. */
const quantile = ({ kind }: MetricText): boolean => kind.startsWith('quantile')

async function valuesOf(simulation: Simulation, index: number, metric: MetricText): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (const rows of await simulation.rows('shop', index)) {
    for (let i = 0; i < rows.count; i++) {
      const name = `${rows.windowStartMs[i]}|${rows.dimensions[i]!.join('|')}`
      expect(values.has(name), `${metric.id}: ${name} is there twice`).toBe(false)
      values.set(name, quantile(metric) ? 0 : rows.values[i]!)
    }
  }
  return values
}

/** A running job, and from which positions on each of its metrics has counted; null: from the start. */
class Changing {
  readonly simulation: Simulation
  readonly topic: MemoryTopic
  metrics: readonly MetricText[] = []
  since = new Map<string, ReadonlyMap<number, number> | null>()
  readonly records: RedeployRecord[] = []
  crashed = false

  constructor(seed: number) {
    this.topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(seed))
    this.simulation = new Simulation({ seed, workers: 3, topic: this.topic, descriptors })
  }

  append(events: readonly Drawn[]): void {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = events.filter((_, i) => i % PARTITIONS === partition)
      for (let at = 0; at < own.length; at += 40) this.topic.append(partition, own.slice(at, at + 40).map(recordOf))
    }
  }

  async submit(metrics: readonly MetricText[], parallelism: number): Promise<void> {
    await this.simulation.submit(definitionOf(metrics, parallelism, false))
    this.metrics = metrics
    this.since = new Map(metrics.map(({ id }) => [id, null]))
    await this.simulation.runUntilState('shop', 'RUNNING')
  }

  async upgrade(metrics: readonly MetricText[], parallelism: number, bounded: boolean): Promise<void> {
    const { manager } = this.simulation
    const submission = { definition: definitionOf(metrics, parallelism, bounded), schema: null, text: '' }
    const compared = await this.#until(manager.upgrade(submission, { dropState: [], dryRun: true }))
    const { entries } = compared.diff
    const dropState = entries.flatMap(({ change, kind, name }) =>
      change === 'dropped' && kind === 'metric' ? [name] : [],
    )
    // What was consented to before may still be in the checkpoint that a job goes on from after a crash.
    if (!this.crashed) expect(compared.refusal === null).toBe(dropState.length === 0)
    if (compared.refusal !== null) {
      await expect(this.#until(manager.upgrade(submission, { dropState: [], dryRun: false }))).rejects.toMatchObject({
        code: 'STATE_INCOMPATIBLE',
      })
    }
    const { record } = await this.#until(manager.upgrade(submission, { dropState, dryRun: false }))
    if (record !== null) this.#ran(record)
    const now = this.#positions()
    const before = this.since
    this.since = new Map(metrics.map(({ id }) => [id, this.#sinceOf(id, entries, before, now)]))
    this.metrics = metrics
  }

  async rescale(parallelism: number): Promise<void> {
    const record = await this.#until(this.simulation.manager.rescale('shop', parallelism))
    if (record !== null) this.#ran(record)
    expect(this.simulation.manager.job('shop').coordinator.plan.parallelism).toBe(parallelism)
  }

  #ran(record: RedeployRecord): void {
    const { requestedAtMs, barrierAtMs, stoppedAtMs, runningAtMs } = record
    const times = [requestedAtMs, barrierAtMs, stoppedAtMs, runningAtMs].filter((ms) => ms > 0)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect([record.outcome, runningAtMs > 0]).toEqual(['done', true])
    // A job that was being restarted has no last checkpoint to make.
    if (!this.crashed) expect(Math.min(record.checkpointId, record.stateBytes)).toBeGreaterThan(0)
    this.records.unshift(record)
  }

  /** Where the attempt that runs now has begun to read; null where that was at the start. */
  #positions(): ReadonlyMap<number, number> | null {
    const { restored } = this.simulation.manager.job('shop').coordinator
    if (restored === null) return null
    return new Map(restored.snapshots.flatMap((s) => s.splits).map(({ partition, offset }) => [partition, offset]))
  }

  #sinceOf(
    id: string,
    entries: readonly StateDiffEntry[],
    before: ReadonlyMap<string, ReadonlyMap<number, number> | null>,
    now: ReadonlyMap<number, number> | null,
  ): ReadonlyMap<number, number> | null {
    const entry = entries.find(({ kind, name, change }) => kind === 'metric' && name === id && change !== 'dropped')!
    if (entry.change === 'new') return now
    const from = /^was (\w+)|what (\w+) has gathered/.exec(entry.detail)
    return before.get(from?.[1] ?? from?.[2] ?? id)!
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const done = (): void => {
      settled = true
    }
    promise.then(done, done)
    return this.simulation.scheduler.runUntil(() => settled, 'the change').then(() => promise)
  }
}

/** Some of the metrics, some of them by other names or with other lateness, and some others; in any order. */
function changed(random: SeededRandom, before: readonly MetricText[], others: readonly MetricText[]): MetricText[] {
  const all = [...before.filter(() => nextBelow(random, 4) > 0), ...others.filter(() => nextBelow(random, 2) > 0)]
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']
  const metrics: MetricText[] = []
  for (const metric of all.length === 0 ? before : all) {
    const late = nextBelow(random, 4) === 0 ? (metric.late === '' ? '1m' : '') : metric.late
    const renamed = nextBelow(random, 3) === 0 || metrics.some(({ id }) => id === metric.id)
    const free = ids.filter((id) => !metrics.some((other) => other.id === id))
    metrics.push({ ...metric, late, id: renamed ? free[nextBelow(random, free.length)]! : metric.id })
  }
  return metrics.toSorted(() => nextBelow(random, 3) - 1)
}

const seeds = Array.from({ length: 16 }, (_, i) => i + 1)

it.each(seeds)('every metric has what came since it began, whatever changed (seed %i)', async (seed) => {
  const random = new SeededRandom(seed * 31)
  const [first, second, third] = fc.sample(jobs, { seed, numRuns: 3 })
  const events = draw(seed, 6000)
  const job = new Changing(seed)
  job.append(events.slice(0, 2100))
  await job.submit(first!, 1 + nextBelow(random, 3))
  await job.simulation.scheduler.runFor(nextBelow(random, 150))
  await job.upgrade(changed(random, job.metrics, second!), 1 + nextBelow(random, 3), false)
  job.append(events.slice(2100, 4200))
  await job.simulation.scheduler.runFor(nextBelow(random, 150))
  job.crashed = seed % 2 === 0
  if (job.crashed) job.simulation.workers.crash(nextBelow(random, 3))
  await job.rescale(1 + nextBelow(random, 4))
  job.append(events.slice(4200))
  await job.simulation.scheduler.runFor(nextBelow(random, 50))
  await job.upgrade(changed(random, job.metrics, third!), 1 + nextBelow(random, 3), true)
  await job.simulation.runUntilState('shop', 'FINISHED')
  const place = (i: number) => ({ partition: i % PARTITIONS, offset: Math.floor(i / PARTITIONS) })
  for (const [index, metric] of job.metrics.entries()) {
    const since = job.since.get(metric.id) ?? null
    const counted = events.filter((_, i) => since === null || place(i).offset >= since.get(place(i).partition)!)
    expect(
      differences(await valuesOf(job.simulation, index, metric), expected(metric, counted)),
      JSON.stringify(metric),
    ).toEqual([])
  }
  const { stored } = job.simulation.manager.job('shop')
  expect(stored.redeploys).toEqual(job.records)
  await job.simulation.close()
})
