/** What sinks that take outboxes mean for the life of a job: it rests when they have everything, or says what they lack. */
import { expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import type { OutboxFault } from '../../src/testing/memory-outbox-sink.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { append, definition, descriptors, draw, emptyTopic, topicOf } from './outbox-shop.ts'

const unbounded: JobDefinition = {
  ...definition,
  source: { ...definition.source, bounded: false },
  checkpoint: { ...definition.checkpoint, everyMs: 100 },
}

/** A simulation in which the job runs and has given its first results; events keep coming. */
async function running(seed: number): Promise<Simulation> {
  const topic = emptyTopic(seed)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors })
  const events = draw(seed)
  let at = 0
  const feed = (): void => {
    append(topic, events.slice(at, at + 200))
    at += 200
    if (at < events.length) simulation.scheduler.after(40, feed)
  }
  await simulation.submit(unbounded)
  await simulation.runUntilState('shop', 'RUNNING')
  feed()
  await simulation.scheduler.runUntil(() => simulation.sinks.records('shop', 'out').length > 0, 'first results')
  return simulation
}

const down: OutboxFault = () => {
  throw new MillraceError('SINK_FAILED', 'no route to host')
}

const hanging: OutboxFault = () => new Promise<void>(() => {})

/** Asks for a stop; that it ends without a last checkpoint shows in the state. */
function stop(simulation: Simulation): void {
  simulation.manager.stop('shop').catch(() => undefined)
}

/** No result is there twice. */
function checkOnce({ sinks }: Simulation): void {
  const keys = sinks.records('shop', 'out').map(({ key, value }) => {
    const { revision } = MetricValue.decode(value)
    return `${new TextDecoder().decode(key!)} ${revision}`
  })
  expect(new Set(keys).size).toBe(keys.length)
}

const outboxOf = (simulation: Simulation) => simulation.manager.job('shop').coordinator.outbox

it('is SUSPENDED when sinks have applied the last checkpoint, and not before', async () => {
  const simulation = await running(1)
  let applied = 0
  simulation.sinks.fault = async (call, when) => {
    if (call === 'apply' && when === 'before')
      await new Promise<void>((resolve) => simulation.scheduler.after(700, resolve))
    if (call === 'apply' && when === 'after') applied++
  }
  const states: string[] = []
  simulation.manager.onState((_name, { state }) => states.push(`${state} after ${applied}`))
  stop(simulation)
  await simulation.runUntilState('shop', 'SUSPENDED')
  expect(states.some((state) => /^STOPPING after 0$/.test(state))).toBe(true)
  expect(states.at(-1)).toMatch(/^SUSPENDED after [1-9]/)
  expect(outboxOf(simulation)).toMatchObject({ owed: [], held: false })
  const { epoch } = simulation.sinks.marker('shop', 'out')!
  expect(epoch).toBeLessThanOrEqual(simulation.manager.job('shop').coordinator.lastCheckpointId)
  await simulation.close()
})

it('a stop with a sink that is down ends, and says what is owed; the next start gives it', async () => {
  const simulation = await running(2)
  simulation.sinks.fault = down
  await simulation.scheduler.runUntil(() => outboxOf(simulation).owed.length > 0, 'something to be owed')
  stop(simulation)
  await simulation.runUntilState('shop', 'SUSPENDED')
  const [owed] = outboxOf(simulation).owed
  expect(owed!.records).toBeGreaterThan(0)
  const { reason, error } = simulation.status('shop')
  expect(`${reason} ${error?.message}`).toMatch(
    /sink \w+: no route to host.*owed the results of checkpoint \d+ \(\d+ records, \d+ bytes\)/,
  )
  simulation.sinks.fault = undefined
  await simulation.submit(unbounded)
  await simulation.runUntilState('shop', 'RUNNING')
  expect(simulation.sinks.marker('shop', owed!.sinks[0]!)!.epoch).toBeGreaterThanOrEqual(owed!.checkpointId)
  expect(simulation.sinks.repeated).toBe(0)
  await simulation.close()
})

it('a stop with a sink that hangs ends after a while', async () => {
  const simulation = await running(3)
  simulation.sinks.fault = hanging
  await simulation.scheduler.runUntil(() => outboxOf(simulation).owed.length > 0, 'something to be owed')
  stop(simulation)
  await simulation.runUntilState('shop', 'SUSPENDED')
  expect(simulation.status('shop').reason).toMatch(
    /sinks have not applied the results of checkpoint .* within 60000 ms/,
  )
  await simulation.close()
})

it('with two outboxes owed sources stop, and go on when one is applied', async () => {
  const simulation = await running(4)
  const release = Promise.withResolvers<void>()
  simulation.sinks.fault = async (call, when) => {
    if (call === 'apply' && when === 'before') await release.promise
  }
  await simulation.scheduler.runUntil(() => outboxOf(simulation).held, 'sources to be held')
  expect(outboxOf(simulation).owed).toHaveLength(2)
  const read = (): number =>
    simulation.manager.statsOf(simulation.manager.job('shop')).reduce((sum, { stats }) => sum + stats.read, 0)
  // What was on its way is worked off; then nothing moves.
  await simulation.scheduler.runFor(1500)
  const before = read()
  await simulation.scheduler.runFor(1500)
  expect(read()).toBe(before)
  expect(simulation.status('shop').state).toBe('RUNNING')
  simulation.sinks.fault = undefined
  release.resolve()
  await simulation.scheduler.runUntil(() => !outboxOf(simulation).held, 'sources to go on')
  await simulation.close()
})

it('sinks that have more than the store are a lost store: nothing is given to them again', async () => {
  const first = await running(5)
  const before = structuredClone(first.store.job('shop'))
  const { epoch } = first.sinks.marker('shop', 'out')!
  await first.scheduler.runUntil(() => first.sinks.marker('shop', 'out')!.epoch > epoch, 'another epoch')
  const records = first.sinks.records('shop', 'out').length
  // The process ends, and the store goes back in time.
  first.store.jobs.set('shop', before)
  const { store, sinks } = first
  const second = new Simulation({ seed: 6, workers: 2, topic: topicOf(draw(5), 5), descriptors, store, sinks })
  await second.recover()
  await second.runUntilState('shop', 'FAILED')
  expect(second.status('shop')).toMatchObject({
    error: {
      code: 'STORE_LOST',
      message: expect.stringMatching(
        /has applied the results of checkpoint \d+.*cancel the job and submit it anew/,
      ) as string,
    },
  })
  expect(sinks.records('shop', 'out').length).toBe(records)
  await second.close()
})

it('after the end of a process the next one applies what is owed, and the first one, thawed, nothing any more', async () => {
  const first = await running(8)
  const thaw = Promise.withResolvers<void>()
  first.sinks.fault = async (call, when) => {
    if (call === 'apply' && when === 'before') await thaw.promise
  }
  await first.scheduler.runUntil(() => outboxOf(first).owed.length === 2, 'two epochs to be owed')
  const owed = outboxOf(first).owed.map(({ checkpointId }) => checkpointId)
  const { store, sinks } = first
  sinks.fault = undefined
  const second = new Simulation({ seed: 9, workers: 2, topic: topicOf(draw(8), 8), descriptors, store, sinks })
  await second.recover()
  await second.runUntilState('shop', 'RUNNING')
  const epochs = new Set(sinks.records('shop', 'out').map((record) => record.epoch))
  expect(owed.every((id) => epochs.has(id) || sinks.marker('shop', 'out')!.epoch >= id)).toBe(true)
  const records = sinks.records('shop', 'out').length
  thaw.resolve()
  await first.runUntilState('shop', 'FAILED')
  expect(sinks.records('shop', 'out').length).toBe(records)
  await second.scheduler.runFor(1000)
  checkOnce(second)
  await second.close()
})

it.each([10, 11, 12])(
  'a store that is emptied under a live job: it goes on, or says what is lost (seed %i)',
  async (seed) => {
    const simulation = await running(seed)
    await simulation.scheduler.runFor(50 + seed * 7)
    simulation.store.clear()
    const { coordinator } = simulation.manager.job('shop')
    const before = coordinator.lastCheckpointId
    await simulation.scheduler.runUntil(
      () => coordinator.status.state === 'FAILED' || coordinator.lastCheckpointId > before + 2,
      'a checkpoint in the new store, or the end',
    )
    const { state, error } = coordinator.status
    if (state === 'FAILED')
      expect(error).toMatchObject({
        code: 'STORE_LOST',
        message: expect.stringMatching(/lost|its data is gone/) as string,
      })
    expect(simulation.sinks.repeated).toBe(0)
    checkOnce(simulation)
    await simulation.close()
  },
)

it('a sink that does not answer when an attempt starts fails it, by name, and the next attempt asks again', async () => {
  const simulation = await running(13)
  simulation.sinks.fault = (call, _when, sink) => {
    if (call === 'apply') throw new MillraceError('SINK_FAILED', 'no route to host')
    return sink === 'lateEvents' ? new Promise<void>(() => {}) : undefined
  }
  const { coordinator } = simulation.manager.job('shop')
  const silent = (): boolean => coordinator.status.error?.message.includes('has not said') === true
  await simulation.scheduler.runUntil(silent, 'the attempt to fail')
  expect(coordinator.status).toMatchObject({
    state: 'RESTARTING',
    error: {
      code: 'SINK_FAILED',
      message: expect.stringMatching(
        /^sink lateEvents of job shop has not said within 120000 ms.*raise MILLRACE_SINK_OPEN_TIMEOUT/,
      ) as string,
    },
  })
  simulation.sinks.fault = undefined
  await simulation.runUntilState('shop', 'RUNNING')
  checkOnce(simulation)
  await simulation.close()
})

it('results of a cancelled job are not applied any more', async () => {
  const simulation = await running(7)
  simulation.sinks.fault = hanging
  await simulation.scheduler.runUntil(() => outboxOf(simulation).owed.length > 0, 'something to be owed')
  void simulation.manager.cancel('shop')
  await simulation.runUntilState('shop', 'CANCELLED')
  simulation.sinks.fault = undefined
  const records = simulation.sinks.records('shop', 'out').length
  await simulation.scheduler.runFor(1000)
  expect(simulation.sinks.records('shop', 'out').length).toBe(records)
  await simulation.close()
})
