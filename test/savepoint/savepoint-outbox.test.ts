/** Savepoints of jobs whose sinks take every result once: none is lost between two submissions, and none is said twice. */
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { descriptors, jobOf, simulate, topicInParts, topicOf } from './support.ts'

const EVENTS = 6000
const SEED = 77

function exactly(options: Parameters<typeof jobOf>[0]): JobDefinition {
  const output = { kind: 'log', path: 'none', topic: 'out' } as const
  return { ...jobOf(options), sinks: [{ id: 'out', output, delivery: 'exactly-once' }] as JobDefinition['sinks'] }
}

/** All that a sink has got, without the attempt that it came from. */
function saidBy(simulation: Simulation, job = 'shop'): string[] {
  return simulation.sinks.records(job, 'out').map(({ value }) => {
    const { metric, windowStart, windowEnd, dimensions, value: number, revision, status } = MetricValue.decode(value)
    return JSON.stringify([metric, windowStart, windowEnd, dimensions, number, revision, status])
  })
}

async function whole(): Promise<string[]> {
  const simulation = simulate(SEED, topicOf(SEED, EVENTS))
  await simulation.submit(exactly({}))
  await simulation.runUntilState('shop', 'FINISHED')
  const said = saidBy(simulation).sort()
  await simulation.close()
  return said
}

async function started(savepoints: MemorySavepoints, everyMs = 50): Promise<Simulation> {
  const { topic, append } = topicInParts(SEED, EVENTS)
  append(0.7)
  const simulation = simulate(SEED, topic, savepoints)
  const job = exactly({ bounded: false })
  await simulation.submit({ ...job, checkpoint: { ...job.checkpoint, everyMs } })
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.scheduler.runFor(300)
  append(1)
  return simulation
}

describe('savepoints and sinks', () => {
  it('what was given out before a stop and after the start from its savepoint is all, once', async () => {
    const expected = await whole()
    expect(expected.length).toBeGreaterThan(100)
    const savepoints = new MemorySavepoints()
    const first = await started(savepoints)
    await first.settle(first.jobSavepoints.stop('shop', { savepoint: 'last', drain: false }))
    const before = saidBy(first)
    await first.close()
    const { savepoint } = await savepoints.open({ job: 'shop', name: 'last' })
    expect(savepoint.checkpoint.owed).toEqual([])
    expect(savepoint.checkpoint.subtasks.flatMap(({ outbox }) => outbox)).toEqual([])
    const next = simulate(SEED + 1, topicOf(SEED, EVENTS), savepoints)
    await next.submit(exactly({ parallelism: 2 }), { savepoint: 'last', claim: false, dropState: [] })
    await next.runUntilState('shop', 'FINISHED')
    const after = saidBy(next)
    await next.close()
    expect(before.length).toBeGreaterThan(0)
    expect(after.length).toBeGreaterThan(0)
    expect([...before, ...after].sort()).toEqual(expected)
  })

  it('one is complete when its results are applied, and not before', async () => {
    const savepoints = new MemorySavepoints()
    // No checkpoint but that of the savepoint: all results so far are its own.
    const first = await started(savepoints, 3_600_000)
    const gate = Promise.withResolvers<void>()
    first.sinks.fault = (call, when) => (call === 'apply' && when === 'before' ? gate.promise : undefined)
    let done = false
    const made = first.jobSavepoints.trigger('shop', 'one').then(() => {
      done = true
    })
    await first.scheduler.runFor(2000)
    expect(first.manager.job('shop').coordinator.outbox.owed.length).toBeGreaterThan(0)
    expect(done).toBe(false)
    gate.resolve()
    await first.settle(made)
    expect(first.manager.job('shop').coordinator.outbox.owed).toEqual([])
    await first.close()
  })

  it('none is made of a job that stopped while its sinks are owed results', async () => {
    const first = await started(new MemorySavepoints())
    first.sinks.fault = (call) => (call === 'apply' ? new Promise<void>(() => {}) : undefined)
    const stop = first.jobSavepoints.stop('shop', { savepoint: 'last', drain: true })
    await expect(first.settle(stop)).rejects.toThrow(/without a last checkpoint|have not applied/)
    expect(first.status('shop').state).toBe('SUSPENDED')
    expect(first.savepoints.files.size).toBe(0)
    await expect(first.jobSavepoints.trigger('shop', 'later')).rejects.toThrow(/may not have applied them/)
    first.sinks.fault = undefined
    await first.close()
  })

  it('none is made of a job that stopped before its sinks could say what they have', async () => {
    const first = await started(new MemorySavepoints())
    first.sinks.fault = (call) => (call === 'apply' ? new Promise<void>(() => {}) : undefined)
    const owed = () => first.manager.job('shop').coordinator.outbox.owed.length > 0
    await first.scheduler.runUntil(owed, 'something to be owed')
    const { store, sinks } = first
    // The process dies, and the next one comes no further than to ask.
    await first.workers.close()
    sinks.fault = () => new Promise<void>(() => {})
    const savepoints = new MemorySavepoints()
    const next = new Simulation({
      seed: 1,
      workers: 2,
      topic: topicOf(SEED, EVENTS),
      descriptors,
      store,
      sinks,
      savepoints,
    })
    await next.recover()
    await next.scheduler.runUntil(() => next.status('shop').reason.startsWith('asking sinks'), 'sinks to be asked')
    await next.settle(next.manager.stop('shop')).catch(() => undefined)
    expect(next.status('shop').state).toBe('SUSPENDED')
    const made = next.settle(next.jobSavepoints.trigger('shop', 'later'))
    await expect(made).rejects.toThrow(/may not have applied them/)
    expect(savepoints.files.size).toBe(0)
    await next.close()
  })

  it('none is made of a checkpoint that was published without an answer: nobody applied what it has', async () => {
    // No checkpoint but the last one: its manifest arrives, and no answer does.
    const first = await started(new MemorySavepoints(), 3_600_000)
    await first.scheduler.runFor(2000)
    first.store.fault = (operation, when) => {
      if (operation === 'publishManifest' && when === 'after') throw new MillraceError('STORE_UNREACHABLE', 'away')
    }
    await expect(first.settle(first.manager.stop('shop'))).rejects.toThrow()
    first.store.fault = undefined
    expect(first.status('shop').state).toBe('SUSPENDED')
    await expect(first.settle(first.jobSavepoints.trigger('shop', 'later'))).rejects.toThrow(
      /may not have applied them/,
    )
    await first.close()
  })
})
