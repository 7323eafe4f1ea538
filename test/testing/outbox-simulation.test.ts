/** A whole job in virtual time, with sinks that take outboxes: whatever fails, each record is there once. */
import { describe, expect, it } from 'vitest'
import { decodeManifest } from '../../src/checkpoint/manifest.ts'
import { MemoryCheckpointStore } from '../../src/checkpoint/memory-store.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { DeadLetter, LateEvent, MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import type { ShopAction } from '../support/shop.ts'
import { definition, descriptors, draw, topicOf } from './outbox-shop.ts'

const decoder = new TextDecoder()

/** What the last checkpoint says was counted, over all subtasks. */
async function countersOf(simulation: Simulation): Promise<Readonly<Record<string, number>>> {
  const store = new MemoryCheckpointStore(simulation.store, simulation.clock, new SeededRandom(1))
  const id = (await store.listCheckpoints('shop')).at(-1)!
  return decodeManifest((await store.readManifest('shop', id))!, 'the last checkpoint').counters
}

/** `window|group` to value, as the views of the job say it. */
async function viewOf(simulation: Simulation, metric: number): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (const rows of await simulation.rows('shop', metric)) {
    for (let i = 0; i < rows.count; i++)
      values.set(`${rows.windowStartMs[i]}|${rows.dimensions[i]!.join('|')}`, rows.values[i]!)
  }
  return values
}

/** Checks what the sinks hold against what went in, and against the state of the job: nothing lost, nothing twice. */
async function checkSinks(simulation: Simulation, events: readonly ShopAction[]): Promise<void> {
  expect(simulation.sinks.repeated).toBe(0)
  const counters = await countersOf(simulation)
  expect(counters.read).toBe(events.length)
  const originsOf = (sink: string, type: typeof DeadLetter | typeof LateEvent): string[] =>
    simulation.sinks.records('shop', sink).map(({ value }) => {
      const { partition, offset } = type.decode(value)
      return `${partition}/${offset}`
    })
  const dead = originsOf('deadLetters', DeadLetter)
  expect(new Set(dead).size).toBe(dead.length)
  expect(dead.length).toBe(events.filter((event) => event.broken).length)
  const late = originsOf('lateEvents', LateEvent)
  expect(new Set(late).size).toBe(late.length)
  expect(late.length).toBe(counters.late)
  // Revisions of each window and group: one after the other, none twice, none left out; the last is what the view says.
  const newest = new Map<string, MetricValue>()
  for (const { key, value } of simulation.sinks.records('shop', 'out')) {
    const name = decoder.decode(key!)
    const result = MetricValue.decode(value)
    expect(result.revision, `${name} of attempt ${result.attempt}`).toBe((newest.get(name)?.revision ?? 0) + 1)
    newest.set(name, result)
  }
  for (const [index, { id }] of definition.metrics.entries()) {
    const said = [...newest.values()].filter(({ metric }) => metric === id)
    const values = said.map(({ windowStart, dimensions, value }) => [
      `${windowStart!.getTime()}|${dimensions.map((dimension) => dimension.value).join('|')}`,
      value?.value,
    ])
    expect(new Map(values as [string, number][])).toEqual(await viewOf(simulation, index))
    expect(said.length).toBeGreaterThan(10)
  }
}

async function run(seed: number, disturb: (simulation: Simulation, random: SeededRandom) => Promise<void>) {
  const events = draw(seed)
  const simulation = new Simulation({ seed, workers: 2, topic: topicOf(events, seed), descriptors })
  await simulation.submit(definition)
  await simulation.runUntilState('shop', 'RUNNING')
  let most = 0
  const watch = (): void => {
    most = Math.max(most, simulation.manager.job('shop').coordinator.outbox.owed.length)
    simulation.scheduler.after(1, watch)
  }
  watch()
  await disturb(simulation, new SeededRandom(seed + 1))
  simulation.sinks.fault = undefined
  simulation.store.fault = undefined
  await simulation.runUntilState('shop', 'FINISHED')
  expect(most).toBeLessThanOrEqual(2)
  await checkSinks(simulation, events)
  const { attempt } = simulation.status('shop')
  const { trace } = simulation
  await simulation.close()
  return { attempt, trace, most }
}

/** Virtual time passes. */
function pause(simulation: Simulation, ms: number): Promise<void> {
  return new Promise<void>((resolve) => void simulation.scheduler.after(ms, resolve))
}

const lost = () => new MillraceError('SINK_FAILED', 'the answer is lost')

describe('outboxes in simulation', () => {
  it.each([1, 2, 3])('gives every record once, whatever the order of things (seed %i)', async (seed) => {
    const { attempt } = await run(seed, async () => {})
    expect(attempt).toBe(1)
  })

  it.each([11, 12, 13, 14])('when workers crash at any moment (seed %i)', async (seed) => {
    const { attempt } = await run(seed, async (simulation, random) => {
      for (let i = 0; i < 3; i++) {
        await simulation.scheduler.runFor(20 + nextBelow(random, 100))
        simulation.workers.crash(nextBelow(random, 2))
        await simulation.scheduler.runFor(nextBelow(random, 2500))
      }
    })
    expect(attempt).toBeGreaterThan(1)
  })

  it.each([21, 22, 23, 24])('when sinks fail, before or after they have applied (seed %i)', async (seed) => {
    const { attempt } = await run(seed, async (simulation, random) => {
      simulation.sinks.fault = () => {
        if (nextBelow(random, 3) === 0) throw lost()
      }
      await simulation.scheduler.runFor(8000)
    })
    expect(attempt).toBeGreaterThan(1)
  })

  it.each([51, 52, 53, 54])('when sinks are slow, and sources wait for them (seed %i)', async (seed) => {
    const { most } = await run(seed, async (simulation, random) => {
      simulation.sinks.fault = () => pause(simulation, 200 + nextBelow(random, 300))
      await simulation.scheduler.runFor(3000)
    })
    expect(most).toBe(2)
  })

  it.each([61, 62, 63, 64, 65])('when slow sinks fail and workers crash (seed %i)', async (seed) => {
    const { attempt } = await run(seed, async (simulation, random) => {
      simulation.sinks.fault = async () => {
        await pause(simulation, nextBelow(random, 200))
        if (nextBelow(random, 8) === 0) throw lost()
      }
      for (let i = 0; i < 4; i++) {
        await simulation.scheduler.runFor(20 + nextBelow(random, 700))
        simulation.workers.crash(nextBelow(random, 2))
      }
      await simulation.scheduler.runFor(2000)
    })
    expect(attempt).toBeGreaterThan(1)
  })

  it.each([31, 32, 33])('when the store is away for a while (seed %i)', async (seed) => {
    const { attempt } = await run(seed, async (simulation, random) => {
      for (let i = 0; i < 3; i++) {
        await simulation.scheduler.runFor(20 + nextBelow(random, 80))
        simulation.store.fault = (_operation, when) => {
          if (nextBelow(random, when === 'before' ? 2 : 4) === 0) throw new MillraceError('STORE_UNREACHABLE', 'away')
        }
        await simulation.scheduler.runFor(nextBelow(random, 400))
        simulation.store.fault = undefined
      }
    })
    expect(attempt).toBe(1)
  })

  it.each([41, 42, 43])('when everything fails together (seed %i)', async (seed) => {
    await run(seed, async (simulation, random) => {
      simulation.sinks.fault = () => {
        if (nextBelow(random, 10) === 0) throw lost()
      }
      simulation.store.fault = () => {
        if (nextBelow(random, 30) === 0) throw new MillraceError('STORE_UNREACHABLE', 'away')
      }
      for (let i = 0; i < 4; i++) {
        await simulation.scheduler.runFor(20 + nextBelow(random, 1000))
        if (nextBelow(random, 2) === 0) simulation.workers.crash(nextBelow(random, 2))
      }
    })
  })
})
