/**
 * A changed definition that leaves out a sink which is owed results, or has it write elsewhere: refused, for nobody else
 * would give those out. And what a sink has is not given out again where it writes now.
 */
import { expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { MemoryOutboxData, MemoryOutboxSink } from '../../src/testing/memory-outbox-sink.ts'
import { Simulation, type SimulationFaults } from '../../src/testing/simulation.ts'
import { append, definition, descriptors, draw, emptyTopic, topicOf } from './outbox-shop.ts'

const unbounded: JobDefinition = {
  ...definition,
  source: { ...definition.source, bounded: false },
  checkpoint: { ...definition.checkpoint, everyMs: 100 },
}
const changed: JobDefinition = { ...unbounded, sinks: [] }
const moved: JobDefinition = {
  ...unbounded,
  sinks: unbounded.sinks.map((sink) => ({ ...sink, output: { kind: 'log', path: 'none', topic: 'elsewhere' } })),
}

const switches = new WeakMap<Simulation, (data: MemoryOutboxData) => void>()

/** From now on the sink that is opened is another place, which knows of nothing. */
function movable(simulation: Simulation): MemoryOutboxData {
  const data = new MemoryOutboxData()
  switches.get(simulation)!(data)
  return data
}

/** A job that runs, over an empty topic. */
async function running(seed: number, more: SimulationFaults = {}, everyMs = 100) {
  let data: MemoryOutboxData | null = null
  const faults: SimulationFaults = {
    wrapSink: (sink, owner) => (data === null || owner.sink !== 'out' ? sink : new MemoryOutboxSink(data, owner)),
    ...more,
  }
  const topic = emptyTopic(seed)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors, faults })
  switches.set(simulation, (next) => {
    data = next
  })
  await simulation.submit({ ...unbounded, checkpoint: { ...unbounded.checkpoint, everyMs } })
  await simulation.runUntilState('shop', 'RUNNING')
  return { simulation, topic }
}

/** A job that runs, whose sinks are gone: they are owed results. */
async function owing(seed: number): Promise<Simulation> {
  const { simulation, topic } = await running(seed)
  simulation.sinks.fault = () => {
    throw new MillraceError('SINK_FAILED', 'no route to host')
  }
  append(topic, draw(seed))
  await simulation.scheduler.runUntil(() => owedOf(simulation).length > 0, 'something to be owed')
  return simulation
}

const owedOf = (simulation: Simulation) => simulation.manager.job('shop').coordinator.outbox.owed

function upgrade(simulation: Simulation, dropState: readonly string[] = [], dryRun = false, definition = changed) {
  const submission = { definition, text: '', schema: null }
  return simulation.settle(simulation.manager.upgrade(submission, { dropState, dryRun }))
}

it('an upgrade without the sink is refused, and with it the results are given out', async () => {
  const simulation = await owing(1)
  const words = /no longer has sink out, which is owed the results of checkpoint \d+ \(\d+ records.*those would be lost/
  expect((await upgrade(simulation, [], true)).refusal?.message).toMatch(words)
  await expect(upgrade(simulation)).rejects.toThrow(words)
  expect(simulation.sinks.records('shop', 'out')).toEqual([])
  simulation.sinks.fault = undefined
  await simulation.scheduler.runUntil(() => owedOf(simulation).length === 0, 'all to be applied')
  expect(simulation.sinks.records('shop', 'out').length).toBeGreaterThan(0)
  expect((await upgrade(simulation)).record?.outcome).toBe('done')
  await simulation.close()
})

it('so is a job that stopped while a sink was owed results, and is submitted without it', async () => {
  const simulation = await owing(2)
  await expect(simulation.settle(simulation.manager.stop('shop'))).rejects.toThrow()
  expect(owedOf(simulation).length).toBeGreaterThan(0)
  await expect(simulation.submit(changed)).rejects.toMatchObject({ code: 'STATE_INCOMPATIBLE' })
  simulation.sinks.fault = undefined
  await simulation.settle(simulation.manager.submit(changed, '', null, null, ['out']))
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.close()
})

it('so is one that writes elsewhere now: what was made for one place is not for another', async () => {
  const simulation = await owing(3)
  const words = /has sink out write elsewhere, which is owed the results of checkpoint \d+ .*those would be lost/
  await expect(upgrade(simulation, [], false, moved)).rejects.toThrow(words)
  // Named, it begins with what comes after.
  const elsewhere = movable(simulation)
  const last = owedOf(simulation).at(-1)!.checkpointId
  // Where it was, nobody answers still.
  simulation.sinks.fault = (_call, _when, sink) => {
    if (sink === 'out') throw new MillraceError('SINK_FAILED', 'no route to host')
  }
  expect((await upgrade(simulation, ['out'], false, moved)).record?.outcome).toBe('done')
  expect(simulation.sinks.records('shop', 'out')).toEqual([])
  const epochs = elsewhere.records('shop', 'out').map(({ epoch }) => epoch)
  expect(epochs.filter((epoch) => epoch <= last)).toEqual([])
  await simulation.close()
})

/** A job that has given results; `goOn` brings more events. */
async function giving(seed: number, more: SimulationFaults = {}) {
  const { simulation, topic } = await running(seed, more)
  const events = draw(seed)
  append(topic, events.slice(0, 10_000))
  const given = () => simulation.sinks.records('shop', 'out').length > 100 && owedOf(simulation).length === 0
  await simulation.scheduler.runUntil(given, 'results')
  let at = 10_000
  const goOn = (): void => {
    append(topic, events.slice(at, at + 100))
    at += 100
    if (at < events.length) simulation.scheduler.after(200, goOn)
  }
  return { simulation, goOn }
}

it('a sink that writes elsewhere is not given there what it has had', async () => {
  // No checkpoint but the last one before the change: it has all results, and they have been applied.
  const { simulation, topic } = await running(4, {}, 3_600_000)
  const events = draw(4)
  append(topic, events.slice(0, 10_000))
  await simulation.scheduler.runFor(3000)
  const elsewhere = movable(simulation)
  expect((await upgrade(simulation, [], false, moved)).record?.outcome).toBe('done')
  expect(simulation.sinks.records('shop', 'out').length).toBeGreaterThan(100)
  expect(elsewhere.records('shop', 'out')).toEqual([])
  append(topic, events.slice(10_000))
  await simulation.scheduler.runUntil(() => elsewhere.records('shop', 'out').length > 100, 'what comes after')
  await simulation.close()
})

it('a sink that cannot say what it has is not given again what this process knows that it has', async () => {
  // As sinks by HTTP are: they have no marker.
  const { simulation, goOn } = await giving(5, {
    wrapSink: (sink) => ({
      guarantee: 'idempotent',
      open: () => sink.open().then(() => null),
      apply: (epoch, blocks) => sink.apply(epoch, blocks),
      close: () => sink.close(),
    }),
  })
  goOn()
  for (let round = 0; round < 3; round++) {
    const given = simulation.sinks.records('shop', 'out').length
    await simulation.scheduler.runUntil(() => simulation.sinks.records('shop', 'out').length > given, 'more')
    await simulation.scheduler.runUntil(() => owedOf(simulation).length === 0, 'all to be applied')
    simulation.workers.crash(round % 2)
    await simulation.runUntilState('shop', 'RESTARTING')
    await simulation.runUntilState('shop', 'RUNNING')
  }
  expect(simulation.sinks.repeated).toBe(0)
  await simulation.close()
})

/** The process that comes after one, over the same store and sinks. */
function next(before: Simulation, seed: number): Simulation {
  const { store, sinks } = before
  return new Simulation({ seed, workers: 2, topic: topicOf(draw(before.seed), before.seed), descriptors, store, sinks })
}

it('another process refuses it too, and so does its own start; with the sink, or its name, it goes on', async () => {
  const first = await owing(3)
  await expect(first.settle(first.manager.stop('shop'))).rejects.toThrow()
  expect(owedOf(first).length).toBeGreaterThan(0)
  const { sinks } = first
  const words =
    /no longer has sink out, which may be owed the results of checkpoint \d+ \(\d+ records.*--drop-state\): out/
  const second = next(first, 4)
  await second.recover()
  expect(second.status('shop').state).toBe('SUSPENDED')
  await expect(second.submit(changed)).rejects.toThrow(words)
  sinks.fault = undefined
  await second.submit(unbounded)
  await second.runUntilState('shop', 'RUNNING')
  const records = sinks.records('shop', 'out').length
  expect(records).toBeGreaterThan(0)
  await second.close()
  await first.close()
})

it('an upgrade that comes before the sinks have answered is refused; they get what they are owed first', async () => {
  const first = await owing(5)
  const { sinks } = first
  const second = next(first, 6)
  await second.recover()
  await expect(upgrade(second)).rejects.toThrow(/no longer has sink out, which may be owed the results of checkpoint/)
  sinks.fault = undefined
  await second.runUntilState('shop', 'RUNNING')
  await second.scheduler.runUntil(() => owedOf(second).length === 0, 'all to be applied')
  expect(sinks.records('shop', 'out').length).toBeGreaterThan(0)
  expect((await upgrade(second)).record?.outcome).toBe('done')
  await second.close()
})

it('it may go by name in another process as well', async () => {
  const first = await owing(7)
  await expect(first.settle(first.manager.stop('shop'))).rejects.toThrow()
  first.sinks.fault = undefined
  const second = next(first, 8)
  await second.recover()
  await second.settle(second.manager.submit(changed, '', null, null, ['out']))
  await second.runUntilState('shop', 'RUNNING')
  expect(
    second.trace.filter((line) => /no longer has sink out: the results .* are dropped, as was asked/.test(line)),
  ).not.toEqual([])
  await second.close()
})

it('what sinks had when the job stopped is not held against leaving them out, in any process', async () => {
  const topic = topicOf(draw(9), 9)
  const first = new Simulation({ seed: 9, workers: 2, topic, descriptors })
  // All results are of the last checkpoint.
  await first.submit({ ...unbounded, checkpoint: { ...unbounded.checkpoint, everyMs: 3_600_000 } })
  await first.runUntilState('shop', 'RUNNING')
  const read = () => first.manager.statsOf(first.manager.job('shop')).reduce((sum, { stats }) => sum + stats.read, 0)
  await first.scheduler.runUntil(() => read() > 15_000, 'events to be read')
  const { checkpointId } = await first.settle(first.manager.stop('shop'))
  expect(first.sinks.marker('shop', 'out')).toMatchObject({ epoch: checkpointId })
  await first.close()
  const second = next(first, 10)
  await second.recover()
  await second.submit(changed)
  await second.runUntilState('shop', 'RUNNING')
  expect(second.trace.filter((line) => line.includes('no longer has sink'))).toEqual([])
  await second.close()
})
